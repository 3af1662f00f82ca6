"""``SequentialDriver``: the calls of a step, one after the other in this thread, so that a debugger works."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from orcapod import interrupts
from orcapod.datagrams import Chunk
from orcapod.execution.pending_chunk import PendingChunk
from orcapod.execution.shared_work import SharedWork
from orcapod.execution.step import Attempt, Autoflush, EmitTimer, Step, backoff, no_autoflush
from orcapod.forks import generation, leave_if_forked

__all__ = ["SequentialDriver"]


class SequentialDriver:
    """Driver that makes one call of a step after the other.

    A packet that is tried again waits for its time behind the others of its chunk, and so do equal ones.

    Args:
        step: what is done with each packet before and after its call.
        is_awaited: whether somebody waits for rows while others are computed.
        shared: which packets are computed here; all, if None.
    """

    def __init__(self, step: Step, *, is_awaited: bool, shared: SharedWork | None = None) -> None:
        self._step = step
        self._shared = shared
        self._timer = EmitTimer(is_awaited=is_awaited)
        self._size_limit = step.spec.cache.size_limit
        self._generation = generation()
        self._delayed: list[tuple[float, int, Attempt]] = []
        self._delayed_ids: set[bytes] = set()
        self._numbers = count()

    def run(self, chunks: Iterable[Chunk], *, autoflush: Autoflush = no_autoflush) -> Iterator[Chunk]:
        """Give chunks of results for chunks of input, in the order of the rows.

        Args:
            chunks: the input.
            autoflush: has what is finished stored while a call is being made.
        """
        for pending in self._step.pending(chunks):
            pending.look_up()
            with autoflush(pending.store):
                try:
                    with interrupts.noticed():
                        yield from self._computed(pending)
                finally:
                    pending.store()

    def _computed(self, pending: PendingChunk) -> Iterator[Chunk]:
        step, timer, later = self._step, self._timer, deque[int]()
        self._generation = generation()
        missing = pending.missing()
        shared = self._shared
        try:
            for rows in [missing] if shared is None else shared.portions(pending, missing):
                for row, kwargs in zip(rows, pending.arguments(rows), strict=True):
                    if pending.has_twins:
                        if pending.has_result(row):
                            continue  # an equal row was computed meanwhile
                        if pending.record_ids[row] in self._delayed_ids:
                            later.append(row)
                            continue
                    self._compute(Attempt(pending, row), kwargs)
                    if timer.is_due() or step.is_full:
                        yield from self._given(pending)
                while self._delayed or later:
                    self._compute_again(pending, later)
                    if timer.is_due() or step.is_full:
                        yield from self._given(pending)
        finally:
            for _, _, attempt in self._delayed:
                self._step.abandon(attempt)
            self._delayed.clear()
        yield from self._step.settled(pending, in_order=True)

    def _given(self, pending: PendingChunk) -> Iterator[Chunk]:
        """Give on what is finished."""
        yield from self._timer.timed(self._step.settled(pending, in_order=True))
        self._generation = generation()  # a process that was forked meanwhile may be the one that reads on

    def _compute_again(self, pending: PendingChunk, later: deque[int]) -> None:
        """Try the packet whose time comes first, or else a row that had to wait for an equal one."""
        if self._delayed:
            interrupts.pause(self._delayed[0][0] - time.monotonic())
            _, _, attempt = heapq.heappop(self._delayed)
            self._delayed_ids.discard(pending.record_ids[attempt.row])
        elif pending.has_result(row := later.popleft()):
            return
        else:
            attempt = Attempt(pending, row)
        (kwargs,) = pending.arguments([attempt.row])
        self._compute(attempt, kwargs)

    def _compute(self, attempt: Attempt, kwargs: dict[str, Any]) -> None:
        step = self._step
        step.begin(attempt)
        started = time.perf_counter()
        try:
            stored = step.spec.function.call(
                kwargs, executor=step.executor, logger=attempt.logger, size_limit=self._size_limit
            )
        except BaseException as error:
            leave_if_forked(self._generation, error)
            if interrupts.is_interrupt(error):
                step.abandon(attempt, error)
                raise
            if step.fail(attempt, error):
                due = time.monotonic() + backoff(attempt.number - 1)
                heapq.heappush(self._delayed, (due, next(self._numbers), attempt))
                self._delayed_ids.add(attempt.pending.record_ids[attempt.row])
        else:
            leave_if_forked(self._generation)
            step.succeed(attempt, stored, time.perf_counter() - started)
        interrupts.check()
