"""``DataFile``: the files of one version of a Delta table, and what its log tells of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable

from orcapod.display import shown
from orcapod.errors import DatabaseError

__all__ = ["DataFile", "check_protocol", "data_files"]

_READER_VERSION = 3
_READER_FEATURES = {
    "columnMapping",
    "deletionVectors",
    "timestampNtz",
    "typeWidening",
    "typeWidening-preview",
    "v2Checkpoint",
    "vacuumProtocolCheck",
}


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of rows.

    Attributes:
        path: where it is below the table, encoded as in a URL.
        size: its bytes.
        written: when, in milliseconds since 1970.
        rows: how many it has, deleted ones among them; None if the log does not say.
        maxima: a struct of the largest values that the log tells of, by the columns' names in files.
        partition: a struct of the values of the partition columns, by their names in the table.
        is_live: for every row whether it belongs to the table; None if all do.
    """

    path: str
    size: int
    written: int
    rows: int | None
    maxima: Mapping[str, Any]
    partition: Mapping[str, Any]
    is_live: pa.BooleanArray | None


def check_protocol(table: DeltaTable) -> None:
    """Check that the table needs nothing of its reader that is not done here.

    Raises:
        DatabaseError: it needs a newer version of the protocol, or a feature that is not known.
    """
    protocol = table.protocol()
    unknown = sorted({*(protocol.reader_features or ())} - _READER_FEATURES)
    if unknown or protocol.min_reader_version > _READER_VERSION:
        found = ", ".join(unknown) or f"version {protocol.min_reader_version}"
        supported = ", ".join(sorted(_READER_FEATURES))
        raise DatabaseError(
            f"expected a table for readers of version {_READER_VERSION} that know {supported}, "
            f"found one that needs {found}; write it anew without, or read it with another tool "
            "and hand its rows to ArrowTableSource"
        )


def data_files(table: DeltaTable) -> list[DataFile]:
    """Return the files of the version that is loaded, the oldest first.

    Raises:
        DatabaseError: a file belongs to another table.
    """
    adds: Any = pa.table(table.get_add_actions())
    columns = {name: adds.column(name) for name in adds.column_names}
    live = _live_rows(table, columns["path"].to_pylist())
    files = []
    for row in range(adds.num_rows):
        path = columns["path"][row].as_py()
        if "://" in path or path.startswith(("/", "file:")):
            raise DatabaseError(
                f"expected files below the table, found {shown(path)}: it is a shallow clone; read the "
                "table that it was cloned from, or make a deep clone"
            )
        if not {"..", ".", ""}.isdisjoint(unquote(path).split("/")):
            raise DatabaseError(f"expected files below the table, found {shown(path)}: its log is damaged, or a trap")
        files.append(
            DataFile(
                path,
                columns["size_bytes"][row].as_py(),
                columns["modification_time"][row].as_py(),
                columns["num_records"][row].as_py(),
                _members(columns.get("max"), row),
                _members(columns.get("partition"), row),
                live.get(path),
            )
        )
    return sorted(files, key=lambda file: (file.written, file.path))


def _members(column: pa.ChunkedArray[Any] | None, row: int) -> Mapping[str, Any]:
    """Return a struct as Arrow's scalar, since not all of its members are Python values."""
    if column is None or not column[row].is_valid:
        return {}
    struct: Any = column[row]
    return struct  # type: ignore[no-any-return]


def _live_rows(table: DeltaTable, paths: list[str]) -> dict[str, pa.BooleanArray]:
    """Return by path which rows the deletion vectors leave, as far as they reach."""
    if "deletionVectors" not in (table.protocol().reader_features or ()):
        return {}
    vectors: Any = pa.table(table.deletion_vectors())
    uris = vectors.column("filepath").to_pylist()
    masks = [mask.values for mask in vectors.column("selection_vector")]
    if not uris:
        return {}
    # Only the path is encoded as in the log, not what comes before it.
    start = next((len(uris[0]) - len(path) for path in paths if uris[0].endswith("/" + path)), None)
    if start is None:
        raise DatabaseError(f"expected files of the table, found a deletion vector of {uris[0]}")
    return {uri[start:]: mask for uri, mask in zip(uris, masks, strict=True)}
