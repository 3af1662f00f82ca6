"""``packet_times``: when the packets of each node of a run were at work, and how long each took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.compute import pc
from orcapod.ledger.logs import told_in
from orcapod.ledger.run_summary import NodeSummary, RunSummary
from orcapod.ledger.store import Store
from orcapod.protocols import RecordPath
from orcapod.records import RECORD_ID, RUN_ID, SECONDS, FunctionUri, result_path

__all__ = ["PacketTimes", "packet_times"]

_TIME, _LABEL = "__timestamp", "__node_label"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class PacketTimes:
    """Times of the packets of a function node that a run has computed.

    Attributes:
        first: when the first of them began, as far as that is known; None if nothing is.
        last: when the last of them ended, likewise.
        seconds: how long the function took for each that was computed, of those whose results are in the store.
        told_by: what tells when packets ended: ``logs`` or ``statuses``; of ``results`` it is known when they were
            stored, up to a second later.
    """

    first: datetime | None
    last: datetime | None
    seconds: pa.Array[Any]
    told_by: Literal["logs", "statuses", "results"]


def packet_times(store: Store, run: RunSummary) -> Mapping[str, PacketTimes]:
    """Return the times of the packets of each function node of a run, by label."""
    events = {told_by: _events(store, run, f"_{room}") for told_by, room in (("logs", "log"), ("statuses", "status"))}
    found = {node.record.label: _times(run, node, results, events) for node, results in _results(store, run)}
    return {label: found[label] for label in run.functions}


def _events(store: Store, run: RunSummary, room: str) -> Mapping[str, tuple[int, int]]:
    """Return when logs or statuses tell of the first and of the last packet of each node."""
    of_run = {RUN_ID: run.run_id}
    found = told_in(store.database, [(*run.pipeline, room)], of_run, None, columns=[_LABEL, _TIME])
    if not found.num_rows:
        return {}
    found = pa.table({_LABEL: found.column(_LABEL), _TIME: _microseconds(found)})
    spans: list[Any] = found.group_by(_LABEL).aggregate([(_TIME, "min"), (_TIME, "max")]).to_pylist()
    return {span[_LABEL]: (span[f"{_TIME}_min"], span[f"{_TIME}_max"]) for span in spans}


def _times(
    run: RunSummary, node: NodeSummary, results: pa.Table, events: Mapping[str, Mapping[str, tuple[int, int]]]
) -> PacketTimes:
    label = node.record.label
    seconds = results.column(SECONDS).combine_chunks()
    stored = _microseconds(results)
    began = pc.min(pc.subtract(stored, pc.floor(pc.multiply(seconds, 1e6)).cast(pa.int64()))).as_py()
    told = [spans[label] for spans in events.values() if label in spans]
    first = min([*(start for start, _ in told), *([] if began is None else [began])], default=None)
    last = max((end for _, end in told), default=pc.max(stored).as_py())
    told_by: Any = next((told_by for told_by, spans in events.items() if label in spans), "results")
    if first is None or last is None:
        return PacketTimes(None, None, seconds, told_by)
    start, end = (_EPOCH + timedelta(microseconds=moment) for moment in (first, last))
    return PacketTimes(max(start, run.started), min(end, run.ended or end), seconds, told_by)


def _microseconds(rows: pa.Table) -> Any:
    """Return the times of rows, in microseconds since 1970."""
    return rows.column(_TIME).combine_chunks().cast(pa.int64())


def _results(store: Store, run: RunSummary) -> Iterator[tuple[NodeSummary, pa.Table]]:
    """Give each function node with when the results were stored that it has computed in a run, and how long each took.

    What several nodes share is read once. Of their results, each has computed those that none before it stands for.
    """
    sharing: dict[FunctionUri, list[NodeSummary]] = {}
    for node in run.functions.values():
        sharing.setdefault(node.record.path[:-1], []).append(node)
    for uri, nodes in sharing.items():
        left = _results_of(store, run, uri)
        for node in nodes:
            is_own = _is_among(store, run, node.record.path, left.column(RECORD_ID)) if len(nodes) > 1 else None
            yield node, left if is_own is None else left.filter(is_own)
            left = left if is_own is None else left.filter(pc.invert(is_own))


def _results_of(store: Store, run: RunSummary, uri: FunctionUri) -> pa.Table:
    own = pc.field(RUN_ID) == run.run_id
    found = store.database.get_records(result_path(uri), [_TIME, SECONDS], where=own)
    if SECONDS in found.column_names:
        return found
    types: dict[str, pa.DataType] = {  # they are in another store, or there never was one
        RECORD_ID: pa.large_binary(),
        _TIME: pa.timestamp("us", "UTC"),
        SECONDS: pa.float64(),
    }
    return pa.table({name: array_of([], type_) for name, type_ in types.items()})


def _is_among(store: Store, run: RunSummary, path: RecordPath, ids: pa.ChunkedArray[Any]) -> Any:
    """Say which results the entries at a path stand for."""
    entries = store.database.at(*run.pipeline).get_records(path, [RECORD_ID])
    known = entries.column(RECORD_ID).combine_chunks() if entries.num_rows else array_of([], pa.large_binary())
    return pc.is_in(ids, value_set=known)
