"""``store_sizes``: how large a store is, by pipeline, node and kind of records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from orcapod.files import FileStore
from orcapod.protocols import Database, MaintainedDatabaseProtocol, RecordPath, TableSize, files_folder_of

__all__ = ["store_sizes"]

_OF_THE_STORE = {
    "_result": "results",
    "_pruned": "stubs",
    "_attempt": "attempts",
    "_code": "code",
    "_source": "sources",
    "_sources": "sources",
}
_OF_A_PIPELINE = {
    "_log": "logs",
    "_status": "statuses",
    "_changes": "states",
    "_states": "states",
    "_members": "members",
    "_runs": "runs",
    "_graphs": "runs",
    "_run_starts": "runs",
    "_environments": "runs",
}
_TYPES: dict[str, pa.DataType] = {"pipeline": pa.large_string(), "node": pa.large_string(), "kind": pa.large_string()}
_TYPES |= {"rows": pa.int64(), "bytes": pa.int64()}

_Place = tuple[str | None, str | None, str]


def store_sizes(
    database: Database, pipelines: Iterable[RecordPath], labels: Mapping[RecordPath, Iterable[str]]
) -> pa.Table:
    """Return how many rows and bytes there are of each pipeline, node and kind; see ``Store.size``.

    Args:
        database: the store.
        pipelines: the names of its pipelines.
        labels: what the node is called whose rows are at a path, that of its pipeline included.
    """
    longest_first = sorted(pipelines, key=len, reverse=True)
    rows: Counter[_Place] = Counter()
    sizes: Counter[_Place] = Counter()
    for path, count, size in _table_sizes(database):
        name = next((each for each in longest_first if path[: len(each)] == each), ())
        place = _place(name, path[len(name) :], labels)
        rows[place] += count
        sizes[place] += size
    folder = files_folder_of(database)
    for file in FileStore(folder).whole() if folder is not None else ():
        rows[None, None, "files"] += 1
        sizes[None, None, "files"] += _file_size(file)
    ordered = sorted(rows, key=lambda place: [part or "" for part in place])
    table = [(*place, rows[place], sizes[place]) for place in ordered]
    columns = list(zip(*table, strict=True)) if table else [()] * len(_TYPES)
    return pa.table(
        {name: pa.array(column, type_) for column, (name, type_) in zip(columns, _TYPES.items(), strict=True)}
    )


def _place(name: RecordPath, path: RecordPath, labels: Mapping[RecordPath, Iterable[str]]) -> _Place:
    if not name:
        is_of_function = len(path) == 5
        return None, path[1] if is_of_function else None, _OF_THE_STORE.get(path[0], "other")
    kind = _OF_A_PIPELINE.get(path[0], "rows" if path[-1].startswith("schema:") else "other")
    if path[-1].startswith("schema:"):
        of_node = path[-5:]
        called = sorted(labels.get((*name, *of_node), ())) or of_node[:1]
        return "/".join(name), ", ".join(called), kind
    return "/".join(name), None, kind


def _table_sizes(database: Database) -> Iterable[TableSize]:
    if isinstance(database, MaintainedDatabaseProtocol):
        return database.table_sizes()
    tables = ((path, database.get_records(path)) for path in database.list_paths())
    return (TableSize(path, table.num_rows, table.nbytes) for path, table in tables)


def _file_size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # it was an orphan, and is removed just now
        return 0
