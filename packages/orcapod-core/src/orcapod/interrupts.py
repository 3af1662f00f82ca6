"""``deferred``: Ctrl-C ends a run between two steps of its bookkeeping, never within one.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be: between taking an outcome and
storing it, say, and what was finished would be lost. While a run is under way in the main thread, its own
handler stands in for Python's: in the user's code it raises at once; in orcapod's it waits for the next
``check``, and for ``_PATIENCE`` seconds at the most.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, TypeVar

__all__ = ["check", "deferred", "is_interrupt", "pause", "runs_user_code", "slice_of"]

F = TypeVar("F", bound=Callable[..., Any])

_PATIENCE = 0.7
_SLICE = 0.1

_CALL_SITES: set[CodeType] = set()
_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT") if hasattr(signal, name)]


class _State:
    """What is known of interrupts in this process.

    Attributes:
        pending: whether one came since the outermost run began: raised or not, the run is to end.
        depth: how many runs, one within the other, are under way in the main thread.
        reminder: interrupts once more where nothing is checked for too long.
    """

    pending = False
    depth = 0
    reminder: threading.Timer | None = None


def runs_user_code(function: F) -> F:
    """Mark a function of orcapod's whose callees are the user's: there an interrupt is raised at once."""
    _CALL_SITES.add(function.__code__)
    return function


@contextmanager
def deferred() -> Iterator[None]:
    """Let interrupts wait for ``check`` while orcapod's own code runs.

    Elsewhere than in the main thread, or where somebody else has taken over SIGINT, this does nothing.

    Raises:
        KeyboardInterrupt: one came, and nobody has raised it yet.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler and not _State.depth:
        yield
        return
    if not _State.depth:
        signal.signal(signal.SIGINT, _on_interrupt)
    _State.depth += 1
    try:
        yield
        check()
    finally:
        _State.depth -= 1
        if not _State.depth:
            _State.pending = False
            _forget_reminder()
            if signal.getsignal(signal.SIGINT) is _on_interrupt:
                signal.signal(signal.SIGINT, before)


def check() -> None:
    """Raise the interrupt that came meanwhile, if one did; also one that the user's code has swallowed.

    Does nothing in other threads than the main one.
    """
    if _State.pending and threading.current_thread() is threading.main_thread():
        _forget_reminder()
        raise KeyboardInterrupt


def slice_of(seconds: float | None) -> float | None:
    """Return how long to wait before the next ``check``, of a wait that may take ``seconds``; None for ever."""
    if not _State.depth or threading.current_thread() is not threading.main_thread():
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
    if again or _is_users(frame):
        _forget_reminder()
        raise KeyboardInterrupt
    _State.reminder = threading.Timer(_PATIENCE, os.kill, [os.getpid(), signal.SIGINT])
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
