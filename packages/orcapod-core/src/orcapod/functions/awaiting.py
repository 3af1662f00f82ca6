"""``run_to_end``: what is async, for a caller who cannot await."""

from __future__ import annotations

import atexit
import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

__all__ = ["background_loop", "is_async", "run_to_end"]

_INTERRUPTED_SECONDS = 1.0

_THREAD = threading.local()
_LOCK = threading.Lock()

_Outcome = tuple[Any, BaseException | None]


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: an ``async def``, a partial of one, or an object called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def background_loop() -> Any:
    """The one asyncio event loop of this process that runs in a thread of its own."""
    return _background().loop


def run_to_end(awaitable: Awaitable[Any]) -> Any:
    """What an awaitable comes to; returns when it is there.

    It runs in the calling thread, in an event loop that the thread keeps for the next call. Where a loop
    is running in this thread already (a notebook), it runs in the one loop of a thread of its own. Both
    ways it sees the caller's context variables, and Ctrl-C cancels it.

    Raises:
        BaseException: whatever it raised, as itself.
    """
    import asyncio  # noqa: PLC0415  # 40 ms that a program without async functions need not spend

    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(awaitable)
    background = _background()
    if running is not background.loop:
        return background.run(awaitable)
    nested = _LoopThread()  # the loop's own thread must not wait for itself
    try:
        return nested.run(awaitable)
    finally:
        nested.close()


def _run_here(awaitable: Awaitable[Any]) -> Any:
    keeper = getattr(_THREAD, "keeper", None)
    if keeper is None:
        keeper = _THREAD.keeper = _Keeper()
    try:
        outcome: _Outcome = keeper.runner.run(_ended(awaitable, Exception), context=copy_context())
    except BaseException:
        # An interrupt or an exit, wherever it struck: nothing of this call goes on in the thread's next one.
        del _THREAD.keeper
        keeper.close()
        raise
    return _unpacked(outcome)


async def _ended(awaitable: Awaitable[Any], caught: type[BaseException]) -> _Outcome:
    """The result or the exception that was caught."""
    try:
        return await awaitable, None
    except caught as error:
        return None, error


def _unpacked(outcome: _Outcome) -> Any:
    result, error = outcome
    if error is not None:
        raise error
    return result


class _Keeper:
    """Owns a thread's runner, so that the thread's end closes it."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415  # as above

        # With a factory, the runner leaves what asyncio.get_event_loop() gives in this thread alone.
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.close = weakref.finalize(self, _close_idle, self.runner)


def _close_idle(runner: Any) -> None:
    if not runner.get_loop().is_running():
        runner.close()


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415  # as above

        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="orcapod-async", daemon=True)
        self._thread.start()

    def run(self, awaitable: Awaitable[Any]) -> Any:
        import asyncio  # noqa: PLC0415  # as above

        ended = threading.Event()

        async def call() -> _Outcome:
            try:
                return await _ended(awaitable, BaseException)  # an exit that the loop sees would end the loop
            finally:
                ended.set()

        future = asyncio.run_coroutine_threadsafe(call(), self.loop)
        try:
            outcome = future.result()
        except BaseException:
            future.cancel()
            ended.wait(_INTERRUPTED_SECONDS)  # its own cleaning up
            raise
        return _unpacked(outcome)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_INTERRUPTED_SECONDS)
        if not self.loop.is_running():
            self.loop.close()


_BACKGROUND: list[_LoopThread] = []


def _background() -> _LoopThread:
    with _LOCK:
        if not _BACKGROUND:
            started = _LoopThread()
            atexit.register(started.close)
            _BACKGROUND.append(started)
        return _BACKGROUND[0]
