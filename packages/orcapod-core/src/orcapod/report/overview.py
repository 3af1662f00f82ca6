"""Head of a run's page, and what became of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from orcapod.display import duration
from orcapod.ledger import NodeSummary, RunSummary
from orcapod.ledger.run_picture import run_picture
from orcapod.report.html import Html, element, fold, joined, shortened, size_of, table, terms, wide

__all__ = ["NOTE_BYTES", "OUTCOMES", "graph", "head", "instant", "moment"]

OUTCOMES = {
    "SUCCESS": ("computed", "succeeded"),
    "FAILED": ("failed", "failed"),
    "INTERRUPTED": ("incomplete", "was interrupted"),
    "UNFINISHED": ("incomplete", "has not ended, or was killed"),
}
"""How each outcome looks, and what is said of it."""

NOTE_BYTES = 300
"""How much of a page a note takes before it is folded, or cut in a list."""

_STATES = ("computed", "cached", "failed", "incomplete")


def head(run: RunSummary) -> Html:
    """Return what run it is, what its author said of it, and what became of it."""
    colour, outcome = OUTCOMES.get(run.outcome, ("", run.outcome))
    outcome = "some packets failed" if run.outcome == "FAILED" and run.count("failed") else outcome
    facts: dict[str, str] = {
        "Outcome": element("span", outcome, class_=f"badge {colour}"),
        "Run": element("code", run.run_id),
        "Began": instant(run.started),
        "Ended": "" if run.ended is None else instant(run.ended),
        "Orchestrator": element("code", run.orchestrator),
        **{f"Tag {name}": value for name, value in run.tags.items()},
    }
    return element(
        "header",
        element("p", "Run of a pipeline", class_="quiet small"),
        element("h1", "/".join(run.pipeline)),
        _note(run.note),
        _figures(run) if run.ended is not None else "",
        terms({name: fact for name, fact in facts.items() if fact}),
    )


def _note(note: str) -> Html:
    """Return what the author of a run said of it, folded where it is long."""
    if size_of(note) <= NOTE_BYTES:
        return element("p", note) if note else Html("")
    return fold(shortened(note, NOTE_BYTES), element("p", note))


def instant(time: datetime) -> Html:
    """Return a moment, in UTC."""
    return element("time", moment(time), datetime=time.isoformat())


def moment(time: datetime) -> str:
    """Return a moment, in UTC, as text."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _figures(run: RunSummary) -> Html:
    """Return the totals of a run that has ended, of which those that are always there may be 0."""
    counts = {state: run.count(state) for state in _STATES}
    saved = sum(node.totals.saved for node in run.nodes.values())
    figures = [(f"{count:,}", state) for state, count in counts.items() if count or state != "incomplete"]
    took = [(duration(run.duration.total_seconds()), "from start to end")] if run.duration is not None else []
    listed = [*took, *figures, *([(duration(saved), "saved by the cache")] if saved else [])]
    items = (
        element(
            "li",
            element("strong", figure, class_=name if name in _STATES and figure != "0" else None),
            element("span", name),
        )
        for figure, name in listed
    )
    return element("ul", *items, class_="figures")


def graph(run: RunSummary, named: Callable[[str], str] = str) -> Html:
    """Return the plan of a run, coloured by what became of its nodes, and the same in numbers.

    Args:
        run: the run.
        named: returns what is shown in the table for the label of a node.
    """
    picture = wide("Plan of the pipeline", Html(run_picture(run).to_svg()))
    if run.ended is None:
        told = "The run has not ended, so that it is not known yet what its nodes did."
        return joined(picture, element("p", told, class_="quiet"))
    colours = (
        "Lines go from what is read to what is made of it. Green: computed; blue: all was there; red: some packets "
        "failed; amber: some were not computed, since what they are made of failed; a broken border: nothing was done."
    )
    headings = ["node", "rows in", "rows out", *_STATES, "time", "saved", "ran on"]
    nodes = table(
        "What each node did", headings, (_node_row(node, named) for node in run.nodes.values()), numbers=headings[1:-1]
    )
    return joined(picture, element("p", colours, class_="quiet small"), nodes)


def _node_row(node: NodeSummary, named: Callable[[str], str]) -> list[Any]:
    totals = node.totals
    is_function = node.record.kind == "function"
    counts = [totals.counts.get(state, 0 if is_function and state != "incomplete" else "") for state in _STATES]
    taken = " + ".join(f"{count:,}" for count in totals.taken)
    times = [duration(seconds) if seconds else "" for seconds in (totals.seconds, totals.saved)]
    coloured = [_count(state, count) for state, count in zip(_STATES, counts, strict=True)]
    return [named(node.record.label), taken, totals.given, *coloured, *times, totals.executor]


def _count(state: str, count: Any) -> Any:
    return element("span", f"{count:,}", class_=state) if count else count
