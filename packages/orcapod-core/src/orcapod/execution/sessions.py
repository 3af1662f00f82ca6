"""``ThreadSession``: calls in threads of this process, for executors that make one call after the other."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from orcapod.errors import PacketTimeoutError
from orcapod.execution.run_loop import RunLoop
from orcapod.forks import generation, leave_if_forked
from orcapod.functions import CaptureBuffer, is_async
from orcapod.protocols import Call, CallSession, CapturedOutput, OnDone, Outcome, PythonFunctionExecutorProtocol

__all__ = ["ThreadSession", "local_session", "timed_out"]

_TASKS = 32
_ENDING_SECONDS = 0.1


def local_session(
    executor: PythonFunctionExecutorProtocol,
    fn: Callable[..., Any],
    on_done: OnDone,
    *,
    concurrency: int | None,
    timeout: float | None,
    loop: RunLoop,
    is_overlapping: bool,
) -> CallSession | None:
    """Return a session for an executor that has none of its own; None where calls are best made one by one, here.

    Args:
        executor: makes each call.
        fn: the function; if async, its calls are tasks, else they are made in threads.
        on_done: called with every outcome.
        concurrency: how many calls are made at once; if None, 32 of an async function, one of another.
        timeout: after how many seconds a call is given up; None for never.
        loop: where tasks run.
        is_overlapping: whether other nodes run meanwhile; else plain functions are called one after the other.
    """
    if is_async(fn) and (is_overlapping or timeout is not None or concurrency != 1):
        from orcapod.execution.loop_session import LoopSession  # noqa: PLC0415  # it loads asyncio: 40 ms

        return LoopSession(executor, fn, on_done, concurrency=concurrency or _TASKS, timeout=timeout, loop=loop)
    if not is_overlapping:
        return None if timeout is None else ThreadSession(executor, fn, on_done, concurrency=1, timeout=timeout)
    return ThreadSession(executor, fn, on_done, concurrency=concurrency or 1, timeout=timeout)


def timed_out(call: Call, timeout: float, then: str) -> Outcome:
    """Return the outcome of a call that took too long.

    Args:
        call: the call.
        timeout: how many seconds it had.
        then: what has become of it.
    """
    error = PacketTimeoutError(f"the packet took longer than its timeout of {timeout:g} seconds; {then}")
    captured = CapturedOutput.of_failure(error) if call.capture else None
    return Outcome(call.key, error=error, captured=captured, seconds=timeout)


class ThreadSession:
    """Calls in threads of this process.

    A call that takes too long cannot be stopped: its packet fails, its thread is abandoned and replaced, and
    what it returns in the end is dropped. The same happens to all that are under way on closing.

    Args:
        executor: makes each call.
        fn: the function.
        on_done: called with every outcome.
        concurrency: how many threads there are.
        timeout: after how many seconds a call is given up; None for never.
    """

    def __init__(
        self,
        executor: PythonFunctionExecutorProtocol,
        fn: Callable[..., Any],
        on_done: OnDone,
        *,
        concurrency: int,
        timeout: float | None,
    ) -> None:
        self.concurrency = concurrency
        self._executor = executor
        self._fn = fn
        self._on_done = on_done
        self._batches: SimpleQueue[deque[Call] | None] = SimpleQueue()
        self._closed = threading.Event()
        self._threads = [self._spawn() for _ in range(concurrency)]
        if timeout is not None:
            threading.Thread(target=self._watch, args=(timeout,), name="orcapod-timeouts", daemon=True).start()

    def submit(self, batch: Sequence[Call]) -> None:
        self._batches.put(deque(batch))

    def close(self) -> None:
        self._closed.set()
        threads = list(self._threads)
        deadline = time.monotonic() + _ENDING_SECONDS
        while any(thread.is_busy for thread in threads) and time.monotonic() < deadline:
            time.sleep(0.001)  # a function that has returned is a moment away from handing over what it gave
        for thread in threads:
            thread.abandon()
            self._batches.put(None)

    def _spawn(self) -> _CallThread:
        thread = _CallThread(self._call, self._on_done, self._closed.is_set)
        context = copy_context()
        target = threading.Thread(
            target=context.run, args=(thread.run, self._batches), name="orcapod-call", daemon=True
        )
        target.start()
        return thread

    def _call(self, call: Call) -> Outcome:
        buffer = CaptureBuffer() if call.capture else None
        outcome = Outcome(call.key)
        started, since = time.perf_counter(), generation()
        try:
            outcome.value = self._executor.execute_callable(self._fn, call.kwargs, logger=buffer)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is how this call ended
            outcome.error = error
        leave_if_forked(since, outcome.error)
        outcome.seconds = time.perf_counter() - started
        if buffer is not None:
            outcome.captured = buffer.output
        return outcome

    def _watch(self, timeout: float) -> None:
        while not self._closed.wait(min(timeout / 10, 0.1)):
            for index, thread in enumerate(self._threads):
                overdue = thread.abandon_overdue(timeout)
                if overdue is None:
                    continue
                call, rest = overdue
                self._threads[index] = self._spawn()
                if rest:
                    self._batches.put(rest)
                self._on_done(timed_out(call, timeout, "its thread cannot be stopped, and what it returns is dropped"))


class _CallThread:
    """Loop of one thread of a session, and the call that it is making."""

    def __init__(self, make: Callable[[Call], Outcome], on_done: OnDone, is_closed: Callable[[], bool]) -> None:
        self._make = make
        self._on_done = on_done
        self._is_closed = is_closed
        self._lock = threading.Lock()
        self._is_abandoned = False
        self._call: Call | None = None
        self._rest: deque[Call] = deque()
        self._since = 0.0

    def run(self, batches: SimpleQueue[deque[Call] | None]) -> None:
        """Make the calls of batches, until there is None or the thread is abandoned."""
        while not self._is_abandoned and (batch := batches.get()) is not None:
            while (call := self._begin(batch)) is not None:
                self._end(self._make(call))

    @property
    def is_busy(self) -> bool:
        """True while a call is being made."""
        return self._call is not None

    def abandon(self) -> None:
        """Leave the thread to itself, whatever it is doing."""
        with self._lock:
            self._is_abandoned = True

    def abandon_overdue(self, timeout: float) -> tuple[Call, deque[Call]] | None:
        """Leave the thread to itself if its call takes longer than so many seconds.

        Returns:
            The call, and those that were to follow; None if it is not overdue.
        """
        with self._lock:
            if self._call is None or time.monotonic() - self._since <= timeout:
                return None
            self._is_abandoned = True
            rest = self._rest.copy()
            self._rest.clear()
            return self._call, rest

    def _begin(self, batch: deque[Call]) -> Call | None:
        with self._lock:
            if self._is_abandoned or not batch or self._is_closed():
                return None
            self._call, self._rest, self._since = batch.popleft(), batch, time.monotonic()
            return self._call

    def _end(self, outcome: Outcome) -> None:
        with self._lock:
            self._call = None
            if not self._is_abandoned:
                self._on_done(outcome)  # under the lock: nothing is handed over once it is abandoned
