"""The pages of a run: what it is and what its nodes did, live while it goes on; and each part of its report."""

from __future__ import annotations

from orcapod.errors import ConfigError
from orcapod.ledger import RunSummary
from orcapod.ledger.progress import progress_of
from orcapod.report import Html, element, part, section, table
from orcapod.report.overview import graph, head
from orcapod.ui.frame import RUN_PARTS, Query, asked, framed, node_link, run_trail, run_ways
from orcapod.ui.view import View

__all__ = ["run_page"]


def run_page(view: View, query: Query) -> str:
    """Return the page of a run, or of a part of its report."""
    run = view.store.run(asked(query, "run"))
    name = query.get("part", "")
    if name:
        if name not in RUN_PARTS:
            raise ConfigError(f"found part={name}, expected one of {', '.join(RUN_PARTS)}")
        title = f"{'/'.join(run.pipeline)}: {name.lower()}"
        return framed(title, run_ways(run, name), part(name, view.store, run), trail=run_trail(run))
    shown = [head(run), run_ways(run, "Nodes"), section("nodes", "Nodes", *_nodes(view, run))]
    now = element("div", *shown, id="now", data_live=run.ended is None)
    return framed(f"{'/'.join(run.pipeline)}: run {run.run_id}", now, has_heading=True)


def _nodes(view: View, run: RunSummary) -> list[Html]:
    """Return the plan of a run and what its nodes did, or, while it goes on, have done so far."""
    shown = [graph(run, lambda label: node_link(run, label))]
    if run.ended is None:
        done = progress_of(view.store.database, run)
        rows: list[list[str | int]] = [[node_link(run, label), *counts] for label, counts in done.items()]
        counted = ["computed", "failed"]
        shown.append(table("What each function has done so far", ["node", *counted], rows, numbers=counted))
    return shown
