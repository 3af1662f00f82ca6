"""``contents``: which nodes a store has rows of, how many, and what their columns are; no row is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.ledger.run_names import pipelines_in
from orcapod.ledger.run_summary import NodeSummary, RunSummary, runs_of
from orcapod.protocols import Database
from orcapod.records import result_path
from orcapod.types import type_of_column
from orcapod.types.large import KEPT_FIELDS

__all__ = ["NodeContents", "contents"]


@dataclass(frozen=True, slots=True)
class NodeContents:
    """Contents of a store that a function node gave.

    Attributes:
        pipeline: the name of its pipeline.
        node: its label.
        rows: how many it gave in the last run that gave all of them; None if there was none.
        run_id: that run, or the last that had the node.
        ended: when that ended; None if it has not.
        tags: the names of its tags, and the type of each, as one would annotate it.
        outputs: likewise.
    """

    pipeline: str
    node: str
    rows: int | None
    run_id: str
    ended: datetime | None
    tags: Mapping[str, str]
    outputs: Mapping[str, str]


def contents(database: Database, pipeline: str | None = None) -> list[NodeContents]:
    """Return the function nodes that a store has rows of, each behind what it is made of.

    Args:
        database: the store.
        pipeline: only those of a pipeline; of all if None.
    """
    found = []
    for name in pipelines_in(database):
        if pipeline in (None, "/".join(name)):
            last: dict[str, tuple[RunSummary, NodeSummary]] = {}
            for run in sorted(runs_of(database, name), key=lambda run: (run.ended or run.started, run.run_id)):
                for label, node in run.functions.items():
                    if label not in last or node.totals.is_complete or not last[label][1].totals.is_complete:
                        last.pop(label, None)  # so that they are in the order of the last plan
                        last[label] = run, node
            found += [_of(database, run, node) for run, node in last.values()]
    return found


def _of(database: Database, run: RunSummary, node: NodeSummary) -> NodeContents:
    record, totals = node.record, node.totals
    entries = database.get_records_by_ids((*run.pipeline, *record.path), []).schema
    results = database.get_records_by_ids(result_path(record.path[:-1]), []).schema
    tags, outputs = (
        {field.name: _type_name(field.type) for field in schema if not field.name.startswith("_")}
        for schema in (entries, results)
    )
    rows = totals.given if totals.is_complete else None
    return NodeContents("/".join(run.pipeline), record.label, rows, run.run_id, run.ended, tags, outputs)


def _type_name(type_: Any) -> str:
    """Return what a type is called; of values that are stored as bytes nobody but their library knows more."""
    names = {field.name for field in type_} if pat.is_struct(type_) else set()
    if {name for name, _ in KEPT_FIELDS} <= names:
        return "array" if "dtype" in names else "bytes"
    return type_of_column(pa.nulls(0, type_)).name
