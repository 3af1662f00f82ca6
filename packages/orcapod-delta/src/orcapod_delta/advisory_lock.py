"""``AdvisoryLock``: one process at a time has rows of a table that it has yet to commit."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["AdvisoryLock"]

_TIMEOUT = 2.0
_PAUSE = 0.002


class AdvisoryLock:
    """Lock on adding to a table, held from the first buffered row until the commit.

    It is a courtesy: while processes wait for each other, each knows all keys when it says how many rows
    were new, and none computes what the other one had. Without it, as on object storage, or when another
    process holds it for longer than is worth waiting, the commit itself still takes every key only once.

    Args:
        folder: the folder of the table; None if it is not on this machine.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder if fcntl is not None else None
        self._handle: int | None = None
        self._timeout = _TIMEOUT

    def acquire(self) -> None:
        """Wait until no other process holds it, though not for long."""
        if self._handle is not None or self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self._folder, os.O_RDONLY)
        except OSError:
            return  # whoever cannot write here is told by the commit
        deadline = monotonic() + self._timeout
        while not _locked(handle):
            if monotonic() > deadline:
                os.close(handle)
                self._timeout = 0.0  # who waited in vain does not wait again until it was free once
                return
            sleep(_PAUSE)
        self._handle, self._timeout = handle, _TIMEOUT

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._handle is not None:
            with suppress(OSError):
                fcntl.flock(self._handle, fcntl.LOCK_UN)  # closing is not enough: a forked child has a copy
            os.close(self._handle)
            self._handle = None


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: nobody waits for anybody
    return True
