"""``Snapshot``: the committed rows of one Delta table, and how more are committed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from orcapod.compute import pc
from orcapod.errors import DamagedRecordError, DatabaseError
from orcapod_delta.data_files import DataFile, data_files
from orcapod_delta.layout import ORDER, Layout, of_records
from orcapod_delta.locations import Location
from orcapod_delta.reader import Mask, TableReader

__all__ = ["NEXT_VERSION_ONLY", "NO_CLEAN_UP", "WRITER", "OvertakenError", "Snapshot", "is_lost"]

NEXT_VERSION_ONLY = CommitProperties(max_commit_retries=0)
"""A commit that fails if anybody else committed since the table was looked at."""

NO_CLEAN_UP = PostCommitHookProperties(cleanup_expired_logs=False)
"""A commit that does not list the whole log for what has expired: maintenance does, now and then."""

_PROPERTIES = {
    # Statistics of _row only: those of extreme dates and of large decimals are wrong in deltalake 1.6, or panic.
    "delta.dataSkippingNumIndexedCols": "1",
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 1 days",  # older versions have lost files, so nobody can read them
    "delta.deletedFileRetentionDuration": "interval 1 days",
}
_GROUP_ROWS = 65_536
_GROUP_BYTES = 8 << 20


def _writer(group_rows: int) -> WriterProperties:
    return WriterProperties(
        compression="ZSTD",
        compression_level=3,
        max_row_group_size=group_rows,
        # A statistic is a value: readers refuse a file whose footer holds one of 100 MB.
        default_column_properties=ColumnProperties(statistics_enabled="NONE"),
        column_properties={ORDER: ColumnProperties(statistics_enabled="CHUNK")},
    )


WRITER = _writer(_GROUP_ROWS)
"""How files of a store are written when they are put together."""
_CACHED_BYTES = 256 << 20
_SCANNED_BYTES = 4 << 20
_LONGEST_FIRST_COMMIT = 60.0  # seconds


class OvertakenError(Exception):
    """Another writer committed first: look again, and try again."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of records.

    Attributes:
        file: as the log has it.
        rows: how many records are in it.
        last: the number of its last row.
    """

    file: DataFile
    rows: int
    last: int

    @property
    def key(self) -> tuple[str, int]:
        """The key of the file, another one once rows of it were deleted."""
        return self.file.path, self.rows


class Snapshot:
    """The committed rows of one Delta table, as of when ``refresh`` was last called.

    Every row has a number in ``_row``: numbers grow from commit to commit, because a commit is only made upon the
    version that was looked at. So keys are never twice in a table that orcapod alone wrote; where another tool
    added one again, the row of the lowest number counts.

    Args:
        location: where the table is, or will be.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self.table: DeltaTable | None = None
        self.layout: Layout | None = None
        self.files: tuple[StoredFile, ...] = ()
        self.version: int | None = None
        self._reader: TableReader | None = None
        self._has_looked_for_files = False
        self._filesystem: pafs.FileSystem | None = None
        self._keys: dict[tuple[str, int], pa.Table] = {}

    @property
    def num_rows(self) -> int:
        """The number of rows; should a key be there twice, each of them counts."""
        return sum(each.rows for each in self.files)

    def refresh(self) -> bool:
        """Read what was committed meanwhile; say whether anything was.

        Raises:
            DatabaseError: the table was there, and is no more.
        """
        try:
            if self.table is None:
                self.table = self.location.open_table()
            else:
                self.check_in_place()
                self._update(self.table)
        except TableNotFoundError:
            self._warn_of_lost_log()
            return False
        return self.adopt()

    def adopt(self) -> bool:
        """Take in what own commits have done, without looking for those of others; say whether anything."""
        if self.table is None or self.table.version() == self.version:
            return False
        schema: Any = self.table.schema().to_arrow()
        layout = Layout.of(pa.schema(schema), self.location.uri)
        if self._filesystem is None:
            self._filesystem = self.location.filesystem()
        reader = TableReader(self.table, self._filesystem, self.location.uri)
        files = [_stored_file(reader, file) for file in data_files(self.table)]
        self.layout, self._reader = layout, reader
        self.files = tuple(each for each in files if each.rows)
        there = {each.key for each in self.files}
        self._keys = {key: index for key, index in self._keys.items() if key in there}
        self.version = self.table.version()  # not asked of the table, which its own commits take further
        return True

    def _warn_of_lost_log(self) -> None:
        """Warn of files that no log tells of, unless a first commit may be writing them just now."""
        if self._has_looked_for_files:
            return
        self._has_looked_for_files = True
        found = self.location.filesystem().get_file_info(pafs.FileSelector("", allow_not_found=True))
        if lost := [each for each in found if is_lost(each)]:
            warnings.warn(
                f"{self.location.uri}: found {len(lost)} files of records and no log that tells of them, so they "
                "are not read: it was lost, or their writer was killed; restore _delta_log from a copy if there is one",
                stacklevel=2,
            )

    def may_have_orphans(self, before: float) -> bool:
        """Say whether there are files of before this time that do not belong to the table now, by one look."""
        assert self._filesystem is not None
        live = {unquote(each.file.path) for each in self.files}
        found = self._filesystem.get_file_info(pafs.FileSelector(""))
        return any(_is_records_before(each, before) and each.base_name not in live for each in found)

    def _update(self, table: DeltaTable) -> None:
        try:
            table.update_incremental()
        except DeltaError:  # the log between that version and now may be gone
            self.table = self.location.open_table()

    def check_in_place(self) -> None:
        """Check that the table that was looked at is still there: where its log is missing, deltalake sees no change.

        Raises:
            DatabaseError: it is not; only known of a table on this machine.
        """
        folder = self.location.folder
        if self.table is not None and folder is not None and not (folder / "_delta_log").is_dir():
            raise DatabaseError(
                f"{self.location.uri}: this table was deleted or moved away while it was open: what was written to it "
                "is not there any more; put it back if it was moved, else open the store again and run again: what is "
                "missing is computed anew",
                expected="a Delta table",
                found="none",
            )

    def move_damaged_files_aside(self) -> list[str]:
        """Commit that files which are not as their log says, or whose keys cannot be read, are gone; return which.

        Those that are there are moved to the folder ``_damaged`` of the table, which no vacuum looks into.

        Raises:
            DamagedRecordError: the log calls one so that it cannot be taken out.
        """
        assert self.table is not None
        assert self._filesystem is not None
        damaged = [file for file in data_files(self.table) if not self._is_whole(file)]
        for file in damaged:
            name = unquote(file.path)
            if self._filesystem.get_file_info(name).type == pafs.FileType.File:
                self._filesystem.create_dir("_damaged")
                self._filesystem.move(name, f"_damaged/{name.rpartition('/')[2]}")
        if damaged:
            self.table.repair()
            if names := {file.path for file in damaged}.intersection(file.path for file in data_files(self.table)):
                raise DamagedRecordError(
                    f"{self.location.uri}: its log names {min(names)}, which is no file of a table"
                )
        return [unquote(file.path) for file in damaged]

    def _is_whole(self, file: DataFile) -> bool:
        assert self.layout is not None
        assert self._filesystem is not None
        assert self._reader is not None
        if self._filesystem.get_file_info(unquote(file.path)).size != file.size:
            return False
        with suppress(DamagedRecordError):
            has_rows = file.rows in (None, self._reader.rows_in_file(file))
            return has_rows and not any(self._reader.unreadable(file, name) for name in (ORDER, self.layout.names[0]))
        return False

    def existing(self, keys: pa.Array[Any]) -> pa.Array[Any]:
        """Return those of these stored keys that are there."""
        matches = [index.column(1).filter(hits) for index, hits in self._hits(keys)]
        return pa.concat_arrays([keys[:0], *(chunk for each in matches for chunk in each.chunks)])

    def rows(self, names: Sequence[str]) -> pa.Table:
        """Return all rows in their order, with these columns of the layout."""
        assert self.layout is not None
        stored = [self.layout.names[0], *self.layout.stored_names(names)]
        return self._records([(each, self._read(each.file, stored)) for each in self.files], stored, names)

    def rows_by_keys(self, keys: pa.Array[Any], names: Sequence[str]) -> pa.Table:
        """Return the rows of these stored keys that are there, with these columns of the layout."""
        assert self.layout is not None
        stored = [self.layout.names[0], *self.layout.stored_names(names)]
        files = zip(self.files, self._hits(keys), strict=True)
        parts = [(each, self._read(each.file, stored, hits)) for each, (_, hits) in files if pc.any(hits).as_py()]
        return self._records(parts, stored, names)

    def scan(self) -> Iterator[pa.Table]:
        """Give all rows as they lie in the files, also those whose key is there twice."""
        assert self.layout is not None
        return self._scan(self.files, self.layout)

    def _scan(self, files: Sequence[StoredFile], layout: Layout) -> Iterator[pa.Table]:
        assert self._reader is not None
        names = [ORDER, *layout.names]
        for each in files:
            rows = 0
            try:
                for table in self._reader.scan(each.file, names, _SCANNED_BYTES):
                    rows += table.num_rows
                    yield layout.from_store(table, layout.schema.names, self._where(each))
            except DamagedRecordError as error:
                raise self._more_of(error, each.file, names) from error
            if rows != each.rows:
                where = self._where(each)
                raise DamagedRecordError(
                    f"{where}: found {rows} rows, expected {each.rows}; restore the table from a copy",
                    file=each.file.path,
                    expected=str(each.rows),
                    found=str(rows),
                )

    def append(self, table: pa.Table, layout: Layout) -> None:
        """Commit records with all columns of the layout, and take in that they are there.

        Raises:
            OvertakenError: somebody else committed since ``refresh``; nothing was.
        """
        data = layout.to_store(table, 1 + max((each.last for each in self.files), default=-1))
        if self.table is not None:
            grown = self.layout is not None and layout.names != self.layout.names
            if not grown:  # the log tells of the columns: each file need not
                data = pa.table(data.columns, schema=pa.schema([field.remove_metadata() for field in data.schema]))
            self._write(self.table, data, mode="append", schema_mode="merge" if grown else None)
            self.adopt()
            return
        try:
            self._write(
                self.location.table_uri,
                data,
                mode="error",
                configuration=_PROPERTIES,
                storage_options=dict(self.location.options),
            )
        except DeltaError as error:
            if self.refresh():
                raise OvertakenError(str(error)) from error
            raise
        self.refresh()

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
        self.adopt()

    def _others(self, keys: pa.Array[Any], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        for each, (_, hits) in zip(self.files, self._hits(keys), strict=True):
            rest = self._read(each.file, schema.names[1:], pc.invert(hits))
            yield from rest.select(schema.names).cast(schema).to_batches()

    def _write(self, table: DeltaTable | str, data: pa.Table, **options: Any) -> None:
        # A group is the least that can be read, and large values are read a few at a time.
        fitting = _GROUP_BYTES * data.num_rows // max(1, data.nbytes)
        writer = _writer(max(1, min(fitting, _GROUP_ROWS)))
        try:
            write_deltalake(
                table,
                data,
                writer_properties=writer,
                commit_properties=NEXT_VERSION_ONLY,
                post_commithook_properties=NO_CLEAN_UP,
                **options,
            )
        except CommitFailedError as error:
            if not self._is_overtaken():  # deltalake refuses for other reasons, too
                raise
            raise OvertakenError(str(error)) from error

    def _is_overtaken(self) -> bool:
        try:
            newest = self.location.open_table()
        except TableNotFoundError:
            return False
        return newest.version() != self.version

    def _hits(self, keys: pa.Array[Any]) -> Iterator[tuple[pa.Table, pa.ChunkedArray[Any]]]:
        """Yield for every file its row numbers and keys, and which of them are among these."""
        for each in self.files:
            index = self._index(each)
            yield index, pc.is_in(index.column(1), value_set=keys)

    def _index(self, stored: StoredFile) -> pa.Table:
        """Return the row numbers and keys of a file, which never change; cached while they are few."""
        assert self.layout is not None
        if (index := self._keys.get(stored.key)) is None:
            name = self.layout.names[0]
            index = self._read(stored.file, [name])
            keys: Any = index.column(1).cast(self.layout.stored_types[name])
            index = index.set_column(1, name, keys)
            if sum(each.nbytes for each in self._keys.values()) + index.nbytes < _CACHED_BYTES:
                self._keys[stored.key] = index
        return index

    def _read(self, file: DataFile, names: Sequence[str], rows: pa.ChunkedArray[Any] | None = None) -> pa.Table:
        """Read ``_row`` and the stored columns of a file, of some rows or of all."""
        assert self._reader is not None
        wanted = list(dict.fromkeys([ORDER, *names]))
        try:
            return self._reader.read(file, wanted, rows)
        except DamagedRecordError as error:
            raise self._more_of(error, file, wanted, rows) from error

    def _more_of(
        self, error: DamagedRecordError, file: DataFile, names: Sequence[str], rows: Mask | None = None
    ) -> DamagedRecordError:
        """Return an error that names the first of the columns that cannot be read, too, and its records."""
        assert self.layout is not None
        assert self._reader is not None
        key = self.layout.names[0]
        with suppress(DamagedRecordError):  # then that is all that can be known
            for name in names:
                if (damaged := self._reader.unreadable(file, name, rows)) is None:
                    continue
                called = dict(zip(self.layout.names, self.layout.schema.names, strict=True)).get(name, name)
                keys: list[Any] = []
                if self._reader.unreadable(file, key, damaged) is None:
                    stored = self._reader.read(file, [key], damaged)
                    keys = self.layout.from_store(stored, [self.layout.schema.names[0]]).column(0).to_pylist()
                return DamagedRecordError(
                    f"{self.location.uri}: the file {file.path} is damaged: column {called!r}{of_records(keys)} "
                    f"cannot be read: {error.found}; restore it from a copy, or have op.verify_store(..., repair=True) "
                    "move these records aside, so that they are computed again",
                    keys=keys,
                    file=file.path,
                    column=called,
                    found=error.found,
                )
        return error

    def _records(
        self, parts: Sequence[tuple[StoredFile, pa.Table]], stored: Sequence[str], names: Sequence[str]
    ) -> pa.Table:
        """Return what was read of files as records in their order."""
        assert self.layout is not None
        try:
            return self.layout.from_store(self._in_order([table for _, table in parts], stored), names)
        except DamagedRecordError:
            for each, table in parts:
                self.layout.from_store(table, names, self._where(each))  # raises once more, and says in which file
            raise

    def _where(self, file: StoredFile) -> str:
        return f"{self.location.uri}: the file {file.file.path}"

    def _in_order(self, parts: Sequence[pa.Table], stored: Sequence[str]) -> pa.Table:
        """Return tables with ``_row`` and key as one, by row number, the first row of every key only."""
        assert self.layout is not None
        assert self._reader is not None
        schema = pa.schema([self._reader.schema.field(name) for name in dict.fromkeys([ORDER, *stored])])
        table = pa.concat_tables([schema.empty_table(), *parts])
        numbers, keys = table.column(ORDER), table.column(self.layout.names[0])
        if pc.any(pc.less(numbers[1:], numbers[:-1])).as_py():
            table = table.take(pc.sort_indices(numbers))
            keys = table.column(self.layout.names[0])
        if pc.count_distinct(keys).as_py() < len(keys):
            rows = pa.table({"key": keys, "row": range(len(keys))})
            first = rows.group_by("key").aggregate([("row", "min")]).column("row_min")
            table = table.take(first.take(pc.sort_indices(first)))
        return table


def is_lost(file: pafs.FileInfo) -> bool:
    """Say whether a file of a table without a log has records, and is older than any first commit takes."""
    return _is_records_before(file, time.time() - _LONGEST_FIRST_COMMIT)


def _is_records_before(file: pafs.FileInfo, before: float) -> bool:
    return file.base_name.endswith(".parquet") and (file.mtime_ns or inf) < before * 1e9


def _stored_file(reader: TableReader, file: DataFile) -> StoredFile:
    last = file.maxima.get(reader.name_in_files(ORDER))
    if last is None or not last.is_valid:  # whoever put files together wrote no statistics
        last = pc.max(reader.read(file, [ORDER]).column(ORDER))
    return StoredFile(file, reader.num_rows(file), last.as_py() or 0)
