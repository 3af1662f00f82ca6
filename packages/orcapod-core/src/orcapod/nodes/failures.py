"""``recorded_failures``: the packets of a node that failed, as logs and statuses tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, rows_of, table_of
from orcapod.errors import PipelineError
from orcapod.execution import INTERRUPTIONS, FailureText
from orcapod.protocols import Database, RecordPath, find_records
from orcapod.records import RunLedger

__all__ = ["recorded_failures"]

_Row = Mapping[str, Any]


def recorded_failures(
    database: Database, path: RecordPath, label: str, run: tuple[str, Mapping[str, int]] | None, *, has_retries: bool
) -> pa.Table:
    """Return a row for each packet of a node that failed in a run.

    Args:
        database: where the pipeline keeps its records, logs and statuses.
        path: where the node keeps its records.
        label: what the node is called.
        run: the run, and what the node counted in it; its last one if None.
        has_retries: whether a packet that failed may have been tried again.

    Raises:
        PipelineError: it has not run, or packets failed and nothing is kept of them.
    """
    run = run or RunLedger(database).last_counts(label)
    if run is None:
        raise PipelineError(f"node {label!r} has not run yet; run its pipeline", node=label)
    run_id, counts = run
    statuses = _rows(database, ("_status", *path), run_id)
    logs = _rows(database, ("_log", *path), run_id)
    failed = [row for row in logs if row["__success"] is False]
    if has_retries:
        latest = {_tags_of(row): row for row in logs}
        failed = [row for row in latest.values() if row["__success"] is False]
    if not failed:
        failed = [row for row in statuses if row["__state"] == "FAILED"]
    if counts["failed"] and not failed:
        raise PipelineError(
            f"node {label!r}: {counts['failed']} packets failed in run {run_id}, and neither logs nor statuses were "
            "kept of them; run it with observer=LoggingObserver(pipeline.log_database)",
            node=label,
        )
    return _table(label, failed)


def _rows(database: Database, path: RecordPath, run_id: str) -> list[_Row]:
    """Return what is kept of a run, in the order of time."""
    found = find_records(database, path, {"__run_id": array_of([run_id], pa.large_string())})
    return sorted(rows_of(found), key=lambda row: row["__timestamp"])


def _table(label: str, failed: list[_Row]) -> pa.Table:
    rows = [row for row in map(_failure, failed) if row["error"] not in INTERRUPTIONS]
    tags = list(dict.fromkeys(name for row in failed for name, _ in _tags_of(row)))
    text = pa.large_string()
    types: dict[str, pa.DataType] = dict.fromkeys(["node", *tags, "error", "message", "file"], text)
    types |= {"line": pa.int64(), "function": text, "traceback": text}
    return table_of([{**dict.fromkeys(tags), "node": label, **row} for row in rows], types)


def _tags_of(row: _Row) -> tuple[tuple[str, Any], ...]:
    return tuple((name, value) for name, value in row.items() if not name.startswith("__"))


def _failure(row: _Row) -> dict[str, Any]:
    trace = row.get("__traceback")
    told = FailureText.of(trace, row.get("__error"))
    place = told.location or (None, None, None)
    return {
        **dict(_tags_of(row)),
        "error": told.error,
        "message": told.message,
        "file": place[0],
        "line": place[1],
        "function": place[2],
        "traceback": trace,
    }
