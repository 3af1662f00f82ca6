"""The page of a node in a run: what it did, and its rows, some at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from orcapod.display import duration
from orcapod.errors import LabelError
from orcapod.ledger import RunSummary
from orcapod.ledger.run_summary import NodeSummary
from orcapod.records import PRUNED
from orcapod.report import element, link, table, terms
from orcapod.ui.cells import cell, output_cells
from orcapod.ui.frame import Query, address, asked, filter_form, framed, pager, part, run_trail, took, typed, ways
from orcapod.ui.rows import NodeRows
from orcapod.ui.view import View

__all__ = ["node_in", "node_page"]


def node_page(view: View, query: Query) -> str:
    """Return the page of a node."""
    run = view.store.run(asked(query, "run"))
    node = node_in(run, asked(query, "node"))
    record = node.record
    readers = [label for label, other in run.nodes.items() if record.label in other.record.inputs]
    told: dict[str, str] = {
        "what": f"{record.kind} {record.name}{f' ({record.arguments})' if record.arguments else ''}",
        "made of": _links(run, record.inputs),
        "goes into": _links(run, readers),
    }
    if run.ended is not None:
        taken = f"{' and '.join(f'{each:,}' for each in node.totals.taken)} in, " if node.totals.taken else ""
        told["rows"] = f"{taken}{node.totals.given:,} out"
    if record.kind != "function":
        return framed(record.label, terms(told), *_stored_rows(run, node), trail=run_trail(run))
    counts = node.totals.counts
    if counts:
        told["packets"] = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count) or "none"
        told["took"] = duration(node.totals.seconds)
        if node.totals.saved:
            told["saved"] = f"{duration(node.totals.saved)}, which what was found had taken"
    told["code"] = link(address("code", code=record.code), element("code", record.code.rpartition(":")[2][:12]))
    told["output"] = link(address("logs", run=run.run_id, node=record.label), "what it wrote")
    return framed(record.label, terms(told), *_rows(view, run, node, query), trail=run_trail(run))


def node_in(run: RunSummary, label: str) -> NodeSummary:
    """Return a node of a run.

    Raises:
        LabelError: it had no such node.
    """
    if label not in run.nodes:
        raise LabelError(f"run {run.run_id} had no node {label!r}; it had {list(run.nodes)}", node=label)
    return run.nodes[label]


def _links(run: RunSummary, labels: Iterable[str]) -> str:
    """Return the ways to nodes."""
    return ways({each: address("node", run=run.run_id, node=each) for each in labels}) or "nothing in this pipeline"


def _stored_rows(run: RunSummary, node: NodeSummary) -> list[str]:
    """Return where to look in place of rows that are not stored: at the functions before and behind their node."""
    inputs = {label: each.record.inputs for label, each in run.nodes.items()}
    readers = {label: [other for other in inputs if label in inputs[other]] for label in inputs}
    label = node.record.label
    near = [other for ways in (inputs, readers) for other in _nearest_functions(run, label, ways)]
    told = f"Only rows of functions are stored; those of this {node.record.kind} are made again when they are needed."
    return [element("p", f"{told} Look at those of:" if near else told), *([_links(run, near)] if near else [])]


def _nearest_functions(run: RunSummary, label: str, ways: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the functions that one comes to first on all ways from a node."""
    functions, passed = dict[str, None](), {label: None}
    waiting = [label]
    for each in waiting:
        for other in ways.get(each, ()):
            if other in run.functions:
                functions[other] = None
            elif other not in passed:
                passed[other] = None
                waiting.append(other)
    return [*functions]


def _rows(view: View, run: RunSummary, node: NodeSummary, query: Query) -> list[str]:
    if run.ended is None:
        return [element("p", "The run has not ended, or was killed, so that it is not known which rows it gave.")]
    label, words = node.record.label, query.get("q", "")
    rows = view.rows(run.run_id, label)
    found = rows.found(words)
    here = part(found, query)
    return [
        filter_form("node", "rows", typed("Find rows: words, or column=value", "q", words), run=run.run_id, node=label),
        element("div", *_table(rows, here, found.num_rows), pager(found.num_rows, query, "node"), id="rows"),
    ]


def _table(rows: NodeRows, here: pa.Table, count: int) -> list[str]:
    results = rows.results(here)
    outputs = output_cells(results)
    tags = rows.tags
    caption = f"{count:,} of {rows.entries.num_rows:,} rows that it gave"
    keys: list[Any] = here.column(0).to_pylist() if here.num_columns else []
    columns: list[list[str]] = [[cell(value) for value in here.column(name).to_pylist()] for name in tags]
    columns += outputs.values()
    seconds = results.column("__seconds").to_pylist() if "__seconds" in results.column_names else [None] * len(keys)
    columns.append([took(each) for each in seconds])
    query = {"run": rows.run.run_id, "node": rows.node.record.label}
    traces = [link(address("trace", **query, row=key.hex()), "trace") for key in keys]
    shown: list[str] = [table(caption, [*tags, *outputs, "took", "made of"], zip(*columns, traces, strict=True))]
    if PRUNED in results.column_names and results.column(PRUNED).null_count < len(keys):
        shown.append(element("p", "Values that were pruned are not shown; a run computes them again.", class_="quiet"))
    if keys and not outputs:
        shown.append(element("p", "The values are in another store.", class_="quiet"))
    return shown
