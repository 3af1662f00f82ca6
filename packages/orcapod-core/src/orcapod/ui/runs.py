"""The page of all runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.ledger.progress import progress_of
from orcapod.ledger.run_summary import UNFINISHED
from orcapod.report import Html, element, link, table
from orcapod.report.overview import OUTCOMES, instant
from orcapod.ui.frame import Query, address, filter_form, framed, pager, part, run_link, took, typed
from orcapod.ui.rows import matching, texts_of
from orcapod.ui.view import View

__all__ = ["runs_page"]

_COUNTS = ("computed", "cached", "failed")
_SEARCHED = ["run_id", "pipeline", "outcome", "note", "tags"]
_FOLLOWED = 3  # runs that have not ended whose rows are counted; of those that were killed long ago nobody wants it


def runs_page(view: View, query: Query) -> str:
    """Return the page of all runs, the last one first, or of those in which something is found."""
    runs, words = view.store.runs(), query.get("q", "")
    found = runs.filter(matching(texts_of(runs.select(_SEARCHED)), words)) if words else runs
    newest_first = found.take(array_of([*reversed(range(found.num_rows))], pa.int64()))
    here: list[Any] = part(newest_first, query).to_pylist()
    headings = ["run", "outcome", "started", "took", *_COUNTS, "pipeline", "note"]
    caption = f"{found.num_rows:,} of {runs.num_rows:,} runs, the last one first"
    listed = table(caption, headings, _rows(view, here), numbers=_COUNTS)
    return framed(
        "Runs",
        filter_form("", "runs", typed("Find runs", "q", words)),
        element("div", listed, pager(found.num_rows, query, ""), id="runs", data_live=True),
        element("p", link(address("compare"), "Compare two runs")),
    )


def _badge(outcome: str) -> Html:
    """Return how a run ended, in the colour of that."""
    colour, told = OUTCOMES.get(outcome, ("", outcome))
    return element("span", told, class_=f"badge {colour}")


def _rows(view: View, runs: list[dict[str, Any]]) -> Iterator[list[str | int]]:
    followed = [run["run_id"] for run in runs if run["outcome"] == UNFINISHED][:_FOLLOWED]
    for run in runs:
        if run["run_id"] in followed:
            progress = progress_of(view.store.database, view.store.run(run["run_id"])).values()
            run |= {
                "computed": sum(node.computed for node in progress),
                "failed": sum(node.failed for node in progress),
            }
        ended = run["ended"]
        said = [run["note"], *(f"{name}={value}" for name, value in run["tags"])]
        yield [
            run_link(run["run_id"]),
            _badge(run["outcome"]),
            instant(run["started"]),
            took(None if ended is None else (ended - run["started"]).total_seconds()),
            *("" if run[name] is None else run[name] for name in _COUNTS),
            run["pipeline"],
            ", ".join(filter(None, said)),
        ]
