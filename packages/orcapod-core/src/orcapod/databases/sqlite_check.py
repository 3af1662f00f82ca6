"""Checks of an SQLite file by itself: its pages, and whether its catalog and its tables are of one mind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from orcapod.databases.sql import path_of_text
from orcapod.databases.sqlite_keys import ORDER
from orcapod.databases.sqlite_table import SQLiteTable
from orcapod.protocols import RecordPath

__all__ = ["find_damage"]


def find_damage(connection: sqlite3.Connection) -> Iterator[tuple[RecordPath, str]]:
    """Give what is wrong, with the path of the table where it is one's; other connections read and write meanwhile."""
    try:
        connection.execute("BEGIN")  # all of it as it is at one moment
        for (said,) in connection.execute("PRAGMA integrity_check").fetchall():
            if said != "ok":
                yield (), said
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        listed = connection.execute("SELECT path, table_name FROM _orcapod_paths").fetchall()
    except sqlite3.Error as error:
        yield (), f"{type(error).__name__}: {error}"
        return
    for text, name in listed:
        try:
            path = path_of_text(text)
        except ValueError:
            yield (), f"the catalog has a path that is none: {text!r:.80}"
            continue
        if name in tables:
            yield from ((path, why) for why in _found_in_table(connection, path))
        else:
            yield path, f"the catalog names a table {name!r:.80}, which is not there"
    for name in sorted(tables - {name for _, name in listed}):
        columns = connection.execute("SELECT name FROM pragma_table_info(?)", [name]).fetchall()
        if columns and columns[0] == (ORDER,):  # others may be somebody else's
            yield (), f"the table {name!r:.80} is in no catalog"


def _found_in_table(connection: sqlite3.Connection, path: RecordPath) -> Iterator[str]:
    try:
        if table := SQLiteTable.find(connection, path):
            yield from table.find_damage(connection)
    except ValueError as error:
        yield f"its row in the catalog is damaged: {error}"
    except (sqlite3.Error, ArithmeticError, TypeError) as error:
        yield f"its keys, or the index of them, cannot be read: {type(error).__name__}: {error}"
