"""``ArrowTableSource``: a stream over an Arrow table, or anything that speaks Arrow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.errors import InputValidationError
from orcapod.sources.root import BadRows
from orcapod.sources.table import TableSource, named_source

__all__ = ["ArrowTableSource"]


class ArrowTableSource(TableSource):
    """A source over a pyarrow table, or any object with ``__arrow_c_stream__`` (polars, DuckDB, pandas, ...).

    A column that holds no null is ``T``, whatever Arrow's flag says. See ``TableSource`` for the arguments.

    Raises:
        InputValidationError: the table cannot become a stream; says which column, and why.
    """

    def __init__(
        self,
        table: Any,
        tag_columns: Sequence[str],
        *,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: BadRows = "raise",
        label: str | None = None,
        location: str | None = None,
    ) -> None:
        named = named_source(type(self).__name__, source_id if location is None else location)
        if not isinstance(table, pa.Table):
            if not hasattr(table, "__arrow_c_stream__"):
                raise InputValidationError(
                    f"{named}: found {type(table).__qualname__}, expected a pyarrow.Table or an object with "
                    "__arrow_c_stream__; use DictSource for rows of Python values"
                )
            table = pa.table(table)
        if twice := [name for name, count in Counter(table.column_names).items() if count > 1]:
            why = f"column {twice[0]!r} is there twice; rename or drop one"
            raise InputValidationError(f"{named}: {why}", column=twice[0], source_id=source_id)
        super().__init__(
            dict(zip(table.column_names, table.columns, strict=True)),
            tag_columns=tag_columns,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=data_schema,
            bad_rows=bad_rows,
            label=label,
            type_name=type(self).__name__,
            location=location,
        )
