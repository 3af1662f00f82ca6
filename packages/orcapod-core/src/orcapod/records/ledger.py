"""``RunLedger``: one row for every run, and one for every environment that runs ran on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.protocols import Database, decoding
from orcapod.records.address import ENVIRONMENTS, RUNS
from orcapod.records.environment import Environment

__all__ = ["RunLedger", "RunRecord"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Record of a run.

    Attributes:
        run_id: its name.
        pipeline: the pipeline's name, its parts joined by ``/``.
        started: when, with time zone.
        ended: when, with time zone.
        outcome: ``SUCCESS``, ``FAILED`` (a packet or the run itself) or ``INTERRUPTED``.
        counts: for every function node, how many packets were computed, cached, failed and incomplete.
        orchestrator: the class that ran it.
        executors: for every function node, where it ran.
    """

    run_id: str
    pipeline: str
    started: datetime
    ended: datetime
    outcome: str
    counts: Mapping[str, Mapping[str, int]]
    orchestrator: str
    executors: Mapping[str, str]


class RunLedger:
    """Tables of runs and of environments: what is the same for all packets is stored once."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
                "__run_id": run.run_id,
                "__pipeline": run.pipeline,
                "__started": run.started,
                "__ended": run.ended,
                "__outcome": run.outcome,
                "__computed": sum(counts["computed"] for counts in run.counts.values()),
                "__cached": sum(counts["cached"] for counts in run.counts.values()),
                "__failed": sum(counts["failed"] for counts in run.counts.values()),
                "__incomplete": sum(counts.get("incomplete", 0) for counts in run.counts.values()),
                "__counts": json.dumps(run.counts),
                "__orchestrator": run.orchestrator,
                "__executors": json.dumps(run.executors),
                "__environment_id": environment_id,
            },
        )

    def last_counts(self, label: str) -> tuple[str, Mapping[str, int]] | None:
        """Return the last run of a function node and how many of its packets were computed, cached and failed."""
        columns = ["__run_id", "__started", "__counts"]
        runs: list[Any] = self._database.get_records(RUNS, columns).to_pylist()
        for run in sorted(runs, key=lambda run: run["__started"], reverse=True):
            with decoding(RUNS, run["__run_id"], "__counts"):
                counts = json.loads(run["__counts"]).get(label)
            if counts:
                return run["__run_id"], counts
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
