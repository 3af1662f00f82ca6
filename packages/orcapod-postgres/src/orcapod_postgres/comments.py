"""Comments on tables: whose records they store, in a person's words."""

from __future__ import annotations

import json

from orcapod.protocols import RecordPath

__all__ = ["described"]

_DESCRIPTIONS = {
    "_result": "results of function {name}",
    "_log": "logs of node {name}",
    "_status": "statuses of node {name}",
    "_changes": "changes of the rows of node {name}",
    "_states": "states",
    "_run_starts": "beginnings of runs",
    "_runs": "runs",
    "_environments": "environments of runs",
}


def described(path: RecordPath) -> str:
    """Return a line: which records, of which function or node, of which pipeline, under which path."""
    at = next((at for at, part in enumerate(path) if part in _DESCRIPTIONS), None)
    if at is not None:
        pipeline, (name, *_) = path[:at], (*path[at + 1 :], "")
        what = _DESCRIPTIONS[path[at]].format(name=name).strip()
    elif path[-1].startswith("schema:") and len(path) > 4:
        pipeline, name = path[:-5], path[-5]
        what = f"rows of node {name}"
    else:
        pipeline, what = (), "records"
    of = f" of pipeline {'/'.join(pipeline)}" if pipeline else ""
    return f"orcapod: {what}{of}; path {json.dumps(path)}".replace("\0", "\N{SYMBOL FOR NULL}")
