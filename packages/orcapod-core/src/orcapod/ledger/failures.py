"""``failed_packets``: the packets of a run that failed, as logs and statuses tell of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, empty_table, scalar_of
from orcapod.compute import pc
from orcapod.execution import INTERRUPTIONS, FailureText
from orcapod.ledger.logs import told_in
from orcapod.ledger.run_summary import RunSummary
from orcapod.ledger.store import Store
from orcapod.records import RUN_ID

__all__ = ["failed_packets", "tag_texts"]

_TOLD = {"traceback": "__traceback", "stdout": "__stdout", "stderr": "__stderr", "logs": "__python_logs"}
_TEXT: pa.DataType = pa.large_string()
_TEXTS = ("node", "tag", "error", "message", "file", "function", *_TOLD)
_SCHEMA = pa.schema([*((name, _TEXT) for name in _TEXTS), ("line", pa.int64())])


def failed_packets(store: Store, run: RunSummary) -> pa.Table:
    """Return a row for each packet of a run that failed, in the order in which they did.

    They are told of by logs, else by statuses; where neither was kept of one, it is only counted, in the totals of its
    node.

    Returns:
        ``node``; ``tag``, the tags as text; ``error``, the exception's type; ``message``, its type and text; ``file``,
        ``line`` and ``function``, where in the user's code; and of logs ``traceback``, ``stdout``, ``stderr`` and
        ``logs``, which are null of statuses.
    """
    logged = _told(_failed_last(store, run))
    of_run = {RUN_ID: run.run_id, "__state": "FAILED"}
    stated = _told(told_in(store.database, [(*run.pipeline, "_status")], of_run, None))
    stated = stated.filter(pc.invert(pc.is_in(_rows_of(stated), value_set=_rows_of(logged))))
    found = pa.concat_tables([logged, stated])
    return found.filter(pc.invert(pc.is_in(found.column("error"), value_set=array_of(INTERRUPTIONS, _TEXT))))


def _failed_last(store: Store, run: RunSummary) -> pa.Table:
    """Return the logs of packets that failed.

    A packet that is tried again is logged each time: of a node with more logs of failures than packets that failed,
    those count after which there is none of a row of the same tags.
    """
    failed = store.failures(run.run_id)
    if run.ended is None or not failed.num_rows:
        return failed
    for node, logged in Counter[Any](failed.column("__node_label").to_pylist()).items():
        summary = run.nodes.get(node)
        if summary is not None and logged > summary.totals.counts.get("failed", 0):
            logs = store.logs(run.run_id, node)
            last: dict[Any, int] = {tag: row for row, tag in enumerate(tag_texts(logs).to_pylist())}
            logs = logs.take(array_of(sorted(last.values()), pa.int64())).filter(pc.invert(pc.field("__success")))
            others = failed.filter(pc.field("__node_label") != node)
            failed = pa.concat_tables([others, logs], promote_options="default")
    return failed.sort_by("__timestamp")


def _rows_of(failures: pa.Table) -> Any:
    """Return what tells rows apart: node and tag."""
    columns = (failures.column(name).combine_chunks() for name in ("node", "tag"))
    return pc.binary_join_element_wise(*columns, scalar_of("\0", _TEXT), null_handling="replace")


def tag_texts(table: pa.Table) -> Any:
    """Return the tags of each row of logs or statuses as one text: ``patient=1, site=b``."""
    names = [name for name in table.column_names if not name.startswith("_")]
    nothing, comma = scalar_of("", _TEXT), scalar_of(", ", _TEXT)
    texts = [
        pc.binary_join_element_wise(scalar_of(f"{name}=", _TEXT), table.column(name).cast(_TEXT), nothing)
        for name in names
    ]
    if not texts:
        return pa.repeat(nothing, table.num_rows)
    return pc.binary_join_element_wise(*texts, comma, null_handling="skip")


def _told(rows: pa.Table) -> pa.Table:
    """Return what rows of logs or of statuses tell of failures."""
    if not rows.num_rows:
        return empty_table(_SCHEMA)
    nothing = array_of([None] * rows.num_rows, _TEXT)
    column = {
        name: rows.column(name) if name in rows.column_names else nothing for name in (*_TOLD.values(), "__error")
    }
    texts = zip(column["__traceback"].to_pylist(), column["__error"].to_pylist(), strict=True)
    failures = [FailureText.of(trace, error) for trace, error in texts]
    file, line, function = zip(*(failure.location or (None, None, None) for failure in failures), strict=True)
    columns = {
        "node": rows.column("__node_label"),
        "tag": tag_texts(rows),
        "error": array_of([failure.error for failure in failures], _TEXT),
        "message": array_of([failure.message for failure in failures], _TEXT),
        "file": array_of(file, _TEXT),
        "line": array_of(line, pa.int64()),
        "function": array_of(function, _TEXT),
        **{name: column[told] for name, told in _TOLD.items()},
    }
    return pa.table(columns, schema=_SCHEMA)
