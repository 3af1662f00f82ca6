"""Sessions for executors that make one call after the other: in threads, or as tasks of an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from typing import Any

from orcapod.errors import PacketTimeoutError
from orcapod.functions.awaiting import background_loop, is_async
from orcapod.functions.captured import CaptureBuffer
from orcapod.protocols import Call, CallSession, CapturedOutput, OnDone, Outcome, PythonFunctionExecutorProtocol

__all__ = ["LoopSession", "ThreadSession", "local_session"]

_CLOSING_SECONDS = 0.5
_TASKS = 32


def local_session(
    executor: PythonFunctionExecutorProtocol,
    fn: Callable[..., Any],
    on_done: OnDone,
    *,
    concurrency: int | None,
    timeout: float | None,
    loop: asyncio.AbstractEventLoop | None,
) -> CallSession:
    """A session for an executor that has none of its own: tasks for an async function, threads for another.

    Args:
        executor: what makes each call.
        fn: the function.
        on_done: called with every outcome.
        concurrency: how many calls are made at once; if None, 32 of an async function, one of another.
        timeout: after how many seconds a call is given up; None for never.
        loop: where tasks run; a loop of their own if None.
    """
    if is_async(fn):
        tasks = concurrency or _TASKS
        where = loop or background_loop()
        return LoopSession(executor, fn, on_done, concurrency=tasks, timeout=timeout, loop=where)
    return ThreadSession(executor, fn, on_done, concurrency=concurrency or 1, timeout=timeout)


class ThreadSession:
    """Calls in threads of this process.

    A call that takes too long cannot be stopped: its packet fails, its thread is left to itself and
    replaced, and what it returns in the end is dropped. The same happens to all of them on closing.
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
        self._timeout = timeout
        self._batches: SimpleQueue[deque[Call] | None] = SimpleQueue()
        self._closed = threading.Event()
        self._crew: list[_Hand] = []
        for _ in range(concurrency):
            self._hire()
        if timeout is not None:
            threading.Thread(target=self._watch, args=(timeout,), name="orcapod-timeouts", daemon=True).start()

    def submit(self, batch: Sequence[Call]) -> None:
        self._batches.put(deque(batch))

    def close(self) -> None:
        self._closed.set()
        for hand in self._crew:
            with hand.lock:
                hand.dismissed = True
            self._batches.put(None)

    def _hire(self) -> None:
        hand = _Hand()
        self._crew.append(hand)
        context = copy_context()
        threading.Thread(target=context.run, args=(self._work, hand), name="orcapod-call", daemon=True).start()

    def _work(self, hand: _Hand) -> None:
        while not hand.dismissed and (batch := self._batches.get()) is not None:
            while batch and not hand.dismissed:
                call = batch.popleft()
                hand.begin(call, batch)
                outcome = self._made(call)
                if hand.end():
                    self._on_done(outcome)

    def _made(self, call: Call) -> Outcome:
        buffer = CaptureBuffer() if call.capture else None
        started = time.perf_counter()
        outcome = Outcome(call.key)
        try:
            outcome.value = self._executor.execute_callable(self._fn, call.kwargs, logger=buffer)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is how this call ended
            outcome.error = error
        outcome.seconds = time.perf_counter() - started
        if buffer is not None:
            outcome.captured = buffer.output
        return outcome

    def _watch(self, timeout: float) -> None:
        while not self._closed.wait(min(timeout / 10, 0.1)):
            for hand in [hand for hand in self._crew if hand.overdue(timeout)]:
                call, rest = hand.dismiss()
                if call is None:
                    continue
                self._crew.remove(hand)
                self._hire()
                if rest:
                    self._batches.put(rest)
                self._on_done(_timed_out(call, timeout, "its thread cannot be stopped, and what it returns is dropped"))


class _Hand:
    """One thread of a session, and what it is doing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.dismissed = False
        self._call: Call | None = None
        self._rest: deque[Call] = deque()
        self._since = 0.0

    def begin(self, call: Call, rest: deque[Call]) -> None:
        with self.lock:
            self._call, self._rest, self._since = call, rest, time.monotonic()

    def end(self) -> bool:
        """Whether the outcome is still wanted."""
        with self.lock:
            self._call = None
            return not self.dismissed

    def overdue(self, timeout: float) -> bool:
        return self._call is not None and time.monotonic() - self._since > timeout

    def dismiss(self) -> tuple[Call | None, deque[Call]]:
        """What it was doing, and what it had still to do; nothing if it ended at the last moment."""
        with self.lock:
            if self._call is None:
                return None, deque()
            self.dismissed = True
            rest = self._rest.copy()
            self._rest.clear()
            return self._call, rest


class LoopSession:
    """Calls of an async function as tasks of an event loop that runs in another thread."""

    def __init__(
        self,
        executor: PythonFunctionExecutorProtocol,
        fn: Callable[..., Any],
        on_done: OnDone,
        *,
        concurrency: int,
        timeout: float | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.concurrency = concurrency
        self._executor = executor
        self._fn = fn
        self._on_done = on_done
        self._timeout = timeout
        self._loop = loop
        self._places = asyncio.Semaphore(concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def submit(self, batch: Sequence[Call]) -> None:
        self._loop.call_soon_threadsafe(self._start, batch, context=copy_context())

    def close(self) -> None:
        """Cancel what runs, and wait a moment for it to end."""
        self._closed = True
        done = threading.Event()
        try:
            self._loop.call_soon_threadsafe(self._cancel, done)
        except RuntimeError:
            return  # the loop is closed, and its tasks with it
        done.wait(_CLOSING_SECONDS)

    def _start(self, batch: Sequence[Call]) -> None:
        for call in batch:
            task = self._loop.create_task(self._make(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _cancel(self, done: threading.Event) -> None:
        for task in self._tasks:
            task.cancel()
        ended = asyncio.gather(*self._tasks, return_exceptions=True)
        ended.add_done_callback(lambda _: done.set())

    async def _make(self, call: Call) -> None:
        buffer = CaptureBuffer() if call.capture else None
        outcome = Outcome(call.key)
        async with self._places:
            started = time.perf_counter()
            awaitable = self._executor.async_execute_callable(self._fn, call.kwargs, logger=buffer)
            try:
                async with asyncio.timeout(self._timeout) as limit:
                    outcome.value = await awaitable
            except BaseException as error:  # noqa: BLE001  # whatever it is, it is how this call ended
                if limit.expired() and self._timeout is not None:
                    outcome = _timed_out(call, self._timeout, "it was cancelled")
                else:
                    outcome.error = error
            outcome.seconds = time.perf_counter() - started
        if buffer is not None and buffer.output is not None:
            late = outcome.captured
            outcome.captured = (
                buffer.output
                if late is None
                else buffer.output._replace(success=late.success, traceback=late.traceback)
            )
        if not self._closed:
            self._on_done(outcome)


def _timed_out(call: Call, timeout: float, then: str) -> Outcome:
    error = PacketTimeoutError(f"the packet took longer than its timeout of {timeout:g} seconds; {then}")
    captured = CapturedOutput.of_failure(error) if call.capture else None
    return Outcome(call.key, error=error, captured=captured, seconds=timeout)
