"""``last_run`` and ``run_before``: which run was the last, and which the last before another."""

from __future__ import annotations

from collections.abc import Iterable

from orcapod.ledger.run_summary import RunSummary, ended_runs, runs_of
from orcapod.protocols import Database, RecordPath

__all__ = ["last_run", "run_before"]


def last_run(database: Database, pipelines: Iterable[RecordPath]) -> RunSummary | None:
    """Return the last run of these pipelines to end, or, where none has, the last one to begin; None if none has."""
    names = list(pipelines)
    if ended := [(*end, pipeline) for pipeline in names for end in ended_runs(database, pipeline)]:
        _, run_id, pipeline = max(ended)
        return runs_of(database, pipeline, [run_id])[0]
    begun = (run for pipeline in names for run in runs_of(database, pipeline))
    return max(begun, key=lambda run: run.run_id, default=None)


def run_before(database: Database, run: RunSummary) -> RunSummary | None:
    """Return the run of the same pipeline that had last ended when a run began; None if none had."""
    ended = [run_id for end, run_id in ended_runs(database, run.pipeline) if end <= run.started]
    return runs_of(database, run.pipeline, ended[-1:])[0] if ended else None
