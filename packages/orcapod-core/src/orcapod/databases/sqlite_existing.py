"""``may_be_store``: whether an SQLite file holds a store, found out without writing to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path

__all__ = ["may_be_store"]


def may_be_store(path: Path) -> bool:
    """Say whether an SQLite file may hold a store: whoever opens one for writing makes one of an empty file.

    Nothing is written, and no file is made beside it. A file that has a log beside it is not looked into, since what
    makes it a store may be in there; nor is what SQLite cannot read, of which it will say why.
    """
    if Path(f"{path}-wal").exists():
        return True
    with suppress(sqlite3.Error, OSError):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_orcapod_format'").fetchone()
        return found is not None
    return True
