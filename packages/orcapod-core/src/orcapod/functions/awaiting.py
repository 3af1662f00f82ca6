"""``run_to_end``: what is async, for a caller who cannot await."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any

from orcapod.interrupts import runs_user_code

__all__ = ["is_async", "run_to_end"]

_INTERRUPTED_SECONDS = 1.0

_THREAD = threading.local()

_Outcome = tuple[Any, BaseException | None]


def is_async(function: Callable[..., Any]) -> bool:
    """Say whether calling it gives a coroutine: an ``async def``, a partial of one, or an object called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def run_to_end(awaitable: Awaitable[Any]) -> Any:
    """Return what an awaitable comes to, when it is there.

    It runs in the calling thread, in an event loop that the thread keeps for the next call. Where a loop
    is running in this thread already (a notebook), it runs in a loop of another thread. Both ways it sees the
    caller's context variables, and Ctrl-C ends it.

    Raises:
        BaseException: whatever it raised, as itself.
    """
    import asyncio  # noqa: PLC0415  # 40 ms that a program without async functions need not spend

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(awaitable)
    return _run_elsewhere(awaitable)


def _run_here(awaitable: Awaitable[Any]) -> Any:
    keeper = getattr(_THREAD, "keeper", None)
    if keeper is None:
        keeper = _THREAD.keeper = _Keeper()
    try:
        outcome: _Outcome = keeper.run(awaitable)
    except BaseException:
        # An interrupt or an exit, wherever it struck: nothing of this call goes on in the thread's next one.
        del _THREAD.keeper
        keeper.close()
        raise
    return _unpacked(outcome)


@runs_user_code
def _run_elsewhere(awaitable: Awaitable[Any]) -> Any:
    import asyncio  # noqa: PLC0415  # as above

    from orcapod.functions.event_loops import borrowed_loop  # noqa: PLC0415  # it needs asyncio

    ended = threading.Event()

    async def call() -> _Outcome:
        try:
            return await _ended(awaitable, BaseException)  # an exit that the loop sees would end the loop
        finally:
            ended.set()

    with borrowed_loop() as loop:
        future = asyncio.run_coroutine_threadsafe(call(), loop)
        try:
            outcome = future.result()
        except BaseException:
            future.cancel()
            ended.wait(_INTERRUPTED_SECONDS)  # its own cleaning up
            raise
    return _unpacked(outcome)


@runs_user_code
async def _ended(awaitable: Awaitable[Any], caught: type[BaseException]) -> _Outcome:
    """Return the result, or the exception that was caught."""
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
    """Event loop of a thread, closed with the thread."""

    def __init__(self) -> None:
        import asyncio  # noqa: PLC0415  # as above

        # With a factory, the runner leaves what asyncio.get_event_loop() gives in this thread alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.close = weakref.finalize(self, _close_idle, self._runner)

    @runs_user_code
    def run(self, awaitable: Awaitable[Any]) -> _Outcome:
        outcome: _Outcome = self._runner.run(_ended(awaitable, Exception), context=copy_context())
        return outcome


def _close_idle(runner: Any) -> None:
    import asyncio  # noqa: PLC0415  # as above

    loop = runner.get_loop()
    if loop.is_running():
        return
    if asyncio._get_running_loop() is None:
        runner.close()
    else:
        loop.close()  # collected within another loop of this thread, where this one cannot run to tidy up
