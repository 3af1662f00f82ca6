"""``KeyIndex``: where in an SQLite file the rows of a key are.

Keys are random. An index in their order has another page changed by almost every record, once it is large. So it is
kept in three tables, of which the first takes what is new and stays small. When it has 65,536 rows of a table, they go
to the second, in order, and from there to the third when they are sixteen times as many: what is written together lies
together. (A log-structured merge tree: O'Neil et al., Acta Informatica 33, 1996.)
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import compress, pairwise

from orcapod.protocols.database import Key

__all__ = ["ORDER", "KeyIndex", "checksums"]

ORDER = "_row"
"""The first column of every table: the order of its rows."""

_LEVELS = ("_orcapod_keys_0", "_orcapod_keys_1", "_orcapod_keys_2")
_FIRST_LEVEL, _RATIO = 65_536, 16


@dataclass(frozen=True, slots=True)
class KeyIndex:
    """Index of the keys of one table: for the checksum of a key, the rows that may have it.

    Every change is made in a transaction of the caller's.

    Attributes:
        table: the number of the table.
    """

    table: int

    @staticmethod
    def create(connection: sqlite3.Connection) -> None:
        """Create the index of a new file."""
        for level in _LEVELS:
            connection.execute(
                f"CREATE TABLE {level} (table_number INTEGER, checksum TEXT, {ORDER} INTEGER,"
                f" PRIMARY KEY (table_number, checksum, {ORDER})) WITHOUT ROWID"
            )

    def condition(self, connection: sqlite3.Connection, checksums: Sequence[str]) -> tuple[str, dict[str, str]]:
        """Return a condition that the rows of keys of these checksums fulfil, and few others; and its parameters."""
        levels = _used_levels(connection)
        wanted = checksums if levels == _LEVELS[:1] else sorted(checksums)  # in order, each page is read once
        return f"{ORDER} IN ({_rows(levels, self.table)})", {"checksums": json.dumps(wanted)}

    def add(self, connection: sqlite3.Connection, checksums: Sequence[str], first: int) -> None:
        """Add the checksums of the keys of new rows, which are numbered from ``first``."""
        entries = f"INSERT OR IGNORE INTO {_LEVELS[0]} SELECT ?, value, ? + key FROM json_each(?)"
        connection.execute(entries, (self.table, first, json.dumps(checksums)))
        size = _FIRST_LEVEL
        for level, next_level in pairwise(_LEVELS):
            if first // size == (first + len(checksums)) // size:
                break
            of_table = f"FROM {level} WHERE table_number = {self.table}"
            connection.execute(f"INSERT OR IGNORE INTO {next_level} SELECT * {of_table}")
            connection.execute(f"DELETE {of_table}")
            size *= _RATIO

    def remove(self, connection: sqlite3.Connection, rows: Iterable[tuple[Key, int]]) -> None:
        """Remove the keys of rows that are no more, given with their numbers."""
        entries = [(*checksums([key]), row) for key, row in rows]
        for level in _LEVELS:
            connection.executemany(
                f"DELETE FROM {level} WHERE table_number = {self.table} AND checksum = ? AND {ORDER} = ?", entries
            )

    def rebuild(self, connection: sqlite3.Connection, table: str, key: str) -> None:
        """Make the index anew of the rows of a table, named with its key as SQL writes them."""
        for level in _LEVELS:
            connection.execute(f"DELETE FROM {level} WHERE table_number = {self.table}")
        rows = f"SELECT {self.table}, {_checksum(key)}, {ORDER} FROM {table} ORDER BY 2"
        connection.execute(f"INSERT INTO {_LEVELS[-1]} {rows}")

    def unfound(self, connection: sqlite3.Connection, table: str, key: str) -> list[Key]:
        """Return the keys of those rows of a table that are not found by them."""
        entries = (
            f"NOT EXISTS (SELECT 1 FROM {level} AS held WHERE table_number = {self.table}"
            f" AND checksum = {_checksum(f'row.{key}')} AND held.{ORDER} = row.{ORDER})"
            for level in _LEVELS
        )
        return [key for (key,) in connection.execute(f"SELECT {key} FROM {table} AS row WHERE {' AND '.join(entries)}")]

    def row_of(self, value: str, table: str, key: str) -> str:
        """Return the SQL for the number of the row whose key is a value; null if there is none."""
        rows = (
            f"SELECT held.{ORDER} FROM {level} AS held CROSS JOIN {table} AS row ON row.{ORDER} = held.{ORDER}"
            f" WHERE held.table_number = {self.table} AND held.checksum = {_checksum(value)} AND row.{key} = {value}"
            for level in reversed(_LEVELS)
        )
        return f"({' UNION ALL '.join(rows)} LIMIT 1)"


def _used_levels(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the levels that have anything, of any table, and the first."""
    asked = ", ".join(f"EXISTS (SELECT 1 FROM {level})" for level in _LEVELS[1:])
    return (_LEVELS[0], *compress(_LEVELS[1:], connection.execute(f"SELECT {asked}").fetchone()))


@cache
def _rows(levels: tuple[str, ...], table: int) -> str:
    """Return the query for the rows that levels have of the ``checksums`` of a table, a list in JSON."""
    return " UNION ALL ".join(
        f"SELECT {ORDER} FROM json_each(:checksums) CROSS JOIN {level} ON table_number = {table} AND checksum = value"
        for level in levels
    )


def checksums(keys: Iterable[Key]) -> list[str]:
    """Return the checksums by which keys are found."""
    return [(key[:2] + key[-2:]).hex() for key in keys if isinstance(key, bytes)]


def _checksum(key: str) -> str:
    """Return the SQL for the checksum of a key."""
    return f"lower(hex(substr({key}, 1, 2)) || hex(substr({key}, -2)))"
