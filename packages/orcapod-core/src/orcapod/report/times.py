"""When the nodes of a run were at work, and how long their packets took."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from orcapod.compute import pc
from orcapod.display import duration
from orcapod.ledger import RunSummary, Store
from orcapod.ledger.packet_times import PacketTimes, packet_times
from orcapod.report.charts import histogram, span
from orcapod.report.html import Html, element, joined, table

__all__ = ["times"]

_TOLD = {
    "logs": "By the logs, which say when each packet ended, and by how long packets took.",
    "statuses": "By the statuses, which say when packets began and ended.",
    "results": "By the results alone, of which it is known when they were stored, up to a second after they were "
    "computed: neither logs nor statuses were kept. A run has logs with LoggingObserver(pipeline.log_database) as its "
    "observer.",
}


def times(store: Store, run: RunSummary) -> Html:
    """Return a timeline of the function nodes of a run, and the distribution of the times of their packets."""
    found = packet_times(store, run)
    parts = [_timeline(run, found), _distributions(found)]
    return joined(*parts) if any(parts) else element("p", "The run has computed nothing of which a time is known.")


def _timeline(run: RunSummary, found: Mapping[str, PacketTimes]) -> str:
    """Return from when to when each node was at work."""
    known = {label: (each.first, each.last) for label, each in found.items() if each.first and each.last}
    if not known:
        return ""
    end = run.ended or max(last for _, last in known.values())
    whole = (end - run.started) or timedelta(microseconds=1)

    def row(label: str, first: datetime, last: datetime) -> list[str]:
        start, stop = ((moment - run.started) / whole for moment in (first, last))
        shown = [duration((moment - run.started).total_seconds()) for moment in (first, last)]
        bar = span(start, stop, f"{label}: from {shown[0]} to {shown[1]}")
        return [label, bar, *shown, duration((last - first).total_seconds())]

    rows = [row(label, *moments) for label, moments in known.items()]
    told = dict.fromkeys(found[label].told_by for label in known)
    caption = f"From the first to the last packet of each node, within {duration(whole.total_seconds())}"
    headings = ["node", "the whole run", "first packet at", "last at", "at work for"]
    notes = [element("p", _TOLD[each], class_="quiet small") for each in told]
    return joined(table(caption, headings, rows, numbers=headings[2:], class_="timeline"), *notes)


def _distributions(found: Mapping[str, PacketTimes]) -> str:
    """Return how long the packets of each node took that were computed."""
    rows: list[list[str | int]] = []
    for label, each in found.items():
        if seconds := each.seconds.drop_null():
            middle, most = pc.quantile(seconds, [0.5, 0.95]).to_pylist()
            shown = [duration(value) for value in (middle, most, pc.max(seconds).as_py(), pc.sum(seconds).as_py())]
            rows.append([label, histogram(seconds) if len(seconds) > 1 else "", len(seconds), *shown])
    if not rows:
        return ""
    headings = ["node", "distribution", "packets", "half took up to", "95 % up to", "the longest", "together"]
    return table("How long packets took that were computed", headings, rows, numbers=headings[2:])
