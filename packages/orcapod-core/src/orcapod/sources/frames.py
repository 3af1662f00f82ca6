"""``DataFrameSource``: a stream over a data frame of pandas or polars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.root import BadRows, checked_bad_rows
from orcapod.sources.table import declared_types, named_source
from orcapod.types import LogicalType, RowFaults, column_of, column_of_rows, type_of_values

__all__ = ["DataFrameSource"]


_ROUNDED = 2.0**53  # from here on, not every int is a float


class DataFrameSource(ArrowTableSource):
    """A source over a pandas or polars ``DataFrame``, by way of Arrow.

    Of a pandas frame, a missing value (``NaN``, ``None``, ``NA``, ``NaT``) is null, as pandas itself says; a
    polars frame tells NaN and null apart, and so does its source. An index of pandas that was never set is left
    out, one with a name becomes a column of that name. Objects that Arrow has no type for, such as paths, records and
    arrays of two dimensions, are what they are in a ``DictSource``; arrays of one dimension are lists, unless
    ``data_schema`` declares ``np.ndarray``. See ``TableSource`` for the arguments.

    Raises:
        InputValidationError: the frame cannot become a stream; says which column, and why.
    """

    def __init__(
        self,
        frame: Any,
        tag_columns: Sequence[str],
        *,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
    ) -> None:
        named = named_source(type(self).__name__, source_id)
        fails = checked_bad_rows(bad_rows, named) == "fail"
        table, self._faults, found = _table(frame, named, data_schema, fails=fails)
        super().__init__(
            table,
            tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema={**found, **(data_schema or {})},
            bad_rows=bad_rows,
            label=label,
        )


def _table(
    frame: Any, named: str, data_schema: Mapping[str, Any] | None, *, fails: bool
) -> tuple[pa.Table, dict[str, RowFaults], dict[str, LogicalType]]:
    """Return a frame as a table, the faults of values of columns that were converted one by one, and types found there.

    Args:
        frame: the frame.
        named: what the source is called.
        data_schema: declared types.
        fails: whether values of declared columns are converted one by one where pandas keeps objects.
    """
    cls = type(frame)
    library, name = cls.__module__.partition(".")[0], cls.__name__
    if library == "polars" and name == "LazyFrame":
        raise InputValidationError(f"{named}: found a polars LazyFrame, expected rows; call .collect() on it")
    if name != "DataFrame" or library not in ("pandas", "polars"):
        raise InputValidationError(
            f"{named}: found {cls.__module__}.{cls.__qualname__}, expected a DataFrame of pandas or polars; use "
            "ArrowTableSource for other tables, DictSource for rows"
        )
    if library == "pandas":
        return _of_pandas(frame, named, data_schema, fails=fails)
    if objects := [name for name, dtype in frame.schema.items() if str(dtype) == "Object"]:
        raise InputValidationError(
            f"{named}: column {objects[0]!r} holds objects of Python's, of which polars gives Arrow no values; give "
            "the rows themselves: DictSource(frame.to_dicts(), ...)",
            column=objects[0],
            found="Object",
        )
    return pa.table(frame), {}, {}


def _of_pandas(
    frame: Any, named: str, data_schema: Mapping[str, Any] | None, *, fails: bool
) -> tuple[pa.Table, dict[str, RowFaults], dict[str, LogicalType]]:
    columns = list(frame.columns)
    if odd := [column for column in columns if not isinstance(column, str)]:
        raise InputValidationError(f"{named}: found a column called {odd[0]!r}, expected strings; rename it")
    index = [] if _was_never_set(frame.index) else list(frame.index.names)
    if None in index:
        raise InputValidationError(
            f"{named}: found an index without a name; name it with frame.rename_axis('...') to keep it as a column, "
            "or drop it with frame.reset_index(drop=True)"
        )
    if twice := [column for column, count in Counter([*columns, *index]).items() if count > 1]:
        raise InputValidationError(f"{named}: column {twice[0]!r} is there twice; rename or drop one", column=twice[0])
    if index:
        frame = frame.reset_index()
    declared = declared_types(named, dict.fromkeys(frame.columns), data_schema)
    made: dict[str, Any] = {}
    faults: dict[str, RowFaults] = {}
    for name, dtype in declared.items():
        if dtype.hash_name == "int" and (whole := _whole_numbers(frame[name])) is not None:
            made[name] = whole
    found: dict[str, LogicalType] = {}
    for name in [name for name in frame.columns if name not in made and _holds_objects(frame[name])]:
        values = [None if is_gone else value for value, is_gone in zip(frame[name], frame[name].isna(), strict=True)]
        if fails and name in declared:
            made[name], faults[name] = column_of_rows(values, declared[name])
        elif _would_be_others(values) or _is_foreign(values):
            made[name], found[name] = _as_they_are(values, declared.get(name), named, name)
    others = frame.drop(columns=list(made))
    try:
        table = pa.Table.from_pandas(others, preserve_index=False)
        return (
            pa.table({name: made[name] if name in made else table.column(name) for name in frame.columns}),
            faults,
            found,
        )
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        column, why = next(((column, why) for column in others if (why := _why_not(others[column]))), ("?", str(error)))
        raise InputValidationError(
            f"{named}: column {column!r} cannot become one of Arrow: {why}; convert its values to one type",
            column=column,
        ) from None


def _holds_objects(column: Any) -> bool:
    return column.dtype == object or getattr(column.dtype, "kind", "") == "c"  # Arrow has no complex numbers


def _is_foreign(values: Sequence[Any]) -> bool:
    """Say whether Arrow has no type for the first value: a path, an array of two dimensions, a record."""
    return _why_not([next((value for value in values if value is not None), None)]) is not None


def _would_be_others(values: Sequence[Any]) -> bool:
    """Say whether Arrow would make equals of values that are not: dicts of all keys, decimals of one scale, bytes."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {dict}:
        return len({frozenset(value) for value in values if value is not None}) > 1
    if Decimal in kinds:
        return len({value.as_tuple().exponent for value in values if type(value) is Decimal}) > 1
    return {str, bytes} <= kinds


def _as_they_are(
    values: Sequence[Any], declared: LogicalType | None, named: str, name: str
) -> tuple[pa.Array[Any], LogicalType]:
    try:
        dtype = declared or type_of_values(values)
        return column_of(values, dtype), dtype
    except (SchemaError, ValueTypeError) as error:
        raise InputValidationError(f"{named}: column {name!r}: {error}", **error.about(column=name)) from None


def _whole_numbers(column: Any) -> Any:
    """Return a column as one of ints, if it is what pandas makes of ints of which some are missing; else None."""
    if getattr(column.dtype, "kind", "") != "f" or not column.isna().any() or (column.abs() >= _ROUNDED).any():
        return None
    try:
        return pa.Array.from_pandas(column).cast(pa.int64())
    except (pa.ArrowException, TypeError, ValueError):  # there are others among them
        return None


def _was_never_set(index: Any) -> bool:
    """Say whether an index only counts the rows."""
    return type(index).__name__ == "RangeIndex" and (index.name, index.start, index.step) == (None, 0, 1)


def _why_not(column: Any) -> str | None:
    """Return why a column, or a list of values, is none of Arrow's; None if it is one."""
    try:
        pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        return str(error)
    return None
