"""Which run is meant: one that is called so, the last one, or the last before another."""

from __future__ import annotations

from collections.abc import Iterable

from orcapod.errors import UnknownRunError
from orcapod.ledger.run_names import pipelines_in, run_names
from orcapod.ledger.run_summary import RunSummary, ended_runs, runs_of
from orcapod.protocols import Database, RecordPath

__all__ = ["last_run", "run_before", "run_called"]


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


def run_called(database: Database, name: str) -> RunSummary:
    """Return the run of a name, or whose name alone begins so.

    Raises:
        UnknownRunError: no run, or more than one, is called so.
    """
    if found := [run for pipeline in pipelines_in(database) for run in runs_of(database, pipeline, [name])]:
        return found[0]
    begun = run_names(database)
    named = [run for run in begun if run.startswith(name)]
    if len(named) != 1:
        shown = ", ".join(sorted(named or begun)[-3:]) or "none"
        raise UnknownRunError(
            f"found {len(named)} runs whose name begins with {name!r}, expected one; the last of "
            f"{'them' if named else 'all'}: {shown}",
            found=repr(name),
        )
    return runs_of(database, begun[named[0]], named)[0]
