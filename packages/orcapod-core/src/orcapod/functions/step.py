"""``Step``: a packet function at work on a stream, one call after the other.

What a function node does is written here and in ``Work``, once; a ``Crew`` makes the same calls many at a
time. Nothing here waits for anything but the executor.
"""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from orcapod.datagrams import Chunk, LazyPacket, Packet, Tag, regroup
from orcapod.functions.node_config import ErrorPolicy, NodeConfig
from orcapod.functions.work import Task, Work
from orcapod.protocols import (
    ExecutionObserver,
    PacketExecutionLoggerProtocol,
    PythonFunctionExecutorProtocol,
    RecordPath,
)

__all__ = ["Attempt", "FirstFailure", "Keeping", "Pace", "PacketError", "Step", "backoff"]

_CHUNK_ROWS = 4096
_CHUNK_BYTES = 32 * 2**20
_HAND_ON_SECONDS = 0.05
_LONGEST_PAUSE = 10.0

Keeping = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Given a function that stores what is finished, has it called now and then while the context lasts."""


def _nobody(store: Callable[[], None]) -> AbstractContextManager[None]:  # noqa: ARG001  # nobody calls it
    return nullcontext()


def backoff(attempt: int) -> float:
    """Seconds to wait after a failed attempt, the first being 0: 0.1, 0.2, 0.4, ... at most 10."""
    return min(0.1 * 2.0**attempt, _LONGEST_PAUSE)


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


class Pace:
    """When to hand on what is finished: soon, but not so often that handing on takes most of the time."""

    def __init__(self) -> None:
        self.due = time.monotonic() + _HAND_ON_SECONDS

    def is_due(self) -> bool:
        return time.monotonic() > self.due

    def timed(self, handing_on: Iterable[Chunk]) -> list[Chunk]:
        """What is handed on; the longer it takes to make, the later comes the next."""
        started = time.monotonic()
        chunks = list(handing_on)
        now = time.monotonic()
        self.due = now + max(_HAND_ON_SECONDS, 4 * (now - started))
        return chunks


class FirstFailure(BaseException):
    """The first packet has failed, and the run is to end with its exception.

    The exception itself may be one that means something on the way up: StopIteration, say.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class Attempt:
    """One packet on its way: where it stands, and who writes down what it says."""

    __slots__ = ("logger", "number", "packet", "row", "tag", "work")

    def __init__(self, work: Work, row: int) -> None:
        self.work = work
        self.row = row
        self.tag = Tag(work.chunk, row)
        self.packet = Packet(work.chunk, row)
        self.number = 0
        self.logger: PacketExecutionLoggerProtocol | None = None


@dataclass
class Step:
    """A packet function at work on a stream.

    Attributes:
        task: what is computed, and where it is kept.
        executor: where the function runs; in this thread, with nothing captured, if None.
        observer: who is told; already contextualized.
        label: what the node is called.
        path: where its logs go.
        error_policy: what a failed packet does.
        config: how packets are run.
        counts: how many packets were ``computed``, ``cached`` and ``failed``.
        errors: the packets that failed.
    """

    task: Task
    executor: PythonFunctionExecutorProtocol | None
    observer: ExecutionObserver
    label: str
    path: RecordPath = ()
    error_policy: ErrorPolicy = "continue"
    config: NodeConfig = field(default_factory=NodeConfig)
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[PacketError] = field(default_factory=list)

    def run(self, chunks: Iterable[Chunk], *, keeping: Keeping = _nobody) -> Iterator[Chunk]:
        """Chunks of results for chunks of input, in the order of the rows.

        Args:
            chunks: the input.
            keeping: has what is finished stored while a call is being made.
        """
        for work in self.works(chunks):
            work.look_up()
            with keeping(work.store):
                try:
                    yield from self._computed(work)
                finally:
                    work.store()

    def known(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        """The results that are there already; nothing is computed or told."""
        for chunk in regroup(chunks, rows=_CHUNK_ROWS, size=_CHUNK_BYTES):
            work = Work(self.task, _without(chunk, self.task.function.refused(chunk)), self._cached)
            work.look_up()
            if rows := work.known():
                yield work.results(rows)

    def works(self, chunks: Iterable[Chunk]) -> Iterator[Work]:
        """The chunks as work, in suitable portions; what the function cannot be given has failed."""
        for chunk in regroup(chunks, rows=_CHUNK_ROWS, size=_CHUNK_BYTES):
            refused = self.task.function.refused(chunk)
            for row, error in refused.items():
                tag, packet = Tag(chunk, row), Packet(chunk, row)
                self.observer.on_packet_start(self.label, tag, packet)
                if logger := self.observer.create_packet_logger(tag, packet, pipeline_path=self.path):
                    logger.record(success=False, traceback=f"{type(error).__qualname__}: {error}\n")
                self._failed(tag, packet, error)
            yield Work(self.task, _without(chunk, refused), self._cached)

    def begin(self, attempt: Attempt) -> None:
        """Tell that a packet is being computed, and get a logger for it; another one for every further try."""
        if not attempt.number:
            self.observer.on_packet_start(self.label, attempt.tag, attempt.packet)
        attempt.logger = self.observer.create_packet_logger(attempt.tag, attempt.packet, pipeline_path=self.path)

    def succeed(self, attempt: Attempt, stored: tuple[Any, ...], seconds: float) -> None:
        """Take a result, and tell of it."""
        work, row = attempt.work, attempt.row
        result = work.finish(row, stored, seconds)
        self.counts["computed"] += 1
        shown = LazyPacket(lambda: work.one(row, result))
        self.observer.on_packet_end(self.label, attempt.tag, attempt.packet, shown, cached=False)

    def crash(self, attempt: Attempt, error: BaseException) -> bool:
        """Take an exception, and say whether to try again; tell of it if not.

        Raises:
            FirstFailure: it ends the run.
            BaseException: the exception, if it is an interrupt.
        """
        is_failure = isinstance(error, Exception | SystemExit)
        if is_failure and attempt.number < self.config.retries:
            attempt.number += 1
            return True
        if not is_failure:
            self.observer.on_packet_crash(self.label, attempt.tag, attempt.packet, error)
            raise error
        attempt.work.fail(attempt.row)
        self._failed(attempt.tag, attempt.packet, error)
        return False

    def _computed(self, work: Work) -> Iterator[Chunk]:
        pace = Pace()
        missing = work.missing()
        for row, kwargs in zip(missing, work.arguments(missing) if missing else (), strict=True):
            if work.has(row):
                continue  # the same packet stood further up in this chunk
            self._compute(Attempt(work, row), kwargs)
            if pace.is_due():
                yield from pace.timed(work.settled(in_order=True))
        yield from work.settled(in_order=True)

    def _compute(self, attempt: Attempt, kwargs: dict[str, Any]) -> None:
        while True:
            self.begin(attempt)
            started = time.perf_counter()
            try:
                stored = self.task.function.call(kwargs, executor=self.executor, logger=attempt.logger)
            except BaseException as error:  # noqa: BLE001  # an interrupt goes on from crash
                if not self.crash(attempt, error):
                    return
                time.sleep(backoff(attempt.number - 1))
                (kwargs,) = attempt.work.arguments([attempt.row])
            else:
                self.succeed(attempt, stored, time.perf_counter() - started)
                return

    def _failed(self, tag: Tag, packet: Packet, error: BaseException) -> None:
        self.counts["failed"] += 1
        self.errors.append(PacketError(self.label, tag, packet, error))
        self.observer.on_packet_crash(self.label, tag, packet, error)
        if self.error_policy == "fail_fast":
            raise FirstFailure(error)

    def _cached(self, tag: Tag, packet: Packet, result: Packet) -> None:
        self.counts["cached"] += 1
        self.observer.on_packet_end(self.label, tag, packet, result, cached=True)


def _without(chunk: Chunk, rows: Mapping[int, object]) -> Chunk:
    return chunk.take([row for row in range(chunk.num_rows) if row not in rows]) if rows else chunk
