"""``MEMO``: digests of files that were read before, for this user on this machine.

What it goes by, path and inode, is of this machine, whatever the stores are that the files are used with; and files
are read before anybody says which store it will be. So it lies in the user's cache, one file for all of them:
``$ORCAPOD_CACHE``, or ``orcapod`` in ``$XDG_CACHE_HOME`` or ``~/.cache``. It may be deleted at any time.
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["MEMO", "Memo", "Stamp", "cache_folder"]

_CREATE = (
    "CREATE TABLE IF NOT EXISTS files "
    "(path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode TEXT, digest TEXT) WITHOUT ROWID"
)


class Stamp(NamedTuple):
    """Stamp of a file: what changes when somebody writes to it, or puts another in its place."""

    size: int
    mtime_ns: int
    inode: str  # of more bits than an integer of SQLite has, on some file systems

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        """Return the stamp of what ``stat`` says."""
        return cls(found.st_size, found.st_mtime_ns, str(found.st_ino))


class Memo:
    """Memo of digests, in this process and in a file; where there can be no such file, in this process only."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()
        self._connections: dict[tuple[int, Path], sqlite3.Connection] = {}
        atexit.register(self._close)

    def get(self, path: Path, stamp: Stamp) -> str | None:
        """Return the digest of a file, if it was read with this stamp."""
        key = os.path.abspath(path)  # noqa: PTH100  # a link is no other file
        known = self._known.get(key)
        if known is None or known[0] != stamp:
            known = self._read(key)
        if known is None or known[0] != stamp:
            return None
        self._known[key] = known
        return known[1]

    def put(self, path: Path, stamp: Stamp, digest: str) -> None:
        """Remember the digest of a file."""
        key = os.path.abspath(path)  # noqa: PTH100
        self._known[key] = stamp, digest
        # A memo that cannot be written to costs time, no more.
        with suppress(sqlite3.Error, OSError, UnicodeError), self._lock, self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (key, *stamp, digest))

    def _read(self, key: str) -> tuple[Stamp, str] | None:
        with suppress(sqlite3.Error, OSError, UnicodeError), self._lock:
            question = "SELECT size, mtime_ns, inode, digest FROM files WHERE path = ?"
            if row := self._connection().execute(question, (key,)).fetchone():
                return Stamp(*row[:3]), row[3]
        return None

    def _connection(self) -> sqlite3.Connection:
        """Return this process's connection: one that was opened before a fork is left alone."""
        file = cache_folder() / "files.db"
        if (found := self._connections.get((os.getpid(), file))) is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            found = sqlite3.connect(file, timeout=5, check_same_thread=False)
            self._connections[os.getpid(), file] = found
            found.execute("PRAGMA synchronous = OFF")
            found.execute("PRAGMA journal_mode = PERSIST")  # a third of the time per file
            found.execute(_CREATE)
        return found

    def _close(self) -> None:
        for (process, _), connection in self._connections.items():
            if process == os.getpid():
                connection.close()


def cache_folder() -> Path:
    """Return the user's folder for what can be had again."""
    if folder := os.environ.get("ORCAPOD_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orcapod"


MEMO = Memo()
