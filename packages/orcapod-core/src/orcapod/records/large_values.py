"""``LargeValues``: large values of results, whose bytes are kept in files by content, in place of their rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import DamagedRecordError, ValueTypeError
from orcapod.files import FileStore, temporary_folder
from orcapod.types import FILE_ARROW, LARGE_BYTES, Schema, content, large_parts

__all__ = ["LARGE", "LargeValues"]

LARGE = "__large"
"""The column that names the files of plain bytes, which have no place for one in their own column."""

_ARROW = pa.large_list(pa.struct([("column", pa.large_string()), ("size", pa.int64()), ("file", FILE_ARROW)]))
_WRITERS = 4  # one waits for the disk while others are hashed


class LargeValues:
    """Large values of the results of one function.

    Arrays, frames and objects are references from the moment that they are stored, and stay so until somebody looks.
    Plain ``bytes`` are read again with their row.

    Args:
        outputs: the columns that the function returns.
        folder: where the files go; values stay in their rows if there is none, or if it goes with the process.

    Attributes:
        columns: the columns that a table of results has beside the outputs, at rest.
    """

    def __init__(self, outputs: Schema, folder: Path | None) -> None:
        self._types = [dtype.arrow for dtype in outputs.types.values()]
        self._bytes = [name for name, dtype in outputs.types.items() if dtype.arrow == pa.large_binary()]
        self.columns = [LARGE] if self._bytes else []
        self._files = None if folder is None or folder == temporary_folder() else FileStore(folder)

    @property
    def are_apart(self) -> bool:
        """Whether they lie in files."""
        return self._files is not None

    def put_apart(self, results: Sequence[Sequence[Any]]) -> None:
        """Leave references in place of large parts of results, as ``to_storage`` gave them."""
        if self._files is None:
            return
        parts = [
            part
            for result in results
            for stored, arrow in zip(result, self._types, strict=True)
            for part in large_parts(stored, arrow)
        ]
        for part, file in zip(parts, self._put([part["data"] for part in parts]), strict=True):
            part["file"] = file
            part["data"] = None

    def at_rest(self, results: pa.Table) -> pa.Table:
        """Return a table of results as it is stored: large bytes are null, and named in a column of their own."""
        if not self._bytes:
            return results
        kept: list[list[dict[str, Any]]] = [[] for _ in range(results.num_rows)]
        for name in self._bytes if self._files is not None else []:
            column = results.column(name)
            is_large = pc.fill_null(pc.greater_equal(pc.binary_length(column), LARGE_BYTES), False)
            if rows := pc.indices_nonzero(is_large).to_pylist():
                data: list[Any] = [column[row].as_buffer() for row in rows]
                for row, each, file in zip(rows, data, self._put(data), strict=True):
                    kept[row].append({"column": name, "size": each.size, "file": file})
                at = results.schema.get_field_index(name)
                results = results.set_column(at, name, pc.if_else(is_large, None, column))
        return results.append_column(LARGE, pa.array([each or None for each in kept], _ARROW))

    def loaded(self, results: pa.Table) -> pa.Table:
        """Return a table of results with the bytes that ``at_rest`` has taken out; the record id is its first column.

        Raises:
            DamagedRecordError: they are not what they were.
        """
        if not self._bytes:
            return results
        kept, results = results.column(LARGE), results.drop_columns([LARGE])
        if kept.null_count == len(kept):
            return results
        found: defaultdict[str, dict[int, Any]] = defaultdict(dict)
        for row, files in enumerate(kept.to_pylist()):
            for file in files or []:
                found[file["column"]][row] = _bytes_of(file, results.column(0)[row].as_py())
        for name, rows in found.items():
            at = results.schema.get_field_index(name)
            results = results.set_column(at, name, _replaced(results.column(name).combine_chunks(), rows))
        return results

    def _put(self, data: Sequence[Any]) -> list[dict[str, Any]]:
        """Store bytes; return the files that they are in, as a column of files holds them."""
        if self._files is None or not data:
            return []
        with ThreadPoolExecutor(min(_WRITERS, len(data))) as pool:
            return [
                {"path": str(path), "digest": found.digest, "size": found.size}
                for path, found in pool.map(self._files.put, data)
            ]


def _bytes_of(file: dict[str, Any], record_id: Any) -> Any:
    try:
        return content(file, "bytes")
    except ValueTypeError as error:
        raise DamagedRecordError(str(error), keys=[record_id], found=error.found) from None


def _replaced(column: Any, rows: dict[int, Any]) -> pa.ChunkedArray[Any]:
    """Return a column of bytes with other values in some rows, given in their order as buffers."""
    parts, start = [], 0
    for row, data in rows.items():
        ends = pa.array([0, data.size], pa.int64()).buffers()[1]
        parts += [column.slice(start, row - start), pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, data])]
        start = row + 1
    return pa.chunked_array([*parts, column.slice(start)])
