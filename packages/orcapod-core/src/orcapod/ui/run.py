"""The page of a run: what it is, its plan and nodes, and, once it has ended, all that its report tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orcapod.ledger import RunSummary
from orcapod.ledger.progress import NodeProgress, progress_of
from orcapod.ledger.run_picture import run_picture
from orcapod.report import Html, element, link, section, table, wide
from orcapod.ui.frame import Query, address, asked, framed
from orcapod.ui.nodes import facts
from orcapod.ui.runs import instant, outcome_badge, took
from orcapod.ui.view import View

__all__ = ["run_page"]

_HEADINGS = ("node", "what", "rows in", "rows out", "computed", "cached", "failed", "took", "saved")


def run_page(view: View, query: Query) -> str:
    """Return the page of a run."""
    run = view.store.run(asked(query, "run"))
    goes_on = run.ended is None
    progress = progress_of(view.store.database, run) if goes_on else {}
    told: dict[str, Html | str] = {
        "run": element("code", run.run_id),
        "outcome": outcome_badge(run.outcome),
        "started": instant(run.started),
        "took": took(None if run.duration is None else run.duration.total_seconds()),
        "note": run.note,
        **run.tags,
        "run by": run.orchestrator,
        "see": _ways(run),
    }
    picture = wide("Picture of the run", Html(run_picture(run).to_svg()))
    nodes = table(
        "Nodes, each behind what it is made of" + ("; so far" if goes_on else ""), _HEADINGS, _nodes(run, progress)
    )
    now = element(
        "div",
        facts({name: value for name, value in told.items() if value}),
        section("nodes", "Nodes", picture, nodes),
        id="now",
        data_live=goes_on,
    )
    return framed("/".join(run.pipeline), now)


def _ways(run: RunSummary) -> Html:
    ways = {
        "output": address("logs", run=run.run_id),
        "failures": address("logs", run=run.run_id, outcome="failed"),
        "compare with another": address("compare", after=run.run_id),
    }
    return element("span", *(link(target, name) for name, target in ways.items()), class_="ways")


def _nodes(run: RunSummary, progress: Mapping[str, NodeProgress]) -> Iterator[list[str | float]]:
    for label, node in run.nodes.items():
        record, totals = node.record, node.totals
        way = link(address("node", run=run.run_id, node=label), label)
        name = record.kind if record.name == label else f"{record.kind} {record.name}"
        if run.ended is None:
            now = progress.get(label)
            yield [way, name, "", "", *([now.computed, "", now.failed] if now else ["", "", ""]), "", ""]
            continue
        taken = ", ".join(f"{each:,}" for each in totals.taken)
        counts = [totals.counts.get(state, "") for state in ("computed", "cached", "failed")]
        times = [took(each or None) for each in (totals.seconds, totals.saved)]
        yield [way, name, taken, totals.given, *counts, *times]
