"""``RunSummary``: one run of a pipeline, as its store tells of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from orcapod.protocols import Database, RecordPath, decoding
from orcapod.records import RUN_STARTS, RUNS

__all__ = ["UNFINISHED", "NodeSummary", "RunSummary"]

UNFINISHED = "UNFINISHED"
"""Outcome of a run that has a beginning and no end: it was killed, or goes on."""


@dataclass(frozen=True, slots=True)
class NodeSummary:
    """A function node in a run.

    Attributes:
        path: where its rows are, below the pipeline; its logs and statuses are at the same path of theirs.
        state: the number of what it had given when the run ended.
        counts: how many packets were computed, cached and failed.
        executor: where it ran.
    """

    path: RecordPath
    state: int
    counts: Mapping[str, int]
    executor: str


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
        nodes: its function nodes by label; none while it goes on.
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
    def of(cls, pipeline: RecordPath, start: Mapping[str, Any], end: Mapping[str, Any] | None) -> Self:
        """Return a run, given its rows in ``_run_starts`` and ``_runs``; None if it has not ended."""
        run_id = start["__run_id"]
        with decoding(RUN_STARTS, run_id, "__tags"):
            tags: Mapping[str, str] = json.loads(start["__tags"])
        begun = (run_id, pipeline, start["__started"])
        told = (start["__note"], tags, start["__orchestrator"])
        if end is None:
            return cls(*begun, None, UNFINISHED, *told)
        with decoding(RUNS, run_id, "__states"):
            counts, executors = json.loads(end["__counts"]), json.loads(end["__executors"])
            nodes = {
                label: NodeSummary(tuple(path), number, counts.get(label, {}), executors.get(label, ""))
                for label, (path, number) in json.loads(end["__states"]).items()
            }
        return cls(*begun, end["__ended"], end["__outcome"], *told, end["__environment_id"], nodes)

    @property
    def duration(self) -> timedelta | None:
        """How long it took; None if it has not ended."""
        return None if self.ended is None else self.ended - self.started


def runs_of(database: Database, pipeline: RecordPath) -> list[RunSummary]:
    """Return the runs of a pipeline, in the order in which they began."""
    view = database.at(*pipeline)
    starts: list[Any] = view.get_records(RUN_STARTS).to_pylist()
    ends: dict[str, Any] = {row["__run_id"]: row for row in view.get_records(RUNS).to_pylist()}
    runs = [RunSummary.of(pipeline, start, ends.get(start["__run_id"])) for start in starts]
    return sorted(runs, key=lambda run: run.run_id)
