"""``LogReader``: what the functions of a run wrote, in the order of time, few entries at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.arrow import array_of, empty_table, rows_of, scalar_of
from orcapod.compute import pc
from orcapod.protocols import Database, RecordPath, find_records
from orcapod.records import RUN_ID

__all__ = ["LogEntry", "LogReader"]

_AT_ONCE = 200
_TIME = "__timestamp"
_FOUND: dict[str, pa.DataType] = {"key": pa.large_string(), "at": pa.timestamp("us", "UTC"), "path": pa.int64()}
_NOTHING = empty_table(pa.schema(_FOUND))


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
        tags: only of packets with these tags, as text; None where there is no value.
        failed: only of packets that failed, or only of those that did not.
    """

    def __init__(
        self,
        database: Database,
        run_id: str,
        *,
        node: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        failed: bool | None = None,
    ) -> None:
        self._database = database
        of_node = {} if node is None else {"__node_label": node}
        texts = {RUN_ID: run_id, **of_node, **(tags or {})}
        self._nulls = [name for name, text in texts.items() if text is None]
        self._values: dict[str, Any] = {
            name: array_of([text], pa.large_string()) for name, text in texts.items() if text is not None
        }
        if failed is not None:
            self._values["__success"] = array_of([not failed], pa.bool_())
        self._seen: Any = _NOTHING.column("key")

    def tags(self) -> set[str]:
        """Return the tags that entries have, of whatever run and node."""
        return {name for path in self._paths() for name in self._columns(path) if not name.startswith("_")}

    def entries(self) -> Iterator[LogEntry]:
        """Give what has come since it was asked last: keys and times are read at once, what was written as it goes."""
        wanted = {*self._values, *self._nulls}
        paths = [path for path in self._paths() if wanted <= {*self._columns(path)}]
        tables = [_NOTHING]
        for number, path in enumerate(paths):
            table = find_records(self._database, path, self._values, [_TIME, *self._nulls])
            for name in self._nulls:
                table = table.filter(table.column(name).is_null())
            table = table.select([0, 1]).rename_columns(["key", "at"])
            table = table.filter(pc.invert(pc.is_in(table.column("key"), value_set=self._seen.combine_chunks())))
            tables.append(table.append_column("path", pa.repeat(scalar_of(number, pa.int64()), table.num_rows)))
        found = pa.concat_tables(tables).sort_by([("at", "ascending"), ("key", "ascending")])
        for start in range(0, found.num_rows, _AT_ONCE):
            some = found.slice(start, _AT_ONCE)
            keys: list[Any] = some.column("key").to_pylist()
            numbers: list[Any] = some.column("path").to_pylist()
            by_path: dict[int, list[str]] = {}
            for key, number in zip(keys, numbers, strict=True):
                by_path.setdefault(number, []).append(key)
            read = {
                key: entry
                for number, these in by_path.items()
                for key, entry in _read(self._database.get_records_by_ids(paths[number], these))
            }
            yield from (read[key] for key in keys if key in read)
        self._seen = pa.chunked_array([*self._seen.chunks, *found.column("key").chunks], pa.large_string())

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
