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
from operator import add
from zlib import crc32

from orcapod.protocols.database import Key

__all__ = ["ORDER", "KeyIndex", "checksums"]

ORDER = "_row"
"""The first column of every table: the order of its rows."""

_LEVELS = ("_orcapod_keys_0", "_orcapod_keys_1", "_orcapod_keys_2")
_FIRST_LEVEL, _RATIO = 65_536, 16
_PRIME = 1_000_003


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
                f"CREATE TABLE {level} (table_number INTEGER, checksum INTEGER, {ORDER} INTEGER,"
                f" PRIMARY KEY (table_number, checksum, {ORDER})) WITHOUT ROWID"
            )

    def condition(self, connection: sqlite3.Connection, checksums: Sequence[int]) -> tuple[str, tuple[int, str]]:
        """Return a condition that the rows of keys of these checksums fulfil, and few others; and its parameters."""
        levels = _used_levels(connection)
        wanted = checksums if levels == _LEVELS[:1] else sorted(checksums)  # in order, each page is read once
        return f"{ORDER} IN ({_rows(levels)})", (self.table, json.dumps(wanted))

    def add(self, connection: sqlite3.Connection, checksums: Sequence[int], first: int) -> None:
        """Add the checksums of the keys of new rows, which are numbered from ``first``."""
        entries = f"INSERT OR IGNORE INTO {_LEVELS[0]} SELECT ?1, value, ?3 + key FROM json_each(?2)"
        connection.execute(entries, (self.table, json.dumps(checksums), first))
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

    def rebuild(self, connection: sqlite3.Connection, rows: Iterable[tuple[Key, int]]) -> None:
        """Make the index anew of these, which are all rows of the table."""
        for level in _LEVELS:
            connection.execute(f"DELETE FROM {level} WHERE table_number = {self.table}")
        entries = ((*checksums([key]), row) for key, row in rows)
        connection.executemany(f"INSERT INTO {_LEVELS[-1]} VALUES ({self.table}, ?, ?)", entries)

    def unfound(self, connection: sqlite3.Connection, rows: Iterable[tuple[Key, int]]) -> list[Key]:
        """Return the keys of those of these rows that are not found by them."""
        return [
            key
            for key, row in rows
            if (row,) not in connection.execute(_rows(_LEVELS), (self.table, json.dumps(checksums([key])))).fetchall()
        ]

    def differs(self, connection: sqlite3.Connection, rows: Iterable[tuple[Key, int]]) -> bool:
        """Say whether these, all rows of the table, are others than those in the index, by sums over both."""
        count = total = products = 0
        for key, row in rows:
            (checksum,) = checksums([key])
            count += 1
            total += checksum
            products += checksum * row % _PRIME
        found = [0, 0, 0]
        sums = f"count(*), ifnull(sum(checksum), 0), ifnull(sum(checksum * {ORDER} % {_PRIME}), 0)"
        for level in _LEVELS:
            query = f"SELECT {sums} FROM {level} WHERE table_number = ?"
            found = [*map(add, found, connection.execute(query, (self.table,)).fetchone())]
        return found != [count, total, products]


def _used_levels(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return the levels that have anything, of any table, and the first."""
    asked = ", ".join(f"EXISTS (SELECT 1 FROM {level})" for level in _LEVELS[1:])
    return (_LEVELS[0], *compress(_LEVELS[1:], connection.execute(f"SELECT {asked}").fetchone()))


@cache
def _rows(levels: tuple[str, ...]) -> str:
    """Return the query for the rows that levels have of the checksums in a list, which is JSON."""
    return " UNION ALL ".join(
        f"SELECT {ORDER} FROM json_each(?2) CROSS JOIN {level} ON table_number = ?1 AND checksum = value"
        for level in levels
    )


def checksums(keys: Iterable[Key]) -> list[int]:
    """Return the checksums by which keys are found."""
    return [crc32(key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")) for key in keys]
