"""Rows on their way to the server, in portions of which each is one message."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from orcapod.errors import RecordTooLargeError
from orcapod.protocols import RecordPath
from orcapod_postgres.pg_columns import PGColumn, pg_array, pg_payloads
from orcapod_postgres.statements import Packed

__all__ = ["MAX_RECORD_BYTES", "counted", "portions", "sent"]

_ROWS_AT_ONCE = 65_536
_BYTES_AT_ONCE = 4 << 20  # psycopg sends a message in steps, and moves what is left of it at every one
_MANY_BYTES = 16 << 20

# A message, an array and a row of PostgreSQL have at most 1 GiB - 2 bytes each; a row of the most columns that there
# can be needs some of them for itself.
MAX_RECORD_BYTES = (1 << 30) - (1 << 16)


def portions(path: RecordPath, table: pa.Table, pg_types: Sequence[PGColumn]) -> Iterator[list[Packed]]:
    """Return the parameters of ``INSERT``, for as many rows at once as one message may well hold.

    Raises:
        RecordTooLargeError: a row is too large for any message.
    """
    rows = min(_ROWS_AT_ONCE, max(1, _BYTES_AT_ONCE * table.num_rows // max(1, table.nbytes)))
    for start in range(0, table.num_rows, rows):
        part = table.slice(start, rows)
        columns = [pg_payloads(pg_type, column) for pg_type, column in zip(pg_types, part.columns, strict=True)]
        for first, count in _fitting(path, table.column_names, columns):
            yield [
                Packed(pg_array(pg_type, payloads.slice(first, count)))
                for pg_type, payloads in zip(pg_types, columns, strict=True)
            ]


def sent(connection: Connection[Any], insert: bytes, packed: list[Packed]) -> int:
    """Insert one portion, and return how many rows were new."""
    if sum(len(each.data) for each in packed) < _MANY_BYTES:
        return connection.execute(insert, packed).rowcount
    connection.pgconn.nonblocking = 0  # one record in a message: libpq sends it in a tenth of the time by itself
    try:
        return connection.execute(insert, packed).rowcount
    finally:
        if not connection.closed:
            connection.pgconn.nonblocking = 1


def counted(connection: Connection[Any], count: bytes, packed: list[Packed]) -> int:
    """Return how many rows of one portion are there with all their values."""
    row = connection.execute(count, packed).fetchone()
    assert row is not None
    return int(row[0])


def _fitting(
    path: RecordPath, names: Sequence[str], columns: Sequence[pa.LargeBinaryArray]
) -> Iterator[tuple[int, int]]:
    """Return where groups of rows start, and how many rows each has: one, or as many as are not too large."""
    length = len(columns[0])
    if sum(column.nbytes for column in columns) <= 2 * _BYTES_AT_ONCE:
        yield 0, length
        return
    sizes = [pc.binary_length(column).to_pylist() for column in columns]
    first = held = 0
    for row, row_sizes in enumerate(zip(*sizes, strict=True)):
        record = [size or 0 for size in row_sizes]
        size = sum(record)
        if size > MAX_RECORD_BYTES:
            column = names[record.index(max(record))]
            raise RecordTooLargeError.of(path, column, size, MAX_RECORD_BYTES, "a PostgreSQL store")
        if row > first and held + size > _BYTES_AT_ONCE:
            yield first, row - first
            first, held = row, 0
        held += size
    yield first, length - first
