"""``LoopSession``: calls of an async function as tasks of an event loop that runs in another thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any

from orcapod.execution.run_loop import RunLoop
from orcapod.execution.sessions import timed_out
from orcapod.forks import generation, leave_if_forked
from orcapod.functions import CaptureBuffer
from orcapod.functions.event_loops import answers
from orcapod.protocols import Call, OnDone, Outcome, PythonFunctionExecutorProtocol

__all__ = ["LoopSession"]

_CLOSING_SECONDS = 0.5
_GRACE_SECONDS = 0.1


class _Running:
    """Call that is a task now, or will be one as soon as its loop comes to it."""

    __slots__ = ("call", "loop", "since", "task")

    def __init__(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        self.call = call
        self.loop = loop
        self.since: float | None = None
        self.task: asyncio.Task[None] | None = None


class LoopSession:
    """Calls of an async function as tasks of an event loop.

    A call that takes too long is cancelled. Where one does not await, so that it cannot be, it is given up with
    its loop, and the others of the session that were there are made anew in another.

    Args:
        executor: makes each call.
        fn: the async function.
        on_done: called with every outcome.
        concurrency: how many tasks there are at once.
        timeout: after how many seconds a call is given up; None for never.
        loop: where the tasks run.
    """

    def __init__(
        self,
        executor: PythonFunctionExecutorProtocol,
        fn: Callable[..., Any],
        on_done: OnDone,
        *,
        concurrency: int,
        timeout: float | None,
        loop: RunLoop,
    ) -> None:
        self.concurrency = concurrency
        self._executor = executor
        self._fn = fn
        self._on_done = on_done
        self._timeout = timeout
        self._run_loop = loop
        self._context = copy_context()
        self._lock = threading.RLock()
        self._waiting: deque[Call] = deque()
        self._running: dict[int, _Running] = {}
        self._closing = threading.Event()
        self._is_closed = False
        if timeout is not None:
            threading.Thread(target=self._watch, args=(timeout,), name="orcapod-timeouts", daemon=True).start()

    def submit(self, batch: Sequence[Call]) -> None:
        with self._lock:
            self._waiting.extend(batch)
        self._begin()

    def close(self) -> None:
        self._closing.set()
        with self._lock:
            self._waiting.clear()
            loops = {running.loop for running in self._running.values()}
        for loop in loops:
            self._cancel(loop)
        with self._lock:
            self._is_closed = True

    def _begin(self) -> None:
        """Make tasks of as many calls as may run."""
        with self._lock:
            loop = self._run_loop.get()
            begun = []
            while self._waiting and len(self._running) < self.concurrency:
                call = self._waiting.popleft()
                self._running[call.key] = running = _Running(call, loop)
                begun.append(running)
        if begun:
            loop.call_soon_threadsafe(self._make_tasks, begun)

    def _make_tasks(self, begun: Sequence[_Running]) -> None:
        for running in begun:
            if self._running.get(running.call.key) is not running:
                continue  # given up meanwhile
            running.since = time.monotonic()
            running.task = running.loop.create_task(self._make(running), context=self._context.copy())
            running.task.add_done_callback(partial(self._on_task_done, running))

    def _on_task_done(self, running: _Running, task: asyncio.Task[None]) -> None:
        """Hand over that a task was cancelled before it began: by somebody who cancels all tasks of the loop."""
        if task.cancelled() and not self._closing.is_set():
            self._end(running, Outcome(running.call.key, error=asyncio.CancelledError("cancelled before it began")))

    async def _make(self, running: _Running) -> None:
        call, timeout = running.call, self._timeout
        buffer = CaptureBuffer() if call.capture else None
        outcome = Outcome(call.key)
        running.since = time.monotonic()
        started, since = time.perf_counter(), generation()
        try:
            async with asyncio.timeout(timeout) as limit:
                outcome.value = await self._executor.async_execute_callable(self._fn, call.kwargs, logger=buffer)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is how this call ended
            if limit.expired() and timeout is not None:
                outcome = timed_out(call, timeout, "it was cancelled")
            elif isinstance(error, asyncio.CancelledError) and self._closing.is_set():
                return
            else:
                outcome.error = error
        leave_if_forked(since, outcome.error)
        outcome.seconds = time.perf_counter() - started
        if timeout is not None and outcome.seconds > timeout and outcome.error is None:
            outcome = timed_out(call, timeout, "it returned too late, since it did not await")
        if buffer is not None and buffer.output is not None:
            late = outcome.captured
            outcome.captured = buffer.output
            if late is not None:
                outcome.captured = buffer.output._replace(success=late.success, traceback=late.traceback)
        self._end(running, outcome)

    def _end(self, running: _Running, outcome: Outcome) -> None:
        """Hand over an outcome, unless the call was given up meanwhile, and begin the next."""
        with self._lock:
            if self._is_closed or self._running.get(running.call.key) is not running:
                return
            del self._running[running.call.key]
            self._on_done(outcome)
        self._begin()

    def _cancel(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel the tasks in a loop, and wait a moment for them to end; a loop that is blocked is left to itself."""
        ended = threading.Event()

        def cancel() -> None:
            tasks = [each.task for each in list(self._running.values()) if each.loop is loop and each.task is not None]
            for task in tasks:
                task.cancel()
            asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: ended.set())

        try:
            loop.call_soon_threadsafe(cancel)
        except RuntimeError:
            return  # the loop is closed, and its tasks with it
        if not ended.wait(_CLOSING_SECONDS):
            self._run_loop.replace(loop)

    def _watch(self, timeout: float) -> None:
        while not self._closing.wait(min(timeout / 10, 0.1)):
            self._give_up_blocked(timeout)

    def _give_up_blocked(self, timeout: float) -> None:
        """Give up calls whose time is over and that being cancelled does not end, and loops that are blocked."""
        late = time.monotonic() - timeout - min(timeout, _GRACE_SECONDS)
        with self._lock:
            overdue = [each for each in self._running.values() if each.since is not None and each.since < late]
        for loop in {each.loop for each in overdue}:
            members = [each for each in overdue if each.loop is loop]
            if answers(loop, _GRACE_SECONDS):
                for each in members:
                    self._give_up(each, timed_out(each.call, timeout, "it was cancelled, and goes on all the same"))
                continue
            blocking = asyncio.current_task(loop)
            self._run_loop.replace(loop)
            with self._lock:
                members = [each for each in self._running.values() if each.loop is loop]
            for each in members:
                if each.task is blocking:
                    self._give_up(each, timed_out(each.call, timeout, "it blocks its event loop and cannot be stopped"))
                else:
                    self._make_anew(each)
        self._begin()

    def _give_up(self, running: _Running, outcome: Outcome) -> None:
        with self._lock:
            if not self._is_closed and self._running.pop(running.call.key, None) is not None:
                self._on_done(outcome)

    def _make_anew(self, running: _Running) -> None:
        with self._lock:
            if self._running.pop(running.call.key, None) is not None:
                self._waiting.appendleft(running.call)
        if running.task is not None:
            running.loop.call_soon_threadsafe(running.task.cancel)
