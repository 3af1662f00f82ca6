"""``Store``: what all views of one Delta store share."""

from __future__ import annotations

import json
import os
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Lock

import pyarrow.fs as pafs
from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import TableNotFoundError
from deltalake.schema import PrimitiveType

from orcapod.databases import check_process, closed_store
from orcapod.errors import DatabaseError, StoreVersionError
from orcapod.protocols import RecordPath
from orcapod_delta.faults import raised_as
from orcapod_delta.places import FORMAT_TABLE, Place, paths_below
from orcapod_delta.records import Records

__all__ = ["Store"]

_FORMAT = 1


class Store:
    """The tables below one place.

    Args:
        place: where they are; a folder is created if it is not there.
        buffer_bytes: a table's rows are committed when more bytes than this wait.

    Raises:
        StoreVersionError: a newer version of orcapod wrote the store.
        DatabaseError: the place cannot be used.
    """

    def __init__(self, place: Place, buffer_bytes: int) -> None:
        self.place = place
        self.buffer_bytes = buffer_bytes
        self._process = os.getpid()
        self._lock = Lock()
        self._records: dict[RecordPath, Records] = {}
        self._closed = False
        place.check_writable()
        with raised_as(DatabaseError, f"cannot open {place.uri}"):
            if place.folder is not None:
                place.folder.mkdir(parents=True, exist_ok=True)
            self._filesystem = place.filesystem()
            self._check_format()
        self._closer = weakref.finalize(self, _commit, self._records, self._process)

    def records(self, path: RecordPath) -> Records:
        """What a path holds."""
        self.check()
        with self._lock:
            if path not in self._records:
                self._records[path] = Records(path, self.place, self.buffer_bytes)
            return self._records[path]

    def paths(self) -> set[RecordPath]:
        """Every path that holds records."""
        self.check()
        known = {*list(self._records), *self.tables()}
        return {path for path in known if self.records(path).any()}

    def tables(self) -> Iterator[RecordPath]:
        """The path of every table that is there."""
        self.check()
        with raised_as(DatabaseError, self.place.uri):
            yield from paths_below(self._filesystem)

    def flush(self) -> None:
        """Commit all rows that wait, of every table, in the order in which the tables were first used."""
        self.check()
        _commit(self._records, self._process)

    def close(self) -> None:
        """Commit what waits, and be of no more use."""
        if not self._closed:
            with ExitStack() as stack:
                stack.callback(self._end)
                self.flush()

    def check(self) -> None:
        """Nothing, if the store may be used.

        Raises:
            DatabaseError: it was closed, or belongs to the process that this one was forked from.
        """
        check_process(self._process, self.place.uri, "DeltaDatabase")
        if self._closed:
            raise closed_store(self.place.uri)

    def _end(self) -> None:
        self._closed = True
        self._closer.detach()

    def _check_format(self) -> None:
        if self._filesystem.get_file_info("_delta_log").type == pafs.FileType.Directory:
            raise DatabaseError(
                f"expected a folder of tables, found that {self.place.uri} is a Delta table itself; "
                "DeltaTableSource reads it"
            )
        marker, options = self.place.below(FORMAT_TABLE), dict(self.place.options)
        try:
            table = DeltaTable(marker.table_uri, storage_options=options)
        except TableNotFoundError:  # a table, because making one is atomic wherever Delta tables can be
            DeltaTable.create(
                marker.table_uri,
                Schema([Field("format", PrimitiveType("integer"))]),
                mode="ignore",
                description=json.dumps({"format": _FORMAT}),
                storage_options=options,
            )
            return
        found = table.metadata().description
        try:
            version = int(json.loads(found)["format"])
        except (ValueError, KeyError, TypeError):
            raise DatabaseError(
                f"{marker.uri}: expected the format of the store as its description, found {found!r}"
            ) from None
        if version > _FORMAT:
            raise StoreVersionError(
                f"{self.place.uri} has format {version}, written by a newer orcapod-delta; "
                f"this one reads up to {_FORMAT}: upgrade it"
            )


def _commit(records: dict[RecordPath, Records], process: int) -> None:
    if os.getpid() == process:
        for each in list(records.values()):
            each.commit()
