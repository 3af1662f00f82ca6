"""Answers of DuckDB about a store that has no SQL engine of its own: a folder of Delta tables, memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import pyarrow as pa

from orcapod.databases import Dialect, SQLTable, free_identifier, tables_of, view_names, view_selects
from orcapod.display import shown
from orcapod.errors import DatabaseError, PluginError
from orcapod.protocols import Database, NodeView, RecordPath
from orcapod.records import Members

__all__ = ["answer"]

_CLOSED = {"enable_external_access": "false", "python_enable_replacements": "false"}


def answer(database: Database, statement: str, views: Sequence[NodeView]) -> pa.Table:
    """Return the answer to an SQL statement, which reads the tables and views that it names.

    Raises:
        PluginError: DuckDB is not installed.
        DatabaseError: DuckDB does not understand it, or it would do more than read; or what it names is called
            otherwise, since another name differs by case only.
    """
    duckdb = _duckdb()
    with duckdb.connect(":memory:", config=_CLOSED) as connection:
        names = _Names(connection, database)
        try:
            names.place_tables(statement)
            for view in views:
                names.place_views(view)
            names.check(statement)
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


class _Names:
    """The names that a statement may use: tables, each read once if it is needed, and views.

    Args:
        connection: of DuckDB.
        database: the store.
    """

    def __init__(self, connection: Any, database: Database) -> None:
        self._connection = connection
        self._database = database
        self._there: dict[RecordPath, SQLTable] = {}
        self._whole: dict[RecordPath, SQLTable] = {}
        self._called: dict[str, str] = {}

    def place_tables(self, statement: str) -> None:
        """Place the tables that a statement names."""
        for path in self._database.list_paths():
            if "/".join(path).replace('"', '""').casefold() in statement.casefold():
                self._find(path)

    def place_views(self, view: NodeView) -> None:
        """Place the views of a node, with the tables that they read."""
        tables = tables_of(view, view.pipeline, (), partial(self._find_whole, view), _joined)
        names = view_names(view.pipeline, view.label)
        for wanted, select in zip(names, view_selects(view, tables, _DIALECT), strict=True):
            self._connection.execute(f"CREATE VIEW {_quoted(self._free(wanted))} AS {select}")

    def check(self, statement: str) -> None:
        """Raise ValueError if a statement means something that had to be called otherwise."""
        for wanted, name in self._called.items():
            if name != wanted and _quoted(wanted) in statement and _quoted(name) not in statement:
                raise ValueError(f"{_quoted(wanted)} is called {_quoted(name)} here, since that was taken")

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
        name = self._called[wanted] = free_identifier(wanted, self._called.values())
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
