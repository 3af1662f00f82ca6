"""``RunLoop``: the event loop of a run."""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["RunLoop"]

AbstractEventLoop = Any  # asyncio's: it takes 40 ms to load, which a program without async functions need not spend


class RunLoop:
    """Event loop of a run: one for all its async functions, so that they may share what belongs to a loop.

    Args:
        loop: the caller's, for a run that is awaited; else one is borrowed when it is first needed.
    """

    def __init__(self, loop: AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._lent: Any = None
        self._lock = threading.Lock()

    def get(self) -> AbstractEventLoop:
        """Return the loop where tasks are to be made now."""
        with self._lock:
            if self._loop is None:
                from orcapod.functions.event_loops import lend_loop  # noqa: PLC0415  # it loads asyncio: 40 ms

                self._lent = lend_loop()
                self._loop = self._lent.loop
            return self._loop

    def replace(self, blocked: AbstractEventLoop) -> None:
        """Have tasks made in another loop from now on; one that is blocked is left to itself."""
        with self._lock:
            if self._loop is blocked:
                self._loop = self._lent = None

    def close(self) -> None:
        """Let go of a loop that was borrowed."""
        with self._lock:
            lent, self._lent, self._loop = self._lent, None, None
        if lent is not None:
            lent.give_back()
