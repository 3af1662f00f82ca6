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
        there: dict[RecordPath, SQLTable] = {}
        whole: dict[RecordPath, SQLTable] = {}
        called: dict[str, str] = {}

        def free(wanted: str) -> str:
            called[wanted] = free_identifier(wanted, called.values())
            return called[wanted]

        def placed(name: str, table: pa.Table) -> SQLTable:
            name = free(name)
            connection.register(name, _plain(table))
            return SQLTable(_quoted(name), {each: _quoted(each) for each in table.column_names}, table.schema)

        def find(path: RecordPath) -> SQLTable | None:
            if path not in there:
                table = database.get_records(path)
                if not table.num_columns:
                    return None
                there[path] = placed("/".join(path), table)
            return there[path]

        def find_whole(view: NodeView, path: RecordPath) -> SQLTable | None:
            """Return a table, that of the node's rows with their long lists."""
            if path != (*view.pipeline, *view.path):
                return find(path)
            if path not in whole:
                rows = Members(database.at(*view.pipeline)).unpack(database.get_records(path))
                if not rows.num_columns:
                    return None
                whole[path] = placed(f"rows of {'/'.join(path)}", rows)
            return whole[path]

        try:
            for path in database.list_paths():
                if "/".join(path).replace('"', '""').casefold() in statement.casefold():
                    find(path)
            for view in views:
                tables = tables_of(view, view.pipeline, (), partial(find_whole, view), _joined)
                names = view_names(view.pipeline, view.label)
                for wanted, select in zip(names, view_selects(view, tables, _DIALECT), strict=True):
                    connection.execute(f"CREATE VIEW {_quoted(free(wanted))} AS {select}")
            for wanted, name in called.items():
                if name != wanted and _quoted(wanted) in statement and _quoted(name) not in statement:
                    raise ValueError(f"{_quoted(wanted)} is called {_quoted(name)} here, since that was taken")
            parsed = connection.extract_statements(statement)
            if [each.type for each in parsed] != [duckdb.StatementType.SELECT]:
                raise ValueError(
                    f"found {len(parsed)} statements" if len(parsed) != 1 else "it would do more than read"
                )
            answered: pa.Table = connection.sql(parsed[0]).to_arrow_table()
        except (duckdb.Error, ValueError) as error:
            raise DatabaseError(
                f"{database!r}: {error}; expected one SELECT of DuckDB's, which reads tables of the store and the "
                f"views of its nodes, found {shown(statement)}",
                found=shown(statement),
            ) from error
        return answered


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
