"""``deferred``: Ctrl-C ends a run between two steps of its bookkeeping, never within one.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be: between taking an outcome and
storing it, say, and what was finished would be lost. While a run is under way in the main thread, its own
handler stands in for Python's: in the user's code it raises at once; in orcapod's it waits for the next
``check``, and for ``_REMINDER_SECONDS`` at the most.

On its way out a run stores what is finished. A store that is away is waited for in all of its steps together, not in
each of them (``Patience``), and what it could not store does not take the interrupt's place (``interrupt_first``).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = [
    "Patience",
    "Stop",
    "add_failure_notes",
    "check",
    "deferred",
    "interrupt_first",
    "is_interrupt",
    "is_over",
    "noticed",
    "pause",
    "runs_user_code",
    "slice_of",
]

F = TypeVar("F", bound=Callable[..., Any])

_REMINDER_SECONDS = 0.7
_ENDING_SECONDS = 0.6
_SLICE = 0.1

_CALL_SITES: set[CodeType] = set()
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


class Stop:
    """Request that a run ends before its time.

    Attributes:
        since: when it was made, in the time of ``time.monotonic``; None if it was not.
    """

    since: float | None = None

    def set(self) -> None:
        if self.since is None:
            self.since = time.monotonic()

    def is_set(self) -> bool:
        return self.since is not None


_stop: ContextVar[Stop | None] = ContextVar("orcapod_stop", default=None)


class _State:
    """What is known of interrupts in this process.

    Attributes:
        pending: whether one came since the outermost run began: raised or not, the run is to end.
        stops: those of the runs, one within the other, that are under way in the main thread.
        reminder: interrupts once more where nothing is checked for too long.
    """

    pending = False
    stops: tuple[Stop, ...] = ()
    reminder: threading.Timer | None = None


def runs_user_code(function: F) -> F:
    """Mark a function of orcapod's whose callees are the user's: there an interrupt is raised at once."""
    _CALL_SITES.add(function.__code__)
    return function


@contextmanager
def deferred(stop: Stop | None = None) -> Iterator[None]:
    """Let interrupts wait for ``check`` while orcapod's own code runs.

    Elsewhere than in the main thread, or where somebody else has taken over SIGINT, they are raised as ever.

    Args:
        stop: is set when one comes, or by whoever wants the run to end; ``Patience`` in the threads of the run
            depends on it.

    Raises:
        KeyboardInterrupt: one came, and nobody has raised it yet.
    """
    stop = stop or Stop()
    token = _stop.set(stop)
    try:
        with _handled(stop) if _is_ours_to_handle() else nullcontext(), interrupt_first():
            yield
    finally:
        _stop.reset(token)


def _is_ours_to_handle() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    return bool(_State.stops) or signal.getsignal(signal.SIGINT) is signal.default_int_handler


@contextmanager
def _handled(stop: Stop) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if not _State.stops:
        signal.signal(signal.SIGINT, _on_interrupt)
    _State.stops += (stop,)
    try:
        yield
        check()
    finally:
        _State.stops = _State.stops[:-1]
        if not _State.stops:
            _State.pending = False
            _forget_reminder()
            if signal.getsignal(signal.SIGINT) is _on_interrupt:
                signal.signal(signal.SIGINT, before)


@contextmanager
def interrupt_first() -> Iterator[None]:
    """Raise the interrupt that ended a block, also where something failed on the way out: that becomes its note."""
    outside = sys.exception()
    try:
        yield
    except Exception as error:
        failures, behind = [error], error.__context__
        while isinstance(behind, Exception) and behind is not outside:
            failures.append(behind)
            behind = behind.__context__
        if not isinstance(behind, KeyboardInterrupt | SystemExit) or behind is outside:
            if not _is_pending():
                raise
            behind = KeyboardInterrupt()  # it came, and nobody has raised it yet
        causes = {id(failure.__cause__) for failure in failures}
        for failure in reversed(failures):
            if id(failure) not in causes:
                add_failure_notes(behind, failure)
        raise behind from None


def add_failure_notes(interrupt: BaseException, failure: Exception) -> None:
    """Let an interrupt tell of what failed when the run ended, or of all in a group; of each once."""
    if isinstance(failure, ExceptionGroup):
        for each in failure.exceptions:
            add_failure_notes(interrupt, each)
        return
    note = f"when the run ended, this failed: {type(failure).__name__}: {failure}"
    if note not in getattr(interrupt, "__notes__", ()):
        interrupt.add_note(note)


def check() -> None:
    """Raise the interrupt that came meanwhile, if one did; also one that the user's code has swallowed.

    Does nothing in other threads than the main one.
    """
    if _is_pending():
        _forget_reminder()
        raise KeyboardInterrupt


def _is_pending() -> bool:
    return _State.pending and threading.current_thread() is threading.main_thread()


def slice_of(seconds: float | None) -> float | None:
    """Return how long to wait before the next ``check``, of a wait that may take ``seconds``; None for ever."""
    if not _State.stops or threading.current_thread() is not threading.main_thread():
        return seconds
    return _SLICE if seconds is None else min(seconds, _SLICE)


def pause(seconds: float) -> None:
    """Wait, but not longer than until an interrupt.

    Raises:
        KeyboardInterrupt: one came.
    """
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(slice_of(left) or 0.0)
        check()


@contextmanager
def noticed() -> Iterator[None]:
    """Ask the run of this thread to end if an interrupt ends the block, also one of the program's own handler."""
    try:
        yield
    except BaseException as error:
        if (stop := _stop.get()) is not None and is_interrupt(error):
            stop.set()
        raise


def is_over() -> bool:
    """Say whether the run of this thread was asked to end so long ago that nothing is waited for any more."""
    stop = _stop.get()
    return stop is not None and stop.since is not None and time.monotonic() - stop.since >= _ENDING_SECONDS


class Patience:
    """Time to wait for something that is away, such as a server.

    Once the run is asked to end, all that its steps wait for shares ``_ENDING_SECONDS``.

    Args:
        seconds: how long to wait at the most.
    """

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        stop = _stop.get()
        self._is_ending = stop is not None and stop.is_set()

    @property
    def is_over(self) -> bool:
        """True once nothing should be waited for any more."""
        return time.monotonic() >= self._until or is_over()

    def pause(self, seconds: float) -> None:
        """Wait so long, or until it is over.

        Raises:
            KeyboardInterrupt: one came while this waited.
        """
        until = time.monotonic() + seconds
        while not self.is_over and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE))
            if not self._is_ending:
                check()


def is_interrupt(error: BaseException) -> bool:
    """Say whether an exception that came out of a user's function is an interrupt of the user, and no failure.

    That is a ``KeyboardInterrupt``, and whatever the program's own handler raised of a signal that ends programs. An
    alarm is none: it is how functions limit their time.
    """
    if threading.current_thread() is not threading.main_thread():
        return False  # signals are handled in the main thread
    if isinstance(error, KeyboardInterrupt):
        return True
    handlers = {getattr(signal.getsignal(each), "__code__", None) for each in _ENDING}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _on_interrupt(_number: int, frame: FrameType | None) -> None:
    again, _State.pending = _State.pending, True
    for stop in _State.stops:
        stop.set()
    if again or _is_users(frame):
        _forget_reminder()
        raise KeyboardInterrupt
    _State.reminder = threading.Timer(_REMINDER_SECONDS, os.kill, [os.getpid(), signal.SIGINT])
    _State.reminder.daemon = True
    _State.reminder.start()


def _forget_reminder() -> None:
    reminder, _State.reminder = _State.reminder, None
    if reminder is not None:
        reminder.cancel()


def _is_users(frame: FrameType | None) -> bool:
    """Say whether the interrupted code was called by the user's, or is: the next of orcapod's frames tells."""
    innermost = frame
    while frame is not None:
        if frame.f_code in _CALL_SITES:
            return frame is not innermost
        if frame.f_globals.get("__name__", "").startswith("orcapod."):
            return False
        frame = frame.f_back
    return True
