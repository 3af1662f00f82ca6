"""``SQLiteTable``: the table of one path in an SQLite file, whose rows are found by their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.databases.contract import duplicate_key
from orcapod.databases.sql import Layout, SQLType, free_identifier, path_text, sql_column
from orcapod.databases.sqlite_keys import ORDER, KeyIndex, checksums
from orcapod.errors import RecordSchemaError
from orcapod.protocols.database import Key, OnConflict, RecordPath

__all__ = ["SQLiteTable", "quoted"]

_Parameters = Sequence[Any] | Mapping[str, Any]
_KEYS_AT_ONCE = 30_000
_MANY_KEYS, _SAMPLED, _LOOSEST = 64, 16, 1.25
_DECLARED: dict[SQLType, str] = {
    "boolean": "INTEGER",
    "integer": "INTEGER",
    "real": "",  # declared REAL, SQLite would keep -0.0 as the integer 0
    "text": "TEXT",
    "json": "TEXT",
    "bytes": "BLOB",
}


@dataclass(frozen=True, slots=True)
class SQLiteTable:
    """Table of one path. Its key is text, which begins with a time or a name: a constraint of SQLite's own finds it.

    Every change is made in a transaction of the caller's.

    Attributes:
        path: whose records it has.
        number: what it is called in the index of keys.
        layout: its columns.
    """

    path: RecordPath
    number: int
    layout: Layout

    @staticmethod
    def find(connection: sqlite3.Connection, path: RecordPath) -> SQLiteTable | None:
        """Return the table of a path, None if there is none.

        Raises:
            ValueError: the catalog is damaged.
        """
        query = "SELECT number, table_name, arrow_schema, columns FROM _orcapod_paths WHERE path = ?"
        row = connection.execute(query, (path_text(path),)).fetchone()
        return None if row is None else _table(path, row[0], Layout.from_catalog(*row[1:]))

    @staticmethod
    def create(connection: sqlite3.Connection, path: RecordPath, schema: pa.Schema) -> SQLiteTable:
        """Create the table of a path.

        Raises:
            RecordSchemaError: it has more columns than SQLite holds.
        """
        taken = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
        wanted = "/".join(path)
        name = free_identifier("_" + wanted if wanted.casefold().startswith("sqlite_") else wanted, taken)
        layout = Layout(name, schema, ()).extended(schema, taken=[ORDER])
        _check_width(connection, path, layout)
        insert = "INSERT INTO _orcapod_paths (path, table_name, arrow_schema, columns) VALUES (?, ?, ?, ?)"
        number = connection.execute(insert, (path_text(path), *layout.to_catalog())).lastrowid
        assert number is not None
        table = _table(path, number, layout)
        key, *others = (_definition(name, field) for name, field in zip(layout.columns, schema, strict=True))
        columns = ", ".join([f"{ORDER} INTEGER PRIMARY KEY", f"{key} {table.key_constraint}", *others])
        connection.execute(f"CREATE TABLE {table.name} ({columns})")
        return table

    def extended(self, connection: sqlite3.Connection, schema: pa.Schema) -> SQLiteTable:
        """Return this table with the further columns of ``schema``, which it is given.

        Raises:
            RecordSchemaError: it has more columns than SQLite holds.
        """
        layout = self.layout.extended(schema, taken=[ORDER])
        _check_width(connection, self.path, layout)
        old = len(self.layout.columns)
        for name, field in zip(layout.columns[old:], list(schema)[old:], strict=True):
            connection.execute(f"ALTER TABLE {self.name} ADD COLUMN {_definition(name, field)}")
        connection.execute(
            "UPDATE _orcapod_paths SET table_name = ?, arrow_schema = ?, columns = ? WHERE path = ?",
            (*layout.to_catalog(), path_text(self.path)),
        )
        return _table(self.path, self.number, layout)

    @property
    def name(self) -> str:
        """Its name, as SQL writes it."""
        return quoted(self.layout.table)

    @property
    def key_constraint(self) -> str:
        """What is declared of the key."""
        return "NOT NULL UNIQUE"

    def select(self, columns: Sequence[str]) -> str:
        """Return the statement that reads these columns, given as they are called in SQL."""
        return f"SELECT {', '.join(map(quoted, columns))} FROM {self.name}"

    def insert(
        self,
        connection: sqlite3.Connection,
        columns: Sequence[str],
        values: Sequence[str],
        rows: list[tuple[Any, ...]],
        on_conflict: OnConflict,
        absent: set[Key],
    ) -> int:
        """Insert the rows whose keys are not there; return how many they were.

        Args:
            connection: in a transaction.
            columns: what is inserted, as it is called in SQL; the key first.
            values: of each column, what SQL inserts: a ``?``, or what is the same in all rows.
            rows: what the ``?`` stand for; the keys first.
            on_conflict: what to do with rows whose key is there, or twice among them.
            absent: keys that are known not to be there; those that are inserted are taken out.

        Raises:
            DuplicateKeyError: there are such, and they are not to be skipped.
            sqlite3.Error: SQLite does not take a value.
            OverflowError: likewise.
        """
        skip = f" ON CONFLICT ({quoted(columns[0])}) DO NOTHING" if on_conflict == "skip" else ""
        before = connection.total_changes
        try:
            connection.executemany(self._insertion(columns, values) + skip, rows)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            raise duplicate_key(self.path, rows[connection.total_changes - before][0]) from None
        return connection.total_changes - before

    def rows_of_keys(
        self, connection: sqlite3.Connection, keys: Sequence[Key], columns: Sequence[str]
    ) -> Iterator[list[tuple[Any, ...]]]:
        """Give the rows of these keys that are there, some at a time; the first of the columns is the key."""
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            yield self._rows_of(connection, keys[start : start + _KEYS_AT_ONCE], columns)

    def _rows_of(
        self, connection: sqlite3.Connection, keys: Sequence[Key], columns: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        wanted = {*keys}
        condition, parameters = self._condition(connection, wanted)
        rows = connection.execute(f"{self.select(columns)} WHERE {condition}", parameters)
        return [row for row in rows if row[0] in wanted]

    def delete(self, connection: sqlite3.Connection, keys: Sequence[Key]) -> int:
        """Delete the rows of these keys; return how many there were."""
        columns = [self.layout.columns[0], ORDER]
        rows = [row for some in self.rows_of_keys(connection, keys, columns) for row in some]
        connection.executemany(f"DELETE FROM {self.name} WHERE {ORDER} = ?", [(row,) for _, row in rows])
        self._forget(connection, rows)
        return len(rows)

    def find_damage(self, connection: sqlite3.Connection) -> Iterator[str]:
        """Give what is wrong with the table itself; SQLite checks its own constraints.

        Raises:
            sqlite3.Error: it cannot be read; or another error, of what is no key.
        """
        found = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", [self.layout.table])]
        if found != (expected := [ORDER, *self.layout.columns]):
            yield f"it has the columns {found}, and by its catalog {expected}"

    def rebuild_index(self, connection: sqlite3.Connection) -> None:
        """Make anew what finds the rows by their keys."""
        connection.execute(f"REINDEX {self.name}")

    def row_of(self, value: str) -> str:
        """Return the SQL for the number of the row whose key is a value, given as SQL; null if there is none."""
        return f"({self.select([ORDER])} WHERE {quoted(self.layout.columns[0])} = {value})"

    def _insertion(self, columns: Sequence[str], values: Sequence[str]) -> str:
        return f"INSERT INTO {self.name} ({', '.join(map(quoted, columns))}) VALUES ({', '.join(values)})"

    def _forget(self, connection: sqlite3.Connection, rows: Sequence[tuple[Key, int]]) -> None:
        """Take it that rows are gone, given by keys and numbers."""

    def _condition(self, connection: sqlite3.Connection, keys: set[Key]) -> tuple[str, _Parameters]:
        """Return a condition that the rows of these keys fulfil, and few others; and its parameters."""
        texts = sorted(key for key in keys if isinstance(key, str))  # SQLite finds them faster in order
        return f"{quoted(self.layout.columns[0])} IN ({', '.join('?' * len(texts))})", texts


class _HashedTable(SQLiteTable):
    """Table whose key is bytes: a hash, as a rule, so that only an index of our own is fast where there are many."""

    __slots__ = ()

    @property
    def key_constraint(self) -> str:
        return "NOT NULL"

    @property
    def _index(self) -> KeyIndex:
        return KeyIndex(self.number)

    def insert(
        self,
        connection: sqlite3.Connection,
        columns: Sequence[str],
        values: Sequence[str],
        rows: list[tuple[Any, ...]],
        on_conflict: OnConflict,
        absent: set[Key],
    ) -> int:
        keys = [row[0] for row in rows]
        distinct = {*keys}
        sums = checksums(keys)
        there = set() if distinct <= absent else self._there(connection, distinct, sums)
        absent -= distinct
        if there or len(distinct) < len(keys):
            rows = self._new_rows(rows, there, on_conflict)
            sums = checksums([row[0] for row in rows])
        connection.executemany(self._insertion(columns, values), rows)
        if rows:
            (last,) = connection.execute("SELECT last_insert_rowid()").fetchone()
            self._index.add(connection, sums, last - len(rows) + 1)
        return len(rows)

    def _rows_of(
        self, connection: sqlite3.Connection, keys: Sequence[Key], columns: Sequence[str]
    ) -> list[tuple[Any, ...]]:
        # What was added together is mostly asked for together: then it is read in one go, without the index.
        rows: list[tuple[Any, ...]] = []
        if len(keys) >= _MANY_KEYS:
            key = self.layout.columns[0]
            some = [*keys[:: len(keys) // _SAMPLED], keys[-1]]
            sample = [row for _, row in super()._rows_of(connection, some, [key, ORDER])]
            if sample and max(sample) - min(sample) <= _LOOSEST * len(keys):
                wanted, select = {*keys}, f"{self.select(columns)} WHERE {ORDER} BETWEEN ? AND ?"
                rows = [row for row in connection.execute(select, (min(sample), max(sample))) if row[0] in wanted]
                keys = [*wanted.difference(row[0] for row in rows)]
        return [*rows, *super()._rows_of(connection, keys, columns)] if keys else rows

    def _there(self, connection: sqlite3.Connection, keys: set[Key], sums: Sequence[str]) -> set[Key]:
        """Return those of these keys that are there, given with their checksums."""
        condition, parameters = self._index.condition(connection, sums)
        alike = connection.execute(f"{self.select(self.layout.columns[:1])} WHERE {condition}", parameters)
        return keys.intersection(key for (key,) in alike)

    def _new_rows(
        self, rows: Sequence[tuple[Any, ...]], there: set[Key], on_conflict: OnConflict
    ) -> list[tuple[Any, ...]]:
        """Return the rows whose keys are not there, each key once."""
        new: dict[Key, tuple[Any, ...]] = {}
        for row in rows:
            if row[0] not in there and row[0] not in new:
                new[row[0]] = row
            elif on_conflict == "raise":
                raise duplicate_key(self.path, row[0])
        return list(new.values())

    def _forget(self, connection: sqlite3.Connection, rows: Sequence[tuple[Key, int]]) -> None:
        self._index.remove(connection, rows)

    def find_damage(self, connection: sqlite3.Connection) -> Iterator[str]:
        yield from super().find_damage(connection)
        if unfound := self._index.unfound(connection, self.name, quoted(self.layout.columns[0])):
            first = unfound[0].hex() if isinstance(unfound[0], bytes) else repr(unfound[0])
            yield (
                f"{len(unfound)} of its records, {first} the first, are not found by their keys: the index of keys is "
                "damaged; verify_store(..., repair=True) makes it anew"
            )

    def rebuild_index(self, connection: sqlite3.Connection) -> None:
        self._index.rebuild(connection, self.name, quoted(self.layout.columns[0]))

    def row_of(self, value: str) -> str:
        return self._index.row_of(value, self.name, quoted(self.layout.columns[0]))

    def _condition(self, connection: sqlite3.Connection, keys: set[Key]) -> tuple[str, _Parameters]:
        return self._index.condition(connection, checksums(keys))


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _table(path: RecordPath, number: int, layout: Layout) -> SQLiteTable:
    is_text = sql_column(layout.schema.field(0).type).type == "text"
    return (SQLiteTable if is_text else _HashedTable)(path, number, layout)


def _check_width(connection: sqlite3.Connection, path: RecordPath, layout: Layout) -> None:
    limit = connection.getlimit(sqlite3.SQLITE_LIMIT_COLUMN) - 1  # one is _row
    if len(layout.columns) > limit:
        raise RecordSchemaError(
            f"{'/'.join(path)}: expected at most {limit} columns, which is what SQLite holds, "
            f"found {len(layout.columns)}; put some together in a struct or a list"
        )


def _definition(name: str, field: pa.Field[Any]) -> str:
    return f"{quoted(name)} {_DECLARED[sql_column(field.type).type]}".rstrip()
