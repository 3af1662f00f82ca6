"""``prune``: the values of results that no present row needs are removed; what is known of each stays as a stub.

A stub is stored before its result goes, so that a kill at any moment leaves the one or the other, or both. A result
that is looked up when its value is gone is missing, and computed again. What a run that goes on may have looked up
already is left alone: the results of the functions of its pipeline.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.protocols import Database, RecordPath
from orcapod.records.address import RECORD_ID, RUN_STARTS, RUNS, FunctionUri, result_path
from orcapod.records.graph_records import GraphRecords
from orcapod.records.large_values import large_bytes
from orcapod.records.states import RUN_ID, NodeStates, State, states_in
from orcapod.records.stubs import STUB_COLUMNS, Stubs
from orcapod.types import loaded_bytes

__all__ = ["Keep", "PruneReport", "functions_of", "prune"]

Keep = Literal["present"]
"""What stays, however old it is: what the present rows of all pipelines on a store need."""

_AT_FIRST, _FASTER, _AT_ONCE = 16, 8, 5000  # records: values may be large, and nobody knows before they are read
_BYTES_AT_ONCE = 32 << 20
_GOING_ON = timedelta(days=1)  # a run that began before, and has not ended, is taken for killed
_TYPES: dict[str, pa.DataType] = {
    "kind": pa.large_string(),
    "function": pa.large_string(),
    "nodes": pa.large_list(pa.large_string()),
    "rows": pa.int64(),
    "bytes": pa.int64(),
    "seconds": pa.float64(),
}


@dataclass(frozen=True, slots=True, repr=False)
class PruneReport:
    """Report of what was pruned, or would be.

    Attributes:
        table: for each function and ``kind`` of records (``results``, ``logs``, ``statuses``): the ``nodes`` that it
            has been, as ``pipeline.label``, how many ``rows`` go, about how many ``bytes`` they take with their files
            (in memory: fewer in a store that compresses), and for how many ``seconds`` the results were computed: what
            it costs to have them again.
        is_dry_run: whether nothing was removed.
        going_on: the runs that have not ended, because of which results of the functions of their pipelines stay.
    """

    table: pa.Table
    is_dry_run: bool
    going_on: tuple[str, ...]

    @property
    def rows(self) -> int:
        """How many results, and rows of logs and statuses, go."""
        return int(pc.sum(self.table.column("rows")).as_py() or 0)

    @property
    def bytes(self) -> int:
        """About how many bytes they take: in memory, and in files."""
        return int(pc.sum(self.table.column("bytes")).as_py() or 0)

    @property
    def seconds(self) -> float:
        """For how long the results were computed."""
        return float(pc.sum(self.table.column("seconds")).as_py() or 0.0)

    def __repr__(self) -> str:
        title = "would go" if self.is_dry_run else "gone"
        lines = [f"<PruneReport {title}: {self.rows:,} rows, {self.bytes:,} bytes, {self.seconds:,.1f} s to compute"]
        rows: list[Any] = self.table.to_pylist()
        lines += [
            f"  {row['kind']} of {', '.join(row['nodes']) or row['function']}: {row['rows']:,} rows, {row['bytes']:,} "
            f"bytes, {row['seconds']:,.1f} s"
            for row in rows
        ]
        if self.going_on:
            lines.append(f"  left for runs that go on: {', '.join(self.going_on)}")
        return "\n".join(lines) + ">"


def prune(
    database: Database,
    results: Database,
    *pipelines: RecordPath,
    keep: Keep,
    older_than: str | timedelta,
    dry_run: bool,
    logs: bool,
    functions: Collection[FunctionUri] | None = None,
) -> PruneReport:
    """Remove the values of results that no present row needs and that are older.

    Args:
        database: where the records of pipelines are.
        results: where the results are: the same store, or another.
        pipelines: whose logs and statuses go with them.
        keep: what stays, however old it is.
        older_than: what is younger stays.
        dry_run: whether to say what would go, and remove nothing.
        logs: whether logs and statuses go, of runs that are older and of which no result is left.
        functions: whose results go; those of all if None.

    Raises:
        ConfigError: an argument is not what it has to be.
        ReadOnlyStoreError: a store may only be read.
    """
    check = Checks("prune")
    check.choice("keep", keep, get_args(Keep))
    before = datetime.now(UTC) - check.duration("older_than", older_than)
    check.flag("dry_run", dry_run)
    check.flag("logs", logs)
    stores = [database] if results is database else [database, results]
    if not dry_run:
        for store in stores:
            store.check_writable()
    pruning = _Pruning(stores, results, before, dry_run=dry_run)
    for path in results.list_paths():
        if path[0] == "_result" and len(path) == len(result_path(())) + 4:
            pruning.results(path[1:], spared=functions is not None and path[1:] not in functions)
    for pipeline in pipelines if logs else ():
        pruning.logs(database.at(*pipeline))
    return pruning.report()


@dataclass
class _Needs:
    """What is needed of the results of a store, as long as no run begins.

    Attributes:
        runs: all that have begun.
        going_on: those of them that have not ended, as far as one can know.
        states: the present node states of all pipelines, by function.
        unsettled: where rows may be that runs of a part have written since, by function: those of later runs.
        in_use: the functions of pipelines of which a run goes on.
        labels: what functions have been called, ``pipeline.label``.
        last: the last run of each pipeline that has ended.
    """

    runs: frozenset[str] = frozenset()
    going_on: list[str] = field(default_factory=list)
    states: dict[FunctionUri, list[NodeStates]] = field(default_factory=dict)
    unsettled: dict[FunctionUri, list[tuple[Database, RecordPath, str]]] = field(default_factory=dict)
    in_use: set[FunctionUri] = field(default_factory=set)
    labels: dict[FunctionUri, set[str]] = field(default_factory=dict)
    last: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, stores: Iterable[Database]) -> _Needs:
        needs = cls(runs=begun_runs(stores))
        for store in stores:
            for name in _pipelines(store):
                needs._look_at(store.at(*name), name)
        return needs

    def _look_at(self, view: Database, name: RecordPath) -> None:
        ended: list[Any] = view.get_records(RUNS, ["__nodes"]).to_pylist()
        starts: list[Any] = view.get_records(RUN_STARTS, ["__started", "__graph_id"]).to_pylist()
        known = {run["__run_id"] for run in ended}
        since = datetime.now(UTC) - _GOING_ON
        going_on = [run["__run_id"] for run in starts if run["__run_id"] not in known and run["__started"] > since]
        self.going_on += going_on
        if going_on:
            self.in_use.update(path[-5:-1] for path in view.list_paths() if is_entries_path(path))
        graphs = GraphRecords(view)
        plans = {graph_id: graphs.nodes(graph_id) for graph_id in {run["__graph_id"] for run in starts}}
        plan_of = {run["__run_id"]: plans[run["__graph_id"]] for run in starts}
        for run in ended:
            for node in plan_of.get(run["__run_id"], ()):
                if node.kind == "function":
                    self.labels.setdefault(node.path[:-1], set()).add(".".join(["/".join(name), node.label]))
        present = _present_states(view)
        for label, path in present:
            self.states.setdefault(path[:-1], []).append(NodeStates(view, path, label))
        settled = {path: "" for path in view.list_paths() if is_entries_path(path)}
        for (_, path), state in present.items():
            settled[path] = max(settled.get(path, ""), state.run_id)
        for path, run_id in settled.items():
            self.unsettled.setdefault(path[-5:-1], []).append((view, path, run_id))
        if ended:
            self.last.add(max(run["__run_id"] for run in ended))

    def of_function(self, uri: FunctionUri) -> set[bytes]:
        """Return the records of its results that present rows need, or that runs have computed since of a part."""
        present = {record_id for states in self.states.get(uri, ()) for record_id in states.record_ids()}
        for view, path, since in self.unsettled.get(uri, ()):
            entries = view.get_records(path, [RECORD_ID, RUN_ID])
            if entries.num_rows:
                is_new = pc.greater(pc.fill_null(entries.column(RUN_ID), ""), since)
                new: list[Any] = entries.filter(is_new).column(RECORD_ID).to_pylist()
                present.update(new)
        return present


def _present_states(view: Database) -> Mapping[tuple[str, RecordPath], State]:
    """Return the present state of every node, at the path where it had rows last."""
    newest: dict[str, tuple[State, RecordPath]] = {}
    for (label, path), states in states_in(view).items():
        state = states[-1]
        if label not in newest or (newest[label][0].run_id, newest[label][0].rows) < (state.run_id, state.rows):
            newest[label] = state, path
    return {(label, path): state for label, (state, path) in newest.items()}


class _Pruning:
    """Pruning of a store, function by function."""

    def __init__(self, stores: Sequence[Database], results: Database, before: datetime, *, dry_run: bool) -> None:
        self._stores = stores
        self._results = results
        self._before = before
        self._dry_run = dry_run
        self._needs = _Needs.of(stores)
        self._needed: set[bytes] = set()
        self._rows: list[tuple[Any, ...]] = []
        self._left: set[str] = set()

    def results(self, uri: FunctionUri, *, spared: bool = False) -> None:
        """Prune the results of a function, unless they are spared."""
        path = result_path(uri)
        known = self._results.get_records(path, [RUN_ID, "__timestamp"])
        is_old = pc.less(known.column("__timestamp"), pa.scalar(self._before, pa.timestamp("us", "UTC")))
        self._needed = self._needs.of_function(uri)
        old: list[Any] = known.filter(is_old).column(0).to_pylist()
        doomed = [] if spared or uri in self._needs.in_use else [key for key in old if key not in self._needed]
        stubs = Stubs(self._results, uri)
        rows = size = 0
        seconds, gone = 0.0, set[bytes]()
        start, count = 0, min(_AT_FIRST, _AT_ONCE)
        while start < len(doomed):
            keys = self._still_doomed(uri, doomed[start : start + count])
            records = self._results.get_records_by_ids(path, keys)
            start += count
            if not records.num_rows:
                continue
            if not self._dry_run:
                stubs.add(records)
                self._results.flush()
                self._results.delete_records(path, keys)
                self._results.flush()
                if begun_runs(self._stores) != self._needs.runs:  # it may have found them just before
                    self._results.add_records(path, records)
                    continue
            rows += records.num_rows
            size += _size(records)
            seconds += pc.sum(records.column("__seconds")).as_py() or 0.0
            gone.update(keys)
            fitting = _BYTES_AT_ONCE * records.num_rows // max(1, records.nbytes)
            count = max(1, min(fitting, _FASTER * count, _AT_ONCE))
        if rows:
            self._rows.append(("results", uri[0], sorted(self._needs.labels.get(uri, ())), rows, size, seconds))
        ids, runs = (list[Any](known.column(name).to_pylist()) for name in (RECORD_ID, RUN_ID))
        self._left.update(run for key, run in zip(ids, runs, strict=True) if key not in gone)

    def _still_doomed(self, uri: FunctionUri, keys: list[bytes]) -> list[bytes]:
        """Return those of these results that no run needs that has begun meanwhile, or may need."""
        if not self._dry_run and begun_runs(self._stores) != self._needs.runs:
            self._needs = _Needs.of(self._stores)
            self._needed = self._needs.of_function(uri)
        return [] if uri in self._needs.in_use else [key for key in keys if key not in self._needed]

    def logs(self, view: Database) -> None:
        """Prune logs and statuses of a pipeline's runs of which no result is left; those of its last run stay."""
        kept = self._left | self._needs.last | {*self._needs.going_on}
        for path in view.list_paths():
            kind = {"_log": "logs", "_status": "statuses"}.get(path[0])
            if kind is None:
                continue
            table = view.get_records(path, [RUN_ID, "__timestamp"])
            is_old = pc.less(table.column("__timestamp"), pa.scalar(self._before, pa.timestamp("us", "UTC")))
            is_kept = pc.is_in(table.column(RUN_ID), value_set=pa.array(sorted(kept), pa.large_string()))
            keys: list[Any] = table.filter(pc.and_(is_old, pc.invert(is_kept))).column(0).to_pylist()
            rows = size = 0
            for start in range(0, len(keys), _AT_ONCE):
                records = view.get_records_by_ids(path, keys[start : start + _AT_ONCE])
                rows, size = rows + records.num_rows, size + records.nbytes
                if not self._dry_run:
                    view.delete_records(path, keys[start : start + _AT_ONCE])
            if rows:
                labels = sorted(self._needs.labels.get(path[1:-1], ()))
                self._rows.append((kind, path[1], labels, rows, size, 0.0))

    def report(self) -> PruneReport:
        if not self._dry_run:
            for store in self._stores:
                store.flush()
        columns = list(zip(*self._rows, strict=True)) if self._rows else [()] * len(_TYPES)
        arrays = [pa.array(column, type_) for column, type_ in zip(columns, _TYPES.values(), strict=True)]
        return PruneReport(pa.table(arrays, list(_TYPES)), self._dry_run, tuple(self._needs.going_on))


def functions_of(database: Database, pipeline: RecordPath) -> set[FunctionUri]:
    """Return the functions that a pipeline ever had rows of."""
    return {path[:-1] for path in database.at(*pipeline).list_paths() if is_entries_path(path)}


def is_entries_path(path: RecordPath) -> bool:
    """Say whether the rows of a node are at a path below its pipeline."""
    return len(path) == 5 and path[-1].startswith("schema:")


def begun_runs(stores: Iterable[Database]) -> frozenset[str]:
    """Return the names of all runs that have begun."""
    found: Iterator[Any] = (
        store.at(*name).get_records(RUN_STARTS, []).column(0).to_pylist()
        for store in stores
        for name in _pipelines(store)
    )
    return frozenset(run for runs in found for run in runs)


def _pipelines(store: Database) -> Collection[RecordPath]:
    return [path[:-1] for path in store.list_paths() if path[-1:] == RUN_STARTS]


def _size(records: pa.Table) -> int:
    """Return about how many bytes go with results: those beyond their stubs, and those of their files."""
    outputs = records.drop_columns(list(STUB_COLUMNS))
    plain: int = sum(file["size"] for files in large_bytes(outputs).values() for file in files.values())
    return outputs.nbytes + plain + loaded_bytes(column.combine_chunks() for column in outputs.columns)
