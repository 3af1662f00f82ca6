"""``StoredRows``: rows of a function node whose values stay in the store until somebody reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from orcapod.datagrams import Chunk
from orcapod.execution.function_spec import Cache
from orcapod.records import RECORD_ID

__all__ = ["StoredRows", "found_results"]


class StoredRows:
    """Rows of a function node without their values, which are looked up whenever the rows are read.

    Args:
        cache: where the values are stored.
        chunk: the rows, all of whose packet columns the function has given.
        ids: the record of each row; None for rows without a packet.
    """

    def __init__(self, cache: Cache, chunk: Chunk, ids: Sequence[bytes | None]) -> None:
        self._cache = cache
        self._ids = ids
        self._names = chunk.batch.schema.names
        others = [name for name in self._names if name not in chunk.schema.packets]
        self._others = chunk.with_batch(chunk.batch.select(others))

    def __iter__(self) -> Iterator[Chunk]:
        """Read the rows.

        Raises:
            PrunedResultError: a value was pruned meanwhile.
            DamagedRecordError: the store no longer holds a value, for another reason.
        """
        values = found_results(self._cache, self._ids)
        held = self._others.batch
        yield self._others.with_batch(
            pa.RecordBatch.from_pydict(
                {
                    name: held.column(name) if name in held.schema.names else values.column(name).combine_chunks()
                    for name in self._names
                }
            )
        )


def found_results(cache: Cache, ids: Sequence[bytes | None]) -> pa.Table:
    """Return the results of records, in their order; nulls where there is no record.

    Raises:
        PrunedResultError: the values of one were pruned.
        DamagedRecordError: the store no longer holds one, for another reason.
    """
    results = cache.lookup(list(dict.fromkeys(record_id for record_id in ids if record_id is not None)))
    found: list[Any] = results.column(RECORD_ID).to_pylist()
    position: dict[bytes | None, int | None] = {record_id: row for row, record_id in enumerate(found)}
    if lost := [record_id for record_id in ids if record_id is not None and record_id not in position]:
        raise cache.lost(lost)
    return results.take(pa.array([position.get(record_id) for record_id in ids], pa.int64()))
