"""``Work``: a chunk on its way through a packet function: looked up at once, computed row by row, kept, given on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from orcapod.datagrams import Chunk, Packet, StreamSchema, Tag
from orcapod.functions.packet_function import PythonPacketFunction
from orcapod.hashing import ContentHash
from orcapod.records import RECORD_ID, Result, maker_name, record_ids, tabulated

__all__ = ["Cache", "Entries", "Task", "Work"]

_MANY = 64


class Cache(Protocol):
    """Where results are looked up and kept."""

    def lookup(self, ids: Sequence[bytes]) -> pa.Table: ...

    def store(self, results: Sequence[Result]) -> pa.Table: ...


class Entries(Protocol):
    """Where it is kept which rows the results stand for."""

    def add(self, rows: Chunk, ids: Sequence[bytes], *, fresh: bool) -> None: ...


@dataclass(frozen=True)
class Task:
    """What is the same for all chunks of a step.

    Attributes:
        function: what is computed.
        fingerprint: of its code, as it is now.
        schema: of the rows that it gives.
        cache: where results are looked up and kept.
        entries: where it is kept which rows they stand for.
    """

    function: PythonPacketFunction
    fingerprint: ContentHash
    schema: StreamSchema
    cache: Cache
    entries: Entries


class Work:
    """A chunk on its way through a packet function.

    Args:
        task: what is computed, and where it is kept.
        chunk: the rows.
        tell_cached: told of every row whose result was there, and of its result.

    Attributes:
        chunk: the rows.
        record_ids: of the records that are computed from the rows.
        on_kept: told of all results that are kept, once they are; by whatever thread has them kept.
    """

    def __init__(self, task: Task, chunk: Chunk, tell_cached: Callable[[Tag, Packet, Packet], None]) -> None:
        self.chunk = chunk
        self._task = task
        self._tell = tell_cached
        self._hashes = task.function.packet_hashes(chunk)
        self.record_ids = record_ids(task.function.uri, task.fingerprint, self._hashes)
        self._lock = threading.Lock()
        self._finished: set[bytes] = set()
        self._computed: set[int] = set()
        self._failed: set[int] = set()
        self._open = list(range(chunk.num_rows))
        self._waiting: list[Result] = []
        self._kept: list[pa.Table] = []
        self._place: dict[bytes, int] = {}
        self._cached: frozenset[bytes] = frozenset()
        self.on_kept: Callable[[pa.Table], object] | None = None

    def look_up(self) -> None:
        """Find the results that are there, and say so to ``on_kept``."""
        found = self._task.cache.lookup(list(dict.fromkeys(self.record_ids)))
        with self._lock:
            self._append(found)
            self._cached = frozenset(self._place)
        if self.on_kept is not None and found.num_rows:
            self.on_kept(found)

    def missing(self) -> list[int]:
        """The rows whose result was not there."""
        return [row for row, key in enumerate(self.record_ids) if key not in self._cached]

    def arguments(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """The arguments of the calls for these rows: fresh values at every call."""
        return self._task.function.arguments(self._part(rows))

    def has(self, row: int) -> bool:
        """Whether there is a result for a row."""
        key = self.record_ids[row]
        return key in self._finished or key in self._place

    def finish(self, row: int, stored: tuple[Any, ...], seconds: float) -> Result:
        """Take the result of a row."""
        result = Result(self.record_ids[row], self._hashes[row], stored, seconds)
        self._finished.add(result.record_id)
        self._computed.add(row)
        self._waiting.append(result)
        return result

    @property
    def is_done(self) -> bool:
        """Whether every row was given on, or has failed."""
        return not self._open

    def adopt(self, kept: pa.Table) -> None:
        """Take results that were computed for equal packets elsewhere, and are kept."""
        with self._lock:
            self._append(kept)

    def fail(self, row: int) -> None:
        """Take it that a row has no result, even if an equal one gets one."""
        self._failed.add(row)

    def store(self) -> None:
        """Keep what is finished and not yet kept. Any thread may call this at any time."""
        with self._lock:
            count = len(self._waiting)
            if not count:
                return
            kept = self._task.cache.store(self._waiting[:count])
            del self._waiting[:count]
            self._append(kept)
        if self.on_kept is not None:
            self.on_kept(kept)

    def _append(self, kept: pa.Table) -> None:
        start = sum(table.num_rows for table in self._kept)
        self._kept.append(kept)
        if len(self._kept) > _MANY:
            self._kept = [pa.concat_tables(self._kept).combine_chunks()]
        self._place |= _places(kept, start)

    def settled(self, *, in_order: bool) -> Iterator[Chunk]:
        """Keep the results that are there, and give on the rows that were not given on yet.

        Args:
            in_order: whether rows wait for those before them.
        """
        self.store()
        rows, self._open = self._ready(in_order=in_order)
        if not rows:
            return
        self._task.entries.add(self._part(rows), [self.record_ids[row] for row in rows], fresh=not self._cached)
        made = self.results(rows)
        self._tell_cached(rows, made)
        yield made

    def _ready(self, *, in_order: bool) -> tuple[list[int], list[int]]:
        """The rows that can be given on, and those that have to wait."""
        ready: list[int] = []
        waiting: list[int] = []
        for at, row in enumerate(self._open):
            if row in self._failed:
                continue
            if self.record_ids[row] in self._place:
                ready.append(row)
            elif in_order:
                return ready, self._open[at:]
            else:
                waiting.append(row)
        return ready, waiting

    def known(self) -> list[int]:
        """The rows that have a result."""
        return [row for row, key in enumerate(self.record_ids) if key in self._place]

    def results(self, rows: Sequence[int]) -> Chunk:
        """The results of rows that have one."""
        table = pa.concat_tables(self._kept)
        places = [self._place[self.record_ids[row]] for row in rows]
        first, count = places[0], len(places)
        if places == list(range(first, first + count)):
            table = table.slice(first, count)
        else:
            table = table.take(pa.array(places, pa.int64()))
        return self._given(self._part(rows), table.combine_chunks(), [self.record_ids[row] for row in rows])

    def _part(self, rows: Sequence[int]) -> Chunk:
        """These rows, which are in order; without a copy where none is between them."""
        first, count = rows[0], len(rows)
        return self.chunk.slice(first, count) if rows[-1] - first + 1 == count else self.chunk.take(rows)

    def one(self, row: int, result: Result) -> Chunk:
        """The result of one row, before it was kept."""
        table = tabulated([result], self._task.function.signature.outputs)
        return self._given(self.chunk.slice(row, 1), table, [result.record_id])

    def _given(self, inputs: Chunk, table: pa.Table, ids: Sequence[bytes]) -> Chunk:
        schema = self._task.schema
        columns = {name: inputs.column(name) for name in [*schema.tags, *schema.system_tags]}
        columns |= {name: table.column(name).combine_chunks() for name in schema.packets}
        uri = self._task.function.uri
        maker = pa.array([maker_name(uri, key) for key in ids], pa.large_string())
        return Chunk.made_by(schema, columns, maker, schema.packets)

    def _tell_cached(self, rows: Sequence[int], made: Chunk) -> None:
        for at, row in enumerate(rows):
            if row not in self._computed:
                self._tell(Tag(self.chunk, row), Packet(self.chunk, row), Packet(made, at))


def _places(results: pa.Table, start: int) -> dict[bytes, int]:
    """Where each record stands, counted from ``start``."""
    keys: list[Any] = results.column(RECORD_ID).to_pylist()
    return {key: at for at, key in enumerate(keys, start)}
