"""``RunLedger``: one row for every run, and one for every environment that runs ran on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from secrets import randbits
from time import time_ns
from typing import Any
from uuid import UUID

import pyarrow as pa

from orcapod.errors import UnknownRunError
from orcapod.protocols import Database, RecordPath, decoding
from orcapod.records.address import ENVIRONMENTS, RUN_STARTS, RUNS
from orcapod.records.environment import Environment

__all__ = ["RunLedger", "RunRecord", "RunStart", "new_run_id"]


@dataclass(frozen=True, slots=True)
class RunStart:
    """Beginning of a run.

    Attributes:
        run_id: its name, which orders by time.
        pipeline: the pipeline's name, its parts joined by ``/``.
        started: when, with time zone.
        orchestrator: the class that runs it.
        note: what its author says of it.
        tags: likewise, by name.
    """

    run_id: str
    pipeline: str
    started: datetime
    orchestrator: str
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Record of a run that has ended.

    Attributes:
        start: how it began.
        ended: when, with time zone.
        outcome: ``SUCCESS``, ``FAILED`` (a packet or the run itself) or ``INTERRUPTED``.
        counts: for every function node, how many packets were computed, cached, failed and incomplete.
        executors: for every function node, where it ran.
        states: for every function node, the path of its rows and the number of its state when the run ended.
    """

    start: RunStart
    ended: datetime
    outcome: str
    counts: Mapping[str, Mapping[str, int]]
    executors: Mapping[str, str]
    states: Mapping[str, tuple[RecordPath, int]]


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
                "__computed": sum(counts["computed"] for counts in run.counts.values()),
                "__cached": sum(counts["cached"] for counts in run.counts.values()),
                "__failed": sum(counts["failed"] for counts in run.counts.values()),
                "__incomplete": sum(counts.get("incomplete", 0) for counts in run.counts.values()),
                "__counts": json.dumps(run.counts),
                "__orchestrator": run.start.orchestrator,
                "__executors": json.dumps(run.executors),
                "__states": json.dumps(run.states),
                "__environment_id": environment_id,
            },
        )

    def states(self, run_id: str) -> Mapping[str, tuple[RecordPath, int]]:
        """Return for every function node of a run that has ended, the path of its rows and the number of its state.

        Raises:
            UnknownRunError: no run of this name has ended here.
        """
        found: list[Any] = self._database.get_records_by_ids(RUNS, [run_id]).to_pylist()
        if not found:
            raise UnknownRunError(
                f"found no run {run_id!r} that has ended in {self._database!r}; its name is run_id of a RunResult, and "
                "__run_id in _runs",
                found=repr(run_id),
            )
        with decoding(RUNS, run_id, "__states"):
            states: Mapping[str, tuple[list[str], int]] = json.loads(found[0]["__states"])
            return {label: (tuple(path), number) for label, (path, number) in states.items()}

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
        optional = {"__git_commit": pa.large_string(), "__git_dirty": pa.bool_()}
        columns = {
            name: pa.array([value], optional.get(name) or arrow_types[type(value)]) for name, value in record.items()
        }
        self._database.add_records(path, pa.table(columns))


def new_run_id() -> str:
    """Return a name for a run: a UUID of version 7 (RFC 9562), whose text orders by the time, to a quarter of a µs."""
    milliseconds, rest = divmod(time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return str(UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | randbits(62)))
