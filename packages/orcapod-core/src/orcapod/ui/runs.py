"""The page of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.ledger.progress import progress_of
from orcapod.ledger.run_summary import UNFINISHED
from orcapod.report import element, link, table
from orcapod.report.html import shortened
from orcapod.report.overview import NOTE_BYTES, OUTCOMES, instant, moment
from orcapod.ui.frame import Query, address, filter_form, framed, pager, part, run_link, short_name, took, typed
from orcapod.ui.rows import matching
from orcapod.ui.view import View

__all__ = ["runs_page"]

_COUNTS = ("computed", "cached", "failed")
_FOLLOWED = 3  # runs that have not ended whose rows are counted; of those that were killed long ago nobody wants it


def runs_page(view: View, query: Query) -> str:
    """Return the page of all runs, the last one first, or of those in which something is found."""
    runs, words = view.store.runs(), query.get("q", "")
    found = runs.filter(matching(_texts(runs), words)) if words and runs.num_rows else runs
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


def _texts(runs: pa.Table) -> Mapping[str, Any]:
    """Return what is looked for in: runs as the list shows them, and their names and outcomes as they are stored."""
    rows: list[dict[str, Any]] = runs.to_pylist()
    shown = {
        "run": [short_name(run["run_id"]) for run in rows],
        "outcome": [_outcome(run["outcome"])[1] for run in rows],
        "started": [moment(run["started"]) for run in rows],
        "tags": [_said(run["tags"]) for run in rows],
    }
    stored = {"run_id": "run_id", "pipeline": "pipeline", "note": "note", "__outcome": "outcome"}
    return {name: array_of(texts, pa.large_string()) for name, texts in shown.items()} | {
        name: runs.column(column) for name, column in stored.items()
    }


def _outcome(outcome: str) -> tuple[str, str]:
    """Return the colour of how a run ended, and what is said of it."""
    return OUTCOMES.get(outcome, ("", outcome))


def _said(tags: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name}={value}" for name, value in tags)


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
        colour, told = _outcome(run["outcome"])
        yield [
            run_link(run["run_id"]),
            element("span", told, class_=f"badge {colour}"),
            instant(run["started"]),
            took(None if ended is None else (ended - run["started"]).total_seconds()),
            *("" if run[name] is None else run[name] for name in _COUNTS),
            run["pipeline"],
            ", ".join(filter(None, [shortened(run["note"], NOTE_BYTES), _said(run["tags"])])),
        ]
