"""Rows of a node, few at a time: their records, and what is stored of the results that these stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, rows_of
from orcapod.compute import pc
from orcapod.datagrams import free_name
from orcapod.errors import DatabaseError, PrunedResultError, SchemaError, UnknownRowError
from orcapod.ledger.node_entries import NodeEntries, only_row
from orcapod.ledger.run_summary import NodeSummary, RunSummary
from orcapod.ledger.stored_results import has_values, results_at
from orcapod.protocols import Database, RecordPath, ScanningDatabaseProtocol
from orcapod.records import RECORD_ID, RUN_ID, NodeStates, lost_results, result_path, with_large_bytes

__all__ = ["first_entries", "in_portions", "values_of", "with_results"]

_AT_FIRST, _FASTER, _AT_ONCE = 64, 8, 20_000  # rows: values may be large, and nobody knows before they are read
_BYTES_AT_ONCE = 32 << 20
_MADE = {RUN_ID: "run_id", "__timestamp": "timestamp", "__seconds": "seconds"}
"""What is told of a result beside its outputs, and under which name."""


def with_results(database: Database, node: NodeSummary, entries: pa.Table) -> pa.Table:
    """Return rows of a function node, given their records; see ``Store.rows``.

    Raises:
        PrunedResultError: values were pruned.
        DamagedRecordError: a result is not there, for another reason, or its large bytes are not.
        DatabaseError: its results are in another store.
    """
    if not entries.num_columns:
        return entries
    path = node.record.path
    results = results_at(database, path, entries.column(RECORD_ID))
    lost: list[Any] = entries.column(RECORD_ID).filter(pc.invert(has_values(results))).to_pylist()
    if lost and not _has_results(database, path):
        label = node.record.label
        raise DatabaseError(
            f"the results of {label!r} are not in {database!r}: its pipeline keeps them in another store "
            "(result_database=), or they were removed; entries(...) of this store gives its tags and record ids, and "
            f"{label}.at(run_id) of the pipeline its outputs"
        )
    if lost:
        raise lost_results(database, path[:-1], lost)
    results = with_large_bytes(results)
    columns: dict[str, Any] = {
        name: table.column(name)
        for table in (entries, results)
        for name in table.column_names
        if not name.startswith("_")
    }
    ids: list[Any] = entries.column(RECORD_ID).to_pylist()
    made: dict[str, Any] = {"record_id": array_of([each.hex() for each in ids], pa.large_string())}
    made |= {shown: results.column(name) for name, shown in _MADE.items() if name in results.column_names}
    return pa.table(columns | {free_name(name, columns): column for name, column in made.items()})


def first_entries(database: Database, run: RunSummary, node: NodeSummary, count: int) -> pa.Table:
    """Return the records of the first rows that a function node gave in a run; no more are read than it takes."""
    view, path = database.at(*run.pipeline), node.record.path
    states = NodeStates(view, path, node.record.label)
    found: list[pa.Table] = []
    for table in view.scan_records(path) if isinstance(view, ScanningDatabaseProtocol) else [states.read()]:
        for start in range(0, table.num_rows, step := max(_AT_FIRST, 2 * count)):
            given = states.of(table.slice(start, step), node.totals.state)
            seen = [key for each in found for key in each.column(0).to_pylist()]  # two may have written one key
            is_new = pc.invert(pc.is_in(given.column(0), value_set=array_of(seen, pa.large_binary())))
            found.append(given.filter(is_new))
            if sum(each.num_rows for each in found) >= count:
                return pa.concat_tables(found, promote_options="default").slice(0, count)
    return pa.concat_tables(found, promote_options="default") if found else pa.table({})


def values_of(
    database: Database, run: RunSummary, node: NodeSummary, tags: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the values of a row that a function node gave in a run, by output, given all of its tags.

    Returns:
        None where several rows have these tags, or where the tags or the values are not there any more.
    """
    if not _has_results(database, node.record.path):
        return None
    try:
        entry = only_row(NodeEntries(database.at(*run.pipeline), node), tags, run)
        row = rows_of(with_results(database, node, entry))[0]
    except (SchemaError, UnknownRowError, PrunedResultError):
        return None
    return {name: value for name, value in row.items() if name not in tags}


def _has_results(database: Database, path: RecordPath) -> bool:
    return database.get_records_by_ids(result_path(path[:-1]), []).num_columns > 0


def in_portions(rows: int, read: Callable[[int, int], pa.Table]) -> Iterator[pa.Table]:
    """Give what is read of so many rows, as many at a time as are a few megabytes; once at least.

    Args:
        rows: how many they are.
        read: reads them from one number on, so many.
    """
    start, count = 0, _AT_FIRST
    while True:
        table = read(start, count)
        yield table
        start += count
        if start >= rows:
            return
        fitting = _BYTES_AT_ONCE * count // max(1, table.nbytes)
        count = max(1, min(fitting, _FASTER * count, _AT_ONCE))
