"""``RunSummary``: one run of a pipeline, as its store tells of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

import pyarrow as pa

from orcapod.arrow import rows_of, table_of
from orcapod.protocols import Database, RecordPath, decoding
from orcapod.records import ENVIRONMENTS, RUN_STARTS, RUNS, GraphRecords, NodeRecord, NodeTotals, totals_in

__all__ = ["UNFINISHED", "NodeSummary", "RunSummary", "ended_runs", "environment_of", "runs_of", "runs_table"]

UNFINISHED = "UNFINISHED"
"""Outcome of a run that has a beginning and no end: it was killed, or goes on."""


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """A node in a run: what it is, and what it did.

    Attributes:
        record: its label, its kind (``source``, ``function`` or ``operator``), what makes its rows, what it is made of,
            and for a function where its rows are, below the pipeline, and the fingerprint of its code.
        totals: how many rows it took and gave; for a function how many packets were computed, cached and failed, where,
            how long that took, how long what was found had taken, and the number of what it had given at the end.
    """

    record: NodeRecord
    totals: NodeTotals = field(default_factory=NodeTotals)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run of a pipeline.

    Attributes:
        run_id: its name, which orders by time.
        pipeline: the name of its pipeline.
        started: when it began, with time zone.
        ended: when it ended; None if it has not.
        outcome: ``SUCCESS``, ``FAILED`` (a packet or the run itself), ``INTERRUPTED``, or ``UNFINISHED``: it goes on,
            or was killed.
        note: what its author said of it.
        tags: likewise, by name.
        orchestrator: the class that ran it.
        environment_id: on what it ran; empty while it goes on.
        nodes: its nodes by label, each behind what it is made of; while it goes on, without what they did.
    """

    run_id: str
    pipeline: RecordPath
    started: datetime
    ended: datetime | None
    outcome: str
    note: str
    tags: Mapping[str, str]
    orchestrator: str
    environment_id: str = ""
    nodes: Mapping[str, NodeSummary] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        pipeline: RecordPath,
        start: Mapping[str, Any],
        end: Mapping[str, Any] | None,
        nodes: Sequence[NodeRecord],
    ) -> Self:
        """Return a run, given its rows in ``_run_starts`` and ``_runs``, None if it has not ended, and its plan."""
        run_id = start["__run_id"]
        with decoding(RUN_STARTS, run_id, "__tags"):
            tags: Mapping[str, str] = json.loads(start["__tags"])
        begun = (run_id, pipeline, start["__started"])
        told = (start["__note"], tags, start["__orchestrator"])
        if end is None:
            return cls(*begun, None, UNFINISHED, *told, nodes={node.label: NodeSummary(node) for node in nodes})
        totals = totals_in(end)
        found = {node.label: NodeSummary(node, totals[node.label]) for node in nodes if node.label in totals}
        return cls(*begun, end["__ended"], end["__outcome"], *told, end["__environment_id"], found)

    @property
    def functions(self) -> Mapping[str, NodeSummary]:
        """Its function nodes by label."""
        return {label: node for label, node in self.nodes.items() if node.record.kind == "function"}

    def partial(self, labels: Iterable[str]) -> list[str]:
        """Return those of some of its function nodes that did not give all of their rows."""
        return [label for label in labels if not self.functions[label].totals.is_complete]

    def partial_note(self, labels: Iterable[str]) -> str:
        """Return whose rows are shown where it did not go through all rows of a node; empty if it did for all."""
        partial = self.partial(labels)
        told = f"run {self.run_id} did not go through all rows of {', '.join(partial)}"
        return f"{told}: these are those of the last run that did" if partial else ""

    def count(self, kind: str) -> int:
        """Return how many packets of all nodes were ``computed``, ``cached``, ``failed`` or ``incomplete``."""
        return sum(node.totals.counts.get(kind, 0) for node in self.nodes.values())

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None if it has not ended."""
        return None if self.ended is None else self.ended - self.started


def runs_of(database: Database, pipeline: RecordPath, ids: Sequence[str] | None = None) -> list[RunSummary]:
    """Return the runs of a pipeline, all or those of these names, in the order in which they began."""
    view = database.at(*pipeline)
    starts, ends = (
        view.get_records(path) if ids is None else view.get_records_by_ids(path, ids) for path in (RUN_STARTS, RUNS)
    )
    begun = rows_of(starts)
    ended: dict[str, Any] = {row["__run_id"]: row for row in rows_of(ends)}
    graphs = GraphRecords(view)
    plans = {graph_id: graphs.nodes(graph_id) for graph_id in {start["__graph_id"] for start in begun}}
    runs = [RunSummary.of(pipeline, start, ended.get(start["__run_id"]), plans[start["__graph_id"]]) for start in begun]
    return sorted(runs, key=lambda run: run.run_id)


def ended_runs(database: Database, pipeline: RecordPath) -> list[tuple[datetime, str]]:
    """Return when runs of a pipeline have ended, and their names, in that order: the last one gave the present rows."""
    rows = rows_of(database.at(*pipeline).get_records(RUNS, ["__ended"]))
    return sorted((row["__ended"], row["__run_id"]) for row in rows)


def environment_of(database: Database, run: RunSummary) -> Mapping[str, Any]:
    """Return what a run ran on; nothing while it goes on. See ``Store.environment``."""
    found = rows_of(database.at(*run.pipeline).get_records_by_ids(ENVIRONMENTS, [run.environment_id]))
    return {name.removeprefix("__"): value for name, value in found[0].items()} if found else {}


def runs_table(runs: Iterable[RunSummary]) -> pa.Table:
    """Return a row for each run; see ``Store.runs``."""
    instant, text, number = pa.timestamp("us", "UTC"), pa.large_string(), pa.int64()
    types: dict[str, pa.DataType] = {"run_id": text, "pipeline": text, "started": instant, "ended": instant}
    types |= {"outcome": text, "computed": number, "cached": number, "failed": number, "note": text}
    types |= {"tags": pa.map_(text, text)}
    rows = [
        {
            **{name: getattr(run, name) for name in ("run_id", "started", "ended", "outcome", "note")},
            "pipeline": "/".join(run.pipeline),
            "tags": list(run.tags.items()),
            **{state: run.count(state) if run.ended else None for state in ("computed", "cached", "failed")},
        }
        for run in runs
    ]
    return table_of(rows, types)
