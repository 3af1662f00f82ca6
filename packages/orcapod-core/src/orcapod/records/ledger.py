"""``RunLedger``: one row for every run, and one for every environment that runs ran on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from secrets import randbits
from time import time_ns
from typing import Any
from uuid import UUID

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.errors import UnknownRunError
from orcapod.protocols import Database, RecordPath, decoding
from orcapod.records.address import ENVIRONMENTS, RUN_STARTS, RUNS
from orcapod.records.environment import Environment
from orcapod.records.graph_records import GraphRecords
from orcapod.records.run_record import NodeTotals, RunRecord, RunStart

__all__ = ["RunLedger", "new_run_id", "totals_in"]


class RunLedger:
    """Tables of runs and of environments: what is the same for all packets is stored once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, start: RunStart) -> None:
        """Store that a run begins: one that was killed has a beginning and no end."""
        self._store(
            RUN_STARTS,
            {
                "__run_id": start.run_id,
                "__pipeline": start.pipeline,
                "__started": start.started,
                "__orchestrator": start.orchestrator,
                "__graph_id": start.graph_id,
                "__note": start.note,
                "__tags": json.dumps(dict(start.tags)),
            },
        )

    def add(self, run: RunRecord, environment: Environment) -> None:
        """Store a run that has ended, and its environment if it is new."""
        environment_id = str(environment.content_hash())
        self._store(
            ENVIRONMENTS,
            {
                "__environment_id": environment_id,
                "__python": environment.python,
                "__platform": environment.platform,
                "__packages": json.dumps(dict(environment.packages)),
                "__git_commit": environment.git_commit,
                "__git_dirty": environment.git_dirty,
            },
        )
        self._store(
            RUNS,
            {
                "__run_id": run.start.run_id,
                "__pipeline": run.start.pipeline,
                "__started": run.start.started,
                "__ended": run.ended,
                "__outcome": run.outcome,
                "__computed": run.count("computed"),
                "__cached": run.count("cached"),
                "__failed": run.count("failed"),
                "__incomplete": run.count("incomplete"),
                "__nodes": json.dumps({label: node.fields() for label, node in run.nodes.items()}),
                "__orchestrator": run.start.orchestrator,
                "__environment_id": environment_id,
            },
        )

    def states(self, run_id: str) -> Mapping[str, tuple[RecordPath, int]]:
        """Return for every function node of a run that has ended, the path of its rows and the number of its state.

        Args:
            run_id: its name, or a beginning of it that no other has.

        Raises:
            UnknownRunError: no run of this name has ended here.
        """
        ends: list[Any] = self._database.get_records_by_ids(RUNS, [run_id]).to_pylist()
        if not ends and run_id:
            every: list[Any] = self._database.get_records(RUNS).to_pylist()
            named = [end for end in every if end["__run_id"].startswith(run_id)]
            if len(named) == 1:
                ends, run_id = named, named[0]["__run_id"]
        starts: list[Any] = self._database.get_records_by_ids(RUN_STARTS, [run_id]).to_pylist()
        if not ends or not starts:
            raise UnknownRunError(
                f"found no run {run_id!r} that has ended in {self._database!r}; its name is run_id of a RunResult, and "
                "__run_id in _runs",
                found=repr(run_id),
            )
        nodes = GraphRecords(self._database).nodes(starts[0]["__graph_id"])
        numbers = {label: node.state for label, node in totals_in(ends[0]).items()}
        return {node.label: (node.path, number) for node in nodes if (number := numbers.get(node.label)) is not None}

    def last_counts(self, label: str) -> tuple[str, Mapping[str, int]] | None:
        """Return the last run of a function node and how many of its packets were computed, cached and failed."""
        columns = ["__run_id", "__nodes"]
        runs: list[Any] = self._database.get_records(RUNS, columns).to_pylist()
        for run in sorted(runs, key=lambda run: run["__run_id"], reverse=True):
            node = totals_in(run).get(label)
            if node is not None and node.counts:
                return run["__run_id"], node.counts
        return None

    def _store(self, path: tuple[str, ...], record: Mapping[str, Any]) -> None:
        arrow_types: dict[type, pa.DataType] = {
            str: pa.large_string(),
            bool: pa.bool_(),
            int: pa.int64(),
            datetime: pa.timestamp("us", "UTC"),
        }
        optional: dict[str, pa.DataType] = {"__git_commit": pa.large_string(), "__git_dirty": pa.bool_()}
        columns = {
            name: array_of([value], optional.get(name) or arrow_types[type(value)]) for name, value in record.items()
        }
        self._database.add_records(path, pa.table(columns))


def totals_in(row: Mapping[str, Any]) -> Mapping[str, NodeTotals]:
    """Return what the nodes of a run did, given its row in ``_runs``."""
    with decoding(RUNS, row["__run_id"], "__nodes"):
        return {label: NodeTotals.of(fields) for label, fields in json.loads(row["__nodes"]).items()}


def new_run_id() -> str:
    """Return a name for a run: a UUID of version 7 (RFC 9562), whose text orders by the time, to a quarter of a µs."""
    milliseconds, rest = divmod(time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return str(UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | randbits(62)))
