"""``DataFrameSource``: a stream over a data frame of pandas or polars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.errors import InputValidationError
from orcapod.sources.arrow import ArrowTableSource
from orcapod.sources.table import named_source

__all__ = ["DataFrameSource"]


class DataFrameSource(ArrowTableSource):
    """A source over a pandas or polars ``DataFrame``, by way of Arrow.

    Of a pandas frame, a missing value (``NaN``, ``None``, ``NA``, ``NaT``) is null, as pandas itself says; a
    polars frame tells NaN and null apart, and so does its source. An index of pandas that was never set is left
    out, one with a name becomes a column of that name. See ``TableSource`` for the arguments.

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
        label: str | None = None,
    ) -> None:
        super().__init__(
            _table(frame, named_source(type(self).__name__, source_id)),
            tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=data_schema,
            label=label,
        )


def _table(frame: Any, named: str) -> pa.Table:
    cls = type(frame)
    library, name = cls.__module__.partition(".")[0], cls.__name__
    if library == "polars" and name == "LazyFrame":
        raise InputValidationError(f"{named}: found a polars LazyFrame, expected rows; call .collect() on it")
    if name != "DataFrame" or library not in ("pandas", "polars"):
        raise InputValidationError(
            f"{named}: found {cls.__module__}.{cls.__qualname__}, expected a DataFrame of pandas or polars; use "
            "ArrowTableSource for other tables, DictSource for rows"
        )
    return _of_pandas(frame, named) if library == "pandas" else pa.table(frame)


def _of_pandas(frame: Any, named: str) -> pa.Table:
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
    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        column, why = next(((column, why) for column in frame if (why := _why_not(frame[column]))), ("?", str(error)))
        raise InputValidationError(
            f"{named}: column {column!r} cannot become one of Arrow: {why}; convert its values to one type",
            column=column,
        ) from None


def _was_never_set(index: Any) -> bool:
    """Say whether an index only counts the rows."""
    return type(index).__name__ == "RangeIndex" and (index.name, index.start, index.step) == (None, 0, 1)


def _why_not(column: Any) -> str | None:
    try:
        pa.Array.from_pandas(column)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        return str(error)
    return None
