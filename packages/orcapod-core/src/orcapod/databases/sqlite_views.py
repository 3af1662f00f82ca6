"""Views of nodes in an SQLite file: written for other tools, and never read by the library itself.

``_orcapod_views`` says what each is called. Whoever asks in SQL through the library is given views of its own making
under the same names: what the file says a view is is not looked at, since somebody else may have written it.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.databases.long_lists import ListDialect, SQLTable
from orcapod.databases.node_views import (
    Dialect,
    NodeTables,
    free_view_name,
    misnamed,
    tables_of,
    view_keys,
    view_names,
    view_selects,
)
from orcapod.databases.sqlite_keys import ORDER
from orcapod.databases.sqlite_table import SQLiteTable, quoted
from orcapod.protocols import NodeView, RecordPath
from orcapod.records import CHANGE_TYPES, ID_BYTES, IDS, KEY_BYTES, MOST, PREFIX, SUFFIX, VALUES, changes_path

__all__ = ["VIEWS_TABLE", "answer", "outdated_views", "place_views"]

VIEWS_TABLE = "CREATE TABLE _orcapod_views (node TEXT PRIMARY KEY, view_name TEXT NOT NULL UNIQUE)"

Find = Callable[[sqlite3.Connection, RecordPath], SQLiteTable | None]

_READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


def outdated_views(
    connection: sqlite3.Connection, view: NodeView, pipeline: RecordPath, results: RecordPath | None, find: Find
) -> list[tuple[str, str]]:
    """Return the views of a node that are not there, or say something else: what to call each, and the statement.

    Args:
        connection: in a transaction.
        view: of which node.
        pipeline: where the tables of its pipeline are.
        results: below which path results are; None if they are in another store.
        find: returns the table of a path.
    """
    selects = view_selects(view, _tables(connection, view, pipeline, results, find), _DIALECT)
    found = []
    for (name, kind, held), select in zip(_held_views(connection, pipeline, view.label), selects, strict=True):
        text = f"CREATE VIEW {quoted(name)} AS {select}"
        if (kind, held) != ("view", text):
            found.append((name, text))
    return found


def place_views(
    connection: sqlite3.Connection, view: NodeView, pipeline: RecordPath, results: RecordPath | None, find: Find
) -> None:
    """Make the views of a node say what they should, in the transaction that is open."""
    path = (*pipeline, *changes_path(view.path))
    if find(connection, path) is None:  # else the view would not see the first change
        SQLiteTable.create(connection, path, pa.schema(CHANGE_TYPES))
    views = _held_views(connection, pipeline, view.label)
    for key, (name, kind, _) in zip(view_keys(pipeline, view.label), views, strict=True):
        free = name
        if kind not in (None, "view"):  # somebody has put a table there meanwhile
            free = free_view_name(name, _names(connection))
        connection.execute("INSERT OR REPLACE INTO _orcapod_views VALUES (?, ?)", (key, free))
    for name, text in outdated_views(connection, view, pipeline, results, find):
        connection.execute(f"DROP VIEW IF EXISTS {quoted(name)}")
        connection.execute(text)


def answer(
    connection: sqlite3.Connection,
    statement: str,
    views: Sequence[tuple[NodeView, RecordPath]],
    results: RecordPath,
    find: Find,
) -> pa.Table:
    """Return the answer to a statement that reads.

    Args:
        connection: for this alone; it can only read afterwards.
        statement: what is asked.
        views: which may be named, and where the tables of their pipelines are.
        results: below which path results are.
        find: returns the table of a path.

    Raises:
        sqlite3.Error: SQLite does not understand it, or it would do more than read.
    """
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("BEGIN")
    ours: dict[str, str] = {}
    called: list[tuple[str, str]] = []
    for view, pipeline in views:
        selects = view_selects(view, _tables(connection, view, pipeline, results, find), _DIALECT)
        held, wanted = _held_views(connection, pipeline, view.label, ours), view_names(pipeline, view.label)
        called += zip(wanted, [name for name, *_ in held], strict=True)
        for (name, *_), select in zip(held, selects, strict=True):
            connection.execute(f"CREATE TEMP VIEW {quoted(name)} AS {select}")
            ours[name] = f"CREATE VIEW {quoted(name)} AS {select}"
    if (why := misnamed(statement, called, quoted)) is not None:
        raise sqlite3.DatabaseError(why)
    stored = connection.execute("SELECT name, sql FROM main.sqlite_master WHERE type = 'view'")
    _check_names(statement, ours, stored)
    connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')")  # to be made, they would have to write
    connection.set_authorizer(_only_reading)
    cursor = connection.execute(statement)
    if cursor.description is None:
        raise sqlite3.ProgrammingError("there is no statement")
    names = [name for name, *_ in cursor.description]
    rows = cursor.fetchall()
    columns: list[Any] = [_array(values) for values in zip(*rows, strict=True)] or [pa.nulls(0)] * len(names)
    return pa.Table.from_arrays(columns, names=names)


def _check_names(statement: str, ours: Mapping[str, str], stored: Iterable[tuple[str, str]]) -> None:
    """Check that a statement names no view that the file holds, unless it says what ours does.

    Raises:
        sqlite3.DatabaseError: it does, or may do.
    """
    asked, names_main = statement.casefold(), re.search(r"\bmain\b", statement, re.IGNORECASE)
    for name, text in stored:
        is_named = any(name.replace(quote, 2 * quote).casefold() in asked for quote in ('"', "`", "\0"))
        if is_named and text != ours.get(name) and (name not in ours or names_main):
            raise sqlite3.DatabaseError(f"the view {name!r:.100} is none of orcapod's, and is not run here")


def _only_reading(action: int, *_about: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


def _array(values: Sequence[Any]) -> pa.Array[Any]:
    """Return values of one column, which in SQLite has no type, in one that they all have."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {int, float, str} and float in kinds and all(v == "NaN" for v in values if isinstance(v, str)):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if len(kinds) > 1:
        return pa.array([None if value is None else str(value) for value in values], pa.large_string())
    array: pa.Array[Any] = pa.array(values)
    return array


def _tables(
    connection: sqlite3.Connection, view: NodeView, pipeline: RecordPath, results: RecordPath | None, find: Find
) -> NodeTables:
    found: dict[str, SQLiteTable] = {}

    def named(path: RecordPath) -> SQLTable | None:
        table = find(connection, path)
        if table is None:
            return None
        found[table.name] = table
        names = map(quoted, table.layout.columns)
        return SQLTable(table.name, dict(zip(table.layout.schema.names, names, strict=True)), table.layout.schema)

    def joined(row: str, table: SQLTable, key: str) -> str:
        return f"{row}.{ORDER} = {found[table.name].row_of(key)}"

    return tables_of(view, pipeline, results, named, joined)


def _held_views(
    connection: sqlite3.Connection, pipeline: RecordPath, label: str, taken: Iterable[str] = ()
) -> list[tuple[str, str | None, str | None]]:
    """Return the two views of a node: their names, and what is there under each: its kind and statement."""
    held = []
    names = [*taken]
    for key, wanted in zip(view_keys(pipeline, label), view_names(pipeline, label), strict=True):
        query = "SELECT view_name FROM _orcapod_views WHERE node = ?"
        row = connection.execute(query, [key]).fetchone()
        name = free_view_name(wanted, [*_names(connection), *names]) if row is None else str(row[0])
        names.append(name)
        found = connection.execute("SELECT type, sql FROM sqlite_master WHERE name = ?", [name]).fetchone()
        held.append((name, *(found or (None, None))))
    return held


def _names(connection: sqlite3.Connection) -> list[str]:
    """Return the names that are taken."""
    query = "SELECT name FROM sqlite_master UNION SELECT view_name FROM _orcapod_views"
    return [name for (name,) in connection.execute(query)]


def _literal(text: str) -> str:
    if "\0" in text:  # which ends a statement
        return f"CAST(X'{text.encode().hex()}' AS TEXT)"
    return "'" + text.replace("'", "''") + "'"


def _shown(column: str, type_: pa.DataType) -> str:
    """Return dates and times as text, which people read; all else as it is."""
    if pa.types.is_date32(type_):
        return f"coalesce(date({column} * 86400, 'unixepoch'), {column})"
    if pa.types.is_timestamp(type_) and type_ in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        micros = f"(({column} % 1000000 + 1000000) % 1000000)"
        whole = f"({column} - {micros}) / 1000000"
        return f"coalesce(datetime({whole}, 'unixepoch') || printf('.%06d', {micros}), {column})"
    return column


def _roots(trees: str, keys: str, column: str) -> str:
    root = f"substr({keys}, {KEY_BYTES} * root.key + 1, {KEY_BYTES}), json_extract(root.value, '$.height'), 0"
    return f"{root} FROM json_each({trees}) AS root WHERE json_extract(root.value, '$.column') = {column}"


def _gathered(members: SQLTable, join: str, _type: pa.DataType) -> str:
    """Return the statement for a list as JSON, out of the JSON of its pieces."""
    values = f"p.{members.columns[VALUES]}"
    part = f"substr({values}, 2, length({values}) - 2)"
    if PREFIX in members.columns:  # a text with a NUL, that SQLite would cut short, is not shown
        prefix, suffix, ids = (f"p.{members.columns[name]}" for name in (PREFIX, SUFFIX, IDS))
        quoted_text = f"CASE WHEN m.value IS NULL THEN 'null' ELSE json_quote({prefix} || m.value || {suffix}) END"
        listed = f"(SELECT group_concat({quoted_text}, ',') FROM json_each({values}) AS m)"
        named = f"json_quote({prefix} || lower(hex(substr({ids}, {ID_BYTES} * n.value + 1, {ID_BYTES}))) || {suffix})"
        numbers = f"json_each('{list(range(MOST))}') AS n WHERE n.value < length({ids}) / {ID_BYTES}"
        part = (
            f"CASE WHEN {ids} IS NOT NULL THEN (SELECT group_concat({named}, ',') FROM {numbers})"
            f" WHEN instr({values}, '\\u0000') = 0 THEN {listed} END"
        )
    return (
        "SELECT CASE WHEN count(*) = count(part) THEN '[' || group_concat(part, ',') || ']' END FROM"
        f" (SELECT {part} AS part FROM tree LEFT JOIN {members.name} AS p ON {join} WHERE tree.height = 0"
        " ORDER BY tree.place)"
    )


_DIALECT = Dialect(quoted, _literal, _shown, "lower(hex({}))", ListDialect(_roots, _gathered))
