"""The code of the functions of a run, part by part."""

from __future__ import annotations

from orcapod.errors import ConfigError, UnknownCodeError
from orcapod.hashing import Part
from orcapod.ledger import NodeSummary, RunSummary, Store
from orcapod.report.fair import fair_share
from orcapod.report.html import Html, block, element, fold, joined, size_of

__all__ = ["code"]

_ROOM = 300_000  # bytes of a page


def code(store: Store, run: RunSummary) -> Html:
    """Return what each function said, and what it refers to of the user's own, folded."""
    found = {label: _parts(store, node) for label, node in run.functions.items()}
    if not found:
        return element("p", "The pipeline has no function.")
    most = fair_share([size_of(part.source) for parts in found.values() for part in parts or ()], _ROOM)
    told = "Without comments, docstrings and formatting, which change no result."
    nodes = [_node(node, found[label], most) for label, node in run.functions.items()]
    return joined(element("p", told, class_="quiet small"), *nodes)


def _parts(store: Store, node: NodeSummary) -> tuple[Part, ...] | None:
    try:
        return store.code(node.record.code)
    except (ConfigError, UnknownCodeError):  # it was never begun, or another store holds its results
        return None


def _node(node: NodeSummary, parts: tuple[Part, ...] | None, most: int) -> Html:
    record = node.record
    name = element("span", f"function {record.name}", class_="quiet small where")
    summary = joined(record.label, name)
    if parts is None:
        return fold(summary, element("p", "Its code is not in this store."))
    shown = [
        joined(element("h4", f"{part.kind} {part.name}"), block(part.source, most) if part.source else "")
        for part in parts
    ]
    fingerprint = element("p", element("code", record.code), class_="quiet small")
    return fold(summary, fingerprint, *shown)
