"""``LogReader``: what the functions of a run wrote, in the order of time, few entries at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of, rows_of
from orcapod.protocols import Database, RecordPath, find_records
from orcapod.records import RUN_ID

__all__ = ["LogEntry", "LogReader"]

_AT_ONCE = 200
_TIME = "__timestamp"


class LogEntry(NamedTuple):
    """Entry of a log: what a function wrote for one packet, and how it ended.

    Attributes:
        node: the label of the node.
        timestamp: when.
        tags: those of the packet, as text.
        success: whether there is a result.
        stdout: what it wrote there; None if nothing.
        stderr: likewise.
        python_logs: what it told Python's ``logging``.
        traceback: why it failed.
    """

    node: str
    timestamp: datetime
    tags: Mapping[str, str | None]
    success: bool
    stdout: str | None
    stderr: str | None
    python_logs: str | None
    traceback: str | None


class LogReader:
    """Reader of the log of a run, which may go on: each entry is given once.

    Args:
        database: where the records of the run's pipeline are.
        run_id: the run.
        node: only of the node of this label.
        tags: only of packets with these tags, as text.
        failed: only of packets that failed, or only of those that did not.
    """

    def __init__(
        self,
        database: Database,
        run_id: str,
        *,
        node: str | None = None,
        tags: Mapping[str, str] | None = None,
        failed: bool | None = None,
    ) -> None:
        self._database = database
        of_node = {} if node is None else {"__node_label": node}
        texts = {RUN_ID: run_id, **of_node, **(tags or {})}
        self._values: dict[str, Any] = {name: array_of([text], pa.large_string()) for name, text in texts.items()}
        if failed is not None:
            self._values["__success"] = array_of([not failed], pa.bool_())
        self._seen: set[str] = set()

    def tags(self) -> set[str]:
        """Return the tags that entries have, of whatever run and node."""
        return {name for path in self._paths() for name in self._columns(path) if not name.startswith("_")}

    def entries(self) -> Iterator[LogEntry]:
        """Give what has come since it was asked last: keys and times are read at once, what was written as it goes."""
        found: list[tuple[datetime, str, RecordPath]] = []
        for path in self._paths():
            if self._values.keys() <= {*self._columns(path)}:
                table = find_records(self._database, path, self._values, [_TIME])
                keys: list[Any] = table.column(0).to_pylist()
                times = [row[_TIME] for row in rows_of(table.select([_TIME]))]
                found += [(at, key, path) for at, key in zip(times, keys, strict=True) if key not in self._seen]
        found.sort()
        for start in range(0, len(found), _AT_ONCE):
            some = found[start : start + _AT_ONCE]
            by_path: dict[RecordPath, list[str]] = {}
            for _, key, path in some:
                by_path.setdefault(path, []).append(key)
            read = {
                key: entry
                for path, keys in by_path.items()
                for key, entry in _read(self._database.get_records_by_ids(path, keys))
            }
            self._seen.update(read)
            yield from (read[key] for _, key, _ in some if key in read)

    def _paths(self) -> list[RecordPath]:
        return [path for path in self._database.list_paths() if path[0] == "_log"]

    def _columns(self, path: RecordPath) -> list[str]:
        return self._database.get_records_by_ids(path, []).column_names


def _read(table: pa.Table) -> Iterator[tuple[str, LogEntry]]:
    key = table.column_names[0]
    for row in rows_of(table):
        tags = {name: value for name, value in row.items() if not name.startswith("_")}
        wrote = (row[f"__{name}"] for name in ("success", "stdout", "stderr", "python_logs", "traceback"))
        yield row[key], LogEntry(row["__node_label"] or "", row[_TIME], tags, *wrote)
