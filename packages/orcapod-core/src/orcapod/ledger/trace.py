"""``Tracer``: follows rows of a store to the rows that they were made of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from orcapod.arrow import rows_of
from orcapod.datagrams import SEPARATOR, SOURCE_INFO
from orcapod.errors import SchemaError
from orcapod.ledger.links import known_of, matching, unnested
from orcapod.ledger.node_entries import NodeEntries, is_list, keys_of, source_rows
from orcapod.ledger.provenance import ComputedRow, Origin, ResultRecord, RowGroup, RowRecords, SourceRow
from orcapod.ledger.routes import NodeInRun, Routes
from orcapod.ledger.run_summary import RunSummary, environment_of
from orcapod.protocols import Database, RecordPath, find_records
from orcapod.records import RECORD_ID, NodeRecord, Stubs, result_path

__all__ = ["Tracer"]

_FEW = 16  # source rows that are told one by one
_URI_PARTS, _RECORD = 4, re.compile("[0-9a-f]{64}")  # of a function, and what it calls its records
_RESULT = ["__code", "__run_id", "__timestamp", "__seconds"]

_Names = str | tuple[Any, ...] | None
"""Record of a value, ``{producer}::{record}``; or those of the members of a list; None where there is no value."""


@dataclass(frozen=True)
class _Rows:
    """Rows that are to be found among those of the nodes above.

    Attributes:
        names: what produced the values of each.
        columns: what that calls them.
        known: the tags and system tags of each.
    """

    names: tuple[_Names, ...]
    columns: tuple[str, ...]
    known: pa.Table

    def members(self, row: int, start: int, stop: int) -> _Rows:
        """Return members of one of the rows, from one position to another."""
        names: Any = self.names[row]
        numbers = pa.array([[*range(len(names))]], pa.large_list(pa.int64()))
        _, known = unnested(numbers, self.known.slice(row, 1))
        return _Rows(names[start:stop], self.columns, known.slice(start, stop - start))


class Tracer:
    """Reader of the provenance of rows; what several rows were made of is looked up for all of them at once.

    Args:
        database: the store.
        runs: its runs, in the order in which they began.

    Attributes:
        routes: the ways between nodes.
    """

    def __init__(self, database: Database, runs: Sequence[RunSummary]) -> None:
        self._database = database
        self._runs = runs
        self.routes = Routes(runs)
        self._entries: dict[tuple[str, str], NodeEntries] = {}
        self._sources: dict[tuple[str, str, bytes], list[SourceRow]] = {}

    def entries(self, node: NodeInRun) -> NodeEntries:
        """Return the rows that a node gave in a run."""
        if node.key not in self._entries:
            self._entries[node.key] = NodeEntries(self._database.at(*node.run.pipeline), node.summary)
        return self._entries[node.key]

    def outputs(self, node: NodeInRun, column: str | None) -> tuple[str, ...]:
        """Return the outputs of a function, or the one that is meant.

        Raises:
            SchemaError: there is no such output.
        """
        stored = self._database.get_records_by_ids(result_path(node.record.path[:-1]), []).column_names
        outputs = tuple(name for name in stored if not name.startswith("__"))
        if column is None:
            return outputs
        if outputs and column not in outputs:
            raise SchemaError(
                f"node {node.record.label!r} has no output {column!r}; found {list(outputs)}, name one of these",
                column=column,
                found=str(list(outputs)),
                node=node.record.label,
            )
        return (column,)

    def matched(self, above: NodeInRun, known: pa.Table, wanted: Mapping[int, bytes]) -> Mapping[int, bytes]:
        """Return the keys of the rows above that rows were made of, as ``matching`` does.

        What is found, not computed, was made of what was there when it was computed, which may have gone by now.
        """
        entries = self.entries(above)
        found = matching(entries, known, wanted)
        left = {row: record_id for row, record_id in wanted.items() if row not in found}
        return {**found, **matching(entries.ever, known, left)} if left else found

    def sources(self, node: NodeInRun, entry: pa.Table) -> list[SourceRow]:
        """Return the rows of sources that a row was made of."""
        key = *node.key, entry.column(0)[0].as_py()
        if key not in self._sources:
            found = dict.fromkeys(_sources(entry))
            if self.routes.is_spread(node):
                found |= dict.fromkeys(row for origin in self._inputs(node, entry) for row in origin.sources())
            self._sources[key] = list(found)
        return self._sources[key]

    def row(self, node: NodeInRun, entry: pa.Table, columns: tuple[str, ...] = ()) -> ComputedRow:
        """Return the tree of one row of a function node, given its entry and which of its outputs are meant."""
        run, record = node.run, node.record
        tags = entry.select([name for name in entry.column_names if not name.startswith("_")]).to_pylist()[0]
        record_id: bytes = entry.column(RECORD_ID)[0].as_py()
        return ComputedRow(
            "/".join(run.pipeline),
            record.label,
            record.name,
            record_id.hex(),
            tags,
            self._records(
                record.path[:-1],
                record_id,
                tags,
                partial(self._inputs, node, entry),
                partial(self.sources, node, entry),
            ),
            entry.column(0)[0].as_py(),
            columns=columns,
            operators=node.operators,
        )

    def _unplaced(self, producer: str, record: str, columns: tuple[str, ...]) -> Origin:
        """Return a row that is among those of no node above: of a result of another place, or of a source."""
        uri = tuple(producer.split(":"))
        if len(uri) != _URI_PARTS or not _RECORD.fullmatch(record):
            return SourceRow(producer, record, columns=columns)
        records = self._records(uri, bytes.fromhex(record), {}, tuple, list)
        return ComputedRow("", "", uri[0], record, {}, records, columns=columns)

    def _records(
        self, uri: RecordPath, record_id: bytes, tags: Mapping[str, Any], inputs: Any, sources: Any
    ) -> RowRecords:
        return RowRecords(
            partial(self._result, uri, record_id), inputs, sources, self._environment, partial(self._log, uri, tags)
        )

    def _result(self, uri: RecordPath, record_id: bytes) -> ResultRecord:
        """Return what is known of a result beside its values, which may be gone."""
        found = rows_of(self._database.get_records_by_ids(result_path(uri), [record_id], _RESULT))
        found = found or rows_of(Stubs(self._database, uri).among([record_id]))
        return ResultRecord(*(found[0][name] for name in _RESULT)) if found else ResultRecord()

    def _environment(self, run_id: str) -> Mapping[str, Any]:
        run = self._run(run_id)
        return {} if run is None else environment_of(self._database, run)

    def _log(self, uri: RecordPath, tags: Mapping[str, Any], run_id: str) -> pa.Table:
        """Return what a function wrote in a run, for rows of these tags."""
        if (run := self._run(run_id)) is None:
            return pa.table({})
        view = self._database.at(*run.pipeline)
        wanted = {"__run_id": run_id, **{name: str(value) for name, value in tags.items() if value is not None}}
        values: dict[str, Any] = {name: pa.array([value], pa.large_string()) for name, value in wanted.items()}
        paths = [path for path in view.list_paths() if path[:1] == ("_log",) and path[1:-1] == uri]
        fitting = [path for path in paths if {*values} <= {*view.get_records_by_ids(path, []).column_names}]
        found = [find_records(view, path, values) for path in fitting]
        return next((logs for logs in found if logs.num_rows), pa.table({}))

    def _run(self, run_id: str) -> RunSummary | None:
        return next((run for run in self._runs if run.run_id == run_id), None)

    def _inputs(self, node: NodeInRun, entry: pa.Table) -> Sequence[Origin]:
        """Return what a row was made of: what gave the values that its function takes, and what has only its tags."""
        nodes = self.routes.above(node)
        by_record: dict[tuple[Any, ...], list[str]] = {}
        for name in entry.column_names:
            if name.startswith(SOURCE_INFO):
                names, column = _split(entry.column(name)[0].as_py())
                if names is not None:
                    by_record.setdefault((names,), []).append(column)
        found = [
            origin
            for names, columns in by_record.items()
            for origin in self._found(nodes, _Rows(names, tuple(dict.fromkeys(columns)), known_of(entry)))
        ]
        return [*found, *self._others(entry, found)]

    def _others(self, entry: pa.Table, found: Sequence[Origin]) -> list[Origin]:
        """Return the source rows that a row has the ids of, but no value."""
        counts = {len(origin) for origin in found if isinstance(origin, RowGroup)}
        names = [name for name in entry.column_names if name.startswith("_tag_")]
        apart = [name for name in names if _length(entry.column(name)) not in counts]
        others = dict.fromkeys(_sources(entry.select(apart)))
        for origin in found:
            if others and not isinstance(origin, RowGroup):
                there = set(origin.sources())
                others = {row: None for row in others if row not in there}
        if len(others) <= _FEW:
            return [*others]
        rows = [*others]
        return [RowGroup(len(rows), lambda start, stop: rows[start:stop])]

    def _found(self, nodes: Sequence[NodeInRun], rows: _Rows) -> list[Origin]:
        """Return what rows were made of; nothing where nothing has produced a value."""
        found: dict[int, list[Origin]] = {}
        by_producer: dict[str, list[int]] = {}
        for row, names in enumerate(rows.names):
            if isinstance(names, tuple):
                operators = _operators(nodes, names)
                read = partial(self._members, [node._replace(operators=()) for node in nodes], rows, row)
                found[row] = [RowGroup(len(names), read, columns=rows.columns, operators=operators)]
            elif names is not None:
                by_producer.setdefault(names.partition(SEPARATOR)[0], []).append(row)
        for producer, some in by_producer.items():
            found |= self._produced(nodes, producer, rows, some)
        return [origin for row in sorted(found) for origin in found[row]]

    def _members(self, nodes: Sequence[NodeInRun], rows: _Rows, row: int, start: int, stop: int) -> list[Origin]:
        return self._found(nodes, rows.members(row, start, stop))

    def _produced(
        self, nodes: Sequence[NodeInRun], producer: str, rows: _Rows, some: Sequence[int]
    ) -> dict[int, list[Origin]]:
        """Return what some rows were made of, all by one producer."""
        records: dict[int, str] = {row: str(rows.names[row]).partition(SEPARATOR)[2] for row in some}
        functions = [node for node in nodes if node.producer == producer and node.record.kind == "function"]
        sources = [node for node in nodes if node.producer == producer and node.record.kind == "source"]
        if sources and not functions:
            operators = sources[0].operators
            return {
                row: [SourceRow(producer, record, columns=rows.columns, operators=operators)]
                for row, record in records.items()
            }
        found: dict[int, list[Origin]] = {}
        for node in functions:  # equal packets of several nodes have one result, and a row may be made of both
            keys = self.matched(node, rows.known, {row: bytes.fromhex(record) for row, record in records.items()})
            table = self.entries(node).ever.with_keys(dict.fromkeys(keys.values()))
            at = {key: number for number, key in enumerate(keys_of(table))}
            for row, key in keys.items():
                found.setdefault(row, []).append(self.row(node, table.slice(at[key], 1), rows.columns))
        return {row: found.get(row) or [self._unplaced(producer, records[row], rows.columns)] for row in some}


def _sources(entry: pa.Table) -> list[SourceRow]:
    """Return the source rows of one entry, each once."""
    columns: list[list[Any]] = [source_rows(entry).column(name).to_pylist() for name in ("source_id", "record_id")]
    return [SourceRow(*pair) for pair in dict.fromkeys(zip(*columns, strict=True))]


def _length(column: Any) -> int | None:
    """Return how long the list in the one row of a column is; None if it is none."""
    return len(column[0]) if is_list(column.type) and column[0].is_valid else None


def _split(info: Any) -> tuple[_Names, str]:
    """Return which record a source info names, and the column; of the members of a list, those of all of them."""
    if isinstance(info, list):
        members = [_split(each) for each in info]
        return tuple(names for names, _ in members), next((column for _, column in members if column), "")
    if info is None:
        return None, ""
    record, _, column = info.rpartition(SEPARATOR)
    return record, column


def _operators(nodes: Sequence[NodeInRun], names: _Names) -> tuple[NodeRecord, ...]:
    """Return the operators between what has produced some values and what is made of them."""
    while isinstance(names, tuple):
        names = next((each for each in names if each), None)
    producer = names.partition(SEPARATOR)[0] if names else ""
    return next((node.operators for node in nodes if node.producer == producer), ())
