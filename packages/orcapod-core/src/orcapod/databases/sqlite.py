"""``SQLiteDatabase``: records in one file, which any SQLite shell can read.

One SQL table per path, named by the path joined with "/"; its columns in the order they came, after
``_row``, the order of the rows. The tables ``_orcapod_paths`` and ``_orcapod_format`` say which table holds which
path under which Arrow schema, and by which version of orcapod the file can be read; ``_orcapod_keys_0`` and the like
are the index of all keys.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import Expression, pc
from orcapod.databases.contract import (
    checked_ids,
    checked_table,
    chosen_columns,
    filtered,
    merged_schema,
    named_columns,
)
from orcapod.databases.sql import (
    Layout,
    damaged_catalog,
    path_of_text,
    rows_of,
    sql_column,
    table_of,
)
from orcapod.databases.sqlite_check import find_damage
from orcapod.databases.sqlite_file import SQLiteFile, open_file
from orcapod.databases.sqlite_keys import ORDER
from orcapod.databases.sqlite_table import SQLiteTable, quoted
from orcapod.databases.sqlite_views import answer, outdated_views, place_views
from orcapod.databases.view import DatabaseView, checked_config
from orcapod.display import discreet, shown
from orcapod.errors import DamagedRecordError, DatabaseError, RecordTooLargeError
from orcapod.protocols import Database, NodeView, TableSize
from orcapod.protocols.database import Key, OnConflict, RecordPath

__all__ = ["SQLiteDatabase"]

_ROWS_AT_ONCE = 1_024
_SCANNED_BYTES = 4 << 20
_SCANNED_ROWS = 2_000  # more Python objects than theirs leave the processor's cache
_MANY_ROWS = 100
_LONGEST_LITERAL = 1000
_NUMBER_BYTES = 9
_NAMED = "an SQLite store"


class SQLiteDatabase(DatabaseView[SQLiteFile]):
    """A store in one SQLite file.

    Any number of threads and processes on one machine may use the file at the same time; not over a
    network file system. All views share one connection: closing any of them closes all.

    A file that may only be read (an archive, somebody else's folder, a read-only mount) is read, and each write
    to it is refused.

    Args:
        path: the file; it and the folders above it are made by the first write, or the first run, if they are not
            there, and read as an empty store until then.

    Raises:
        StoreVersionError: a newer or an older version of orcapod wrote the file.
        DatabaseError: the file cannot be opened, or is not one of orcapod's.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = Checks("SQLiteDatabase", DatabaseError).file("path", path)
        super().__init__(open_file(Path(given).expanduser().absolute()))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the store of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
        scheme, _, path = Checks("SQLiteDatabase", DatabaseError).text("the URL", url).partition(":///")
        if scheme != "sqlite" or not path:
            raise DatabaseError(f"expected sqlite:///relative.db or sqlite:////absolute.db, found {discreet(url)}")
        if "?" in path:
            raise DatabaseError(
                f"expected no options, found {discreet(url)}; a file of such a name can be opened by its path"
            )
        return cls(path)

    @property
    def max_record_bytes(self) -> int:
        """The bytes of the largest record: of its values, and a few for each of them."""
        return self._shared.max_record_bytes

    @property
    def files_folder(self) -> Path | None:
        """The folder for files that functions make: ``lab.db.files`` beside ``lab.db``."""
        return self._shared.path.with_name(f"{self._shared.path.name}.files")

    def check_writable(self) -> None:
        """Check that the file may be written to.

        Raises:
            ReadOnlyStoreError: it may not; says why.
        """
        self._shared.check_writable()

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Add the rows whose keys are not there yet, in one transaction; return how many were added."""
        path = self._absolute(path)
        table = checked_table(path, table, on_conflict)
        _check_values(path, table, self.max_record_bytes)
        literals = {name: text for name in table.column_names[1:] if (text := _literal(table.column(name)))}
        rows = rows_of(path, table.drop_columns(list(literals)))
        with self._shared.transaction(write=bool(rows)) as connection:
            found = self._table(connection, path)
            schema = merged_schema(path, None if found is None else found.layout.schema, table.schema)
            if not rows:
                return 0
            if found is None:
                found = SQLiteTable.create(connection, path, schema)
            elif found.layout.schema != schema:
                found = found.extended(connection, schema)
            values = [literals.get(name, "?") for name in table.column_names]
            try:
                columns = found.layout.named(table.column_names)
                return found.insert(connection, columns, values, rows, on_conflict, self._shared.absent(found.number))
            except (sqlite3.DataError, OverflowError):  # the latter for values that no int of C counts
                names = [name for name in table.column_names if name not in literals]
                _check_sizes(path, names, rows, self._shared.max_record_bytes)
                raise

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records of these keys that are there; a table of no columns for an unknown path."""
        path, wanted = self._absolute(path), checked_ids(ids)
        with self._shared.transaction(write=False) as connection:
            found = self._table(connection, path)
            if found is None:
                return pa.table({})
            names = chosen_columns(path, found.layout.schema, columns)
            records = table_of(
                pa.schema([found.layout.schema.field(name) for name in names]),
                found.rows_of_keys(connection, wanted, found.layout.named(names)),
                where=self._named(path),
            )
            if not records.num_rows:  # what is not there is added next
                self._shared.note_absent(found.number, wanted)
            return records

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: Expression | None = None
    ) -> pa.Table:
        """Return all records of a path in the order added; a table of no columns for an unknown path."""
        path = self._absolute(path)
        with self._shared.transaction(write=False) as connection:
            found = self._table(connection, path)
            if found is None:
                return pa.table({})
            schema = found.layout.schema
            names = chosen_columns(path, schema, columns)
            needed = [] if where is None else named_columns(path, schema, where)
            read = list(dict.fromkeys([*names, *needed]))
            cursor = connection.execute(f"{found.select(found.layout.named(read))} ORDER BY {ORDER}")
            table = table_of(
                pa.schema([schema.field(name) for name in read]),
                iter(lambda: cursor.fetchmany(_ROWS_AT_ONCE), []),
                where=self._named(path),
            )
        return table if where is None else filtered(table, where).select(names)

    def find_records(
        self, path: RecordPath, values: Mapping[str, pa.Array[Any]], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records in which these columns have one of these values, in the order added."""
        path = self._absolute(path)
        with self._shared.transaction(write=False) as connection:
            found = self._table(connection, path)
            if found is None:
                return pa.table({})
            schema = found.layout.schema
            chosen_columns(path, schema, list(values))
            names = chosen_columns(path, schema, columns)
            parameters = [value for some in values.values() for value in sql_column(some.type).to_sql(some)]
            conditions = [
                f"{quoted(name)} IN ({', '.join('?' * len(some))})"
                for name, some in zip(found.layout.named(values), values.values(), strict=True)
            ]
            condition = " AND ".join(conditions) or "TRUE"
            select = f"{found.select(found.layout.named(names))} WHERE {condition} ORDER BY {ORDER}"
            cursor = connection.execute(select, parameters)
            return table_of(
                pa.schema([schema.field(name) for name in names]),
                iter(lambda: cursor.fetchmany(_ROWS_AT_ONCE), []),
                where=self._named(path),
            )

    def scan_records(self, path: RecordPath) -> Iterator[pa.Table]:
        """Give all records of a path in the order added, a few megabytes in each transaction.

        Raises:
            DamagedRecordError: the next cannot be read, or are in no order.
        """
        path, last = self._absolute(path), -(1 << 63)
        while True:
            with self._shared.transaction(write=False) as connection:
                found = self._table(connection, path)
                if found is None:
                    return
                layout = found.layout
                columns = ", ".join([*map(quoted, layout.columns), ORDER, _row_bytes(layout)])
                select = f"SELECT {columns} FROM {found.name} WHERE {ORDER} > ? ORDER BY {ORDER}"
                schema = layout.schema.append(pa.field(ORDER, pa.int64()))
                table = table_of(schema, _scanned(connection.execute(select, [last])), where=self._named(path))
            if not table.num_rows:
                return
            before, last = last, table.column(-1)[-1].as_py()
            if last <= before:
                raise DamagedRecordError(f"{self._named(path)}: found the row {last} after the row {before}")
            yield table.select(range(len(layout.schema)))

    def list_paths(self) -> list[RecordPath]:
        """Return the paths that hold records below this view's prefix, relative to it, sorted."""
        with self._shared.transaction(write=False) as connection:
            rows = connection.execute("SELECT path, table_name FROM _orcapod_paths").fetchall()
            return self._relative(
                path
                for path, name in ((self._path(text), name) for text, name in rows)
                if self._is_below(path)
                and connection.execute(f"SELECT EXISTS (SELECT 1 FROM {quoted(name)})").fetchone()[0]
            )

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Remove the records of these keys; return how many were there."""
        path, unwanted = self._absolute(path), checked_ids(ids)
        with self._shared.transaction(write=True) as connection:
            found = self._table(connection, path)
            if found is None:
                return 0
            return found.delete(connection, unwanted)

    def table_sizes(self) -> list[TableSize]:
        """Return the sizes of all tables of this view: about what their values take in the file, without indexes."""
        with self._shared.transaction(write=False) as connection:
            sizes = []
            for (text,) in connection.execute("SELECT path FROM _orcapod_paths").fetchall():
                path = self._path(text)
                if self._is_below(path) and (found := self._table(connection, path)):
                    query = f"SELECT count(*), CAST(total({_row_bytes(found.layout)}) AS INTEGER) FROM {found.name}"
                    rows, size = connection.execute(query).fetchone()
                    if rows:
                        sizes.append(TableSize(path[len(self._prefix) :], rows, size))
            return sizes

    def reclaim(self) -> None:
        """Write the file anew without what was deleted, and empty its log; who reads it meanwhile reads on.

        It takes as much room beside the file for a while, and as long as nobody else may write.

        Raises:
            DatabaseError: there is no room, or somebody has been writing for half a minute.
        """
        self._shared.vacuum()

    def place_view(self, view: NodeView, results: Database) -> None:
        """Show the rows of a node under its name, in one transaction, if they are not shown yet."""
        pipeline, below = self._absolute_below(view.pipeline), None
        if isinstance(results, SQLiteDatabase) and results._shared is self._shared:
            below = results._prefix
        with self._shared.transaction(write=False) as connection:
            is_shown = not outdated_views(connection, view, pipeline, below, self._table)
        if not is_shown:
            with self._shared.transaction(write=True) as connection:
                place_views(connection, view, pipeline, below, self._table)

    def query(self, statement: str, views: Sequence[NodeView]) -> pa.Table:
        """Return the answer to an SQL statement that reads; a list or a struct in it is JSON.

        Raises:
            DatabaseError: SQLite does not understand it, or it would do more than read.
        """
        named = [(view, self._absolute_below(view.pipeline)) for view in views]
        try:
            with closing(self._shared.open_again()) as connection:
                return answer(connection, statement, named, self._prefix, self._table)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise DatabaseError(
                f"{self._shared.path}: {error}; expected one SELECT of SQLite's, which reads tables of the store and "
                f"the views of its nodes, found {shown(statement)}",
                found=shown(statement),
            ) from error

    def _absolute_below(self, pipeline: RecordPath) -> RecordPath:
        return self._absolute(pipeline) if pipeline else self._prefix

    def find_damage(self) -> Iterator[tuple[RecordPath, str]]:
        """Give what is wrong with the file beside its records, with the path of the table where it is one's."""
        with closing(self._shared.open_again()) as connection:
            for path, why in find_damage(connection):
                if not path or self._is_below(path):
                    yield path[len(self._prefix) :], why

    def rebuild_indexes(self) -> None:
        """Make the indexes of the file anew, of the records that it holds."""
        with self._shared.transaction(write=True) as connection:
            for (text,) in connection.execute("SELECT path FROM _orcapod_paths").fetchall():
                if table := self._table(connection, self._path(text)):
                    table.rebuild_index(connection)

    def flush(self) -> None:
        """Check that the file is still at its path: every ``add_records`` is a transaction of its own.

        Raises:
            DatabaseError: it was deleted or replaced.
        """
        self._shared.check_in_place()

    def close(self) -> None:
        """Let go of the file, for all views; closing twice is fine.

        Raises:
            DatabaseError: it was deleted or replaced.
        """
        self._shared.close()

    def to_config(self) -> Mapping[str, object]:
        """Return where the file is, and the prefix of this view."""
        return {"type": "sqlite", "path": str(self._shared.path), "prefix": list(self._prefix)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the view that ``to_config`` described."""
        given, prefix = checked_config(config)
        return cls(given.get("path", "")).at(*prefix)

    def _arguments(self) -> tuple[str, ...]:
        return (repr(str(self._shared.path)),)

    def _named(self, path: RecordPath) -> str:
        return f"{self._shared.path}, table {'/'.join(path)}"

    def _table(self, connection: sqlite3.Connection, path: RecordPath) -> SQLiteTable | None:
        """Return the table of a path, None if there is none.

        Raises:
            DatabaseError: the catalog is damaged.
        """
        try:
            return SQLiteTable.find(connection, path)
        except ValueError as error:
            raise damaged_catalog(self._named(path), "_orcapod_paths", error) from error

    def _path(self, text: str) -> RecordPath:
        try:
            return path_of_text(text)
        except ValueError as error:
            raise damaged_catalog(f"{self._shared.path}: {shown(text)}", "_orcapod_paths", error) from error


def _row_bytes(layout: Layout) -> str:
    """Return the bytes of a row, about, as SQL: what a text or bytes have is known before they are read."""
    sizes = [str(_NUMBER_BYTES * len(layout.columns))]
    for name, field in zip(layout.columns, layout.schema, strict=True):
        match sql_column(field.type).type:
            case "bytes":
                sizes.append(f"ifnull(length({quoted(name)}), 0)")
            case "text" | "json":
                sizes.append(f"ifnull(length(CAST({quoted(name)} AS BLOB)), 0)")  # length counts what is before a NUL
    return " + ".join(sizes)


def _scanned(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Give rows of as many bytes as are read at once, some at a time; their last column counts them."""
    some, size = [], 0
    for row in rows:
        some.append(row)
        size += row[-1]
        if size > _SCANNED_BYTES:
            break
        if len(some) == _SCANNED_ROWS:
            yield some
            some = []
    yield some


def _literal(column: pa.ChunkedArray[Any]) -> str | None:
    """Return what stands in all rows of a column, as SQL, if it is the same and short; else None.

    Binding a value takes longer than all the rest of storing it, and half of the columns of logs are of this kind.
    """
    type_ = column.type
    if len(column) < _MANY_ROWS or isinstance(type_, pa.DictionaryType | pa.RunEndEncodedType | pa.BaseExtensionType):
        return None
    if sql_column(type_).type not in ("text", "integer", "boolean"):
        return None
    if column.null_count:
        return "NULL" if column.null_count == len(column) else None
    first, last = column[0], column[-1]
    if first != last or any(not pc.all(pc.equal(chunk, first), min_count=0).as_py() for chunk in column.chunks):
        return None
    (value,) = sql_column(type_).to_sql(next(chunk for chunk in column.chunks if len(chunk)).slice(0, 1))
    if isinstance(value, str):
        return None if "\0" in value or len(value) > _LONGEST_LITERAL else "'" + value.replace("'", "''") + "'"
    return str(int(value))


def _check_values(path: RecordPath, table: pa.Table, limit: int) -> None:
    """Check that no text and no bytes are larger than any record, before they are copied for SQLite to refuse them.

    Raises:
        RecordTooLargeError: there are such.
    """
    if table.nbytes <= limit:
        return
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_large_binary(column.type) or pa.types.is_large_string(column.type):
            longest = pc.max(pc.binary_length(column)).as_py() or 0
            if longest > limit:
                raise RecordTooLargeError.of(path, name, longest, limit, _NAMED)


def _check_sizes(path: RecordPath, names: Sequence[str], rows: Sequence[Sequence[Any]], limit: int) -> None:
    """Check that SQLite takes rows as large as these.

    Raises:
        RecordTooLargeError: one of them is larger.
    """
    for row in rows:
        sizes = [_stored_bytes(value) for value in row]
        if sum(sizes) > limit:
            column = names[sizes.index(max(sizes))]
            raise RecordTooLargeError.of(path, column, sum(sizes), limit, _NAMED)


def _stored_bytes(value: Any) -> int:
    """Return how many bytes of a record a value takes: its own, and those that tell its type and length."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    if not isinstance(value, bytes):
        return _NUMBER_BYTES
    return len(value) + max(1, -(-(2 * len(value) + 13).bit_length() // 7))
