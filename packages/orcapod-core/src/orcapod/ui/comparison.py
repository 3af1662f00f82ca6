"""The page that holds two runs against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import ConfigError
from orcapod.ledger.run_summary import UNFINISHED
from orcapod.report import Html, element, link, table
from orcapod.report.changes import told_column
from orcapod.ui.cells import cell
from orcapod.ui.frame import Query, address, choice, filter_form, framed, pager, part
from orcapod.ui.view import View

__all__ = ["comparison_page"]

_CHANGES = ("equal", "close", "changed", "new", "gone", "unknown")
_REASONS = 20
_OFFERED = 500  # runs, of those that ended last


def comparison_page(view: View, query: Query) -> str:
    """Return the page of two runs: how many rows of each node are equal and how many not; of one, which and why."""
    before, after = query.get("before", ""), query.get("after", "")
    form = _choice(view, before, after)
    if not before or not after:
        return framed("Compare two runs", form)
    compared = view.compared(before, after)
    label = query.get("node", "")
    if label and label not in compared:
        raise ConfigError(
            f"found node={label}, expected one that both runs have: {', '.join(compared) or 'there is none'}"
        )
    nodes = [_counts(name, rows, before, after) for name, rows in compared.items()]
    shown: list[str] = [table("Rows of each node that both runs have", ["node", *_CHANGES], nodes, numbers=_CHANGES)]
    if label:
        shown += _rows(compared[label], label, query)
    return framed("Compare two runs", form, *shown)


def _choice(view: View, before: str, after: str) -> Html:
    """Return the form in which two runs are chosen; where only the later one is, the one before it is proposed."""
    ended: list[Any] = [run for run in view.store.runs().to_pylist()[::-1] if run["outcome"] != UNFINISHED]
    if after and not before:
        later = view.store.run(after)
        of_pipeline = (run["run_id"] for run in ended if run["pipeline"] == "/".join(later.pipeline))
        before = next((run_id for run_id in of_pipeline if run_id < later.run_id), "")
    offered = {run["run_id"]: _in_words(run) for run in ended[:_OFFERED]}
    offered |= {run["run_id"]: _in_words(run) for run in ended if run["run_id"] in (before, after)}
    options = {"": "choose a run", **offered}
    return filter_form(
        "compare", "", choice("Before", "before", options, before), choice("After", "after", options, after)
    )


def _in_words(run: Mapping[str, Any]) -> str:
    return f"{run['pipeline']} · {run['started']:%Y-%m-%d %H:%M:%S} · {run['outcome'].lower()} {run['note']}"


def _counts(label: str, rows: pa.Table, before: str, after: str) -> list[str | int]:
    counts = Counter[Any](told_column(rows, "change").to_pylist())
    ways = {each: address("compare", before=before, after=after, node=label, change=each) for each in _CHANGES}
    whole = link(address("compare", before=before, after=after, node=label), label)
    return [whole, *(link(ways[each], f"{counts[each]:,}") if counts[each] else "" for each in _CHANGES)]


def _rows(rows: pa.Table, label: str, query: Query) -> Sequence[str]:
    """Return the rows of a node that differ, or those of one kind, and how often there is which reason."""
    changes = told_column(rows, "change")
    change = query.get("change", "")
    found = rows.filter(pc.equal(changes, change) if change else pc.not_equal(changes, "equal"))
    why = Counter[Any](told_column(found, "why").drop_null().to_pylist())
    here = part(found, query)
    columns = [[cell(value) for value in column.to_pylist()] for column in here.columns]
    heading = f"{label}: {found.num_rows:,} rows {change or 'that are not equal'}"
    return [
        element("h2", heading),
        *([table("Why", ["why", "rows"], why.most_common(_REASONS), numbers=["rows"])] if why else []),
        table("Rows", here.column_names, zip(*columns, strict=True)),
        pager(found.num_rows, query, "compare"),
    ]
