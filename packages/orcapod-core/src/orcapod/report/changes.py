"""What a run gave that the run before it had not given, and why."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from orcapod.ledger import RunSummary, Store, compare
from orcapod.ledger.recent_runs import run_before
from orcapod.report.html import Html, element, joined, table
from orcapod.report.overview import instant

__all__ = ["changes", "told_column"]

_MOST = 200  # that are listed


def changes(store: Store, run: RunSummary) -> Html:
    """Return how many rows of each node became what since the run before, and why."""
    before = run_before(store.database, run)
    if run.ended is None or before is None:
        reason = "no run of this pipeline had ended before it" if run.ended else "the run has not ended"
        return element("p", f"There is nothing to compare: {reason}.")
    counts: Counter[tuple[str, str, str]] = Counter()
    compared = compare(store, before.run_id, run.run_id)
    for label, rows in compared.items():
        pairs: list[Any] = [told_column(rows, name).to_pylist() for name in ("change", "why")]
        counts.update((label, *pair) for pair in zip(*pairs, strict=True))
    told = element("p", "Compared with run ", element("code", before.run_id), " of ", instant(before.started), ".")
    notes = [before.note, *(f"R{note[1:]}." for each in (before, run) if (note := each.partial_note(compared)))]
    note = joined(*(element("p", each, class_="quiet") for each in notes if each))
    order = {label: number for number, label in enumerate(run.nodes)}
    found = sorted(counts.items(), key=lambda each: (order[each[0][0]], each[0][1] != "equal", -each[1]))
    listed: list[list[str | int]] = [[label, change, count, why or ""] for (label, change, why), count in found]
    more = len(listed) - _MOST
    rest = element("p", f"{more:,} more are not listed; op.compare tells all.") if more > 0 else ""
    if not listed:
        return joined(told, note, element("p", "They have no function node in common."))
    headings = ["node", "its rows are", "rows", "since these differ"]
    return joined(
        told, note, table("What became of rows of the same tags", headings, listed[:_MOST], numbers=["rows"]), rest
    )


def told_column(rows: pa.Table, name: str) -> pa.ChunkedArray[Any]:
    """Return a column that is behind those of the tags, and begins with ``_`` where one of them bears its name."""
    return rows.column([each for each in rows.column_names if each.lstrip("_") == name][-1])
