"""Checks of an SQLite file by itself: its pages, and whether its catalog and its tables are of one mind."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing

from orcapod.protocols import RecordPath

__all__ = ["ORDER", "find_damage"]

ORDER = "_row"
"""The first column of every table: the order of its rows."""

_CATALOG = ("_orcapod_format", "_orcapod_paths")


def find_damage(uri: str) -> Iterator[tuple[RecordPath, str]]:
    """Give what is wrong, with the path of the table where it is one's.

    The file is opened once more, so that it is read and written at the same time.
    """
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        yield from _faults(connection)


def _faults(connection: sqlite3.Connection) -> Iterator[tuple[RecordPath, str]]:
    try:
        for (said,) in connection.execute("PRAGMA integrity_check").fetchall():
            if said != "ok":
                yield (), said
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        listed = connection.execute("SELECT path, table_name FROM _orcapod_paths").fetchall()
    except sqlite3.Error as error:
        yield (), f"{type(error).__name__}: {error}"
        return
    known = set()
    for text, name in listed:
        try:
            path = tuple(json.loads(text))
        except (ValueError, TypeError):
            path = ()
            yield path, f"the catalog has a path that is none: {text!r:.80}"
        known.add(name)
        if name not in tables:
            yield path, f"the catalog names a table {name!r:.80}, which is not there"
    for name in sorted(tables - known - {*_CATALOG}):
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", [name]).fetchall()
        if columns and columns[0] == (ORDER,):  # others may be somebody else's
            yield (), f"the table {name!r:.80} is in no catalog"
