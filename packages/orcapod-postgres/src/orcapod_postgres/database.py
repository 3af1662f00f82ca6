"""``PostgresDatabase``: records in a schema of a PostgreSQL database, which any SQL tool can read.

One table per path, named by the path joined with "/" and shortened where that is too long; its columns in the order
they came, after ``_row``, the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composed

from orcapod.checks import MOST_AT_ONCE, Checks
from orcapod.databases import (
    DatabaseView,
    Layout,
    checked_config,
    checked_ids,
    checked_table,
    chosen_columns,
    duplicate_key,
    filtered,
    merged_schema,
    named_columns,
    table_of,
)
from orcapod.errors import DatabaseError, RecordSchemaError
from orcapod.protocols import Database, Key, NodeView, OnConflict, RecordPath, TableSize
from orcapod_postgres.catalog import ORDER, Catalog, row_bytes
from orcapod_postgres.conninfo import checked_conninfo, connection_parameters, split_url, without_secrets
from orcapod_postgres.insertion import equal_count, insertion
from orcapod_postgres.node_views import answer, are_current, place_views
from orcapod_postgres.pg_columns import pg_column, pg_columns
from orcapod_postgres.portions import MAX_RECORD_BYTES, counted, portions, sent
from orcapod_postgres.retrying_pool import RetryingPool, transaction
from orcapod_postgres.statements import all_among, among, quoted, statement

__all__ = ["PostgresDatabase"]

_SCHEMA = "orcapod"
_ROWS_AT_ONCE = 65_536
_SCANNED_ROWS, _SCANNED_BYTES = 2_000, 4 << 20
_TABLES_AT_ONCE = 200

# Rows are read by their place in the table, of which there is no index to be damaged. Without these settings they come
# from the middle of it on, if somebody else reads them just now, or from several places at once.
_AS_THEY_LIE = (
    "SELECT set_config('synchronize_seqscans', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"
)
_END_OF_PORTION = (
    "SELECT ctid::text FROM (SELECT ctid, sum(size) OVER (ROWS UNBOUNDED PRECEDING) - size AS before FROM"
    f" (SELECT ctid, {{}} AS size FROM {{}} WHERE ctid > %s::tid LIMIT {_SCANNED_ROWS}) AS portion) AS summed"
    f" WHERE before < {_SCANNED_BYTES} ORDER BY ctid DESC LIMIT 1"
)

_ASKED = "expected one SELECT of PostgreSQL's, which reads tables of the store and the views of its nodes"


@dataclass(frozen=True, slots=True)
class _Server:
    """State that all views of one store share.

    Attributes:
        parameters: how to connect, as the user said it.
        options: further arguments of the store.
        pool: the connections.
        catalog: which table stores which path.
    """

    parameters: dict[str, Any]
    options: dict[str, Any]
    pool: RetryingPool
    catalog: Catalog


class PostgresDatabase(DatabaseView[_Server]):
    """A store in one schema of a PostgreSQL database, version 13 or newer.

    Any number of threads, processes and machines may use it at the same time. All views share one pool of
    connections: closing any of them closes all. A call during which the connection breaks or the server
    restarts is made again for half a minute; each write is there once, or not at all if it raises.

    Args:
        conninfo: a URL or a ``key=value`` string with any parameters that libpq knows, those of TLS among them; what
            it leaves out, and all if None, comes from ``PGHOST``, ``PGPASSWORD`` and libpq's other sources.
        schema: the schema in which tables are made; it is created if it is not there.
        pool_size: how many threads can use the store at the same time; further ones wait.
        statement_timeout: seconds that one statement may take; None for what the server says.

    Raises:
        StoreVersionError: a newer or an older version of orcapod wrote the schema.
        DatabaseError: the server cannot be reached, or the schema cannot be used.
    """

    def __init__(
        self,
        conninfo: str | None = None,
        *,
        schema: str = _SCHEMA,
        pool_size: int = 4,
        statement_timeout: float | None = None,
    ) -> None:
        check = Checks("PostgresDatabase", DatabaseError)
        check.text("schema", schema)
        check.count("pool_size", pool_size, least=1, most=MOST_AT_ONCE)
        if statement_timeout is not None:
            check.seconds("statement_timeout", statement_timeout, also=", or None")
        parameters = connection_parameters(conninfo)
        options = {"pool_size": pool_size, "statement_timeout": statement_timeout}
        pool = RetryingPool(parameters, pool_size=pool_size, statement_timeout=statement_timeout)
        try:
            catalog = Catalog(schema, pool.database)
            if not pool.read(catalog.ready):
                pool.write(lambda connection, _: catalog.set_up(connection))
        except BaseException:
            pool.close()
            raise
        super().__init__(_Server(parameters, options, pool, catalog))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the store of ``postgresql://user@host:5432/dbname``; ``?schema=lab`` chooses the schema."""
        conninfo, schema = split_url(checked_conninfo(url))
        return cls(conninfo) if schema is None else cls(conninfo, schema=schema)

    @classmethod
    def check_existing(cls, location: str | Mapping[str, Any]) -> None:
        """Check that there is a store where a URL or a configuration says, and make nothing.

        Raises:
            DatabaseError: there is none, or the server cannot be reached.
        """
        conninfo: str | None
        if isinstance(location, str):
            conninfo, schema = split_url(checked_conninfo(location))
        else:
            conninfo, schema = location.get("conninfo"), location.get("schema")
        name = Checks(cls.__name__, DatabaseError).text("schema", _SCHEMA if schema is None else schema)
        pool = RetryingPool(connection_parameters(conninfo), pool_size=1, statement_timeout=None)
        try:
            pool.read(Catalog(name, pool.database).check_existing)
        finally:
            pool.close()

    @property
    def max_record_bytes(self) -> int:
        """The bytes of the largest record: of its values in PostgreSQL's binary format."""
        return MAX_RECORD_BYTES

    def check_writable(self) -> None:
        """Check that the server takes writes, and this user may make them.

        Raises:
            ReadOnlyStoreError: it does not, or may not; says which.
        """
        self._pool.read(self._catalog.check_writable)

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Add the rows whose keys are not there yet, in one transaction; return how many were added."""
        path = self._absolute(path)
        table = checked_table(path, table, on_conflict)
        pg_types = pg_columns(path, table.schema)

        def check(connection: Connection[Any]) -> None:
            layout = self._catalog.layout(connection, path)
            merged_schema(path, None if layout is None else layout.schema, table.schema)

        def add(connection: Connection[Any], before: int | None) -> int:
            layout = self._catalog.layout(connection, path)
            if layout is None or merged_schema(path, layout.schema, table.schema) is not layout.schema:
                layout = self._catalog.fitted(connection, path, table.schema)
                merged_schema(path, layout.schema, table.schema)
            names = tuple(layout.named(table.column_names))
            declared = tuple(pg_type.declared for pg_type in pg_types)
            skips = on_conflict == "skip" or before is not None
            insert = insertion(self._catalog.schema, layout.table, names, declared, skips=skips)
            try:
                added = sum(sent(connection, insert, packed) for packed in portions(path, table, pg_types))
                if before is None:
                    return added
                count = equal_count(self._catalog.schema, layout.table, names, declared)
                equal = sum(counted(connection, count, packed) for packed in portions(path, table, pg_types))
                if on_conflict == "raise" and equal < table.num_rows:
                    raise _KeyThereError
                return min(before, equal)
            except psycopg.errors.UniqueViolation:
                raise _KeyThereError from None
            except psycopg.errors.ProgramLimitExceeded as error:
                raise RecordSchemaError(
                    f"{'/'.join(path)}: expected rows that PostgreSQL has room for, found {str(error).strip()}; "
                    "nothing of this call was written; put some columns together in a struct or a list, and keep "
                    "keys short"
                ) from error

        if not table.num_rows:
            self._pool.read(check)
            return 0
        try:
            return self._pool.write(add, otherwise=f"nothing of this call was written to {'/'.join(path)}")
        except _KeyThereError:
            raise duplicate_key(path, self._first_duplicate(path, table.column(0))) from None

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records of these keys that are there; a table of no columns for an unknown path."""
        path, wanted = self._absolute(path), checked_ids(ids)

        def read(connection: Connection[Any]) -> pa.Table:
            layout = self._catalog.layout(connection, path)
            if layout is None:
                return pa.table({})
            names = chosen_columns(path, layout.schema, columns)
            condition, packed = among(layout, wanted)
            select = self._select(layout, names, condition)
            with connection.cursor(binary=True) as cursor:
                answers = (cursor.execute(select, [some]).fetchall() for some in packed)
                return _table(layout, names, (rows for rows in answers if rows), self._named(path))

        return self._pool.read(read, table="/".join(path))

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: pc.Expression | None = None
    ) -> pa.Table:
        """Return all records of a path in the order added; a table of no columns for an unknown path."""
        path = self._absolute(path)

        def read(connection: Connection[Any]) -> pa.Table:
            layout = self._catalog.layout(connection, path)
            if layout is None:
                return pa.table({})
            names = chosen_columns(path, layout.schema, columns)
            needed = [] if where is None else named_columns(path, layout.schema, where)
            wanted = list(dict.fromkeys([*names, *needed]))
            order = statement(" ORDER BY {}", quoted(ORDER))
            with transaction(connection), connection.cursor("records", binary=True) as cursor:
                cursor.execute(self._select(layout, wanted, order), ())
                batches = iter(lambda: cursor.fetchmany(_ROWS_AT_ONCE), [])
                table = _table(layout, wanted, batches, self._named(path))
            return table if where is None else filtered(table, where).select(names)

        return self._pool.read(read, table="/".join(path))

    def find_records(
        self, path: RecordPath, values: Mapping[str, pa.Array[Any]], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records in which these columns have one of these values, in the order added."""
        path = self._absolute(path)

        def read(connection: Connection[Any]) -> pa.Table:
            layout = self._catalog.layout(connection, path)
            if layout is None:
                return pa.table({})
            names, _ = (chosen_columns(path, layout.schema, some) for some in (columns, list(values)))
            condition, packed = all_among(dict(zip(layout.named(values), values.values(), strict=True)))
            select = self._select(layout, names, statement("{} ORDER BY {}", condition, quoted(ORDER)))
            with connection.cursor(binary=True) as cursor:
                rows = cursor.execute(select, packed).fetchall()
                return _table(layout, names, [rows] if rows else [], self._named(path))

        return self._pool.read(read, table="/".join(path))

    def scan_records(self, path: RecordPath) -> Iterator[pa.Table]:
        """Give all records of a path as they lie in its table, a few megabytes in each transaction."""
        path, last = self._absolute(path), "(0,0)"

        def read(connection: Connection[Any]) -> tuple[str | None, pa.Table]:
            layout = self._catalog.layout(connection, path)
            if layout is None:
                return None, pa.table({})
            table, names = self._catalog.name(layout.table), layout.schema.names
            with transaction(connection), connection.cursor(binary=True) as cursor:
                cursor.execute(_AS_THEY_LIE)
                found = cursor.execute(statement(_END_OF_PORTION, row_bytes(layout), table), [last]).fetchone()
                if found is None:
                    return None, pa.table({})
                among = statement(" WHERE ctid > %s::tid AND ctid <= %s::tid")
                rows = cursor.execute(self._select(layout, names, among), [last, found[0]]).fetchall()
            return found[0], _table(layout, names, [rows], self._named(path))

        while True:
            end, table = self._pool.read(read)
            if end is None:
                return
            last = end
            yield table

    def list_paths(self) -> list[RecordPath]:
        """Return the paths that hold records below this view's prefix, relative to it, sorted."""

        def read(connection: Connection[Any]) -> list[RecordPath]:
            below = self._catalog.tables(connection, self._prefix)
            held = []
            for start in range(0, len(below), _TABLES_AT_ONCE):
                some = below[start : start + _TABLES_AT_ONCE]
                exists = [
                    statement(f"SELECT {at} WHERE EXISTS (SELECT 1 FROM {{}})", self._catalog.name(name))
                    for at, (_, name) in enumerate(some)
                ]
                rows = connection.execute(SQL(" UNION ALL ").join(exists), ())
                held += [some[at][0] for (at,) in rows]
            return self._relative(held)

        return self._pool.read(read)

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Remove the records of these keys; return how many were there."""
        path, unwanted = self._absolute(path), checked_ids(ids)

        def delete(connection: Connection[Any], before: int | None) -> int:
            layout = self._catalog.layout(connection, path)
            if layout is None:
                return 0
            condition, packed = among(layout, unwanted)
            text = statement("DELETE FROM {}{}", self._catalog.name(layout.table), condition)
            return max(before or 0, sum(connection.execute(text, [some]).rowcount for some in packed))

        return self._pool.write(delete)

    def table_sizes(self) -> list[TableSize]:
        """Return the sizes of all tables of this view: on the server's disk, indexes included."""
        sizes = self._pool.read(lambda connection: self._catalog.sizes(connection, self._prefix))
        return [TableSize(path[len(self._prefix) :], *size) for path, *size in sizes if self._is_below(path)]

    def reclaim(self) -> None:
        """Have the server take the room of deleted rows for new ones, while others read and write.

        What is at the end of a table goes back to the disk; ``VACUUM FULL`` gives back all, and lets nobody in
        meanwhile.
        """
        self._pool.read(lambda connection: self._catalog.vacuum(connection, self._prefix))

    def place_view(self, view: NodeView, results: Database) -> None:
        """Show the rows of a node under its name in the schema, in one transaction, if they are not shown yet."""
        pipeline = (*self._prefix, *view.pipeline)
        below = None
        if isinstance(results, PostgresDatabase) and results._catalog.location == self._catalog.location:
            below = results._prefix
        given = self._catalog, view, pipeline, below
        if not self._pool.read(lambda connection: are_current(connection, *given)):
            self._pool.write(lambda connection, _: place_views(connection, *given), otherwise="the view was not placed")

    def query(self, statement: str, views: Sequence[NodeView]) -> pa.Table:
        """Return the answer to an SQL statement that reads; the schema of the store is where it looks first.

        Raises:
            DatabaseError: PostgreSQL does not understand it, or it would do more than read.
        """
        named = [(view, (*self._prefix, *view.pipeline)) for view in views]
        return self._pool.write(
            lambda connection, _: answer(connection, self._catalog, statement, named), otherwise=_ASKED
        )

    def find_damage(self) -> Iterator[tuple[RecordPath, str]]:
        """Give what is wrong with the schema beside its records, with the path of the table where it is one's."""
        for path, why in self._pool.read(self._catalog.faults):
            if not path or self._is_below(path):
                yield path[len(self._prefix) :], why

    def flush(self) -> None:
        """Do nothing but check: every ``add_records`` is a transaction of its own."""
        self._pool.check()

    def close(self) -> None:
        """Let go of all connections, for all views; closing twice is fine."""
        self._pool.close()

    def to_config(self) -> Mapping[str, object]:
        """Return where the server is, without a password, the schema, and the prefix of this view."""
        conninfo = make_conninfo("", **{**self._pool.resolved, **without_secrets(self._shared.parameters)})
        return {
            "type": "postgresql",
            "conninfo": conninfo,
            "schema": self._catalog.schema,
            "prefix": list(self._prefix),
            **self._shared.options,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the view that ``to_config`` described; a password comes from libpq's own sources."""
        given, prefix = checked_config(config)
        options = {name: given[name] for name in ("schema", "pool_size", "statement_timeout") if name in given}
        return cls(given.get("conninfo"), **options).at(*prefix)

    @property
    def _pool(self) -> RetryingPool:
        return self._shared.pool

    @property
    def _catalog(self) -> Catalog:
        return self._shared.catalog

    def _named(self, path: RecordPath) -> str:
        return f"{self._pool.database}, table {'/'.join(path)}"

    def _arguments(self) -> tuple[str, ...]:
        return repr(self._pool.database), f"schema={self._catalog.schema!r}"

    def _select(self, layout: Layout, names: Sequence[str], ending: Composed) -> Composed:
        columns = [
            statement(pg_column(layout.schema.field(name).type).selected, quoted(called))
            for name, called in zip(names, layout.named(names), strict=True)
        ]
        return statement("SELECT {} FROM {}{}", SQL(", ").join(columns), self._catalog.name(layout.table), ending)

    def _first_duplicate(self, path: RecordPath, column: pa.ChunkedArray[Any]) -> Key:
        """Return the first key that is there, or twice among these."""
        view, keys = self.at(), list[Any](column.to_pylist())
        view._prefix = ()
        existing = view.get_records_by_ids(path, keys, [])
        seen = set(existing.column(0).to_pylist()) if existing.num_columns else set()
        for key in keys:
            if key in seen:
                return key  # type: ignore[no-any-return]
            seen.add(key)
        return keys[0]  # type: ignore[no-any-return]  # the other one is gone again


class _KeyThereError(Exception):
    """Violation of a key: it is there already, or twice in the table."""


def _table(layout: Layout, names: Sequence[str], batches: Any, where: str) -> pa.Table:
    schema = pa.schema([layout.schema.field(name) for name in names])
    return table_of(schema, batches, where=where, read=lambda type_: pg_column(type_).from_pg)
