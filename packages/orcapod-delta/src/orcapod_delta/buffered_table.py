"""``BufferedTable``: the table of one path, and rows that wait for its next commit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from random import uniform
from threading import RLock
from time import sleep
from typing import Any, TypeVar

import pyarrow as pa

from orcapod.compute import Expression, pc
from orcapod.databases import (
    MemoryDatabase,
    chosen_columns,
    conformed,
    duplicate_key,
    filtered,
    merged_schema,
    named_columns,
)
from orcapod.errors import DatabaseError
from orcapod.protocols import Key, OnConflict, RecordPath
from orcapod_delta.advisory_lock import AdvisoryLock
from orcapod_delta.faults import is_fault, raised_as, writing_to
from orcapod_delta.layout import Layout
from orcapod_delta.limits import check_sizes
from orcapod_delta.locations import Location, folder_of
from orcapod_delta.maintenance import Maintenance
from orcapod_delta.snapshot import OvertakenError, Snapshot

__all__ = ["BufferedTable"]

_T = TypeVar("_T")
_ATTEMPTS = 60
_PAUSE = 0.02


class BufferedTable:
    """Delta table of one path: committed rows, and buffered ones that the next commit will add.

    A row that waits is dropped as soon as somebody else's row of its key is committed. Every method may be
    called from any thread.

    Args:
        path: the path.
        store: where the store is.
        buffer_bytes: rows are committed when more bytes than this wait.
    """

    def __init__(self, path: RecordPath, store: Location, buffer_bytes: int) -> None:
        location = store.below(folder_of(path))
        self._path = path
        self._location = location
        self._lock = RLock()
        self._snapshot = Snapshot(location)
        self._advisory_lock = AdvisoryLock(location.folder)
        self._maintenance = Maintenance(self._snapshot)
        self._buffer_bytes = buffer_bytes
        self._waiting = MemoryDatabase()
        self._wanted: pa.Schema | None = None  # the columns after the next commit; None if there is nothing to commit
        self._waiting_bytes = 0
        self._checked_version: int | None = None  # with which the rows that wait were compared
        self._has_failed = False  # whether the last commit has

    def add(self, table: pa.Table, on_conflict: OnConflict) -> int:
        """Take the rows whose keys are not there yet; return how many were taken."""
        check_sizes(self._path, table)
        self._location.check_length()
        with self._lock:
            if table.num_rows:
                self._advisory_lock.acquire()
            try:
                return self._add(table, on_conflict)
            finally:
                if self._wanted is None:
                    self._advisory_lock.release()

    def get(self, columns: Sequence[str] | None, where: Expression | None) -> pa.Table:
        """Return all rows in order, or those for which ``where`` holds."""
        with self._looking() as layout:
            schema = self._schema(layout)
            if schema is None:
                return pa.table({})
            names = chosen_columns(self._path, schema, columns)
            needed = [] if where is None else named_columns(self._path, schema, where)
            read = list(dict.fromkeys([*names, *needed]))
            parts = [self._waiting.get_records(self._path)]
            if layout is not None:
                parts.insert(0, self._snapshot.rows([name for name in read if name in set(layout.schema.names)]))
            table = _joined(parts, schema, read)
        return table if where is None else filtered(table, where).select(names)

    def get_by_ids(self, ids: Sequence[Key], columns: Sequence[str] | None) -> pa.Table:
        """Return the rows of these keys that are there."""
        with self._looking() as layout:
            schema = self._schema(layout)
            if schema is None:
                return pa.table({})
            names = chosen_columns(self._path, schema, columns)
            parts = [self._waiting.get_records_by_ids(self._path, ids)]
            if layout is not None:
                present = [name for name in names if name in set(layout.schema.names)]
                parts.insert(0, self._snapshot.rows_by_keys(layout.stored_keys(ids), present))
            return _joined(parts, schema, names)

    def scan(self) -> Iterator[pa.Table]:
        """Commit what waits, and give all rows as they lie in the files."""
        self.commit()
        with self._looking() as layout:
            tables = iter(()) if layout is None else self._snapshot.scan()
        with raised_as(DatabaseError, self._location.uri):
            yield from tables

    def any(self) -> bool:
        """Say whether there are rows."""
        with self._looking():
            return self._snapshot.num_rows > 0 or bool(self._waiting.list_paths())

    def delete(self, ids: Sequence[Key]) -> int:
        """Remove the rows of these keys, at once; return how many were there."""
        with self._looking() as layout:
            waiting = self._waiting.delete_records(self._path, ids)
            committed = 0
            if layout is not None and ids:
                for _ in self._attempts():
                    keys = self._snapshot.existing(layout.stored_keys(ids))
                    committed = len(pc.unique(keys))
                    if not committed or self._remove(keys):
                        break
                    self._look()
                self._compare()
            return waiting + committed

    def commit(self) -> None:
        """Return when all rows that wait are committed."""
        with self._lock:
            if self._wanted is None:
                return
            self._has_failed = True
            with self._knowing() as layout:
                for _ in self._attempts():
                    if self._wanted is None or self._append(layout, self._wanted):
                        break
                    layout = self._look()
                self._compare()
                self._advisory_lock.release()
                self._has_failed = False
                self._maintenance.after_commit()

    @property
    def waiting_bytes(self) -> int:
        """The bytes of the rows that wait."""
        return self._waiting_bytes

    def has_failed(self, told: str) -> bool:
        """Say whether the last commit has failed, and this traceback tells of it."""
        return (
            self._has_failed
            and re.search(rf": {re.escape(self._location.uri)}(:| may only be read:) ", told) is not None
        )

    def discard(self) -> None:
        """Let go of the rows that wait."""
        with self._lock:
            self._forget_waiting()
            self._advisory_lock.release()

    def check_in_place(self) -> None:
        """Check that the table was not deleted since it was looked at."""
        with self._lock, raised_as(DatabaseError, self._location.uri):
            self._snapshot.check_in_place()

    def maintain(self, work: Callable[[Maintenance], _T]) -> _T | None:
        """Have something done to the table, if it is there; return what that returns."""
        with self._looking() as layout:
            return None if layout is None else work(self._maintenance)

    def _add(self, table: pa.Table, on_conflict: OnConflict) -> int:
        with self._looking() if on_conflict == "raise" else self._knowing() as layout:
            schema = merged_schema(self._path, self._schema(layout), table.schema)
            Layout.check(self._path, table.schema)
            if table.num_rows == 0:
                return 0
            new = table if layout is None else self._without_existing(layout, table, on_conflict)
            added = self._waiting.add_records(self._path, new, on_conflict=on_conflict)
            if added or schema != self._schema(layout):
                self._wanted = schema
                self._waiting_bytes += new.nbytes
                if self._waiting_bytes > self._buffer_bytes:
                    self.commit()
            return added

    def _append(self, layout: Layout | None, wanted: pa.Schema) -> bool:
        """Commit the rows that wait; say whether that is done, or somebody else was first."""
        committed = None if layout is None else layout.schema
        grown = (layout or Layout()).extended(merged_schema(self._path, committed, wanted))
        try:
            waiting = self._waiting.get_records(self._path)
            with writing_to(self._location.uri):
                self._snapshot.append(conformed(waiting, grown.schema), grown)
        except OvertakenError:
            return False
        except BaseException as error:
            if not is_fault(error):
                raise
            self._look()  # what was raised may have come after the commit
            if self._wanted is not None:
                raise
        else:
            self._forget_waiting()
        return True

    def _remove(self, keys: pa.Array[Any]) -> bool:
        """Commit that rows are gone; say whether that is done, or somebody else was first."""
        try:
            with writing_to(self._location.uri):
                self._snapshot.remove(keys)
        except OvertakenError:
            return False
        except BaseException as error:
            if not is_fault(error):
                raise
            self._look()  # what was raised may have come after the commit
            if len(self._snapshot.existing(keys)):
                raise
        return True

    def _without_existing(self, layout: Layout, table: pa.Table, on_conflict: OnConflict) -> pa.Table:
        """Return the rows whose keys are not committed."""
        keys: list[Any] = table.column(0).to_pylist()
        existing = set(self._snapshot.existing(layout.stored_keys(keys)).to_pylist())
        if not existing:
            return table
        if on_conflict == "raise":
            raise duplicate_key(self._path, next(key for key in keys if key in existing))
        return table.take(pa.array([row for row, key in enumerate(keys) if key not in existing], pa.int64()))

    def _schema(self, layout: Layout | None) -> pa.Schema | None:
        """Return the columns of all rows, waiting ones included."""
        committed = None if layout is None else layout.schema
        return committed if self._wanted is None else merged_schema(self._path, committed, self._wanted)

    def _look(self) -> Layout | None:
        """See what was committed meanwhile, and drop the rows that wait although their keys are there now."""
        self._snapshot.refresh()
        return self._compare()

    def _compare(self) -> Layout | None:
        """Drop the rows that wait although their keys are committed, as far as is known."""
        self._snapshot.adopt()
        layout = self._snapshot.layout
        if layout is None or self._checked_version == self._snapshot.version:
            return layout
        if self._waiting.list_paths():
            keys: list[Any] = self._waiting.get_records(self._path, []).column(0).to_pylist()
            existing: list[Any] = self._snapshot.existing(layout.stored_keys(keys)).to_pylist()
            self._waiting.delete_records(self._path, existing)
        if not self._waiting.list_paths() and self._schema(layout) == layout.schema:
            self._forget_waiting()
        # Only now: nothing is committed before all of this was done.
        self._checked_version = self._snapshot.version
        return layout

    def _forget_waiting(self) -> None:
        self._waiting, self._wanted, self._waiting_bytes = MemoryDatabase(), None, 0
        self._has_failed = False

    def _attempts(self) -> Iterator[int]:
        """Yield one attempt after the other, for as long as others commit first."""
        for attempt in range(_ATTEMPTS):
            yield attempt
            sleep(uniform(0, _PAUSE * min(attempt + 1, 20)))
        raise DatabaseError(
            f"{'/'.join(self._path)}: other writers committed first {_ATTEMPTS} times; nothing of this was written, "
            "try again when they are fewer",
            is_transient=True,
        )

    @contextmanager
    def _looking(self) -> Iterator[Layout | None]:
        """Have what is committed now, for one thread at a time."""
        with self._lock, raised_as(DatabaseError, self._location.uri):
            yield self._look()

    @contextmanager
    def _knowing(self) -> Iterator[Layout | None]:
        """Have what was committed, for one thread at a time, in object storage as of the last look.

        A look there takes as long as a commit, which others who were first make fail: then is time to look.
        """
        with self._lock, raised_as(DatabaseError, self._location.uri):
            is_known = self._location.folder is None and self._snapshot.version is not None
            yield self._compare() if is_known else self._look()


def _joined(parts: Sequence[pa.Table], schema: pa.Schema, names: Sequence[str]) -> pa.Table:
    """Return tables that have some of these columns as one that has all of them."""
    wanted = pa.schema([schema.field(name) for name in names])
    return pa.concat_tables([wanted.empty_table(), *(conformed(part, wanted) for part in parts)])
