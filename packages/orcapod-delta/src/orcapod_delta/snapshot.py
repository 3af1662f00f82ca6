"""``Snapshot``: the committed rows of one Delta table, and how more are committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from orcapod.compute import pc
from orcapod_delta.layout import ORDER, Layout
from orcapod_delta.places import Place

__all__ = ["NEXT_VERSION_ONLY", "OvertakenError", "Snapshot"]

NEXT_VERSION_ONLY = CommitProperties(max_commit_retries=0)
"""A commit that fails if anybody else committed since the table was looked at."""

_PROPERTIES = {
    # Statistics of _row only: those of extreme dates and of large decimals are wrong in deltalake 1.6, or panic.
    "delta.dataSkippingNumIndexedCols": "1",
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 7 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
}
_WRITER = WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=65_536)
_KEPT_BYTES = 256 << 20


class OvertakenError(Exception):
    """Another writer committed first: look again, and try again."""


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file of rows.

    Attributes:
        rows: how many.
        size: its bytes.
        last: the place of its last row.
    """

    rows: int
    size: int
    last: int


class Snapshot:
    """The committed rows of one Delta table, as of when ``refresh`` was last called.

    Every row has a place in ``_row``: places grow from commit to commit, because a commit is only made upon the
    version that was looked at. So keys are never twice in a table that orcapod alone wrote; where another tool
    added one again, the row of the lowest place counts.

    Args:
        place: where the table is, or will be.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.table: DeltaTable | None = None
        self.layout: Layout | None = None
        self.files: Mapping[str, DataFile] = {}
        self._version: int | None = None
        self._filesystem: pafs.FileSystem | None = None
        self._keys: dict[str, pa.Table] = {}

    @property
    def num_rows(self) -> int:
        """How many rows are there, should a key be there twice each of them counted."""
        return sum(file.rows for file in self.files.values())

    def refresh(self) -> bool:
        """See what was committed meanwhile; tells whether anything was."""
        try:
            if self.table is None:
                self.table = DeltaTable(self.place.table_uri, storage_options=dict(self.place.options))
            else:
                self._update(self.table)
        except TableNotFoundError:
            return False
        if self.table.version() == self._version:
            return False
        schema: Any = self.table.schema().to_arrow()
        self.layout = Layout.of(pa.schema(schema), self.place.uri)
        adds: Any = pa.table(self.table.get_add_actions(flatten=True))
        self.files = {
            add["path"]: DataFile(add["num_records"], add["size_bytes"], add[f"max.{ORDER}"])
            for add in adds.to_pylist()
            if add["num_records"]
        }
        self._keys = {path: keys for path, keys in self._keys.items() if path in self.files}
        self._version = self.table.version()  # not asked of the table, which its own commits take further
        return True

    def _update(self, table: DeltaTable) -> None:
        try:
            table.update_incremental()
        except DeltaError:  # the log between that version and now may be gone
            self.table = DeltaTable(self.place.table_uri, storage_options=dict(self.place.options))

    def known(self, keys: pa.Array[Any]) -> pa.Array[Any]:
        """Those of these stored keys that are there."""
        found = [index.column(1).filter(hits) for index, hits in self._hits(keys)]
        return pa.concat_arrays([keys[:0], *(chunk for each in found for chunk in each.chunks)])

    def rows(self, names: Sequence[str]) -> pa.Table:
        """All rows in their order, with these columns of the layout."""
        assert self.layout is not None
        stored = [self.layout.names[0], *self.layout.stored_names(names)]
        parts = [self._read(path, stored, None) for path in self.files]
        return self.layout.from_store(self._in_order(parts, stored), names)

    def rows_by_keys(self, keys: pa.Array[Any], names: Sequence[str]) -> pa.Table:
        """The rows of these stored keys that are there, with these columns of the layout."""
        assert self.layout is not None
        stored = [self.layout.names[0], *self.layout.stored_names(names)]
        found = zip(self.files, self._hits(keys), strict=True)
        parts = [self._read(path, stored, hits) for path, (_, hits) in found if pc.any(hits).as_py()]
        return self.layout.from_store(self._in_order(parts, stored), names)

    def append(self, table: pa.Table, layout: Layout) -> None:
        """Commit records with all columns of the layout.

        Raises:
            OvertakenError: somebody else committed since ``refresh``; nothing was.
        """
        data = layout.to_store(table, 1 + max((file.last for file in self.files.values()), default=-1))
        if self.table is not None:
            grown = self.layout is not None and layout.names != self.layout.names
            self._write(self.table, data, mode="append", schema_mode="merge" if grown else None)
            return
        try:
            self._write(
                self.place.table_uri,
                data,
                mode="error",
                configuration=_PROPERTIES,
                storage_options=dict(self.place.options),
            )
        except DeltaError as error:
            if self.refresh():
                raise OvertakenError(str(error)) from error
            raise

    def remove(self, keys: pa.Array[Any]) -> None:
        """Commit that the rows of these stored keys are gone: all others are written anew.

        Raises:
            OvertakenError: somebody else committed since ``refresh``; nothing was.
        """
        assert self.table is not None
        assert self.layout is not None
        schema = self.layout.to_store(self.layout.schema.empty_table(), 0).schema
        # Not as a stream: deltalake would have it read on a thread from which it cannot read object storage.
        self._write(self.table, pa.Table.from_batches(self._others(keys, schema), schema), mode="overwrite")

    def _others(self, keys: pa.Array[Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for path, (_, hits) in zip(list(self.files), self._hits(keys), strict=True):
            kept = self._read(path, schema.names[1:], pc.invert(hits))
            yield from kept.select(schema.names).cast(schema).to_batches()

    def _write(self, table: DeltaTable | str, data: Any, **options: Any) -> None:
        try:
            write_deltalake(table, data, writer_properties=_WRITER, commit_properties=NEXT_VERSION_ONLY, **options)
        except CommitFailedError as error:
            raise OvertakenError(str(error)) from error

    def _hits(self, keys: pa.Array[Any]) -> Iterator[tuple[pa.Table, pa.ChunkedArray[Any]]]:
        """For every file its places and keys, and which of them are among these."""
        for path in self.files:
            index = self._index(path)
            yield index, pc.is_in(index.column(1), value_set=keys)

    def _index(self, path: str) -> pa.Table:
        """The places and keys of a file, which never change; kept as long as they are few enough."""
        assert self.layout is not None
        if (index := self._keys.get(path)) is None:
            index = self._read(path, [self.layout.names[0]], None)
            if sum(each.nbytes for each in self._keys.values()) + index.nbytes < _KEPT_BYTES:
                self._keys[path] = index
        return index

    def _read(self, path: str, names: Sequence[str], rows: pa.ChunkedArray[Any] | None) -> pa.Table:
        """``_row`` and the stored columns of a file, null where an older one has none; of some rows or of all."""
        assert self.layout is not None
        if self._filesystem is None:
            self._filesystem = self.place.filesystem()
        wanted = list(dict.fromkeys([ORDER, *names]))
        types: Mapping[str, Any] = self.layout.stored_types
        with self._filesystem.open_input_file(unquote(path)) as source:
            file = pq.ParquetFile(source)
            there = set(file.schema_arrow.names)
            columns = [name for name in wanted if name in there]
            table = file.read(columns) if rows is None else _some_rows(file, columns, rows)
        columns_or_nulls = [
            table.column(name) if name in there else pa.nulls(table.num_rows, types[name]) for name in wanted
        ]
        return pa.table(columns_or_nulls, names=wanted).cast(pa.schema([(name, types[name]) for name in wanted]))

    def _in_order(self, parts: Sequence[pa.Table], stored: Sequence[str]) -> pa.Table:
        """Tables with ``_row`` and key as one, by place, the first row of every key only."""
        assert self.layout is not None
        types = self.layout.stored_types
        schema = pa.schema([(name, types[name]) for name in dict.fromkeys([ORDER, *stored])])
        table = pa.concat_tables([schema.empty_table(), *parts])
        places, keys = table.column(ORDER), table.column(self.layout.names[0])
        if pc.any(pc.less(places[1:], places[:-1])).as_py():
            table = table.take(pc.sort_indices(places))
            keys = table.column(self.layout.names[0])
        if pc.count_distinct(keys).as_py() < len(keys):
            rows = pa.table({"key": keys, "row": range(len(keys))})
            first = rows.group_by("key").aggregate([("row", "min")]).column("row_min")
            table = table.take(first.take(pc.sort_indices(first)))
        return table


def _some_rows(file: pq.ParquetFile, columns: list[str], rows: pa.ChunkedArray[Any]) -> pa.Table:
    """The rows of a file that are marked, reading no group of rows without one."""
    parts, start = [file.schema_arrow.empty_table().select(columns)], 0
    for group in range(file.num_row_groups):
        length = file.metadata.row_group(group).num_rows
        marked = rows[start : start + length]
        if pc.any(marked).as_py():
            parts.append(file.read_row_group(group, columns).filter(marked))
        start += length
    return pa.concat_tables(parts)
