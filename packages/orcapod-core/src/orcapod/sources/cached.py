"""``CachedSource``: everything that a source ever gave, whatever it gives today."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from orcapod.datagrams import Chunk, Completeness, StreamSchema, with_packets
from orcapod.hashing import ContentHash, recipes
from orcapod.protocols import Database
from orcapod.sources.catalog import Catalog, Entry, widest
from orcapod.sources.root import OnBadRow, Source, root_schema
from orcapod.sources.stored import CONTENT, RECORD, StoredSource
from orcapod.types import OptionalType, Schema

__all__ = ["CachedSource"]


class CachedSource(StoredSource):
    """The cumulative record of a source: every row that it ever gave, once per content.

    A row is called by its record id column, where the source has one, else after its content
    (``content=1f2e...``): the name stays when rows are inserted, removed or put in another order. A column in
    which there ever was a None is ``T | None``. What the source gives is stored when the rows are first asked for; of
    bad rows nothing is.

    Args:
        origin: the source as it is today; it does not change.
        database: where the rows are stored.
        source_id: what the source is called in provenance.
        is_named: whether the source has a column that names its records.
    """

    def __init__(self, origin: Source, database: Database, *, source_id: str, is_named: bool) -> None:
        schema = _with_nulls(origin.schema, Catalog(database), source_id)
        super().__init__(database, source_id=source_id, schema=schema, label=origin.label)
        self.origin = origin
        self.bad_rows = origin.bad_rows
        self._is_named = is_named
        self._lock = threading.Lock()
        self._recorded = False

    def chunks(self) -> Iterator[Chunk]:
        return with_packets(self.all_chunks())

    def all_chunks(self) -> Iterator[Chunk]:
        return self._rows(self.origin.all_chunks())

    def read(self, on_bad_row: OnBadRow) -> Iterator[Chunk]:
        return self._rows(self.origin.read(on_bad_row))

    def content_hash(self) -> ContentHash:
        self._record(self.origin.all_chunks())
        return super().content_hash()

    def _rows(self, today: Iterable[Chunk]) -> Iterator[Chunk]:
        bad = self._record(today)
        yield from super().chunks()
        yield from bad

    def _record(self, today: Iterable[Chunk]) -> list[Chunk]:
        """Store the rows that the source has today, once, and return those that are bad."""
        bad = []
        with self._lock:
            if not self._recorded:
                Catalog(self._database).add(self.source_id, Entry.of(self.origin.schema))
            for chunk in today if not self._recorded or self.bad_rows == "fail" else ():
                if not self._recorded:
                    self._store(chunk.with_packets())
                if self.bad_rows == "fail" and (missing := chunk.missing) is not None:
                    failed = chunk.with_batch(chunk.batch.filter(missing))
                    bad.append(failed.without_packets(self.schema, Completeness.MISSING))
            self._recorded = True
        return bad

    def _store(self, chunk: Chunk) -> None:
        columns = self.schema.tags | self.schema.packets
        _, record_tag = self.schema.system_tags
        keys = recipes.kept_row_ids(chunk.batch, columns)
        there = self._database.get_records_by_ids(self._path, keys, [CONTENT])
        if there.num_rows == len(set(keys)):
            return  # a store that may only be read is read
        names = chunk.column(record_tag)
        if not self._is_named:
            names = pa.array([recipes.kept_record_name(key) for key in keys], pa.large_string())
        rows: dict[str, Any] = {CONTENT: pa.array(keys, pa.large_binary()), RECORD: names}
        rows |= {name: chunk.column(name) for name in columns}
        self._database.add_records(self._path, pa.table(rows))


def _with_nulls(schema: StreamSchema, catalog: Catalog, source_id: str) -> StreamSchema:
    """Return the schema of what a source gives and of what is stored of it."""
    today = Entry.of(schema)
    stored = [entry for entry in catalog.entries(source_id) if entry.schema_key == today.schema_key]
    called = widest([today, *stored])

    def widened(columns: Schema) -> Schema:
        return Schema(
            {
                name: OptionalType(dtype) if called[name] == f"{dtype.name} | None" else dtype
                for name, dtype in columns.types.items()
            }
        )

    return root_schema(widened(schema.tags), widened(schema.packets))
