"""Views of nodes in the schema of a store, for every tool that speaks to PostgreSQL.

``_orcapod_views`` says what each is called, and which statement it was made of. Where that is possible, the same views
have short names in a schema that is called like the pipeline: ``study.bmi``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import Connection
from psycopg.sql import Identifier, Literal

from orcapod.databases import (
    HISTORY,
    Dialect,
    ListDialect,
    SQLTable,
    free_identifier,
    free_view_name,
    misnamed,
    tables_of,
    view_keys,
    view_names,
    view_selects,
)
from orcapod.protocols import NodeView, RecordPath
from orcapod.records import CHANGE_TYPES, PIECE_ID, PREFIX, SUFFIX, VALUES, changes_path
from orcapod_postgres.catalog import LONGEST_NAME, Catalog
from orcapod_postgres.pg_columns import escaped_text, pg_column, unescaped
from orcapod_postgres.statements import statement

__all__ = ["answer", "are_current", "place_views"]

_JSON = (114, 3802)  # json and jsonb
_Held = tuple[str, str, str, bool]


def are_current(
    connection: Connection[Any], catalog: Catalog, view: NodeView, pipeline: RecordPath, results: RecordPath | None
) -> bool:
    """Say whether the views of a node are there, and made of the statements that they should be made of.

    Args:
        connection: to the store.
        catalog: of its schema.
        view: of which node.
        pipeline: where the tables of its pipeline are.
        results: below which path results are; None if they are in another store.
    """
    return all(is_current for *_, is_current in _held_views(connection, catalog, view, pipeline, results))


def place_views(
    connection: Connection[Any], catalog: Catalog, view: NodeView, pipeline: RecordPath, results: RecordPath | None
) -> None:
    """Make the views of a node of the statements that they should be made of, in the transaction that is open."""
    catalog.lock(connection)
    # A table of its changes has to be there, or the view would not see the first of them.
    catalog.fitted(connection, (*pipeline, *changes_path(view.path)), pa.schema(CHANGE_TYPES))
    upsert = statement(
        "INSERT INTO {} VALUES (%s, %s, %s) ON CONFLICT (node)"
        " DO UPDATE SET view_name = excluded.view_name, definition = excluded.definition",
        catalog.name("_orcapod_views"),
    )
    held = _held_views(connection, catalog, view, pipeline, results)
    for (key, name, select, is_current), end in zip(held, ("", HISTORY), strict=True):
        if not is_current:
            _place(connection, catalog, catalog.schema, name, select)
            connection.execute(upsert, [key, name, escaped_text(select)])
            if (schema := _pipeline_schema(connection, catalog, pipeline)) is not None:
                short = _short_name(view, pipeline, end, name)
                if catalog.kind(connection, short, schema) in (None, "v"):
                    _place(connection, catalog, schema, short, select)


def answer(
    connection: Connection[Any], catalog: Catalog, asked: str, views: Sequence[tuple[NodeView, RecordPath]]
) -> pa.Table:
    """Return the answer to a statement that reads, in the transaction that is open.

    Args:
        connection: to the store.
        catalog: of its schema.
        asked: what is asked.
        views: which may be named, and where the tables of their pipelines are.

    Raises:
        psycopg.Error: PostgreSQL does not understand it, or it would do more than read.
    """
    called = [pair for view, pipeline in views for pair in _called(connection, catalog, pipeline, view.label)]
    if (why := misnamed(asked, called, _quoted)) is not None:
        raise psycopg.ProgrammingError(why)
    connection.execute("SET TRANSACTION READ ONLY")
    connection.execute("SET LOCAL jit = off")  # it takes seconds for what puts lists together in milliseconds
    connection.execute("SELECT set_config('search_path', quote_ident(%s) || ', public', true)", [catalog.schema])
    with connection.cursor(binary=True) as cursor:  # as part of a SELECT, so that it is one itself
        cursor.execute(f"SELECT * FROM (\n{asked.strip().rstrip(';')}\n) AS asked".encode())
        described = cursor.description or []
        rows = cursor.fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * len(described)
    arrays = [_array(values, column.type_code) for values, column in zip(columns, described, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in described])


def _held_views(
    connection: Connection[Any], catalog: Catalog, view: NodeView, pipeline: RecordPath, results: RecordPath | None
) -> list[_Held]:
    """Return of the two views of a node: key, name, statement, and whether the view is there and made of it."""

    def find(path: RecordPath) -> SQLTable | None:
        layout = catalog.layout(connection, path)
        if layout is None:
            return None
        columns = dict(zip(layout.schema.names, map(_quoted, layout.columns), strict=True))
        return SQLTable(f"{_quoted(catalog.schema)}.{_quoted(layout.table)}", columns, layout.schema)

    selects = view_selects(view, tables_of(view, pipeline, results, find, _joined), _DIALECT)
    query = statement("SELECT view_name, definition FROM {} WHERE node = %s", catalog.name("_orcapod_views"))
    held: list[_Held] = []
    keys, wanted_names = view_keys(pipeline, view.label), view_names(pipeline, view.label)
    for key, wanted, select in zip(map(escaped_text, keys), wanted_names, selects, strict=True):
        name, definition = connection.execute(query, [key]).fetchone() or (None, None)
        kind = None if name is None else catalog.kind(connection, name)
        if name is None or kind not in (None, "v"):  # somebody has put a table there meanwhile
            taken = [*catalog.taken(connection), *(each[1] for each in held)]
            name = free_view_name(wanted, taken, max_bytes=LONGEST_NAME)
        held.append((key, name, select, kind == "v" and definition == escaped_text(select)))
    return held


def _called(
    connection: Connection[Any], catalog: Catalog, pipeline: RecordPath, label: str
) -> Iterator[tuple[str, str]]:
    """Give what the views of a node would be called, and are, as far as they are there."""
    query = statement("SELECT view_name FROM {} WHERE node = %s", catalog.name("_orcapod_views"))
    for key, wanted in zip(view_keys(pipeline, label), view_names(pipeline, label), strict=True):
        for (name,) in connection.execute(query, [escaped_text(key)]).fetchall():
            yield wanted, name


def _short_name(view: NodeView, pipeline: RecordPath, end: str, name: str) -> str:
    """Return what a view is called in the schema of its pipeline: with the number that its name has here, if any."""
    wanted = free_view_name(f"{'/'.join(pipeline)}.{view.label}{end}", (), max_bytes=LONGEST_NAME)
    return free_identifier(view.label + end, (), max_bytes=LONGEST_NAME) + name.removeprefix(wanted)


def _pipeline_schema(connection: Connection[Any], catalog: Catalog, pipeline: RecordPath) -> str | None:
    """Return the schema that is called like a pipeline, for short names; None if there is none for us to have."""
    name, mark = "/".join(pipeline), f"orcapod: views of the pipeline, in {catalog.schema}"
    is_free = name == free_identifier(name, ("information_schema",), max_bytes=LONGEST_NAME)
    if not is_free or name.startswith("pg_"):
        return None
    query = (
        "SELECT obj_description(oid, 'pg_namespace') = %s AND has_schema_privilege(oid, 'CREATE') FROM pg_namespace"
        " WHERE nspname = %s"
    )
    if (there := connection.execute(query, [mark, name]).fetchone()) is not None:
        return name if there[0] else None
    ((may_create,),) = connection.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchall()
    if not may_create:
        return None
    connection.execute(f"CREATE SCHEMA {_quoted(name)}".encode())
    connection.execute(f"COMMENT ON SCHEMA {_quoted(name)} IS {Literal(mark).as_string(None)}".encode())
    return name


def _place(connection: Connection[Any], catalog: Catalog, schema: str, name: str, select: str) -> None:
    """Make a view of a statement. If somebody's own views are made of what it was before, that gets another name."""
    view = f"{_quoted(schema)}.{_quoted(name)}"
    replace = f"CREATE OR REPLACE VIEW {view} AS {select}".encode()
    try:
        with connection.transaction():
            connection.execute(replace)
    except psycopg.errors.InvalidTableDefinition:  # it has other columns
        try:
            with connection.transaction():
                connection.execute(f"DROP VIEW {view}".encode())
        except psycopg.errors.DependentObjectsStillExist:
            free = free_identifier(name, catalog.taken(connection, schema), max_bytes=LONGEST_NAME)
            connection.execute(f"ALTER VIEW {view} RENAME TO {_quoted(free)}".encode())
        connection.execute(replace)


def _array(values: Sequence[Any], oid: int) -> pa.Array[Any]:
    if oid in _JSON:
        values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    try:
        array: pa.Array[Any] = pa.array([_unescaped(value) for value in values])
    except (pa.ArrowException, TypeError):
        array = pa.array([None if value is None else str(value) for value in values])
    return array


def _unescaped(value: Any) -> Any:
    if isinstance(value, str):
        return unescaped([value])[0]
    return list(map(_unescaped, value)) if isinstance(value, list) else value


def _joined(row: str, table: SQLTable, key: str) -> str:
    return f"{row}.{table.columns[table.schema.names[0]]} = {key}"


def _quoted(name: str) -> str:
    return Identifier(name).as_string(None)


def _literal(text: str) -> str:
    return Literal(escaped_text(text)).as_string(None)


def _shown(column: str, type_: Any) -> str:
    """Return lists of plain values as arrays, and all else that is JSON as jsonb."""
    if pg_column(type_).declared != "json":
        return column
    item = type_.value_type if pa.types.is_list(type_) or pa.types.is_large_list(type_) else pa.null()
    if (declared := _ITEMS.get(item)) is None:
        return f"{column}::jsonb"
    items = f"ARRAY(SELECT json_array_elements_text({column}))::{declared}[]"
    return f"CASE WHEN {column} IS NULL THEN NULL ELSE {items} END"


_ITEMS: dict[pa.DataType, str] = {
    **dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32()), "bigint"),
    **dict.fromkeys((pa.string(), pa.large_string()), "text"),
    pa.float64(): "double precision",
    pa.bool_(): "boolean",
}


def _roots(trees: str, keys: str, column: str) -> str:
    root = f"substr({keys}, (16 * root.nth - 15)::int, 16), (root.value ->> 'height')::int, CAST(0 AS bigint)"
    listed = f"json_array_elements({trees}) WITH ORDINALITY AS root(value, nth)"
    return f"{root} FROM {listed} WHERE root.value ->> 'column' = {column}"


def _gathered(members: SQLTable, join: str, type_: Any) -> str:
    """Return the statement for a list, an array or jsonb as ``_shown`` has it, out of the members of its pieces."""
    key, values = (f"p.{members.columns[name]}" for name in (PIECE_ID, VALUES))
    value = (
        "m.value"
        if PREFIX not in members.columns
        else "{} || m.value || {}".format(*(f"p.{members.columns[name]}" for name in (PREFIX, SUFFIX)))
    )
    declared = _ITEMS.get(type_.value_type)
    each = "json_array_elements" if declared is None else "json_array_elements_text"
    kept = f"jsonb_agg(({value})::jsonb" if declared is None else f"array_agg(({value})::{declared}"
    return (
        f"SELECT CASE WHEN count(*) = count({key}) THEN {kept} ORDER BY tree.place, m.nth) END FROM tree"
        f" LEFT JOIN {members.name} AS p ON {join}"
        f" LEFT JOIN LATERAL {each}({values}) WITH ORDINALITY AS m(value, nth) ON true WHERE tree.height = 0"
    )


_DIALECT = Dialect(_quoted, _literal, _shown, "encode({}, 'hex')", ListDialect(_roots, _gathered), LONGEST_NAME)
