"""Answers of DuckDB about a store that has no SQL engine of its own: a folder of Delta tables, memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import pyarrow as pa

from orcapod.databases import (
    Dialect,
    SQLTable,
    free_identifier,
    misnamed,
    tables_of,
    view_keys,
    view_names,
    view_selects,
)
from orcapod.display import shown
from orcapod.errors import DatabaseError, PluginError
from orcapod.ledger.node_views import ViewNames
from orcapod.protocols import Database, NodeView, RecordPath
from orcapod.records import Members

__all__ = ["answer"]

_CLOSED = {"enable_external_access": "false", "python_enable_replacements": "false"}


def answer(database: Database, statement: str, views: Sequence[NodeView], names: ViewNames) -> pa.Table:
    """Return the answer to an SQL statement, which reads the tables and views that it names.

    Args:
        database: the store.
        statement: what is asked.
        views: those that it may name.
        names: what the two views of each node of the store are called.

    Raises:
        PluginError: DuckDB is not installed.
        DatabaseError: DuckDB does not understand it, or it would do more than read; or what it names is called
            otherwise, since another name differs by case only.
    """
    duckdb = _duckdb()
    with duckdb.connect(":memory:", config=_CLOSED) as connection:
        placed = _Placed(connection, database, names)
        try:
            placed.place_tables(statement)
            for view in views:
                placed.place_views(view)
            placed.check(statement)
            parsed = connection.extract_statements(statement)
            if len(parsed) != 1:
                raise ValueError(f"found {len(parsed)} statements")
            if parsed[0].type != duckdb.StatementType.SELECT:
                raise ValueError("it would do more than read")
            answered: pa.Table = connection.sql(parsed[0]).to_arrow_table()
        except (duckdb.Error, ValueError) as error:
            raise DatabaseError(
                f"{database!r}: {error}; expected one SELECT of DuckDB's, which reads tables of the store and the "
                f"views of its nodes, found {shown(statement)}",
                found=shown(statement),
            ) from error
        return answered


class _Placed:
    """What a statement may name: tables, each read once if it is needed, and views.

    Args:
        connection: of DuckDB.
        database: the store.
        names: what the two views of each node are called.
    """

    def __init__(self, connection: Any, database: Database, names: ViewNames) -> None:
        self._connection = connection
        self._database = database
        self._names = names
        self._there: dict[RecordPath, SQLTable] = {}
        self._whole: dict[RecordPath, SQLTable] = {}
        self._called = [pair for node, held in names.items() for pair in zip(view_names(*node), held, strict=True)]

    def place_tables(self, statement: str) -> None:
        """Place the tables that a statement names."""
        for path in self._database.list_paths():
            if "/".join(path).replace('"', '""').casefold() in statement.casefold():
                self._find(path)
        if "_orcapod_views" in statement.casefold():
            keys = [key for node in self._names for key in view_keys(*node)]
            self._connection.register(
                "_orcapod_views", pa.table({"node": keys, "view_name": [name for _, name in self._called[: len(keys)]]})
            )

    def place_views(self, view: NodeView) -> None:
        """Place the views of a node, with the tables that they read."""
        tables = tables_of(view, view.pipeline, (), partial(self._find_whole, view), _joined)
        names = self._names[view.pipeline, view.label]
        for name, select in zip(names, view_selects(view, tables, _DIALECT), strict=True):
            self._connection.execute(f"CREATE VIEW {_quoted(name)} AS {select}")

    def check(self, statement: str) -> None:
        """Raise ValueError if a statement means something that had to be called otherwise."""
        if (why := misnamed(statement, self._called, _quoted)) is not None:
            raise ValueError(why)

    def _find(self, path: RecordPath) -> SQLTable | None:
        if path not in self._there:
            table = self._database.get_records(path)
            if not table.num_columns:
                return None
            self._there[path] = self._placed("/".join(path), table)
        return self._there[path]

    def _find_whole(self, view: NodeView, path: RecordPath) -> SQLTable | None:
        """Return a table, that of the node's rows with their long lists."""
        if path != (*view.pipeline, *view.path):
            return self._find(path)
        if path not in self._whole:
            members = Members(self._database.at(*view.pipeline))
            rows = members.unpack(self._database.get_records(path))
            if not rows.num_columns:
                return None
            self._whole[path] = self._placed(f"rows of {'/'.join(path)}", rows)
        return self._whole[path]

    def _placed(self, wanted: str, table: pa.Table) -> SQLTable:
        name, columns = self._free(wanted), list[str]()
        for each in table.column_names:
            columns.append(free_identifier(each, columns))
        self._connection.register(name, _plain(table).rename_columns(columns))
        named = dict(zip(table.column_names, map(_quoted, columns), strict=True))
        return SQLTable(_quoted(name), named, table.schema)

    def _free(self, wanted: str) -> str:
        """Return what something is called, whose name may be taken by one that differs by case only."""
        name = free_identifier(wanted, [name for _, name in self._called])
        self._called.append((wanted, name))
        return name


def _duckdb() -> Any:
    try:
        return import_module("duckdb")
    except ImportError:
        raise PluginError(
            "this store has no SQL engine of its own, and duckdb, which reads it, is not installed; "
            "install it: pip install 'orcapod-core[duckdb]'",
            expected="duckdb",
        ) from None


def _plain(table: Any) -> pa.Table:
    """Return a table whose columns are of types that DuckDB knows."""
    columns = list(table.columns)
    for at, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            columns[at] = columns[at].cast(field.type.storage_type)
    return pa.table(columns, names=table.schema.names)


def _joined(row: str, table: SQLTable, key: str) -> str:
    return f"{row}.{table.columns[table.schema.names[0]]} = {key}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_DIALECT = Dialect(_quoted, _literal, lambda column, _: column, "lower(hex({}))")
