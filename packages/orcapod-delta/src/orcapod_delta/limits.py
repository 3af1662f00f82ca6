"""``MAX_RECORD_BYTES``: the size of the largest record of a Delta table."""

from __future__ import annotations

import pyarrow as pa

from orcapod.errors import RecordTooLargeError
from orcapod.protocols import RecordPath
from orcapod_delta.layout import Layout

__all__ = ["MAX_RECORD_BYTES", "check_sizes"]

MAX_RECORD_BYTES = 1_800_000_000
"""The bytes of all values of a record. A page of a parquet file holds each of them whole, and
ends at 2**31 bytes; what lists need there besides their values takes up to a sixth of it."""

_GROWTH = 32
"""Factor by which values may grow where a table stores them as canonical bytes."""


def check_sizes(path: RecordPath, table: pa.Table, limit: int = MAX_RECORD_BYTES) -> None:
    """Check that no record is too large.

    Raises:
        RecordTooLargeError: one is.
    """
    if table.nbytes * _GROWTH <= limit:
        return
    stored = Layout.of([], "").extended(table.schema).to_store(table, 0)
    if stored.nbytes <= limit:
        return
    for row in range(table.num_rows):
        record = stored.slice(row, 1)
        if record.nbytes > limit:
            sizes = [column.nbytes for column in record.columns[1:]]
            column = table.column_names[sizes.index(max(sizes))]
            raise RecordTooLargeError.of(path, column, sum(sizes), limit, "a Delta store")
