"""``LoopThread``: an asyncio event loop in a thread of its own, lent to one run at a time.

A run never waits for a loop that another run within it needs, since nobody shares a loop that is lent. Runs
that follow each other get the same loop, so that what belongs to a loop (a client that keeps connections, a
lock) may be kept between them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["LoopThread", "answers", "borrowed_loop", "lend_loop"]

_ANSWER_SECONDS = 0.5

_LOCK = threading.Lock()
_IDLE: list[LoopThread] = []


class LoopThread:
    """Event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, name="orcapod-async", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.loop.run_forever()  # comes back if a user's function stops the loop, in which others wait

    def give_back(self) -> None:
        """Let others have the loop; one that is blocked is left to itself."""
        if answers(self.loop, _ANSWER_SECONDS):
            with _LOCK:
                _IDLE.append(self)


def lend_loop() -> LoopThread:
    """Return a loop that nobody else has, until it is given back."""
    with _LOCK:
        return _IDLE.pop() if _IDLE else LoopThread()


@contextmanager
def borrowed_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Have a loop that nobody else has."""
    lent = lend_loop()
    try:
        yield lent.loop
    finally:
        lent.give_back()


def answers(loop: asyncio.AbstractEventLoop, seconds: float) -> bool:
    """Say whether a loop of another thread is at work, and not blocked by something that never awaits."""
    answered = threading.Event()
    try:
        loop.call_soon_threadsafe(answered.set)
    except RuntimeError:
        return False  # it is closed
    return answered.wait(seconds)


if hasattr(os, "register_at_fork"):  # elsewhere nothing forks
    os.register_at_fork(after_in_child=_IDLE.clear)  # a child process has none of its parent's threads
