"""``Step``: what happens to each packet of a function node before and after its call.

It is written here and in ``PendingChunk``, once; drivers make the calls. ``SequentialDriver`` makes one after
the other in this thread, ``ConcurrentDriver`` many at a time. One driver for both was tried: a queue of
events costs a trivial packet a third more. Nothing here waits for anything.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from operator import call
from typing import Any

from orcapod.datagrams import Chunk, Packet, Tag, regroup
from orcapod.datagrams.datagram import LazyPacket
from orcapod.errors import DamagedRecordError, PacketAbandonedError, ValueTypeError
from orcapod.execution.function_spec import FunctionSpec
from orcapod.execution.packet_error import PacketError
from orcapod.execution.packet_tally import PacketTally, log_failure
from orcapod.execution.pending_chunk import PendingChunk
from orcapod.execution.selection import EVERYTHING, Recomputed, Selection
from orcapod.functions import ErrorPolicy, NodeConfig
from orcapod.protocols import (
    ExecutionObserver,
    PacketExecutionLoggerProtocol,
    PythonFunctionExecutorProtocol,
    RecordPath,
    listens,
)
from orcapod.records import record_ids
from orcapod.types import loaded_bytes

__all__ = ["Attempt", "Autoflush", "EmitTimer", "Step", "WithRetries", "backoff", "no_autoflush"]

_CHUNK_ROWS = 4096
_CHUNK_BYTES = 32 * 2**20
_FIRST_ROWS, _FASTER = 4, 16  # of a chunk, while nothing is known of the size of results; and of the next
_EMIT_SECONDS = 0.05
_UNAWAITED_SECONDS = 1.0
_LONGEST_BACKOFF = 10.0

Autoflush = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Given a function that stores what is finished, has it called now and then while the context lasts."""

WithRetries = Callable[[Callable[[], list[Chunk]]], list[Chunk]]
"""Given something that asks a store, returns its answer; it may ask again where the store fails."""


def no_autoflush(store: Callable[[], None]) -> AbstractContextManager[None]:  # noqa: ARG001  # nobody calls it
    """Store nothing now and then."""
    return nullcontext()


def backoff(attempt: int) -> float:
    """Return the seconds to wait after a failed attempt, the first being 0: 0.1, 0.2, 0.4, ... at most 10."""
    return min(0.1 * 2.0**attempt, _LONGEST_BACKOFF)


class EmitTimer:
    """Time for giving on what is finished: soon, but not so often that giving on takes most of the time.

    Args:
        is_awaited: whether somebody waits for rows while others are computed; else once a second will do.
    """

    def __init__(self, *, is_awaited: bool) -> None:
        self._seconds = _EMIT_SECONDS if is_awaited else _UNAWAITED_SECONDS
        self.due = time.monotonic() + self._seconds

    def is_due(self) -> bool:
        return time.monotonic() > self.due

    def timed(self, emitting: Iterable[Chunk]) -> list[Chunk]:
        """Return what is given on; the longer it takes to make, the later comes the next."""
        started = time.monotonic()
        chunks = list(emitting)
        now = time.monotonic()
        self.due = now + max(self._seconds, 4 * (now - started))
        return chunks


class Attempt:
    """Packet whose call is being made, the number of the try, and its logger."""

    __slots__ = ("_views", "logger", "number", "pending", "row")

    def __init__(self, pending: PendingChunk, row: int) -> None:
        self.pending = pending
        self.row = row
        self.number = 0
        self.logger: PacketExecutionLoggerProtocol | None = None
        self._views: tuple[Tag, Packet] | None = None

    def views(self) -> tuple[Tag, Packet]:
        """Return its tag and packet, which most packets nobody asks for."""
        if self._views is None:
            self._views = Tag(self.pending.chunk, self.row), Packet(self.pending.chunk, self.row)
        return self._views


@dataclass
class Step(PacketTally):
    """A packet function at work on a stream.

    Attributes:
        spec: what is computed, and where it is stored.
        executor: where the function runs; in this thread, with nothing captured, if None.
        observer: who is told; already contextualized.
        label: what the node is called.
        path: where its logs go.
        error_policy: what a failed packet does.
        config: how packets are run.
        with_retries: asks the store.
        chunk_bytes: how many bytes the values of a chunk have at most, or it is one row.
        counts: how many packets were ``computed``, ``cached`` and ``failed``, how many rows came without a packet,
            ``incomplete``, and how many that have no result were not to be computed, ``skipped``.
        errors: the packets that failed.
        selection: which rows are computed.
        again_ids: first ids of the packets that are computed again, whichever rows have them.
        recomputed: of those that were computed again, which gave what they had given before.
        seconds: how long the function took in all, for what was computed.
        saved: how long what was found had taken.
    """

    spec: FunctionSpec
    executor: PythonFunctionExecutorProtocol | None
    observer: ExecutionObserver
    label: str
    path: RecordPath = ()
    error_policy: ErrorPolicy = "continue"
    config: NodeConfig = field(default_factory=NodeConfig)
    with_retries: WithRetries = call
    chunk_bytes: int = _CHUNK_BYTES
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[PacketError] = field(default_factory=list)
    selection: Selection = EVERYTHING
    again_ids: frozenset[bytes] = frozenset()
    recomputed: Recomputed = field(default_factory=Recomputed)
    seconds: float = 0.0
    saved: float = 0.0

    def __post_init__(self) -> None:
        hooks = ("on_packet_start", "create_packet_logger", "on_packet_end")
        self._is_observed = any(listens(self.observer, hook) for hook in hooks)
        self._rows = _FIRST_ROWS if self.spec.function.has_large_outputs else _CHUNK_ROWS
        self._row_bytes = self._result_bytes = self._outcome_bytes = 0
        self._unsettled_bytes = 0

    def pending(self, chunks: Iterable[Chunk]) -> Iterator[PendingChunk]:
        """Give the chunks in suitable portions; what the function cannot be given has failed."""
        for chunk in self._portions(chunks):
            all_refused, skipped = self._refused(chunk), self.selection.skipped(chunk)
            refused = {row: error for row, error in all_refused.items() if row not in skipped}
            for row, error in refused.items():
                self.refuse(Tag(chunk, row), Packet(chunk, row), error)
            if incomplete := chunk.num_rows - chunk.num_packets:
                self.counts["incomplete"] += incomplete
            again = self.selection.computed_again(chunk)
            pending = PendingChunk(self.spec, chunk.failed(all_refused), self._cached, again, self.again_ids)
            pending.on_damaged = partial(self._damaged, chunk)
            pending.on_recomputed = partial(self._recomputed, chunk)
            pending.on_found = self._found
            if skipped:
                self.counts["skipped"] += pending.skip(skipped) + len(all_refused) - len(refused)
            yield pending
            self._adapt(pending)

    def ids_again(self, chunks: Iterable[Chunk]) -> frozenset[bytes]:
        """Return the first ids of the packets of rows that are to be computed again."""
        ids: set[bytes] = set()
        for chunk in chunks:
            rows = chunk.take(sorted(self.selection.computed_again(chunk))).with_packets()
            if rows.num_rows:
                hashes = self.spec.function.packet_hashes(self.spec.taken(rows))
                ids.update(record_ids(self.spec.function.uri, self.spec.fingerprint, hashes))
        return frozenset(ids)

    def stored_results(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Give the results that are there already, all other rows without a packet; nothing is computed or told.

        It warns of rows that are recorded, and of whose results the store has nothing.
        """
        lost = 0
        for pending, _ in self.to_look_up(chunks):
            pending.look_up()
            lost += pending.count_lost()
            yield pending.stored_results()
        if lost:
            warnings.warn(
                f"{self.label}: left out {lost} rows that were computed, since the store no longer holds their "
                "results; the next run computes them again; op.verify_store tells which",
                stacklevel=2,
            )

    def to_look_up(self, chunks: Iterable[Chunk]) -> Iterator[tuple[PendingChunk, int]]:
        """Give the chunks in suitable portions, each with the number of rows that the function cannot be given."""
        for chunk in self._portions(chunks):
            refused = self._refused(chunk)
            pending = PendingChunk(self.spec, chunk.failed(refused), self._cached)
            yield pending, len(refused)
            self._adapt(pending)

    def _refused(self, chunk: Chunk) -> dict[int, ValueTypeError]:
        """Return the rows that the function cannot be given, and why."""
        rows = chunk.packet_rows()
        if rows is None:
            return self.spec.function.refused(chunk)
        refused = self.spec.function.refused(chunk.take(rows))
        return {rows[at]: error for at, error in refused.items()}

    def _portions(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """Give the rows in chunks whose values, and results as far as one can know, are not too many bytes."""
        for chunk in regroup(chunks, rows=_CHUNK_ROWS, size=self.chunk_bytes):
            size = chunk.nbytes + loaded_bytes(chunk.batch.columns)
            self._row_bytes = size // max(1, chunk.num_rows)
            fitting = max(1, self.chunk_bytes // max(1, self._row_bytes))
            start = 0
            while start < chunk.num_rows:
                rows = min(self._rows, fitting, chunk.num_rows - start)
                yield chunk if rows == chunk.num_rows else chunk.slice(start, rows)
                start += rows

    def _adapt(self, pending: PendingChunk) -> None:
        """Let the next chunk have as many rows as its results have room, by those of this one."""
        if pending.result_rows:
            self._result_bytes = pending.result_bytes // pending.result_rows
        fitting = self.chunk_bytes // max(1, self._result_bytes)
        self._rows = max(1, min(fitting, _FASTER * self._rows, _CHUNK_ROWS))

    @property
    def fitting_rows(self) -> int:
        """How many rows are a chunk, values and results taken together, by the chunks and the results so far."""
        return self.chunk_bytes // max(1, self._row_bytes + max(self._result_bytes, self._outcome_bytes))

    @property
    def is_full(self) -> bool:
        """True once what was computed and not settled yet is as much as a chunk holds."""
        return self._unsettled_bytes >= self.chunk_bytes

    def settled(self, pending: PendingChunk, *, in_order: bool) -> Iterator[Chunk]:
        """Give the results of a chunk that can be given on, once they are stored."""
        self._unsettled_bytes = 0
        yield from self.with_retries(lambda: list(pending.settled(in_order=in_order)))

    def begin(self, attempt: Attempt) -> None:
        """Tell that a packet is being computed, and get a logger for it; another one for every further try."""
        if not self._is_observed:
            return
        tag, packet = attempt.views()
        if not attempt.number:
            self.observer.on_packet_start(self.label, tag, packet)
        attempt.logger = self.observer.create_packet_logger(tag, packet, pipeline_path=self.path)

    def succeed(self, attempt: Attempt, stored: tuple[Any, ...], seconds: float) -> None:
        """Take a result, and tell of it."""
        pending, row = attempt.pending, attempt.row
        if self.spec.function.has_large_outputs:
            size = self.spec.function.result_size(stored)
            going = self.spec.cache.begin(stored, self.chunk_bytes)  # before another thread may store it
            self._unsettled_bytes += size - going
            self._outcome_bytes = (self._outcome_bytes + size) // 2  # before large values are references
        result = pending.succeed(row, stored, seconds)
        self.counts["computed"] += 1
        self.seconds += seconds
        if self._is_observed:
            shown = LazyPacket(lambda: pending.unstored_result(row, result))
            self.observer.on_packet_end(self.label, *attempt.views(), shown, cached=False)

    def fail(self, attempt: Attempt, error: BaseException) -> bool:
        """Take an exception, and say whether to try again; tell of it if not.

        Raises:
            FirstFailure: it ends the run.
        """
        if attempt.number < self.config.retries:
            attempt.number += 1
            return True
        attempt.pending.fail(attempt.row)
        self.failed(*attempt.views(), error)
        return False

    def abandon(self, attempt: Attempt, error: BaseException | None = None) -> None:
        """Tell that a packet that was begun is not computed, since the run ends before; it has not failed.

        Args:
            attempt: the packet.
            error: what its function was interrupted by, which is logged then; None if it was not even that.
        """
        if error is None:
            error = PacketAbandonedError("the run ended before this packet was computed; the next run computes it")
            log_failure(attempt.logger, error)
        self.observer.on_packet_crash(self.label, *attempt.views(), error)

    def _found(self, seconds: float) -> None:
        self.saved += seconds

    def _damaged(self, chunk: Chunk, row: int, error: DamagedRecordError) -> None:
        self.refuse(Tag(chunk, row), Packet(chunk, row), error)

    def _recomputed(self, chunk: Chunk, rows: Sequence[int], are_equal: Sequence[bool]) -> None:
        self.recomputed.equal += sum(are_equal)
        differing = [row for row, is_equal in zip(rows, are_equal, strict=True) if not is_equal]
        self.recomputed.different += [Tag(chunk, row) for row in differing]

    def _cached(self, chunk: Chunk, rows: Sequence[int], results: Chunk, indices: Sequence[int]) -> None:
        self.counts["cached"] += len(rows)
        if not self._is_observed:
            return
        tell, label = self.observer.on_packet_end, self.label
        for row, index in zip(rows, indices, strict=True):
            tell(label, Tag(chunk, row), Packet(chunk, row), Packet(results, index), cached=True)
