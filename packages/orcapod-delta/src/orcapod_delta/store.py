"""``Store``: the tables that all views of one Delta store share."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from traceback import format_exception
from uuid import uuid4

import pyarrow.fs as pafs
from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.schema import PrimitiveType

from orcapod.databases import (
    STORE_FORMAT,
    check_format,
    check_process,
    closed_store,
    read_only_store,
    why_unwritable,
)
from orcapod.errors import DatabaseError
from orcapod.protocols import RecordPath, flush_all
from orcapod_delta.buffered_table import BufferedTable
from orcapod_delta.faults import raised_as
from orcapod_delta.locations import FORMAT_TABLE, Location, folder_of, paths_below

__all__ = ["Store"]


class Store:
    """Tables below one location.

    Args:
        location: where they are; a folder is created if it is not there.
        buffer_bytes: a table's rows are committed when more bytes than this wait.

    Raises:
        StoreVersionError: a newer or an older version of orcapod wrote the store.
        DatabaseError: the location cannot be used.
    """

    def __init__(self, location: Location, buffer_bytes: int) -> None:
        self.location = location
        self.buffer_bytes = buffer_bytes
        self._process = os.getpid()
        self._lock = Lock()
        self._tables: dict[RecordPath, BufferedTable] = {}
        self._closed = False
        location.check_writable()
        with raised_as(DatabaseError, f"cannot open {location.uri}"):
            if location.folder is not None:
                location.folder.mkdir(parents=True, exist_ok=True)
            self._filesystem = location.filesystem()
            self._check_format()
        self._closer = weakref.finalize(self, _commit, self._tables, self._process)

    def table(self, path: RecordPath) -> BufferedTable:
        """Return the table of a path."""
        self.check()
        with self._lock:
            if path not in self._tables:
                self._tables[path] = BufferedTable(path, self.location, self.buffer_bytes)
            return self._tables[path]

    def paths(self) -> set[RecordPath]:
        """Return every path that holds records."""
        self.check()
        paths = {*list(self._tables), *self.table_paths()}
        return {path for path in paths if self.table(path).any()}

    def table_paths(self) -> Iterator[RecordPath]:
        """Yield the path of every table that is there."""
        self.check()
        with raised_as(DatabaseError, self.location.uri):
            yield from paths_below(self._filesystem)

    @staticmethod
    def check_existing(location: Location) -> None:
        """Check that there is a store, or a table that would be in the way of one, and make nothing.

        Raises:
            DatabaseError: there is none, or it cannot be looked at.
        """
        with raised_as(DatabaseError, f"cannot open {location.uri}"):
            logs = location.filesystem().get_file_info([f"{FORMAT_TABLE}/_delta_log", "_delta_log"])
        if all(log.type != pafs.FileType.Directory for log in logs):
            raise DatabaseError(f"there is no store in {location.uri}; check the path, nothing was made there")

    @staticmethod
    def check_writable(root: Path, paths: Iterable[RecordPath]) -> None:
        """Check that the folder of a store, and those of tables, can be written to, as far as a disk tells.

        Raises:
            ReadOnlyStoreError: one cannot.
        """
        tables = [root / folder_of(path) for path in paths]
        for folder in (root, *(each for table in tables for each in (table, table / "_delta_log"))):
            if (why := why_unwritable(folder, "it" if folder == root else str(folder))) is not None:
                raise read_only_store(root, why)

    def move_aside(self, path: RecordPath) -> str:
        """Move the folder of a table aside, whose log cannot be read; return its new name."""
        folder = self.location.below(folder_of(path)).folder
        if folder is None:
            raise DatabaseError(
                f"{self.location.below(folder_of(path)).uri}: its log is damaged, and in object storage no folder can "
                "be moved; restore it from a copy, or remove it"
            )
        with raised_as(DatabaseError, self.location.uri), self._lock:
            self._tables.pop(path, None)
            number = 1
            while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
                number += 1
            folder.rename(aside)
        return aside.name

    def flush(self) -> None:
        """Commit all rows that wait, of every table, in the order in which the tables were first used.

        Raises:
            DatabaseError: a table cannot be written to, or was deleted; all others were committed.
            ExceptionGroup: several were.
        """
        self.check()
        tables = list(self._tables.values())
        flush_all([*(each.commit for each in tables), *(each.check_in_place for each in tables)])

    def discard_failed(self, error: BaseException) -> None:
        """Let go of the rows that wait because of this error, unless the whole store cannot be written to."""
        told = "".join(format_exception(error))
        failed = [table for table in list(self._tables.values()) if table.has_failed(told)]
        if failed and self._has_room_for(sum(table.waiting_bytes for table in failed)):
            for table in failed:
                table.discard()

    def _has_room_for(self, size: int) -> bool:
        """Say whether so many bytes can be written elsewhere in the store."""
        name = f"{FORMAT_TABLE}-{uuid4()}"
        try:
            with self._filesystem.open_output_stream(name) as file:
                file.write(bytes(size))
            self._filesystem.delete_file(name)
        except OSError:
            with suppress(OSError):
                self._filesystem.delete_file(name)
            return False
        return True

    def close(self) -> None:
        """Commit what waits, and be of no more use."""
        if not self._closed:
            with ExitStack() as stack:
                stack.callback(self._end)
                self.flush()

    def check(self) -> None:
        """Check that the store may be used.

        Raises:
            DatabaseError: it was closed, or belongs to the process that this one was forked from.
        """
        check_process(self._process, self.location.uri, "DeltaDatabase")
        if self._closed:
            raise closed_store(self.location.uri)

    def _end(self) -> None:
        self._closed = True
        self._closer.detach()

    def _check_format(self) -> None:
        if self._filesystem.get_file_info("_delta_log").type == pafs.FileType.Directory:
            raise DatabaseError(
                f"expected a folder of tables, found that {self.location.uri} is a Delta table itself; "
                "DeltaTableSource reads it"
            )
        marker, options = self.location.below(FORMAT_TABLE), dict(self.location.options)
        try:
            table = marker.open_table()
        except TableNotFoundError:  # a table, because making one is atomic wherever Delta tables can be
            DeltaTable.create(
                marker.table_uri,
                Schema([Field("format", PrimitiveType("integer"))]),
                mode="ignore",
                description=json.dumps({"format": STORE_FORMAT}),
                storage_options=options,
            )
            return
        description = table.metadata().description
        try:
            version = int(json.loads(description)["format"])
        except (ValueError, KeyError, TypeError):
            raise DatabaseError(
                f"{marker.uri}: expected the format of the store as its description, found {description!r}"
            ) from None
        check_format(version, location=self.location.uri, package="orcapod-delta")


def _commit(tables: dict[RecordPath, BufferedTable], process: int) -> None:
    if os.getpid() == process:
        flush_all([each.commit for each in list(tables.values())])
