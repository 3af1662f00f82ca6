"""``Catalog``: the tables of a schema: which one stores which path, and by which version it can be read.

The tables ``_orcapod_format`` and ``_orcapod_paths`` say so; the sequence ``_orcapod_rows`` numbers all rows.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from psycopg import Connection
from psycopg.sql import SQL, Composed, Identifier, Literal

from orcapod.databases import (
    STORE_FORMAT,
    Layout,
    check_format,
    damaged_catalog,
    free_identifier,
    path_of_text,
    path_text,
)
from orcapod.errors import DatabaseError, ReadOnlyStoreError, RecordSchemaError
from orcapod.protocols import RecordPath, TableSize
from orcapod_postgres.comments import described
from orcapod_postgres.pg_columns import pg_column
from orcapod_postgres.retrying_pool import WHO_MAY_WRITE
from orcapod_postgres.statements import quoted, statement

__all__ = ["LONGEST_NAME", "NUMBERS", "ORDER", "Catalog", "row_bytes"]

ORDER = "_row"
NUMBERS = "_orcapod_rows"
LONGEST_NAME = 63
_NUMBER_BYTES = 8
_MOST_COLUMNS = 1600
_OURS = {
    "_orcapod_format": ["version"],
    "_orcapod_paths": ["path", "table_name", "arrow_schema", "columns"],
    "_orcapod_views": ["node", "view_name", "definition"],
}


class Catalog:
    """Catalog of the tables of one schema.

    Args:
        schema: its name.
        database: which database it is in, for messages.
    """

    def __init__(self, schema: str, database: str) -> None:
        if not schema or len(schema.encode()) > LONGEST_NAME or "\0" in schema:
            raise DatabaseError(f"expected the name of a schema, of at most {LONGEST_NAME} bytes, found {schema!r}")
        self.schema = schema
        self.location = f"{database} schema={schema}"
        self._find = statement(
            "SELECT table_name, arrow_schema, columns FROM {} WHERE path = %s", self.name("_orcapod_paths")
        )

    def name(self, table: str) -> Identifier:
        """Return the name of a table of this schema, quoted."""
        return quoted(self.schema, table)

    def ready(self, connection: Connection[Any]) -> bool:
        """Say whether the schema is set up.

        Raises:
            StoreVersionError: a newer or an older version of orcapod wrote it.
            DatabaseError: tables of our names are there which orcapod did not make.
        """
        columns = (
            "SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)"
            " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE n.nspname = %s AND c.relname = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped GROUP BY c.relname"
        )
        tables = dict(connection.execute(columns, [self.schema, list(_OURS)]).fetchall())
        if not tables:
            return False
        versions = []
        if tables == _OURS:
            query = statement("SELECT version FROM {}", self.name("_orcapod_format"))
            versions = connection.execute(query, ()).fetchall()
        if len(versions) != 1:
            raise DatabaseError(
                f"{self.location} has tables called _orcapod_format or _orcapod_paths which orcapod did not make; "
                "use another schema"
            )
        check_format(versions[0][0], location=self.location, package="orcapod-postgres")
        return True

    def check_existing(self, connection: Connection[Any]) -> None:
        """Check that the schema is set up.

        Raises:
            DatabaseError: it is not.
        """
        if not self.ready(connection):
            raise DatabaseError(
                f"there is no store in {self.location}; check the database and the schema, nothing was made there"
            )

    def set_up(self, connection: Connection[Any]) -> None:
        """Create what every store has, unless another process was faster."""
        self.lock(connection)
        if self.ready(connection):
            return
        existing = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [self.schema]).fetchone()
        if existing is None:  # with IF NOT EXISTS alone, it would take the right to create schemas
            connection.execute(statement("CREATE SCHEMA {}", quoted(self.schema)), ())
        for text in (
            "CREATE TABLE {}._orcapod_format (version integer NOT NULL)",
            f"INSERT INTO {{}}._orcapod_format VALUES ({STORE_FORMAT})",
            "CREATE TABLE {}._orcapod_paths (path text PRIMARY KEY, table_name text NOT NULL UNIQUE,"
            " arrow_schema bytea NOT NULL, columns text NOT NULL)",
            "CREATE TABLE {}._orcapod_views (node text PRIMARY KEY, view_name text NOT NULL UNIQUE,"
            " definition text NOT NULL)",
            f"CREATE SEQUENCE {{}}.{NUMBERS}",
            "COMMENT ON TABLE {}._orcapod_paths IS 'orcapod: which table keeps which path of records'",
            "COMMENT ON TABLE {}._orcapod_views IS 'orcapod: what the views of nodes are called, and made of'",
            "COMMENT ON TABLE {}._orcapod_format IS 'orcapod: the version of this layout'",
        ):
            connection.execute(statement(text, quoted(self.schema)), ())

    def check_writable(self, connection: Connection[Any]) -> None:
        """Check that the server takes writes, and this user may make them.

        Raises:
            ReadOnlyStoreError: it does not, or may not.
        """
        query = statement(
            "SELECT current_setting('transaction_read_only') = 'on', has_table_privilege({}::text::regclass, 'INSERT')",
            Literal(self.name("_orcapod_paths").as_string(None)),
        )
        ((refuses, may),) = connection.execute(query, ()).fetchall()
        if refuses or not may:
            why = "the server takes no writes" if refuses else "this user has no right to write there"
            raise ReadOnlyStoreError(f"{self.location} may only be read: {why}; nothing was written; {WHO_MAY_WRITE}")

    def layout(self, connection: Connection[Any], path: RecordPath) -> Layout | None:
        """Return the layout of the table of a path, None if there is none."""
        row = connection.execute(self._find, [path_text(path)], binary=True).fetchone()
        try:
            return None if row is None else Layout.from_catalog(*row)
        except ValueError as error:
            raise damaged_catalog(f"{self.location}: {'/'.join(path)}", "_orcapod_paths", error) from error

    def tables(self, connection: Connection[Any], prefix: RecordPath) -> list[tuple[RecordPath, str]]:
        """Return all paths below a prefix, and their tables."""
        beginning = path_text(prefix).removesuffix("]") + (", " if prefix else "")
        query = statement("SELECT path, table_name FROM {} WHERE starts_with(path, %s)", self.name("_orcapod_paths"))
        rows = connection.execute(query, [beginning]).fetchall()
        try:
            return [(path_of_text(text), table) for text, table in rows]
        except ValueError as error:
            raise damaged_catalog(f"{self.location}: one of {len(rows)} paths", "_orcapod_paths", error) from error

    def sizes(self, connection: Connection[Any], prefix: RecordPath) -> list[TableSize]:
        """Return the sizes of all tables below a prefix that have rows: on the disk, indexes included."""
        sizes = []
        for path, name in self.tables(connection, prefix):
            table = self.name(name)
            query = statement(
                "SELECT count(*), pg_total_relation_size({}::regclass) FROM {}", Literal(table.as_string(None)), table
            )
            ((rows, size),) = connection.execute(query, ()).fetchall()
            if rows:
                sizes.append(TableSize(path, rows, size))
        return sizes

    def vacuum(self, connection: Connection[Any], prefix: RecordPath) -> None:
        """Make room of the deleted rows of all tables below a prefix; in no transaction."""
        for _, name in self.tables(connection, prefix):
            connection.execute(statement("VACUUM (ANALYZE) {}", self.name(name)), ())

    def faults(self, connection: Connection[Any]) -> list[tuple[RecordPath, str]]:
        """Return what of the catalog is not as the tables of the schema are, with the path where it is one's."""
        query = (
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE n.nspname = %s AND c.relkind = 'r' AND a.attname = %s AND NOT a.attisdropped"
        )
        there = {name for (name,) in connection.execute(query, [self.schema, ORDER])}
        listed = self.tables(connection, ())
        missing = [
            (path, f"the catalog names a table {name!r}, which is not there")
            for path, name in listed
            if name not in there
        ]
        unlisted = sorted(there - {name for _, name in listed})
        return [*missing, *(((), f"the table {name!r} is in no catalog") for name in unlisted)]

    def fitted(self, connection: Connection[Any], path: RecordPath, wanted: pa.Schema) -> Layout:
        """Return the layout of a path with these columns, created or extended in this transaction."""
        self.lock(connection)
        layout = self.layout(connection, path)
        if layout is None:
            return self._create(connection, path, wanted)
        there = set(layout.schema.names)
        fresh = [field for field in wanted if field.name not in there]
        return self._extend(connection, path, layout, pa.schema([*layout.schema, *fresh])) if fresh else layout

    def taken(self, connection: Connection[Any], schema: str | None = None) -> list[str]:
        """Return the names of all tables and views of the schema, or of another one."""
        query = "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s"
        return [name for (name,) in connection.execute(query, [schema or self.schema])]

    def kind(self, connection: Connection[Any], name: str, schema: str | None = None) -> str | None:
        """Return what is there under a name: ``r`` for a table, ``v`` for a view; None for nothing."""
        query = (
            "SELECT relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND relname = %s"
        )
        row = connection.execute(query, [schema or self.schema, name]).fetchone()
        return None if row is None else str(row[0])

    def lock(self, connection: Connection[Any]) -> None:
        """Keep others from changing what the schema holds until this transaction ends."""
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('orcapod'), hashtext(%s))", [self.schema])

    def _create(self, connection: Connection[Any], path: RecordPath, schema: pa.Schema) -> Layout:
        table = free_identifier("/".join(path), self.taken(connection), max_bytes=LONGEST_NAME)
        layout = Layout(table, schema, ()).extended(schema, taken=_TAKEN, max_bytes=LONGEST_NAME)
        self._check_width(path, layout)
        key, *others = _definitions(layout, 0)
        order = statement("{} bigint NOT NULL", quoted(ORDER))
        columns = SQL(", ").join([order, statement("{} PRIMARY KEY", key), *others])
        connection.execute(statement("CREATE TABLE {} ({})", self.name(table), columns), ())
        comment = Literal(described(path).replace("%", "%%"))
        connection.execute(statement("COMMENT ON TABLE {} IS {}", self.name(table), comment), ())
        insert = statement("INSERT INTO {} VALUES (%s, %s, %s, %s)", self.name("_orcapod_paths"))
        connection.execute(insert, [path_text(path), *layout.to_catalog()])
        return layout

    def _extend(self, connection: Connection[Any], path: RecordPath, layout: Layout, schema: pa.Schema) -> Layout:
        extended = layout.extended(schema, taken=_TAKEN, max_bytes=LONGEST_NAME)
        self._check_width(path, extended)
        added = [statement("ADD COLUMN {}", column) for column in _definitions(extended, len(layout.columns))]
        connection.execute(statement("ALTER TABLE {} {}", self.name(layout.table), SQL(", ").join(added)), ())
        update = statement(
            "UPDATE {} SET table_name = %s, arrow_schema = %s, columns = %s WHERE path = %s",
            self.name("_orcapod_paths"),
        )
        connection.execute(update, [*extended.to_catalog(), path_text(path)])
        return extended

    def _check_width(self, path: RecordPath, layout: Layout) -> None:
        limit = _MOST_COLUMNS - 1  # one is _row
        if len(layout.columns) > limit:
            raise RecordSchemaError(
                f"{'/'.join(path)}: expected at most {limit} columns, which is what PostgreSQL holds, "
                f"found {len(layout.columns)}; put some together in a struct or a list"
            )


# These columns every table of PostgreSQL has already.
_TAKEN = (ORDER, "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid")


def _definitions(layout: Layout, start: int) -> list[Composed]:
    """Return the columns from ``start`` on as they are declared."""
    definitions = []
    for name, field in list(zip(layout.columns, layout.schema, strict=True))[start:]:
        declared = pg_column(field.type).declared
        collation = ' COLLATE "C"' if declared == "text" else ""
        definitions.append(statement("{} " + declared + collation, quoted(name)))
    return definitions


def row_bytes(layout: Layout) -> Composed:
    """Return the bytes of a row, about, as SQL: a large value need not be read for that."""
    sizes = [statement("{}", Literal(_NUMBER_BYTES * len(layout.columns)))]
    for name, field in zip(layout.columns, layout.schema, strict=True):
        if (declared := pg_column(field.type).declared) in ("text", "bytea", "json"):
            text = "coalesce(octet_length({}::text), 0)" if declared == "json" else "coalesce(octet_length({}), 0)"
            sizes.append(statement(text, quoted(name)))
    return SQL(" + ").join(sizes)
