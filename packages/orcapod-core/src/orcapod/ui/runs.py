"""The page of all runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.display import duration
from orcapod.ledger.progress import progress_of
from orcapod.ledger.run_summary import UNFINISHED
from orcapod.report import Html, element, link, table
from orcapod.ui.frame import Query, address, filter_form, framed, pager, part, typed
from orcapod.ui.rows import matching, texts_of
from orcapod.ui.view import View

__all__ = ["instant", "outcome_badge", "run_link", "runs_page", "took"]

_OUTCOMES = {"SUCCESS": "computed", "FAILED": "failed", "INTERRUPTED": "incomplete"}
_SEARCHED = ["run_id", "pipeline", "outcome", "note", "tags"]
_FOLLOWED = 3  # runs that have not ended whose rows are counted; of those that were killed long ago nobody wants it


def runs_page(view: View, query: Query) -> str:
    """Return the page of all runs, the last one first, or of those in which something is found."""
    runs, words = view.store.runs(), query.get("q", "")
    found = runs.filter(matching(texts_of(runs.select(_SEARCHED)), words)) if words else runs
    newest_first = found.take(array_of([*reversed(range(found.num_rows))], pa.int64()))
    here: list[Any] = part(newest_first, query).to_pylist()
    headings = ["run", "outcome", "started (UTC)", "took", "computed", "cached", "failed", "pipeline", "note"]
    listed = table(f"{found.num_rows:,} of {runs.num_rows:,} runs, the last one first", headings, _rows(view, here))
    return framed(
        "Runs",
        filter_form("", "runs", typed("Find runs", "q", words)),
        element("div", listed, pager(found.num_rows, query, ""), id="runs", data_live=True),
        element("p", link(address("compare"), "Compare two runs")),
    )


def outcome_badge(outcome: str) -> Html:
    """Return how a run ended, in the colour of that."""
    shown = "goes on, or was killed" if outcome == UNFINISHED else outcome.lower()
    return element("span", shown, class_=f"badge {_OUTCOMES.get(outcome, 'cached')}")


def instant(when: datetime) -> Html:
    """Return a time, to the second."""
    return element("time", f"{when:%Y-%m-%d %H:%M:%S}", datetime=when.isoformat(), class_="steady")


def run_link(run_id: str) -> Html:
    """Return the way to a run, by what its name begins and ends with: that is when, and which."""
    return link(address("run", run=run_id), element("code", f"{run_id[:8]}…{run_id[-4:]}", class_="steady"))


def took(seconds: float | None) -> Html:
    """Return how long something took; nothing where nobody knows."""
    return element("span", "" if seconds is None else duration(seconds), class_="steady")


def _rows(view: View, runs: list[dict[str, Any]]) -> Iterator[list[str | float]]:
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
            outcome_badge(run["outcome"]),
            instant(run["started"]),
            took(None if ended is None else (ended - run["started"]).total_seconds()),
            *(run[name] for name in ("computed", "cached", "failed")),
            run["pipeline"],
            ", ".join(filter(None, said)),
        ]
