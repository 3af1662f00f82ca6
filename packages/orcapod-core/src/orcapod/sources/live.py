"""``LiveSource``: what another stream has when it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.datagrams import SEPARATOR, Chunk, Completeness, with_packets
from orcapod.errors import InputValidationError
from orcapod.hashing import ContentHash, recipes
from orcapod.protocols import Database, checked_database
from orcapod.sources.cached import CachedSource
from orcapod.sources.root import Source, checked_source_id, root_schema
from orcapod.streams import Stream

__all__ = ["LiveSource"]

_ROW = scalar_of("row_", pa.large_string())
_NOTHING = scalar_of("", pa.large_string())
_SEPARATOR = scalar_of(SEPARATOR, pa.large_string())


class LiveSource(Source):
    """The rows that a stream has whenever they are read.

    Args:
        origin: the stream.
        source_id: what the source is called in provenance, which starts anew with it: rows are called ``row_{i}``.
            If None, rows keep the provenance and the system tags that they have.
        label: what the source is called in a pipeline.

    Raises:
        InputValidationError: the source id is empty, or contains ``::``.
    """

    def __init__(self, origin: Stream, *, source_id: str | None, label: str) -> None:
        self.origin = origin
        self.label = Checks("source").text("label", label)
        self.source_id = label if source_id is None else checked_source_id(source_id, "source")
        self._is_anew = source_id is not None
        tags, packets = origin.schema.tags, origin.schema.packets
        self.schema = root_schema(tags, packets) if self._is_anew else origin.schema

    def chunks(self) -> Iterator[Chunk]:
        return with_packets(self.all_chunks())

    def all_chunks(self) -> Iterator[Chunk]:
        return self._renamed() if self._is_anew else self.origin.all_chunks()

    def cached(self, database: Database) -> CachedSource:
        """Return the cumulative record of it in a database: every row that it ever had, with provenance anew.

        Raises:
            InputValidationError: it has no name of its own, under which that could be found again.
        """
        if not self._is_anew:
            raise InputValidationError(
                f"source {self.label!r}: what is accumulated needs a name of its own, under which it is found again; "
                "give it one: as_source(source_id='...')"
            )
        return CachedSource(self, checked_database(database), source_id=self.source_id, is_named=False)

    def content_hash(self) -> ContentHash:
        """Return the identity of the rows that there are now."""
        columns = self.schema.tags | self.schema.system_tags | self.schema.packets
        rows = recipes.rows_digest((chunk.batch for chunk in self.chunks()), columns)
        return recipes.live_content(self.source_id, self.pipeline_hash(), rows)

    def pipeline_hash(self) -> ContentHash:
        return super().pipeline_hash() if self._is_anew else self.origin.pipeline_hash()

    def sources(self) -> Mapping[str, Stream]:
        return super().sources() if self._is_anew else self.origin.sources()

    def _renamed(self) -> Iterator[Chunk]:
        """Give the rows under the names that they have as records of this source."""
        source_tag, record_tag = self.schema.system_tags
        start = 0
        for rows in self.origin.all_chunks():
            if (missing := rows.missing) is not None:  # which are no records
                yield rows.with_batch(rows.batch.filter(missing)).without_packets(self.schema, Completeness.MISSING)
            if not (chunk := rows.with_packets()).num_rows:
                continue
            columns = {name: chunk.column(name) for name in self.schema.tags | self.schema.packets}
            numbers = counted(start, chunk.num_rows).cast(pa.large_string())
            records: Any = pc.binary_join_element_wise(_ROW, numbers, _NOTHING)
            named = scalar_of(self.source_id, pa.large_string())
            columns[source_tag] = pa.repeat(named, chunk.num_rows)
            columns[record_tag] = records
            producing: Any = pc.binary_join_element_wise(named, records, _SEPARATOR)
            yield Chunk.from_record(self.schema, columns, producing, self.schema.packets)
            start += chunk.num_rows
