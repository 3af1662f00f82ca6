"""``LargeValues``: large values of results, whose bytes are kept in files by content, in place of their rows."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import DamagedRecordError, ValueTypeError
from orcapod.files import Content, FileStore, folder_error, temporary_folder
from orcapod.types import FILE_ARROW, LARGE_BYTES, Schema, content, holds_kept, identified, is_large, large_parts

__all__ = ["LARGE", "LargeValues", "large_bytes", "with_large_bytes"]

LARGE = "__large"
"""The column that names the files of plain bytes, which have no place for one in their own column."""

_ARROW = pa.large_list(pa.struct([("column", pa.large_string()), ("size", pa.int64()), ("file", FILE_ARROW)]))
Writing = Future[tuple[Path, Content]]
"""A file that is being written: where it is, and its content."""

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
        types = [dtype.arrow for dtype in outputs.types.values()]
        self._bytes = {at: name for at, name in enumerate(outputs) if types[at] == pa.large_binary()}
        self._types = {at: arrow for at, arrow in enumerate(types) if at in self._bytes or holds_kept(arrow)}
        self.columns = [LARGE] if self._bytes else []
        is_apart = self._types and folder is not None and not folder.is_relative_to(temporary_folder())
        self._files = FileStore(folder) if folder is not None and is_apart else None
        self._begun: dict[int, tuple[bytes | memoryview, Writing]] = {}
        self._writing: deque[tuple[dict[str, Any], Writing]] = deque()
        self._lock = threading.Lock()  # of what a part is, while one thread begins and another one stores

    @property
    def are_apart(self) -> bool:
        """Whether they lie in files."""
        return self._files is not None

    @cached_property
    def _writers(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_WRITERS, thread_name_prefix="orcapod-files")

    def begin(self, result: Sequence[Any], most: int) -> int:
        """Begin to write what is large of a result, as ``to_storage`` gave it, while others are computed.

        It waits until no more than so many bytes are held of values that are being written.

        Args:
            result: the outputs.
            most: how many bytes.

        Returns:
            How many bytes of the result are let go of once they are written, which plain bytes are not; none if there
            is something that cannot be written, so that it is stored, and tried again, soon.
        """
        if self._files is None:
            return 0
        going = 0
        for large in self._large_in(result):
            written = self._write(large)
            if isinstance(large.part, dict):
                self._writing.append((large.part, written))
                going += len(large.data)
        with self._lock:
            return going if self._let_go(most) else 0

    def put(self, results: Sequence[Sequence[Any]]) -> pa.Array[Any]:
        """Leave references in place of large parts of results; return which of their bytes are in which files.

        Raises:
            DatabaseError: the files cannot be written; nothing of these results is lost.
        """
        if self._files is None:
            for large in (large for result in results for large in self._large_in(result)):
                if isinstance(large.part, dict):
                    identified(large.part)
            return pa.nulls(len(results), _ARROW)
        with self._lock:
            found = [(row, large) for row, result in enumerate(results) for large in self._large_in(result)]
        kept: list[list[dict[str, Any]] | None] = [None] * len(results)
        try:
            writing = [self._write(large) for _, large in found]
            wait(writing)  # all of them: one that goes on would be in the way of the next try
            for (row, large), each in zip(found, writing, strict=True):
                if isinstance(large.part, str):
                    named = {"column": large.part, "size": len(large.data), "file": _named(each)}
                    kept[row] = [*(kept[row] or ()), named]
                else:
                    large.part["file"], large.part["data"] = _named(each), None
        except OSError as error:
            raise folder_error(self._files.folder, "a large value cannot be written", error) from error
        finally:
            for _, large in found:
                self._begun.pop(id(large.data), None)  # what failed is written anew
        return pa.array(kept, _ARROW)

    def at_rest(self, results: pa.Table, kept: pa.Array[Any]) -> pa.Table:
        """Return a table of results as it is stored: bytes that lie in files are null, and named in another column."""
        if not self._bytes:
            return results
        for name in {file["column"] for files in kept.drop_null().to_pylist() for file in files or ()}:
            column = results.column(name)
            is_here = pc.fill_null(pc.less(pc.binary_length(column), LARGE_BYTES), False)
            numbers = pc.if_else(is_here, pc.subtract(pc.cumulative_sum(is_here.cast(pa.int64())), 1), None)
            at = results.schema.get_field_index(name)
            results = results.set_column(at, name, column.filter(is_here).take(numbers))  # no large ones are copied
        return results.append_column(LARGE, kept)

    def _large_in(self, result: Sequence[Any]) -> Iterator[_Large]:
        """Give what is large of a result."""
        for at, arrow in self._types.items():
            stored = result[at]
            if at not in self._bytes:
                for part in large_parts(stored, arrow):
                    yield _Large(part["data"], part)
            elif stored is not None and is_large(stored):
                yield _Large(stored, self._bytes[at])

    def _write(self, large: _Large) -> Writing:
        """Have bytes written, once; they are held meanwhile, so that no others have their id."""
        if (begun := self._begun.get(id(large.data))) is None:
            assert self._files is not None
            begun = large.data, self._writers.submit(_write, self._files, large)
            self._begun[id(large.data)] = begun
        return begun[1]

    def _let_go(self, most: int) -> bool:
        """Leave references in place of parts that are written, and wait for the first while there are too many.

        Returns:
            Whether all that were to be written could be.
        """
        while self._writing:
            part, written = self._writing[0]
            if (data := part["data"]) is not None:  # else it was stored meanwhile
                if not written.done() and sum(part["size"] for part, _ in self._writing) <= most:
                    break
                if written.exception() is not None:
                    return False
                part["file"], part["data"] = _named(written), None
                self._begun.pop(id(data), None)
            self._writing.popleft()
        return True


def large_bytes(results: pa.Table) -> Mapping[str, Mapping[int, Any]]:
    """Return which bytes of results lie in files, by column and row: the ``size`` and the ``file`` of each."""
    found: defaultdict[str, dict[int, Any]] = defaultdict(dict)
    if LARGE in results.column_names and (kept := results.column(LARGE)).null_count < len(kept):
        for row, files in enumerate(kept.to_pylist()):
            for file in files or ():
                found[file["column"]][row] = file
    return found


def with_large_bytes(results: pa.Table) -> pa.Table:
    """Return results with the bytes that lie in files, where they are null at rest; the record id is the first column.

    Raises:
        DamagedRecordError: they are not what they were.
    """
    found: dict[str, dict[int, Any]] = {}
    damages: dict[Any, ValueTypeError] = {}
    for name, files in large_bytes(results).items():
        found[name] = {}
        for row, file in files.items():
            try:
                found[name][row] = content(file, "bytes")
            except ValueTypeError as error:
                damages[results.column(0)[row].as_py()] = error
    if damages:
        first, *more = damages.values()
        why = f"{first}{f' ({len(more)} more are damaged)' if more else ''}"
        raise DamagedRecordError(why, keys=list(damages), found=first.found)
    for name, rows in found.items():
        at = results.schema.get_field_index(name)
        results = results.set_column(at, name, _replaced(results.column(name).combine_chunks(), rows))
    return results.drop_columns([LARGE]) if LARGE in results.column_names else results


class _Large(NamedTuple):
    """Large bytes of a result.

    Attributes:
        data: the bytes.
        part: the part of a value that they are of, or the name of the column that they are.
    """

    data: bytes | memoryview
    part: dict[str, Any] | str


def _write(files: FileStore, large: _Large) -> tuple[Path, Content]:
    """Write large bytes, once it is known what identifies the value that they are of."""
    digest = identified(large.part) if isinstance(large.part, dict) else None
    return files.put(large.data, digest)


def _named(writing: Writing) -> dict[str, Any]:
    """Return the reference to a file, once it is written."""
    path, content = writing.result()
    return {"path": str(path), "digest": content.digest, "size": content.size}


def _replaced(column: Any, rows: dict[int, Any]) -> pa.ChunkedArray[Any]:
    """Return a column of bytes with other values in some rows, given in their order as buffers."""
    parts, start = [], 0
    for row, data in rows.items():
        ends = pa.array([0, data.size], pa.int64()).buffers()[1]
        parts += [column.slice(start, row - start), pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, data])]
        start = row + 1
    return pa.chunked_array([*parts, column.slice(start)])
