"""Packets of a run that failed, by kind, each with what its function wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.execution import FailureKind, failure_kinds
from orcapod.ledger import RunSummary, Store
from orcapod.ledger.failures import failed_packets
from orcapod.report.fair import fair_share
from orcapod.report.html import Html, block, element, fold, joined, search, shortened, size_of

__all__ = ["failures"]

_ROOM = 1_500_000  # bytes of a page that are for outputs
_ROOM_OF_FIRST = 600_000  # of these, for the first output of each kind, of which as much as there is is shown
_LOOKED_AT = 20_000  # packets that are listed, if they wrote the same as others
_PACKETS = 2_000  # that are listed of those that wrote something else
_KINDS = 500  # likewise
_ROOM_OF_TAGS = 300_000
_OPEN = 3  # kinds that are not folded
_LINE = 300  # bytes of a line about a kind
_OUTPUTS = ("traceback", "stdout", "stderr", "logs")
_HEADINGS = {"traceback": "Traceback", "stdout": "stdout", "stderr": "stderr", "logs": "Log"}


class _Packets(NamedTuple):
    """Packets of one node that failed alike, and wrote the same."""

    node: str
    message: str
    outputs: Sequence[str]
    tags: list[str]

    @property
    def size(self) -> int:
        return sum(map(size_of, self.outputs))


def failures(store: Store, run: RunSummary) -> Html:
    """Return the failed packets of a run, those together that failed alike, and a field that searches in them."""
    found = failed_packets(store, run)
    kinds = failure_kinds(found)
    told = _told(run, Counter[Any](found.column("node").to_pylist()))
    if not kinds:
        none = "No packet failed." if run.ended else "No failure has been told of yet."
        return joined(*told) if told else element("p", none)
    listed = _listed(found, kinds)
    ways = "in one way" if len(kinds) == 1 else f"in {len(kinds):,} ways"
    count = element("p", f"{found.num_rows:,} packet{'s' * (found.num_rows != 1)} failed, {ways}.")
    command = element("code", f"orcapod logs {run.run_id} --failed")
    advice = element("p", "Long outputs are shortened. All of them: ", command, class_="quiet small")
    field = search("Search failed packets by node, tag or any text of their output", "failed-packets")
    return joined(count, *told, advice, field, element("div", *listed, id="failed-packets"))


def _told(run: RunSummary, known: Mapping[str, int]) -> list[Html]:
    """Return of which failed packets nothing but their number is known."""
    counts = {label: node.totals.counts.get("failed", 0) for label, node in run.nodes.items()}
    missing = {label: count - known.get(label, 0) for label, count in counts.items() if count > known.get(label, 0)}
    if not missing:
        return []
    listed = ", ".join(f"{count:,} of {label}" for label, count in missing.items())
    advice = "A run tells of all with observer=LoggingObserver(pipeline.log_database)."
    packets = sum(missing.values())
    return [
        element(
            "p",
            f"Of {packets:,} packet{'s' * (packets != 1)} that failed, neither a log nor a status is in this store: "
            f"{listed}. {advice}",
        )
    ]


def _listed(found: pa.Table, kinds: Sequence[FailureKind]) -> list[Html]:
    """Return every kind, with as many of its packets and as much of their outputs as there is room for."""
    looked_at = fair_share([kind.count for kind in kinds[:_KINDS]], _LOOKED_AT)
    alike = [_packets(found.take(array_of(kind.rows[:looked_at], pa.int64()))) for kind in kinds[:_KINDS]]
    most = fair_share([len(packets) for packets in alike], _PACKETS)
    shown = [packets[:most] for packets in alike]
    first = fair_share([packets[0].size for packets in shown], _ROOM_OF_FIRST)
    rest = _ROOM - sum(min(packets[0].size, first) for packets in shown)
    others = fair_share([each.size for packets in shown for each in packets[1:]], rest)
    tags = fair_share([size_of("; ".join(each.tags)) for packets in shown for each in packets], _ROOM_OF_TAGS)
    parts = []
    for number, (kind, packets) in enumerate(zip(kinds, shown, strict=False)):
        items = [_item(each, others if at else first, tags, is_open=not at) for at, each in enumerate(packets)]
        if left_out := kind.count - sum(len(each.tags) for each in packets):
            items.append(element("p", f"{left_out:,} more are not listed.", class_="quiet small"))
        parts.append(fold(_heading(kind), *items, is_open=number < _OPEN, class_="group"))
    if len(kinds) > _KINDS:
        parts.append(element("p", f"{len(kinds) - _KINDS:,} more kinds are not listed."))
    return parts


def _heading(kind: FailureKind) -> Html:
    message = (kind.message or "nothing is known of it").partition("\n")[0]
    where = " · ".join([", ".join(kind.nodes), *([str(kind.location)] if kind.location else [])])
    return joined(
        element("strong", f"{kind.count:,} × ", element("span", shortened(message, _LINE), class_="failed")),
        element("span", shortened(where, _LINE), class_="quiet small where"),
    )


def _packets(rows: pa.Table) -> list[_Packets]:
    """Return packets, those together that wrote the same."""
    outputs = zip(*(rows.column(name).to_pylist() for name in _OUTPUTS), strict=True)
    about = zip(*(rows.column(name).to_pylist() for name in ("node", "message", "tag")), strict=True)
    found: dict[Any, _Packets] = {}
    for (node, message, tag), texts in zip(about, outputs, strict=True):
        said = tuple(text or "" for text in texts)
        said = said if any(said) else (message or "", "", "", "")
        found.setdefault((node, *said), _Packets(node, message or "", said, [])).tags.append(tag)
    return list(found.values())


def _item(packets: _Packets, most: int, tags: int, *, is_open: bool) -> Html:
    """Return packets that wrote the same, with so many bytes of it and of their tags."""
    share = fair_share([size_of(text) for text in packets.outputs], most)
    outputs = [
        joined(element("h4", _HEADINGS[name]), block(text, share))
        for name, text in zip(_OUTPUTS, packets.outputs, strict=True)
        if text
    ]
    tag, *same = packets.tags
    if same:
        alike = element("p", shortened("; ".join(same), tags))
        outputs.insert(0, fold(f"{len(same):,} more wrote the same", alike, class_="small"))
    summary = joined(shortened(tag, tags), " ", element("span", f"· {packets.node}", class_="quiet"))
    return fold(summary, *outputs, is_open=is_open, class_="item")
