"""``Step``: a packet function at work on a stream. What a function node does is written here, once.

A chunk on its way through a function is a ``Work``: all its rows are looked up at once, the missing
ones are computed one by one, and what is finished is stored and given on, in the order of the rows.
Nothing here waits for anything but the executor, so the two orchestrators drive the same code.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, cast, get_args

import pyarrow as pa

from orcapod.datagrams import Chunk, LazyPacket, Packet, StreamSchema, Tag, regroup
from orcapod.errors import ExecutionError
from orcapod.functions.packet_function import PythonPacketFunction
from orcapod.hashing import ContentHash
from orcapod.protocols import ExecutionObserver, PythonFunctionExecutorProtocol, RecordPath
from orcapod.records import RECORD_ID, Result, maker_name, record_ids, tabulated

__all__ = ["Cache", "Entries", "ErrorPolicy", "PacketError", "Step", "Work", "checked_policy"]

_CHUNK_ROWS = 4096
_CHUNK_BYTES = 32 * 2**20
_HAND_ON_SECONDS = 0.05
_MANY = 64

ErrorPolicy = Literal["continue", "fail_fast"]
"""What a failed packet does to a run: it is left out, or it ends the run."""


def _nobody(store: Callable[[], None]) -> AbstractContextManager[None]:
    return nullcontext()


def checked_policy(policy: str) -> ErrorPolicy:
    """The error policy of that name.

    Raises:
        ExecutionError: there is none.
    """
    if policy not in get_args(ErrorPolicy):
        raise ExecutionError(f"found error_policy {policy!r}, expected one of {get_args(ErrorPolicy)}")
    return cast(ErrorPolicy, policy)


class Cache(Protocol):
    """Where results are looked up and kept."""

    def lookup(self, ids: Sequence[bytes]) -> pa.Table: ...

    def store(self, results: Sequence[Result]) -> pa.Table: ...


class Entries(Protocol):
    """Where it is kept which rows the results stand for."""

    def add(self, rows: Chunk, ids: Sequence[bytes], *, fresh: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class PacketError:
    """A packet that failed.

    Attributes:
        node_label: in which node.
        tag: the keys of its row.
        packet: what the function was given.
        exception: what the function raised, as itself.
    """

    node_label: str
    tag: Tag
    packet: Packet
    exception: BaseException

    def __str__(self) -> str:
        tag = ", ".join(f"{name}={value!r}" for name, value in self.tag.items())
        last = traceback.format_exception_only(self.exception)[-1].strip()
        return f"{self.node_label}({tag}): {last}"


@dataclass
class Step:
    """A packet function at work on a stream.

    Attributes:
        function: what is computed.
        fingerprint: of its code, as it is now.
        schema: of the rows that it gives.
        cache: where results are looked up and kept.
        entries: where it is kept which rows they stand for.
        executor: where the function runs; in this thread, with nothing captured, if None.
        observer: who is told; already contextualized.
        label: what the node is called.
        path: where its logs go.
        error_policy: what a failed packet does.
        counts: how many packets were ``computed``, ``cached`` and ``failed``.
        errors: the packets that failed.
    """

    function: PythonPacketFunction
    fingerprint: ContentHash
    schema: StreamSchema
    cache: Cache
    entries: Entries
    executor: PythonFunctionExecutorProtocol | None
    observer: ExecutionObserver
    label: str
    path: RecordPath = ()
    error_policy: ErrorPolicy = "continue"
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[PacketError] = field(default_factory=list)

    def run(
        self,
        chunks: Iterable[Chunk],
        *,
        keeping: Callable[[Callable[[], None]], AbstractContextManager[None]] = _nobody,
    ) -> Iterator[Chunk]:
        """Chunks of results for chunks of input, in the order of the rows.

        Args:
            chunks: the input.
            keeping: given a function that stores what is finished, has it called now and then.
        """
        for chunk in regroup(chunks, rows=_CHUNK_ROWS, size=_CHUNK_BYTES):
            work = Work(self, self._admitted(chunk))
            with keeping(work.store):
                try:
                    yield from self._computed(work)
                finally:
                    work.store()

    def known(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The results that are there already; nothing is computed or told."""
        for chunk in regroup(chunks, rows=_CHUNK_ROWS, size=_CHUNK_BYTES):
            work = Work(self, _without(chunk, self.function.refused(chunk)))
            rows = [row for row in range(work.chunk.num_rows) if work.has(row)]
            if rows:
                yield work.results(rows)

    def _computed(self, work: Work) -> Iterator[Chunk]:
        given = 0
        last = time.monotonic()
        for row, kwargs in work.calls():
            if work.has(row):
                continue  # the same packet stood further up in this chunk
            self.compute(work, row, kwargs)
            if (now := time.monotonic()) - last > _HAND_ON_SECONDS:
                yield from work.settled(given, row + 1)
                given, last = row + 1, now
        yield from work.settled(given, work.chunk.num_rows)

    def compute(self, work: Work, row: int, kwargs: dict[str, Any]) -> None:
        """Compute one packet and tell of it."""
        tag, packet = Tag(work.chunk, row), Packet(work.chunk, row)
        self.observer.on_packet_start(self.label, tag, packet)
        logger = self.observer.create_packet_logger(tag, packet, pipeline_path=self.path)
        started = time.perf_counter()
        try:
            stored = self.function.call(kwargs, executor=self.executor, logger=logger)
        except BaseException as error:
            self.observer.on_packet_crash(self.label, tag, packet, error)
            if not isinstance(error, Exception | SystemExit):
                raise  # an interrupt is no failure of the packet
            work.fail(row)
            self._failed(tag, packet, error)
            return
        result = work.finish(row, stored, time.perf_counter() - started)
        self.counts["computed"] += 1
        shown = LazyPacket(lambda: work.one(row, result))
        self.observer.on_packet_end(self.label, tag, packet, shown, cached=False)

    def _failed(self, tag: Tag, packet: Packet, error: BaseException) -> None:
        self.counts["failed"] += 1
        self.errors.append(PacketError(self.label, tag, packet, error))
        if self.error_policy == "fail_fast":
            raise error

    def _admitted(self, chunk: Chunk) -> Chunk:
        """The rows that the function can be given; the others have failed."""
        refused = self.function.refused(chunk)
        for row, error in refused.items():
            tag, packet = Tag(chunk, row), Packet(chunk, row)
            self.observer.on_packet_start(self.label, tag, packet)
            self.observer.on_packet_crash(self.label, tag, packet, error)
            self._failed(tag, packet, error)
        return _without(chunk, refused)


class Work:
    """A chunk on its way through a packet function."""

    def __init__(self, step: Step, chunk: Chunk) -> None:
        self.chunk = chunk
        self._step = step
        self._hashes = step.function.packet_hashes(chunk)
        self._ids = record_ids(step.function.uri, step.fingerprint, self._hashes)
        self._lock = threading.Lock()
        self._finished: set[bytes] = set()
        self._computed: set[int] = set()
        self._failed: set[int] = set()
        self._waiting: list[Result] = []
        self._kept = [step.cache.lookup(list(dict.fromkeys(self._ids)))]
        self._place = _places(self._kept[0], 0)
        self._cached = frozenset(self._place)

    def calls(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The rows without a result, and the arguments to compute it from."""
        missing = [row for row, key in enumerate(self._ids) if key not in self._cached]
        if missing:
            part = self.chunk if len(missing) == len(self._ids) else self.chunk.take(missing)
            yield from zip(missing, self._step.function.arguments(part), strict=True)

    def has(self, row: int) -> bool:
        """Whether there is a result for a row."""
        key = self._ids[row]
        return key in self._finished or key in self._place

    def finish(self, row: int, stored: tuple[Any, ...], seconds: float) -> Result:
        """Take the result of a row."""
        result = Result(self._ids[row], self._hashes[row], stored, seconds)
        self._finished.add(result.record_id)
        self._computed.add(row)
        self._waiting.append(result)
        return result

    def fail(self, row: int) -> None:
        """Take it that a row has no result, even if an equal one gets one."""
        self._failed.add(row)

    def store(self) -> None:
        """Keep what is finished and not yet kept. Any thread may call this at any time."""
        with self._lock:
            count = len(self._waiting)
            if not count:
                return
            kept = self._step.cache.store(self._waiting[:count])
            del self._waiting[:count]
            start = sum(table.num_rows for table in self._kept)
            self._kept.append(kept)
            if len(self._kept) > _MANY:
                self._kept = [pa.concat_tables(self._kept).combine_chunks()]
            self._place |= _places(kept, start)

    def settled(self, start: int, stop: int) -> Iterator[Chunk]:
        """Keep the results of the rows from ``start`` up to ``stop``, and give them on."""
        self.store()
        rows = [row for row in range(start, stop) if self._ids[row] in self._place and row not in self._failed]
        if not rows:
            return
        whole = len(rows) == self.chunk.num_rows
        self._step.entries.add(
            self.chunk if whole else self.chunk.take(rows),
            self._ids if whole else [self._ids[row] for row in rows],
            fresh=not self._cached,
        )
        made = self.results(rows)
        self._tell_cached(rows, made)
        yield made

    def results(self, rows: Sequence[int]) -> Chunk:
        """The results of rows that have one."""
        table = pa.concat_tables(self._kept)
        places = [self._place[self._ids[row]] for row in rows]
        inputs = self.chunk if len(rows) == self.chunk.num_rows else self.chunk.take(rows)
        if places != list(range(table.num_rows)):
            table = table.take(pa.array(places, pa.int64()))
        return self._given(inputs, table.combine_chunks(), [self._ids[row] for row in rows])

    def one(self, row: int, result: Result) -> Chunk:
        """The result of one row, before it was kept."""
        table = tabulated([result], self._step.function.signature.outputs)
        return self._given(self.chunk.slice(row, 1), table, [result.record_id])

    def _given(self, inputs: Chunk, table: pa.Table, ids: Sequence[bytes]) -> Chunk:
        schema = self._step.schema
        columns = {name: inputs.column(name) for name in [*schema.tags, *schema.system_tags]}
        columns |= {name: table.column(name).combine_chunks() for name in schema.packets}
        uri = self._step.function.uri
        maker = pa.array([maker_name(uri, key) for key in ids], pa.large_string())
        return Chunk.made_by(schema, columns, maker, schema.packets)

    def _tell_cached(self, rows: Sequence[int], made: Chunk) -> None:
        step = self._step
        cached = [(at, row) for at, row in enumerate(rows) if row not in self._computed]
        for at, row in cached:
            tag, packet = Tag(self.chunk, row), Packet(self.chunk, row)
            step.observer.on_packet_end(step.label, tag, packet, Packet(made, at), cached=True)
        step.counts["cached"] += len(cached)


def _without(chunk: Chunk, rows: Mapping[int, object]) -> Chunk:
    return chunk.take([row for row in range(chunk.num_rows) if row not in rows]) if rows else chunk


def _places(results: pa.Table, start: int) -> dict[bytes, int]:
    """Where each record stands, counted from ``start``."""
    keys: list[Any] = results.column(RECORD_ID).to_pylist()
    return {key: at for at, key in enumerate(keys, start)}
