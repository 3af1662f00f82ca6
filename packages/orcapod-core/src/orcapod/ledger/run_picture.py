"""``run_picture``: a run as a picture: its plan, and what became of each node."""

from __future__ import annotations

from orcapod.graph import Picture
from orcapod.graph.box import Box, Kind
from orcapod.ledger.run_summary import NodeSummary, RunSummary

__all__ = ["run_picture"]


def run_picture(run: RunSummary) -> Picture:
    """Return a picture of a run, coloured and numbered by what became of its nodes; its plan if it has not ended."""
    numbers = {label: number for number, label in enumerate(run.nodes)}
    return Picture("/".join(run.pipeline), tuple(_box(node, numbers, run) for node in run.nodes.values()))


def _box(node: NodeSummary, numbers: dict[str, int], run: RunSummary) -> Box:
    record, totals = node.record, node.totals
    kind: Kind = "source" if record.kind == "source" else "function" if record.kind == "function" else "operator"
    detail = record.name if kind == "operator" else kind
    if kind == "function" and record.name != record.label:
        detail = f"function {record.name}"
    box = Box(record.label, kind, detail, tuple(numbers[label] for label in record.inputs if label in numbers))
    if run.ended is None:
        return box
    had_no_part = kind == "function" and not totals.executor and not totals.counts
    return box.after(totals.counts or None, None if had_no_part else totals.given)
