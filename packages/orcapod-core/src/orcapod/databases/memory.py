"""``MemoryDatabase``: records for as long as the process lives. The model that other stores are tested by."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, count
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn, Self

import pyarrow as pa

from orcapod.arrow import array_of, empty_table
from orcapod.checks import Checks
from orcapod.compute import Expression
from orcapod.databases.contract import (
    checked_ids,
    checked_table,
    chosen_columns,
    conformed,
    duplicate_key,
    filtered,
    merged_schema,
    named_columns,
)
from orcapod.databases.view import DatabaseView, checked_config, closed_store
from orcapod.display import discreet
from orcapod.errors import DatabaseError
from orcapod.files import temporary_folder
from orcapod.protocols import TableSize
from orcapod.protocols.database import Key, OnConflict, RecordPath

__all__ = ["MemoryDatabase"]

_NUMBERS = count(1)


class MemoryDatabase(DatabaseView["_Memory"]):
    """A store that forgets everything when the process ends, or when any of its views is closed."""

    def __init__(self) -> None:
        super().__init__(_Memory())

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return a new, empty store; the only URL is ``memory://``."""
        if Checks("MemoryDatabase", DatabaseError).text("the URL", url) != "memory://":
            raise DatabaseError(f"expected memory://, found {discreet(url)}; what is in memory has no place")
        return cls()

    @property
    def files_folder(self) -> Path | None:
        """The folder for files that functions make, which goes when the process ends."""
        return self._shared.files_folder

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Add the rows whose keys are not there yet; return how many were added."""
        path = self._absolute(path)
        table = checked_table(path, table, on_conflict)
        keys: list[Any] = table.column(0).to_pylist()
        with self._shared.opened() as stored:
            records = stored.get(path, _NO_RECORDS)
            schema = merged_schema(path, records.schema, table.schema)
            if not keys:
                return 0
            fresh: dict[Key, int] = {}
            for row, key in enumerate(keys):
                if key not in records.rows and key not in fresh:
                    fresh[key] = row
                elif on_conflict == "raise":
                    raise duplicate_key(path, key)
            if len(fresh) < len(keys):
                table = table.take(array_of(list(fresh.values()), pa.int64()))
            if records is _NO_RECORDS:
                records = stored[path] = _Records()
            records.append(conformed(table, schema), fresh)
            return len(fresh)

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records of these keys that are there; a table of no columns for an unknown path."""
        path, wanted = self._absolute(path), checked_ids(ids)
        with self._shared.opened() as stored:
            records = stored.get(path)
            if records is None or records.schema is None:
                return pa.table({})
            names = chosen_columns(path, records.schema, columns)
            return records.take([records.rows[key] for key in wanted if key in records.rows], names)

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: Expression | None = None
    ) -> pa.Table:
        """Return all records of a path in the order added; a table of no columns for an unknown path."""
        path = self._absolute(path)
        with self._shared.opened() as stored:
            records = stored.get(path)
            if records is None or records.schema is None:
                return pa.table({})
            table = records.whole()
        names = chosen_columns(path, table.schema, columns)
        if where is None:
            return table.select(names)
        needed = named_columns(path, table.schema, where)
        return filtered(table.select(list(dict.fromkeys([*names, *needed]))), where).select(names)

    def list_paths(self) -> list[RecordPath]:
        """Return the paths that hold records below this view's prefix, relative to it, sorted."""
        with self._shared.opened() as stored:
            return self._relative(path for path, records in stored.items() if records.rows)

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Remove the records of these keys; return how many were there."""
        path, unwanted = self._absolute(path), checked_ids(ids)
        with self._shared.opened() as stored:
            records = stored.get(path, _NO_RECORDS)
            gone = [key for key in unwanted if key in records.rows]
            if gone:
                records.remove(gone)
            return len(gone)

    def flush(self) -> None:
        """Do nothing but check: what is in memory survives nothing."""
        with self._shared.opened():
            pass

    def table_sizes(self) -> list[TableSize]:
        """Return the sizes of all tables of this view: of their values, in memory."""
        depth = len(self._prefix)
        with self._shared.opened() as stored:
            return [
                TableSize(path[depth:], len(records.rows), records.whole().nbytes)
                for path, records in stored.items()
                if records.rows and self._is_below(path)
            ]

    def reclaim(self) -> None:
        """Do nothing: what is deleted takes no memory."""

    def close(self) -> None:
        """Forget everything, for all views; closing twice is fine."""
        self._shared.close()

    def to_config(self) -> Mapping[str, object]:
        """Return what it takes to open an empty store."""
        return {"type": "memory", "prefix": list(self._prefix)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return a new, empty store."""
        _, prefix = checked_config(config)
        return cls().at(*prefix)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MemoryDatabase lives in one process and cannot be pickled; use a store on disk")


class _Memory:
    """State that the views of one store share: the records by path, and the folder for files."""

    def __init__(self) -> None:
        self.files_folder = temporary_folder() / f"memory-{next(_NUMBERS)}"
        self._lock = Lock()
        self._stored: dict[RecordPath, _Records] | None = {}

    @contextmanager
    def opened(self) -> Iterator[dict[RecordPath, _Records]]:
        """Have the records by path, for one thread at a time."""
        with self._lock:
            if self._stored is None:
                raise closed_store("this MemoryDatabase")
            yield self._stored

    def close(self) -> None:
        with self._lock:
            self._stored = None


class _Records:
    """The records of one path: tables in the order added, and where each key is.

    Tables grow by merging with the one before when that is not much larger, so that there are few of
    them, and a row is copied a logarithmic number of times.
    """

    def __init__(self) -> None:
        self.schema: pa.Schema | None = None
        self.rows: dict[Key, int] = {}
        self._tables: list[pa.Table] = []

    def append(self, table: pa.Table, keys: Mapping[Key, int]) -> None:
        """Add a table of new keys, whose schema is theirs or an extension of it."""
        if table.schema != self.schema:
            self.schema = table.schema
            self._tables = [conformed(earlier, table.schema) for earlier in self._tables]
        start = len(self.rows)
        self.rows.update(zip(keys, range(start, start + table.num_rows), strict=True))
        self._tables.append(table)
        while len(self._tables) > 1 and self._tables[-2].num_rows <= 2 * self._tables[-1].num_rows:
            self._tables[-2:] = [pa.concat_tables(self._tables[-2:]).combine_chunks()]

    def whole(self) -> pa.Table:
        """Return all records in order."""
        assert self.schema is not None
        return pa.concat_tables(self._tables) if self._tables else empty_table(self.schema)

    def take(self, rows: Sequence[int], names: Sequence[str]) -> pa.Table:
        """Return the records at these indices, by table."""
        assert self.schema is not None
        ends = list(accumulate(table.num_rows for table in self._tables))
        by_table: list[list[int]] = [[] for _ in self._tables]
        for row in rows:
            by_table[bisect_right(ends, row)].append(row)
        parts = [empty_table(self.schema).select(names)]
        for table, end, members in zip(self._tables, ends, by_table, strict=True):
            if members:
                start = end - table.num_rows
                parts.append(table.select(names).take(array_of([row - start for row in members], pa.int64())))
        return pa.concat_tables(parts)

    def remove(self, keys: Sequence[Key]) -> None:
        """Drop the records of keys that are there."""
        gone = {self.rows.pop(key) for key in keys}
        table = self.whole()
        left = [row for row in range(table.num_rows) if row not in gone]
        self._tables = [table.take(array_of(left, pa.int64())).combine_chunks()] if left else []
        self.rows = dict(zip(self.rows, range(len(left)), strict=True))


_NO_RECORDS = _Records()
