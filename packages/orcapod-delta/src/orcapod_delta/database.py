"""``DeltaDatabase``: records in Delta Lake tables, on a disk or in object storage, which many tools read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import Expression
from orcapod.databases import DatabaseView, checked_config, checked_ids, checked_table
from orcapod.errors import DamagedRecordError, DatabaseError
from orcapod.protocols import Key, OnConflict, RecordPath, TableSize
from orcapod_delta.buffered_table import BufferedTable
from orcapod_delta.faults import writing_to
from orcapod_delta.limits import MAX_RECORD_BYTES
from orcapod_delta.locations import Location, folder_of
from orcapod_delta.maintenance import RETENTION, Maintenance
from orcapod_delta.storage_check import find_damage, has_whole_log
from orcapod_delta.store import Store

__all__ = ["DeltaDatabase"]

_BUFFER_BYTES = 64 << 20


class DeltaDatabase(DatabaseView[Store]):
    """A store of Delta tables, one for every path.

    Rows wait in memory, where every view of this store reads them, until ``flush`` commits them: then they
    survive the end of the process, and everybody reads them. A run of a pipeline flushes every second. Any number
    of threads and processes, on any number of machines, may use a store at the same time. All views share what they
    hold: closing any of them closes all.

    Args:
        path_or_url: a folder, which is created if it is not there, or ``s3://bucket/prefix``,
            ``gs://bucket/prefix`` or ``az://container/prefix``.
        storage_options: what object storage needs to know besides credentials, ``{"aws_region": ...}``;
            credentials come from the environment.
        buffer_bytes: rows of a table are committed when more bytes than this wait; 0 commits them at once.

    Raises:
        StoreVersionError: a newer or an older version of orcapod wrote the store.
        DatabaseError: it cannot be used, is a Delta table itself, or the options have credentials.
    """

    adds_late = True
    """Whether a row that ``add_records`` has taken may turn out to be another writer's, at the next flush."""

    def __init__(
        self,
        path_or_url: str | os.PathLike[str],
        storage_options: Mapping[str, str] | None = None,
        *,
        buffer_bytes: int = _BUFFER_BYTES,
    ) -> None:
        location = Location.of(path_or_url, storage_options)
        super().__init__(Store(location, Checks("DeltaDatabase").count("buffer_bytes", buffer_bytes, least=0)))

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the store of ``delta:///relative``, ``delta:////absolute`` or ``delta+s3://bucket``, or gs or az."""
        return cls(url)

    @classmethod
    def check_existing(cls, location: str | Mapping[str, Any]) -> None:
        """Check that there is a store where a URL or a configuration says, and make nothing.

        Raises:
            DatabaseError: there is none, or it cannot be looked at.
        """
        if isinstance(location, str):
            Store.check_existing(Location.of(location, None))
        else:
            Store.check_existing(Location.of(location.get("path", ""), location.get("storage_options")))

    @property
    def files_folder(self) -> Path | None:
        """The folder for files that functions make: ``store.files`` beside ``store``; none beside object storage."""
        folder = self._shared.location.folder
        return None if folder is None else folder.with_name(f"{folder.name}.files")

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Take the rows whose keys are not there yet; return how many. ``flush`` commits them.

        Where another process commits the same key before the flush, its row is the one that stays.
        """
        full = self._absolute(path)
        return self._shared.table(full).add(checked_table(full, table, on_conflict), on_conflict)

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records of these keys that are there; a table of no columns for an unknown path."""
        return self._table(path).get_by_ids(checked_ids(ids), columns)

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: Expression | None = None
    ) -> pa.Table:
        """Return all records of a path in the order added; a table of no columns for an unknown path."""
        return self._table(path).get(columns, where)

    def scan_records(self, path: RecordPath) -> Iterator[pa.Table]:
        """Give all committed records of a path, file by file, a few megabytes at a time."""
        return self._table(path).scan()

    def list_paths(self) -> list[RecordPath]:
        """Return the paths that hold records below this view's prefix, relative to it, sorted."""
        return self._relative(self._shared.paths())

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Remove the records of these keys, in one commit; return how many were there."""
        return self._table(path).delete(checked_ids(ids))

    def flush(self) -> None:
        """Commit everything added so far, one commit for every table.

        Raises:
            DatabaseError: a table cannot be written to; its rows wait on, all others were committed.
            ExceptionGroup: several cannot.
        """
        self._shared.flush()

    def discard_failed(self, error: BaseException) -> None:
        """Let go of the rows that wait because their table cannot be written to, which has raised this error.

        A run that ends with the error does this. What no table would be given, since a disk is full, say, waits on.
        """
        self._shared.discard_failed(error)

    @property
    def max_record_bytes(self) -> int | None:
        """The bytes of the largest record that a table takes: of all values, as it stores them."""
        return MAX_RECORD_BYTES

    @property
    def claims_folder(self) -> Path | None:
        """The folder for claims of programs that share the work of this view; None if the store is on no disk here."""
        folder = self._shared.location.folder
        return None if folder is None else folder / ".claims" / folder_of((*self._prefix, "claims"))

    def find_damage(self) -> Iterator[tuple[RecordPath, str]]:
        """Give what is wrong with logs and files, with the path of the table."""
        self.flush()
        for path, why in find_damage(self._shared.location):
            if self._is_below(path):
                yield path[len(self._prefix) :], why

    def move_damage_aside(self) -> Iterator[tuple[RecordPath, str]]:
        """Move aside what keeps tables of this view from being read, so that what is lost with it is computed again.

        Files that cannot be read come to the folder ``_damaged`` of their table. A table whose log is damaged becomes a
        folder ``...damaged-1`` beside it. Gives what was moved, with the path of the table.

        Raises:
            DatabaseError: the log of a table in object storage is damaged.
        """
        for path in self._relative(self._shared.table_paths()):
            full = self._absolute(path)
            try:
                is_whole = has_whole_log(self._shared.location, full)
                names = self._table(path).maintain(Maintenance.move_damaged_files_aside) if is_whole else None
            except DamagedRecordError:  # what the log tells of columns
                is_whole, names = False, None
            for name in names or []:
                yield path, f"took out the file {name}"
            if not is_whole:
                yield path, f"moved the table aside, to {self._shared.move_aside(full)}"

    def find_orphans(self) -> Iterator[tuple[RecordPath, str]]:
        """Give the files that no table of this view needs, with the path of the table whose folder they are in.

        They are no damage: ``vacuum`` removes them. A file that is younger than a day may belong to a commit that is
        being made, and is not given.
        """
        for path in self._relative(self._shared.table_paths()):
            with suppress(DatabaseError):  # find_damage says so
                for name in self._table(path).maintain(lambda maintenance: maintenance.orphans(RETENTION)) or []:
                    yield path, name

    def table_sizes(self) -> list[TableSize]:
        """Return the sizes of all tables of this view: of their files, by what was committed."""
        sizes = {
            path: self._table(path).maintain(Maintenance.size) for path in self._relative(self._shared.table_paths())
        }
        return [TableSize(path, *size) for path, size in sizes.items() if size is not None and size[0]]

    def reclaim(self) -> None:
        """Put small files together, and remove those that no table has needed for a day, which others may read."""
        self.compact()
        self.vacuum()

    def compact(self) -> int:
        """Put small files of all tables of this view together; return how many fewer there are.

        Normal use does so with those of a table that are small for it, once there are four.
        """
        return self._maintain(Maintenance.compact)

    def checkpoint(self) -> None:
        """Sum up the logs of all tables of this view, as every fourth commit of a table does."""
        self._maintain(Maintenance.checkpoint)

    def vacuum(self, older_than: timedelta = RETENTION) -> int:
        """Remove files that no table of this view needs, once older than this; return how many.

        They come from compaction, from deleting, and from writers that were killed. Normal use removes them after a
        day. Whoever asks for less takes them from processes that are reading or writing just now.
        """
        check = Checks("vacuum")
        check.instance("older_than", older_than, timedelta, "a timedelta", "give one, as in timedelta(days=1)")
        age = check.duration("older_than", older_than)
        return self._maintain(lambda maintenance: maintenance.vacuum(age))

    def close(self) -> None:
        """Flush, and let go of all tables, for all views; closing twice is fine."""
        self._shared.close()

    def check_writable(self) -> None:
        """Check that the folder of the store can be written to, and those of this view's tables.

        Of a whole store, only tables that all its pipelines share are looked at: others may be somebody else's.
        What object storage allows is told by the first write.

        Raises:
            ReadOnlyStoreError: one cannot; says which, and why.
        """
        self._shared.check()
        if (folder := self._shared.location.folder) is None:
            return
        paths = self._relative(self._shared.table_paths())
        shared = [path for path in paths if self._prefix or path[0].startswith("_")]
        self._shared.check_writable(folder, map(self._absolute, shared))

    def to_config(self) -> Mapping[str, object]:
        """Return where the store is, the prefix of this view, and the options that are no secret."""
        config: dict[str, object] = {"type": "delta", "path": self._shared.location.uri, "prefix": list(self._prefix)}
        if options := self._shared.location.saved_options():
            config["storage_options"] = options
        if self._shared.buffer_bytes != _BUFFER_BYTES:
            config["buffer_bytes"] = self._shared.buffer_bytes
        return config

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the view that ``to_config`` described."""
        given, prefix = checked_config(config)
        buffer_bytes = given.get("buffer_bytes", _BUFFER_BYTES)
        return cls(given.get("path", ""), given.get("storage_options"), buffer_bytes=buffer_bytes).at(*prefix)

    def _arguments(self) -> tuple[str, ...]:
        return (repr(self._shared.location.uri),)

    def _table(self, path: RecordPath) -> BufferedTable:
        return self._shared.table(self._absolute(path))

    def _maintain(self, work: Callable[[Maintenance], int]) -> int:
        def writing(maintenance: Maintenance) -> int:
            with writing_to(self._shared.location.uri):
                return work(maintenance)

        self.flush()
        return sum(self._table(path).maintain(writing) or 0 for path in self._relative(self._shared.table_paths()))
