"""The page of what functions wrote, and how they failed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import ConfigError
from orcapod.ledger import RunSummary
from orcapod.ledger.logs import told_in
from orcapod.report import Html, block, element, fold, joined
from orcapod.report.overview import instant
from orcapod.ui.cells import in_words
from orcapod.ui.frame import Query, asked, choice, filter_form, framed, pager, part, run_trail, run_ways, typed
from orcapod.ui.nodes import node_in
from orcapod.ui.rows import matching
from orcapod.ui.view import View

__all__ = ["logs_page", "outputs"]

_WRITTEN = {
    "__traceback": "traceback",
    "__stderr": "standard error",
    "__stdout": "standard output",
    "__python_logs": "log messages",
}
_LONGEST = 20_000
_ID, _RUN, _NODE, _TIME = "__log_id", "__run_id", "__node_label", "__timestamp"
_OUTCOMES: Mapping[str, dict[str, Any]] = {"": {}, "failed": {"__success": False}, "fine": {"__success": True}}


def logs_page(view: View, query: Query) -> str:
    """Return the page of the output of a run's functions, or of the part in which something is found."""
    run = view.store.run(asked(query, "run"))
    node = query.get("node") or None
    if node is not None:
        node_in(run, node)
    if (outcome := query.get("outcome", "")) not in _OUTCOMES:
        raise ConfigError(f"found outcome={outcome}, expected failed or fine")
    read, words = partial(told_in, view.store.database, [(*run.pipeline, "_log")], tag=None), query.get("q", "")
    wanted = {_RUN: run.run_id} | ({_NODE: node} if node else {}) | _OUTCOMES[outcome]
    logs = read(wanted, columns=None if words else [_TIME])
    found = _holding(logs, words)
    here = part(found, query)
    if here.num_rows and not words:  # of all others no output is read
        here = read({_ID: here.column(_ID).to_pylist()})
    told = element(
        "p", f"{found.num_rows:,} of {logs.num_rows:,} packets with output", class_="quiet small", role="status"
    )
    if not logs.num_rows and not (node or outcome):
        told = element(
            "p", "Nothing was kept of this run. A run with observer=LoggingObserver(pipeline.log_database) keeps it."
        )
    return framed(
        f"{'/'.join(run.pipeline)}: output",
        run_ways(run, "Output"),
        _form(run, query),
        element(
            "div", told, outputs(here), pager(found.num_rows, query, "logs"), id="outputs", data_live=run.ended is None
        ),
        trail=run_trail(run),
    )


def outputs(logs: pa.Table) -> Html:
    """Return what functions wrote, packet by packet."""
    rows: list[dict[str, Any]] = logs.to_pylist()
    return joined(*map(_output, rows))


def _output(row: Mapping[str, Any]) -> Html:
    tags = {name: value for name, value in row.items() if not name.startswith("_") and value is not None}
    is_failed = row["__success"] is False
    state = element("span", "failed" if is_failed else "fine", class_=f"badge {'failed' if is_failed else 'computed'}")
    heading = element(
        "span",
        element("strong", row[_NODE] or "unbound"),
        f" {in_words(tags)} · ",
        state,
        " · ",
        instant(row[_TIME]),
    )
    written = [
        part
        for name, title in _WRITTEN.items()
        if row.get(name)
        for part in (element("h3", title), block(row[name], _LONGEST))
    ]
    shown = written or [element("p", "It wrote nothing.", class_="quiet")]
    return fold(heading, *shown, is_open=True, class_="item")


def _form(run: RunSummary, query: Query) -> Html:
    labels = {"": "all nodes"} | {label: label for label in run.functions}
    outcomes = {"": "all", "failed": "that failed", "fine": "that did not fail"}
    return filter_form(
        "logs",
        "outputs",
        choice("Node", "node", labels, query.get("node", "")),
        choice("Packets", "outcome", outcomes, query.get("outcome", "")),
        typed("Find: words, or column=value", "q", query.get("q", "")),
        run=run.run_id,
    )


def _holding(logs: pa.Table, words: str) -> pa.Table:
    """Return those in whose tags or output all words are."""
    if not logs.num_rows or not words:
        return logs
    names = [name for name in logs.column_names if name in _WRITTEN or not name.startswith("_")]
    texts = {name: pc.cast(logs.column(name), pa.large_string()) for name in [*names, _NODE]}
    return logs.filter(matching(texts, words))
