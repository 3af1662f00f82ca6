"""``DictSource``: a stream over rows of Python values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.display import shown
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.sources.root import BadRows, checked_bad_rows
from orcapod.sources.table import BAD_ROWS_HINT, TableSource, declared_types, named_source
from orcapod.types import LogicalType, RowFaults, column_of, column_of_rows, misfit, type_of_values

__all__ = ["DictSource"]


class DictSource(TableSource):
    """A source over rows given as dicts, all with the same keys.

    Types are taken from the values where ``data_schema`` does not declare them: a column with a None
    is ``T | None``, ints among floats are floats, and any other mixture is an error. See ``TableSource`` for
    the arguments.

    Raises:
        InputValidationError: the rows cannot become a stream; says which row and column, and why.
    """

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]],
        tag_columns: Sequence[str],
        *,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        named = named_source(type(self).__name__, source_id)
        listed = list(Checks(named, InputValidationError).iterable("rows", rows, "rows", "give a list of dicts"))
        names = _names(named, listed, data_schema)
        declared = declared_types(named, dict.fromkeys(names), data_schema)
        types: dict[str, LogicalType] = {}
        faults: dict[str, RowFaults] = {}
        columns: dict[str, pa.ChunkedArray[Any]] = {}
        for name in names:
            values = [row[name] for row in listed]
            try:
                types[name] = declared[name] if name in declared else type_of_values(values)
                if checked_bad_rows(bad_rows, named) == "raise":
                    column = column_of(values, types[name])
                else:
                    column, faults[name] = column_of_rows(values, types[name])
                columns[name] = pa.chunked_array([column])
            except (SchemaError, ValueTypeError) as error:
                row = misfit(values) if isinstance(error, SchemaError) else None
                where = "" if row is None else f" (first in row {row}: {shown(values[row])})"
                hint = BAD_ROWS_HINT if name in declared and isinstance(error, ValueTypeError) else ""
                about = error.about(column=name, source_id=source_id, row=error.row if row is None else row)
                raise InputValidationError(f"{named}: column {name!r}: {error}{where}{hint}", **about) from None
            except RecursionError:
                raise InputValidationError(
                    f"{named}: column {shown(name)}: found values that contain themselves, or go too "
                    "deep, expected some that end; flatten them",
                    column=name,
                    source_id=source_id,
                ) from None
        self._faults = faults
        super().__init__(
            columns,
            tag_columns=tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=types,
            bad_rows=bad_rows,
            label=label,
            type_name=type(self).__name__,
        )

    def _conformed(self, column: pa.ChunkedArray[Any], name: str, dtype: LogicalType) -> pa.ChunkedArray[Any]:
        return column  # values were checked one by one as it was made


def _names(named: str, rows: Sequence[Mapping[str, Any]], data_schema: Mapping[str, Any] | None) -> list[str]:
    if not rows:
        declared = Checks(named, InputValidationError).mapping_or_empty("data_schema", data_schema, "{'x': int}")
        if not declared:
            raise InputValidationError(f"{named}: no rows, so nothing is known of its columns; declare data_schema")
        return list(declared)
    for row, found in enumerate(rows):
        if not isinstance(found, Mapping):
            cls = type(found).__qualname__
            raise InputValidationError(
                f"{named}: row {row} is of type {cls}, expected a dict of column names to values",
                row=row,
                expected="dict",
                found=cls,
            )
        if found.keys() != rows[0].keys():
            missing, extra = (
                sorted(keys, key=repr) for keys in (rows[0].keys() - found.keys(), found.keys() - rows[0].keys())
            )
            raise InputValidationError(
                f"{named}: row {row} differs from row 0: missing {missing}, extra {extra}; "
                "give every row the same columns, with None where there is no value",
                row=row,
                column=str((missing + extra)[0]),
            )
    return list(rows[0])
