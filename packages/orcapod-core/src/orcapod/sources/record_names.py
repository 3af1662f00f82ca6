"""``RecordNames``: what the records of a table are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import counted, pc
from orcapod.errors import InputValidationError
from orcapod.hashing import hash_rows
from orcapod.types import Schema

__all__ = ["RecordNames"]

_NOTHING = scalar_of("", pa.large_string())


class _Invalid(Protocol):
    """Maker of the error for what a source cannot be made of."""

    def __call__(self, why: str, **about: Any) -> InputValidationError: ...


class RecordNames:
    """Names of the records of a table: ``row_{i}``, or ``{column}={value}`` after the columns that identify them.

    Args:
        columns: those columns; their names and values are joined by commas, ``subject=7,session=2``.
        types: of the table.
    """

    def __init__(self, columns: Sequence[str], types: Schema) -> None:
        self.columns = tuple(columns)
        self._types = types.select(self.columns).types

    def check(self, table: pa.Table, invalid: _Invalid, bad: Collection[int] = ()) -> None:
        """Check that every record of a table has a name, and one of its own.

        Args:
            table: the columns.
            invalid: makes the error.
            bad: rows that are no records.

        Raises:
            InputValidationError: made by ``invalid``.
        """
        for name, dtype in self._types.items():
            if "set[" in dtype.hash_name:
                raise invalid(
                    f"record_id_column {name!r} is {dtype.name}, whose text differs from run to run; choose a column "
                    "of str, int or the like"
                )
            for row in [row for row in self.unnamed(table, name) if row not in bad][:1]:
                why = f"record_id_column {name!r} is null in row {row}; every record needs a name"
                raise invalid(why, column=name, row=row, found="None")
        seen: dict[bytes, int] = {}
        start = 0
        for batch in table.select(list(self.columns)).to_batches() if self.columns else []:
            for row, digest in enumerate(hash_rows(batch, Schema(self._types)), start):
                if row not in bad and (first := seen.setdefault(digest, row)) != row:
                    raise self._twice(table, first, row, invalid)
            start += batch.num_rows

    def unnamed(self, table: pa.Table, name: str) -> list[int]:
        """Return the rows in which a column that names the records is null."""
        column = table.column(name)
        return pc.indices_nonzero(column.is_null()).to_pylist() if column.null_count else []

    def of(self, columns: Mapping[str, pa.Array[Any]], start: int, length: int) -> pa.Array[Any]:
        """Return the names of ``length`` consecutive records, given their columns and the first one's position.

        It is null where a column is.
        """
        if not self.columns:
            return _joined("row_", counted(start, length).cast(pa.large_string()))
        values = {name: self._types[name].to_python(columns[name]) for name in self.columns}
        texts = {name: [None if each is None else str(each) for each in column] for name, column in values.items()}
        if len(texts) == 1:
            ((name, column),) = texts.items()
            return _joined(f"{name}=", array_of(column, pa.large_string()))
        rows = zip(*texts.values(), strict=True)
        return array_of([None if None in row else self._joint(row) for row in rows], pa.large_string())

    def _joint(self, texts: Sequence[Any]) -> str:
        return ",".join(f"{_quoted(name)}={_quoted(text)}" for name, text in zip(self.columns, texts, strict=True))

    def _twice(self, table: pa.Table, first: int, row: int, invalid: _Invalid) -> InputValidationError:
        names, values = self.columns, tuple(table.column(name)[row].as_py() for name in self.columns)
        name, value = (names[0], values[0]) if len(names) == 1 else (names, values)
        return invalid(
            f"record_id_column {name!r} is {value!r} in row {first} and in row {row}; a record's name must be its own",
            column=", ".join(names),
            row=row,
            found=repr(value),
        )


def _joined(prefix: str, names: pa.Array[Any]) -> pa.Array[Any]:
    joined: pa.Array[Any] = pc.binary_join_element_wise(scalar_of(prefix, pa.large_string()), names, _NOTHING)
    return joined


def _quoted(text: str) -> str:
    """Return a text in which the marks between the parts of a name do not occur."""
    return text.replace("%", "%25").replace(",", "%2C").replace("=", "%3D")
