"""The page that holds two runs against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import ConfigError
from orcapod.ledger import RunSummary
from orcapod.ledger.run_summary import UNFINISHED
from orcapod.report import Html, element, link, table
from orcapod.report.changes import told_column
from orcapod.report.html import shortened
from orcapod.report.overview import NOTE_BYTES
from orcapod.ui.cells import cell
from orcapod.ui.frame import Query, address, choice, filter_form, framed, pager, part, ways
from orcapod.ui.rows import query_of
from orcapod.ui.view import View

__all__ = ["comparison_page"]

_CHANGES = ("equal", "close", "changed", "new", "gone", "unknown")
_REASONS = 20
_TOLD = 3  # columns behind the tags: change, why and outputs
_OFFERED = 500  # runs, of those that ended last

Runs = tuple[RunSummary, RunSummary]
"""The earlier and the later one."""


def comparison_page(view: View, query: Query) -> str:
    """Return the page of two runs: how many rows of each node are equal and how many not; of one, which and why."""
    before, after = query.get("before", ""), query.get("after", "")
    form = _choice(view, before, after)
    if not before or not after:
        return framed("Compare two runs", form)
    runs = view.store.ended_run(before), view.store.ended_run(after)
    try:
        compared = view.compared(before, after)
    except ConfigError as error:  # they are of two pipelines
        return framed("Compare two runs", form, element("p", str(error), role="status"))
    label = query.get("node", "")
    if label and label not in compared:
        raise ConfigError(
            f"found node={label}, expected one that both runs have: {', '.join(compared) or 'there is none'}"
        )
    nodes = [_counts(name, rows, before, after) for name, rows in compared.items()]
    notes = [run.partial_note(compared) for run in runs]
    shown: list[str] = [element("p", f"R{note[1:]}.") for note in notes if note]
    shown += [table("Rows of each node that both runs have", ["node", *_CHANGES], nodes, numbers=_CHANGES)]
    shown += _only_in(*runs)
    if label:
        shown += _rows(compared[label], label, runs, query)
    return framed("Compare two runs", form, *shown)


def _only_in(before: RunSummary, after: RunSummary) -> list[Html]:
    """Return which functions one of the runs has and the other has not."""
    one, other = before.functions, after.functions
    only = {"earlier": sorted(one.keys() - other), "later": sorted(other.keys() - one)}
    return [element("p", f"Only the {run} run has {', '.join(labels)}.") for run, labels in only.items() if labels]


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
    note = shortened(run["note"], NOTE_BYTES)
    return f"{run['pipeline']} · {run['started']:%Y-%m-%d %H:%M:%S} · {run['outcome'].lower()} {note}"


def _counts(label: str, rows: pa.Table, before: str, after: str) -> list[str | int]:
    counts = Counter[Any](told_column(rows, "change").to_pylist())
    places = {each: address("compare", before=before, after=after, node=label, change=each) for each in _CHANGES}
    whole = link(address("compare", before=before, after=after, node=label), label)
    return [whole, *(link(places[each], f"{counts[each]:,}") if counts[each] else "" for each in _CHANGES)]


def _failures(runs: Runs, label: str) -> list[Html]:
    """Return how many packets of a node failed in a run, whose rows are not among those that it gave."""
    shown = []
    for run, which, what in zip(runs, ("earlier", "later"), ("new", "gone"), strict=True):
        if failed := run.functions[label].totals.counts.get("failed", 0):
            told = f"{failed:,} packet{'s' * (failed != 1)} of {label} failed in the {which} run"
            way = address("logs", run=run.run_id, node=label, outcome="failed")
            shown.append(element("p", link(way, told), f"; that may be why rows are {what}."))
    return shown


def _ways(tags: Mapping[str, Any], change: str, runs: Runs, label: str) -> Html:
    """Return the ways to a row in those of the runs that have it."""
    words = query_of(tags)
    missing = {"new": "before", "gone": "after"}.get(change)
    places = {
        name: address("node", run=run.run_id, node=label, q=words)
        for run, name in zip(runs, ("before", "after"), strict=True)
        if name != missing
    }
    return ways(places)


def _rows(rows: pa.Table, label: str, runs: Runs, query: Query) -> Sequence[str]:
    """Return the rows of a node that differ, or those of one kind, and how often there is which reason."""
    changes = told_column(rows, "change")
    change = query.get("change", "")
    found = rows.filter(pc.equal(changes, change) if change else pc.not_equal(changes, "equal"))
    why = Counter[Any](told_column(found, "why").drop_null().to_pylist())
    here = part(found, query)
    columns: list[list[str]] = [[cell(value) for value in column.to_pylist()] for column in here.columns]
    tags: list[Any] = here.select(here.column_names[:-_TOLD]).to_pylist() or [{}] * here.num_rows
    became: list[Any] = told_column(here, "change").to_pylist()
    columns.append([_ways(*each, runs, label) for each in zip(tags, became, strict=True)])
    heading = f"{label}: {found.num_rows:,} rows {change or 'that are not equal'}"
    return [
        element("h2", heading),
        *_failures(runs, label),
        *([table("Why", ["why", "rows"], why.most_common(_REASONS), numbers=["rows"])] if why else []),
        table("Rows", [*here.column_names, "row"], zip(*columns, strict=True)),
        pager(found.num_rows, query, "compare"),
    ]
