"""``CachedSource``: everything that a source ever gave, whatever it gives today."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import SEPARATOR, Chunk
from orcapod.hashing import ContentHash, hash_rows, hash_structure
from orcapod.protocols import Database, RecordPath
from orcapod.streams import Stream

__all__ = ["CachedSource"]

_KEY = "__content_hash"
_RECORD = "__record_id"
_CHUNK_ROWS = 65_536
_NAME_DIGITS = 16


class CachedSource(Stream):
    """The cumulative record of a source: every row that it ever gave, once per content.

    A row is called by its record id column, where the source has one, else after its content
    (``content=1f2e...``): the name stays when rows are inserted, removed or put in another order.

    Args:
        origin: the source as it is today.
        database: where the rows are kept, under ``_source/{source id}/{schema hash}``.
        source_id: what the source is called in provenance.
        is_named: whether the source has a column that names its records.
    """

    def __init__(self, origin: Stream, database: Database, *, source_id: str, is_named: bool) -> None:
        self.origin = origin
        self.source_id = source_id
        self._is_named = is_named
        self.schema = origin.schema
        self.label = origin.label
        self._database = database
        digits = hash_structure(("source record", origin.schema.structure)).short
        self._path: RecordPath = ("_source", source_id, digits)

    def chunks(self) -> Iterator[Chunk]:
        self._record()
        rows = self._database.get_records(self._path)
        source_tag, record_tag = self.schema.system_tags
        for start in range(0, rows.num_rows, _CHUNK_ROWS):
            part = rows.slice(start, _CHUNK_ROWS)
            types = (self.schema.tags | self.schema.packets).types
            columns = {name: part.column(name).cast(kind.arrow).combine_chunks() for name, kind in types.items()}
            records = part.column(_RECORD).cast(pa.large_string()).combine_chunks()
            named = pa.scalar(self.source_id, pa.large_string())
            columns[source_tag] = pa.repeat(named, part.num_rows)
            columns[record_tag] = records
            maker: Any = pc.binary_join_element_wise(
                columns[source_tag], records, pa.scalar(SEPARATOR, pa.large_string())
            )
            yield Chunk.made_by(self.schema, columns, maker, self.schema.packets)

    def content_hash(self) -> ContentHash:
        self._record()
        digest = sha256()
        rows = self._database.get_records(self._path, [_KEY])
        keys: list[Any] = rows.column(0).to_pylist() if rows.num_rows else []
        for key in sorted(keys):
            digest.update(key)
        parts = (self.source_id, self.schema.structure, digest.digest())
        return hash_structure(("content", "source record", parts))

    def pipeline_hash(self) -> ContentHash:
        return self.origin.pipeline_hash()

    def _record(self) -> None:
        """Keep what the source gives today."""
        columns = self.schema.tags | self.schema.packets
        _, record_tag = self.schema.system_tags
        for chunk in self.origin.chunks():
            keys = hash_rows(chunk.batch, columns)
            names = chunk.column(record_tag)
            if not self._is_named:
                names = pa.array([f"content={key.hex()[:_NAME_DIGITS]}" for key in keys], pa.large_string())
            rows: dict[str, Any] = {_KEY: pa.array(keys, pa.large_binary()), _RECORD: names}
            rows |= {name: chunk.column(name) for name in columns}
            self._database.add_records(self._path, pa.table(rows))
