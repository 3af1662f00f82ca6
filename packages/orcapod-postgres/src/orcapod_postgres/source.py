"""``PostgresTableSource`` and ``PostgresQuerySource``: streams over a table, and over the answer to a query."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Self

import psycopg
import pyarrow as pa
from psycopg import Connection, IsolationLevel
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Composable

from orcapod.checks import Checks
from orcapod.errors import DatabaseError, InputValidationError
from orcapod.sources import TableSource, spooled
from orcapod_postgres.column_types import ColumnType, column_types
from orcapod_postgres.conninfo import connection_parameters, shown, without_secrets
from orcapod_postgres.statements import quoted, statement

__all__ = ["PostgresQuerySource", "PostgresTableSource"]

_ROWS_AT_ONCE = 8_192


class PostgresTableSource(TableSource):
    """A source over a table or view of PostgreSQL, or over the answer to a query, as it is now.

    The rows come through a cursor of the server, a few thousand at a time, into an Arrow file in the folder for
    temporary files, which is mapped and not read: a table larger than the memory is fine. A later change to the table
    is another source.

    The rows of a table are in the order of its primary key, which also names them in provenance, ``id=7``, whatever
    comes or goes beside them; or else in the order of the tag columns. Those of a query come as it gives them: order it
    by something unique, since ``row_{i}`` names them, or give ``record_id_column``.

    Args:
        conninfo: a URL or a ``key=value`` string, completed from ``PGHOST``, ``PGPASSWORD`` and the like.
        table: the name of a table or view, as it is: no SQL, no dots between parts.
        tag_columns: the columns that are keys; the primary key of the table if None.
        query: a ``SELECT`` instead of a table; see ``PostgresQuerySource``.
        schema: the schema of the table; the first one on the search path that has it if None.
        columns: the columns of the table to read, tag columns among them; all if None.
        where: a condition in SQL that rows of the table have to meet, such as ``"visit > 3"``.
        source_id: what the source is called in provenance; the place of the table, ``postgresql://...``, if None, and
            made from the content for a query.
        record_id_column: the column whose values name the records, or several: never null, never twice; the primary
            key if None.
        data_schema: declared types of columns, ``{"price": float}``; the others follow from the table's definition,
            ``T | None`` unless a column is ``NOT NULL`` there. Those of a query, and the items of arrays, of which no
            table says that they are never null, are ``T | None`` where there is a null.
        bad_rows: see ``TableSource``: what a null does, say, in a column that is declared ``float``.
        label: what the source is called in a pipeline; ``source_id``, or ``table`` or ``schema.table``, if None.

    Raises:
        DatabaseError: the server cannot be reached.
        InputValidationError: there is no such table, or what it holds cannot become a stream; says why.
    """

    def __init__(
        self,
        conninfo: str | None = None,
        table: str | None = None,
        tag_columns: Sequence[str] | None = None,
        *,
        query: str | None = None,
        schema: str | None = None,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: Literal["raise", "fail"] = "raise",
        label: str | None = None,
    ) -> None:
        kind = type(self).__name__
        if (table is None) is (query is None):
            raise InputValidationError(f"{kind}: expected a table or a query, found both or neither")
        if query is not None and (columns is not None or where is not None):
            raise InputValidationError(f"{kind}: columns and where are of a table; write them into the query")
        check = Checks(kind, InputValidationError)
        texts = {
            "table": table, "query": query, "schema": schema, "where": where, "source_id": source_id, "label": label
        }  # fmt: skip
        for name, text in texts.items():
            check.text_or_none(name, text)
        tag_columns = check.names_or_none("tag_columns", tag_columns)
        columns = check.names_or_none("columns", columns)
        check.names_or_none("record_id_column", record_id_column)
        check.mapping_or_empty("data_schema", data_schema, "{'price': float}")
        parameters = connection_parameters(conninfo)
        self._config: dict[str, object] = {
            "type": "postgres-table",
            "conninfo": make_conninfo("", **without_secrets(parameters)),
            "table": table,
            "query": query,
            "schema": schema,
            "columns": None if columns is None else list(columns),
            "where": where,
            "source_id": source_id,
            "record_id_column": record_id_column,
            "bad_rows": bad_rows,
            "label": label,
        }
        named = f"{kind} {table if table is not None else 'of a query'!r}"
        with _connected(parameters) as connection:
            try:
                origin: Composable
                location = None
                if table is not None:
                    found_in, key, never_null = _found(connection, named, table, schema)
                    origin, location = quoted(found_in, table), _location(connection, found_in, table)
                else:
                    origin, key, never_null = statement("({}) AS answer", _as_it_is(query or "")), [], None
                tags = list(tag_columns if tag_columns is not None else key)
                if not tags and tag_columns is None:
                    raise InputValidationError(f"{named}: found no primary key to take as tags; give tag_columns")
                names, types = _columns(connection, named, origin, columns, data_schema or {})
                order = key or [name for name in tags if name in names] if table is not None else []
                arrow = pa.schema({name: each.arrow for name, each in zip(names, types, strict=True)})
                suffix = _suffix(where, order)
                rows = spooled(arrow, _batches(connection, named, origin, dict(zip(names, types, strict=True)), suffix))
            except psycopg.Error as error:
                raise InputValidationError(f"{named}: {str(error).strip()}") from error
        annotations = {
            name: column_type.annotated(
                rows.column(name), may_be_null=never_null is not None and name not in never_null
            )
            for name, column_type in zip(names, types, strict=True)
        }
        self._config["tag_columns"] = tags
        if record_id_column is None and set(key) <= set(names):
            record_id_column = key
        if location is not None and where is not None and not record_id_column:
            location += f" where {where}"  # its rows are counted from its own first
        super().__init__(
            dict(zip(rows.column_names, rows.columns, strict=True)),
            tag_columns=tags,
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema={**annotations, **(data_schema or {})},
            bad_rows=bad_rows,
            label=label or source_id or (f"{schema}.{table}" if schema else table),
            type_name=kind,
            location=location,
        )

    def to_config(self) -> Mapping[str, object]:
        """Return what it takes to read the table again, as JSON values; never a password, and no ``data_schema``."""
        return dict(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], *, data_schema: Mapping[str, Any] | None = None) -> Self:
        """Return the source that ``to_config`` described, with the rows that are there now."""
        options = {name: value for name, value in config.items() if name != "type"}
        return cls(**options, data_schema=data_schema)


class PostgresQuerySource(PostgresTableSource):
    """A source over the answer to a query of PostgreSQL, as it is now; read as ``PostgresTableSource`` is.

    Rows come as the query gives them: order it by something unique, since ``row_{i}`` names them, or give
    ``record_id_column``.

    Args:
        conninfo: see ``PostgresTableSource``.
        query: a ``SELECT``.
        tag_columns: the columns that are keys; the others are the data.
        source_id: what the source is called in provenance; made from the content if None.
        record_id_column: the column whose values name the records, or several: never null, never twice.
        data_schema: see ``PostgresTableSource``.
        bad_rows: see ``PostgresTableSource``.
        label: what the source is called in a pipeline; ``source_id`` if None.

    Raises:
        DatabaseError: the server cannot be reached.
        InputValidationError: the query cannot be answered, or the answer cannot become a stream; says why.
    """

    def __init__(
        self,
        conninfo: str | None,
        query: str,
        tag_columns: Sequence[str],
        *,
        source_id: str | None = None,
        record_id_column: str | Sequence[str] | None = None,
        data_schema: Mapping[str, Any] | None = None,
        bad_rows: Literal["raise", "fail"] = "raise",
        label: str | None = None,
    ) -> None:
        check = Checks(type(self).__name__, InputValidationError)
        super().__init__(
            conninfo,
            query=check.text("query", query),
            tag_columns=check.names("tag_columns", tag_columns),
            source_id=source_id,
            record_id_column=record_id_column,
            data_schema=data_schema,
            bad_rows=bad_rows,
            label=label,
        )
        of_tables = ("table", "schema", "columns", "where")
        self._config = {name: value for name, value in self._config.items() if name not in of_tables}
        self._config["type"] = "postgres-query"


@contextlib.contextmanager
def _connected(parameters: dict[str, Any]) -> Iterator[Connection[Any]]:
    """Have a connection in one transaction that sees one state of the tables and changes nothing."""
    database = shown(parameters)
    settings = {"connect_timeout": 10, "fallback_application_name": "orcapod", **parameters, "client_encoding": "UTF8"}
    try:
        connection = psycopg.connect(make_conninfo("", **settings), prepare_threshold=None)
    except psycopg.Error as error:
        raise DatabaseError(f"cannot connect to {database}: {str(error).strip()}") from error
    try:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
    finally:
        connection.close()


def _as_it_is(query: str) -> Composable:
    """Return the user's query, which is SQL, in a statement that is executed with parameters."""
    return SQL(query.strip().rstrip(";").replace("%", "%%") + "\n")


def _location(connection: Connection[Any], schema: str, table: str) -> str:
    """Return where a table is: server, database, schema and name, quoted as in SQL where they are not plain."""
    info = connection.info
    database, *names = (
        name if re.fullmatch(r"\w+", name) else '"' + name.replace('"', '""') + '"'
        for name in (info.dbname, schema, table)
    )
    return f"postgresql://{info.host}:{info.port}/{database}/{'.'.join(names)}"


def _found(
    connection: Connection[Any], named: str, table: str, schema: str | None
) -> tuple[str, list[str], frozenset[str]]:
    """Return the schema of a table, the columns of its primary key, and those that are never null."""
    query = (
        "SELECT c.oid::bigint, n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND c.relkind = ANY('{r,v,m,f,p}')"
        " AND CASE WHEN %s::text IS NULL THEN pg_table_is_visible(c.oid) ELSE n.nspname = %s END"
    )
    row = None if "\0" in table else connection.execute(query, [table, schema, schema]).fetchone()
    if row is None:
        where = "on the search path" if schema is None else f"in schema {schema!r}"
        raise InputValidationError(
            f"{named}: found no table of that name {where} that you may see; the name is taken as it is, "
            "capitals and dots included, and the schema is an argument of its own"
        )
    keys = (
        "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY AS k (number, at)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
        " WHERE i.indrelid = %s::bigint::oid AND i.indisprimary ORDER BY k.at"
    )
    never_null = (
        "SELECT a.attname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
        " WHERE a.attrelid = %s::bigint::oid AND a.attnum > 0 AND (a.attnotnull OR t.typnotnull)"
    )
    key, not_null = ([name for (name,) in connection.execute(text, [row[0]])] for text in (keys, never_null))
    return row[1], key, frozenset(not_null)


def _columns(
    connection: Connection[Any],
    named: str,
    origin: Composable,
    wanted: Sequence[str] | None,
    data_schema: Mapping[str, Any],
) -> tuple[list[str], list[ColumnType]]:
    """Return the names of the columns wanted, and how they are read."""
    cursor = connection.execute(statement("SELECT * FROM {} LIMIT 0", origin), ())
    result = cursor.pgresult
    assert result is not None
    names = [(result.fname(at) or b"").decode() for at in range(result.nfields)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputValidationError(f"{named}: column {twice[0]!r} is there twice; rename one with AS")
    if unknown := [name for name in wanted or () if name not in names]:
        why = f"{named}: there is no column {unknown[0]!r}; found {names}"
        raise InputValidationError(why, column=unknown[0], found=str(names))
    types = {name: (result.ftype(at), result.fmod(at)) for at, name in enumerate(names)}
    chosen = list(dict.fromkeys(names if wanted is None else wanted))
    declared = [data_schema.get(name) for name in chosen]
    return chosen, column_types(connection, [types[name] for name in chosen], declared)


def _suffix(where: str | None, order: Sequence[str]) -> Composable:
    """Return what follows the origin of rows in a statement: the user's condition, which is SQL, and their order."""
    condition = SQL(" WHERE (" + where.replace("%", "%%") + "\n)") if where is not None else SQL("")
    ordered = statement(" ORDER BY {}", SQL(", ").join(map(quoted, order))) if order else SQL("")
    return condition + ordered


def _batches(
    connection: Connection[Any], named: str, origin: Composable, types: Mapping[str, ColumnType], suffix: Composable
) -> Iterator[pa.RecordBatch]:
    """Yield the rows, a few thousand at a time."""
    columns = SQL(", ").join(statement(column_type.selected, quoted(name)) for name, column_type in types.items())
    schema = pa.schema({name: column_type.arrow for name, column_type in types.items()})
    with connection.cursor("rows", binary=True) as cursor:
        cursor.execute(statement("SELECT {} FROM {}{}", columns, origin, suffix), ())
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            arrays = []
            for (name, column_type), values in zip(types.items(), zip(*rows, strict=True), strict=True):
                try:
                    arrays.append(column_type.from_pg(values))
                except (pa.ArrowException, OverflowError) as error:
                    raise InputValidationError(
                        f"{named}: column {name!r}: expected {column_type.arrow}, found another value: {error}; "
                        "convert it in a query"
                    ) from error
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
