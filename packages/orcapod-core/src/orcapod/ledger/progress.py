"""What the nodes of a run have done so far, as far as it is in the store, and whether it is still alive."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.ledger.run_summary import RunSummary
from orcapod.protocols import Database, RecordPath, find_records
from orcapod.records import RUN_ID, beats_in, result_path

__all__ = ["Heartbeats", "NodeProgress", "last_sign_of_life", "progress_of"]

_TIME = "__timestamp"


class NodeProgress(NamedTuple):
    """Packets of a function node that a run has done with; what it found is not among them.

    Attributes:
        computed: how many results it has stored; those of nodes that share a function are counted together.
        failed: of how many a log says that they failed.
    """

    computed: int = 0
    failed: int = 0


def progress_of(database: Database, run: RunSummary) -> Mapping[str, NodeProgress]:
    """Return what the function nodes of a run have done so far, by label; no values are read."""
    view = database.at(*run.pipeline)
    of_run = {RUN_ID: array_of([run.run_id], pa.large_string())}
    found = {}
    for label, node in run.functions.items():
        path = node.record.path
        failed = {"__node_label": array_of([label], pa.large_string()), "__success": array_of([False], pa.bool_())}
        found[label] = NodeProgress(
            _count(database, result_path(path[:-1]), of_run), _count(view, ("_log", *path), of_run | failed)
        )
    return found


def last_sign_of_life(database: Database, run: RunSummary) -> datetime:
    """Return when a run was last heard of: when it stored a result, or what a function said; else, when it began."""
    view = database.at(*run.pipeline)
    of_run = {RUN_ID: array_of([run.run_id], pa.large_string())}

    def times() -> Iterator[Any]:
        for node in run.functions.values():
            path = node.record.path
            for home, where in ((database, result_path(path[:-1])), (view, ("_log", *path))):
                if home.get_records_by_ids(where, []).num_columns:
                    yield from find_records(home, where, of_run, [_TIME]).column(_TIME).to_pylist()

    return max(times(), default=run.started)


class Heartbeats:
    """Heartbeats of a run that shares its work, which somebody watches: no clock of another machine is asked.

    Args:
        database: the store of its results.
        run_id: the run.
    """

    def __init__(self, database: Database, run_id: str) -> None:
        self._database = database
        self._holders = f"{run_id}/"
        self._seen: dict[str, tuple[int, float]] = {}

    def have_ended(self) -> bool:
        """Say whether there were some, and then none for as long as the run itself says that means its death."""
        now, is_silent = time.monotonic(), []
        for holder, (beats, lease) in beats_in(self._database).items():
            if holder.startswith(self._holders):
                counted, since = self._seen.get(holder, (0, now))
                self._seen[holder] = beats, (since if counted == beats else now)
                is_silent.append(now - self._seen[holder][1] > lease)
        return bool(is_silent) and all(is_silent)


def _count(database: Database, path: RecordPath, values: Mapping[str, pa.Array[Any]]) -> int:
    """Return how many records have these values; none where there are none at all."""
    if not database.get_records_by_ids(path, []).num_columns:
        return 0
    return find_records(database, path, values, []).num_rows
