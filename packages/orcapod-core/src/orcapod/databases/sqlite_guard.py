"""``check_plain``: an SQLite file can hold code, which runs when its tables are read or written; ours hold none."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from orcapod.display import shown
from orcapod.errors import DatabaseError

__all__ = ["check_plain"]

_OURS = "_orcapod_"
_CATALOG = "_orcapod_paths"
_UNREAD = re.compile(r"""--[^\n]*|/\*.*?(?:\*/|$)|"(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^]]*\]""", re.DOTALL)
"""What is no word of a statement: comments, names and texts."""

_CODE_OF_TABLE = re.compile(r"\b(?:AS|CHECK|DEFAULT|VIRTUAL)\b", re.IGNORECASE)
_PLAIN_INDEX = re.compile(r"\s*CREATE(?:\s+UNIQUE)?\s+INDEX\b[\s\w]*\([\s\w,]*\)\s*", re.IGNORECASE)


def check_plain(connection: sqlite3.Connection, path: Path) -> None:
    """Check that our tables are tables, and that nothing is computed where they are read or written.

    What somebody else has put beside them is theirs.

    Args:
        connection: to the file, in a transaction.
        path: where it is.

    Raises:
        DatabaseError: there is a view in the place of a table, a trigger, or an expression.
    """
    entries = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    names = {str(name).casefold() for _, name, *_ in entries}
    _check(entries, {name for name in names if name.startswith(_OURS)}, path)
    if _CATALOG in names and "table_name" in _columns(connection, _CATALOG):
        listed = connection.execute(f"SELECT table_name FROM {_CATALOG}")
        _check(entries, {str(name).casefold() for (name,) in listed}, path)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def _check(entries: list[tuple[object, ...]], ours: set[str], path: Path) -> None:
    for type_, name, table, sql in entries:
        if str(table).casefold() in ours and _has_code(type_, sql):
            raise DatabaseError(
                f"{path}: expected tables that hold rows, found the {type_} {shown(name)} on {shown(table)}, which "
                "would run what somebody else has put into the file; remove it with an SQLite shell if you know it, "
                "else do not use the file",
                expected="a table of rows",
                found=shown(sql),
            )


def _has_code(type_: object, sql: object) -> bool:
    if sql is None:
        return False  # an index that SQLite made for a table
    words = _UNREAD.sub(" ", str(sql))
    match type_:
        case "table":
            return _CODE_OF_TABLE.search(words) is not None
        case "index":
            return _PLAIN_INDEX.fullmatch(words) is None
        case _:
            return True
