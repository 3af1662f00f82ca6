"""Views of nodes in SQL: their present rows, and all that they ever gave, out of the tables that a pipeline writes.

A view computes what ``orcapod.records.NodeStates`` does. So it is right whatever is written, costs nothing by night,
and is made anew only where its tables or columns are others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from orcapod.databases.long_lists import ListDialect, PieceTables, SQLTable, long_list, piece_tables
from orcapod.databases.sql import free_identifier
from orcapod.protocols import NodeView, RecordPath, decoding
from orcapod.records import LARGE, RECORD_ID, RUN_ID, RUN_STARTS, STATES, TREES, changes_path, result_path

__all__ = [
    "HISTORY",
    "Dialect",
    "NodeTables",
    "free_view_name",
    "misnamed",
    "tables_of",
    "view_keys",
    "view_names",
    "view_selects",
]

HISTORY = "_history"
"""What is added to the name of a node's view for the view of all rows that it ever gave."""

_PERIOD = ("copies", "first_run", "first_state", "first_at", "until_run", "until_state", "until")
_ENDS = ("first", "end")
_MADE = {"run_id": RUN_ID, "timestamp": "__timestamp", "seconds": "__seconds"}


@dataclass(frozen=True, slots=True)
class NodeTables:
    """Tables that a node's views are made of; None where there is none, or it is in another store.

    Attributes:
        entries: which rows it gave.
        results: what its function gave.
        states: the states of nodes.
        changes: what went and came back.
        starts: when runs began.
        result_join: the condition on which the result ``r`` belongs to the row ``e``.
        pieces: where the long lists of its rows are, by column.
    """

    entries: SQLTable | None
    results: SQLTable | None
    states: SQLTable | None
    changes: SQLTable | None
    starts: SQLTable | None
    result_join: str
    pieces: Mapping[str, PieceTables] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Dialect of SQL.

    Attributes:
        quoted: returns a name as it is written.
        literal: returns a text as it is written.
        shown: returns an expression of a column of some type, as people read it.
        hexadecimal: the expression of bytes as digits, ``{}`` standing for them.
        lists: how long lists are put together; None where they come whole.
        longest: the bytes of the longest name; None if there is no limit.
    """

    quoted: Callable[[str], str]
    literal: Callable[[str], str]
    shown: Callable[[str, pa.DataType], str]
    hexadecimal: str
    lists: ListDialect | None = None
    longest: int | None = None


def view_names(pipeline: RecordPath, label: str) -> tuple[str, str]:
    """Return what the two views of a node are called, if that is free: ``study.bmi`` and ``study.bmi_history``."""
    name = f"{'/'.join(pipeline)}.{label}"
    return name, name + HISTORY


def view_keys(pipeline: RecordPath, label: str) -> tuple[str, str]:
    """Return by which keys ``_orcapod_views`` says what the two views of a node are called."""
    return json.dumps([*pipeline, label, 0]), json.dumps([*pipeline, label, 1])


def free_view_name(wanted: str, taken: Collection[str], *, max_bytes: int | None = None) -> str:
    """Return what a view is called on every store: SQLite keeps some names for itself, see ``free_identifier``."""
    wanted = f"_{wanted}" if wanted.casefold().startswith("sqlite_") else wanted
    return free_identifier(wanted, taken, max_bytes=max_bytes)


def misnamed(statement: str, called: Iterable[tuple[str, str]], quoted: Callable[[str], str]) -> str | None:
    """Return what is wrong with a statement that names a view which is called otherwise; None if it does not.

    Args:
        statement: what is asked.
        called: what views would be called, and are.
        quoted: returns a name as it is written.
    """
    names = {name: wanted for wanted, name in called}
    for name, wanted in names.items():
        if wanted not in names and quoted(wanted) in statement and quoted(name) not in statement:
            return f"{quoted(wanted)} is called {quoted(name)} here, since that was taken"
    return None


def tables_of(
    view: NodeView,
    pipeline: RecordPath,
    results: RecordPath | None,
    find: Callable[[RecordPath], SQLTable | None],
    joined: Callable[[str, SQLTable, str], str],
) -> NodeTables:
    """Return the tables that a view is made of.

    Args:
        view: of which node.
        pipeline: where the tables of its pipeline are, in the store.
        results: where those of results are; None if they are in another one.
        find: returns the table of a path.
        joined: returns the condition on which a row has a key, given what the row is called, its table, and the key.
    """
    entries = find((*pipeline, *view.path))
    given = None if results is None else find((*results, *result_path(view.path[:-1])))
    join = "" if given is None or entries is None else joined("r", given, f"e.{entries.columns[RECORD_ID]}")
    states, changes, starts = (find((*pipeline, *path)) for path in (STATES, changes_path(view.path), RUN_STARTS))
    pieces = piece_tables(pipeline, entries, find, joined)
    return NodeTables(entries, given, states, changes, starts, join, pieces)


def view_selects(view: NodeView, tables: NodeTables, dialect: Dialect) -> tuple[str, str]:
    """Return the statements for the rows that a node gives at present, and for all that it ever gave.

    Raises:
        DatabaseError: a table lacks a column that it was made with.
    """
    with decoding(view.path, view.label, RUN_ID):
        return _selects(view, tables, dialect)


def _selects(view: NodeView, tables: NodeTables, dialect: Dialect) -> tuple[str, str]:
    entries, states, starts = tables.entries, tables.states, tables.starts
    if entries is None or states is None or starts is None:
        return _nothing(view, dialect, [*_MADE, "record_id"]), _nothing(view, dialect, [*_PERIOD, *_MADE, "record_id"])
    key, run = (f"e.{entries.columns[name]}" for name in (entries.schema.names[0], RUN_ID))
    number, state_run, own = (states.columns[name] for name in ("__number", RUN_ID, "__own"))
    of_node = f"{states.columns['__node_label']} = {dialect.literal(view.label)}"
    of_node += f" AND {states.columns['__path']} = {dialect.literal('/'.join(view.path))}"
    known = f"states(number, run_id, own) AS (SELECT {number}, {state_run}, {own} FROM {states.name} WHERE {of_node})"
    changes = _changes(view, tables, dialect)
    results = "" if tables.results is None else f" LEFT JOIN {tables.results.name} AS r ON {tables.result_join}"
    present = (
        f"WITH RECURSIVE {known},"
        f" changed(entry_id, n) AS (SELECT entry_id, sum(n) FROM ({changes}) AS change GROUP BY entry_id),"
        " copies(nth) AS (SELECT 1 UNION ALL SELECT nth + 1 FROM copies WHERE nth <= (SELECT max(n) FROM changed))"
        f" SELECT {_selected(view, tables, dialect, {})} FROM {entries.name} AS e"
        f" LEFT JOIN changed ON changed.entry_id = {key} CROSS JOIN copies{results}"
        f" WHERE copies.nth <= coalesce(changed.n, 0) + CASE WHEN {run} IN"
        " (SELECT run_id FROM states WHERE own > 0) THEN 1 ELSE 0 END"
    )
    started, start_run = starts.columns["__started"], starts.columns[RUN_ID]
    first, end = (f"{each}_start.{started}" for each in _ENDS)
    end = f"CASE WHEN {end} < {first} THEN {first} ELSE {end} END"  # of runs that overlap, the last to end may be first
    first_at, until = (dialect.shown(time, starts.schema.field("__started").type) for time in (first, end))
    period = ["coalesce(period.copies, 1)", "first_state.run_id", "first_state.number", first_at]
    period += ["end_state.run_id", "end_state.number", until]
    begun = "".join(
        f" LEFT JOIN {starts.name} AS {each}_start ON {each}_start.{start_run} = {each}_state.run_id" for each in _ENDS
    )
    history = (  # most rows never went: their only period begins with the run that wrote them
        f"WITH {known}, changes(entry_id, number, n) AS ({changes}),"
        " events(entry_id, number, n) AS (SELECT entry_id, number, CAST(sum(n) AS bigint) FROM"
        " (SELECT entry_id, number, n FROM changes UNION ALL"
        f" SELECT {key} AS entry_id, states.number AS number, 1 AS n FROM {entries.name} AS e"
        f" JOIN states ON states.run_id = {run} AND states.own > 0 WHERE {key} IN (SELECT entry_id FROM changes)"
        ") AS event GROUP BY entry_id, number HAVING sum(n) <> 0),"
        " periods(entry_id, began, ended, copies) AS (SELECT entry_id, number, lead(number) OVER by_number,"
        " CAST(sum(n) OVER by_number AS bigint) FROM events"
        " WINDOW by_number AS (PARTITION BY entry_id ORDER BY number))"
        f" SELECT {_selected(view, tables, dialect, dict(zip(_PERIOD, period, strict=True)))} FROM {entries.name} AS e"
        # SQLite makes an index for itself of what is grouped, and looks through what a window gives for every row.
        " LEFT JOIN (SELECT entry_id, began, max(ended) AS ended, max(copies) AS copies FROM periods"
        f" GROUP BY entry_id, began) AS period ON period.entry_id = {key}"
        f" LEFT JOIN states AS own_state ON own_state.run_id = {run} AND own_state.own > 0"
        " JOIN states AS first_state ON first_state.number = coalesce(period.began, own_state.number)"
        f" LEFT JOIN states AS end_state ON end_state.number = period.ended{begun}{results}"
        " WHERE coalesce(period.copies, 1) > 0"
    )
    return present, history


def _changes(view: NodeView, tables: NodeTables, dialect: Dialect) -> str:
    """Return the statement for how often entries came and went, beside those that a run wrote."""
    changes = tables.changes
    if changes is None:
        return "SELECT NULL AS entry_id, 0 AS number, 0 AS n FROM states WHERE 1 = 0"
    entry, count, number, run, label = (
        f"c.{changes.columns[name]}" for name in ("__entry_id", "__count", "__number", RUN_ID, "__node_label")
    )
    return (
        f"SELECT {entry} AS entry_id, {number} AS number, {count} AS n FROM {changes.name} AS c"
        f" JOIN states ON states.number = {number} AND states.run_id = {run}"
        f" WHERE {label} = {dialect.literal(view.label)}"
    )


def _selected(view: NodeView, tables: NodeTables, dialect: Dialect, period: Mapping[str, str]) -> str:
    """Return what is selected: tags and outputs, what is known of them, and where they come from."""
    entries, results = tables.entries, tables.results
    assert entries is not None
    columns = {name: _given(entries, name, tables, dialect) for name in view.tags}
    made = {"run_id": _column("e", entries, RUN_ID, dialect)}
    if results is not None:
        columns |= {name: _column("r", results, name, dialect) for name in view.outputs}
        made = {shown: _column("r", results, name, dialect) for shown, name in _MADE.items()}
        if LARGE in results.columns:
            made["large"] = _column("r", results, LARGE, dialect)
    made["record_id"] = dialect.hexadecimal.format(f"e.{entries.columns[RECORD_ID]}")
    columns |= {_free(name, columns): expression for name, expression in {**period, **made}.items()}
    columns |= {name: _given(entries, name, tables, dialect) for name in view.sources if name in entries.columns}
    return ", ".join(f"{expression} AS {name}" for name, expression in _named(columns, dialect))


def _nothing(view: NodeView, dialect: Dialect, known: Iterable[str]) -> str:
    """Return the statement for a view of no rows."""
    columns = dict.fromkeys([*view.tags, *view.outputs], "NULL")
    columns |= {_free(name, columns): "NULL" for name in known} | dict.fromkeys(view.sources, "NULL")
    return f"SELECT {', '.join(f'NULL AS {name}' for name, _ in _named(columns, dialect))} WHERE 1 = 0"


def _given(entries: SQLTable, name: str, tables: NodeTables, dialect: Dialect) -> str:
    """Return the expression of a column of a row, also where that is a long list."""
    short, pieces = _column("e", entries, name, dialect), tables.pieces.get(name)
    if pieces is None or dialect.lists is None:
        return short
    is_cut = f"e.{entries.columns[name]} IS NULL AND e.{entries.columns[TREES]} IS NOT NULL"
    long = long_list(entries, name, pieces, dialect.literal(name), dialect.lists)
    return f"CASE WHEN {is_cut} THEN {long} ELSE {short} END"


def _column(alias: str, table: SQLTable, name: str, dialect: Dialect) -> str:
    return dialect.shown(f"{alias}.{table.columns[name]}", table.schema.field(name).type)


def _free(name: str, columns: Iterable[str]) -> str:
    """Return a name, or, where a user's column is called so, one that none of them can have."""
    return f"__{name}" if name in {each.casefold() for each in columns} else name


def _named(columns: Mapping[str, str], dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Give columns with the names that they have in SQL."""
    taken: list[str] = []
    for name, expression in columns.items():
        taken.append(free_identifier(name, taken, max_bytes=dialect.longest))
        yield dialect.quoted(taken[-1]), expression
