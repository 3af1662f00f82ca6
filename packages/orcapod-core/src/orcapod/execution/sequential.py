"""``SequentialDriver``: the calls of a step, one after the other in this thread, so that a debugger works."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

from orcapod import interrupts
from orcapod.datagrams import Chunk
from orcapod.execution.pending_chunk import PendingChunk
from orcapod.execution.step import Attempt, Autoflush, EmitTimer, Step, backoff, no_autoflush

__all__ = ["SequentialDriver"]


class SequentialDriver:
    """Driver that makes one call of a step after the other.

    Args:
        step: what is done with each packet before and after its call.
        is_awaited: whether somebody waits for rows while others are computed.
    """

    def __init__(self, step: Step, *, is_awaited: bool) -> None:
        self._step = step
        self._timer = EmitTimer(is_awaited=is_awaited)
        self._size_limit = step.spec.cache.size_limit

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
                    yield from self._computed(pending)
                finally:
                    pending.store()

    def _computed(self, pending: PendingChunk) -> Iterator[Chunk]:
        timer = self._timer
        missing = pending.missing()
        for row, kwargs in zip(missing, pending.arguments(missing), strict=True):
            if pending.has_twins and pending.has_result(row):
                continue  # an equal row was computed meanwhile
            self._compute(Attempt(pending, row), kwargs)
            interrupts.check()
            if timer.is_due():
                yield from timer.timed(pending.settled(in_order=True))
        yield from pending.settled(in_order=True)

    def _compute(self, attempt: Attempt, kwargs: dict[str, Any]) -> None:
        step = self._step
        while True:
            step.begin(attempt)
            started = time.perf_counter()
            try:
                stored = step.spec.function.call(
                    kwargs, executor=step.executor, logger=attempt.logger, size_limit=self._size_limit
                )
            except BaseException as error:
                if interrupts.is_interrupt(error):
                    step.abandon(attempt, error)
                    raise
                if not step.fail(attempt, error):
                    return
                interrupts.pause(backoff(attempt.number - 1))
                (kwargs,) = attempt.pending.arguments([attempt.row])
            else:
                step.succeed(attempt, stored, time.perf_counter() - started)
                return
