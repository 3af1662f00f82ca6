"""``progress_of``: what the nodes of a run have done so far, as far as it is in the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.ledger.run_summary import RunSummary
from orcapod.protocols import Database, find_records
from orcapod.records import RUN_ID

__all__ = ["NodeProgress", "progress_of"]


class NodeProgress(NamedTuple):
    """Rows of a function node that a run has written; what it found, and had before, is not among them.

    Attributes:
        written: how many rows it gave for the first time.
        failed: of how many packets a log says that they failed.
    """

    written: int = 0
    failed: int = 0


def progress_of(database: Database, run: RunSummary) -> Mapping[str, NodeProgress]:
    """Return what the function nodes of a run have done so far, by label; no values are read."""
    view = database.at(*run.pipeline)
    of_run = {RUN_ID: array_of([run.run_id], pa.large_string())}
    found = {}
    for label, node in run.functions.items():
        failed = of_run | {
            "__node_label": array_of([label], pa.large_string()),
            "__success": array_of([False], pa.bool_()),
        }
        log = ("_log", *node.record.path)
        is_logged = view.get_records_by_ids(log, []).num_columns > 0
        found[label] = NodeProgress(
            find_records(view, node.record.path, of_run, []).num_rows,
            find_records(view, log, failed, []).num_rows if is_logged else 0,
        )
    return found
