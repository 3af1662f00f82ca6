"""``Stream``: an immutable sequence of rows over one schema."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from orcapod.datagrams import Chunk, Columns, Packet, StreamSchema, Tag
from orcapod.hashing import ContentHash
from orcapod.streams.verbs import Verbs
from orcapod.types import Schema

__all__ = ["Stream"]


class Stream(Verbs):
    """An immutable sequence of (tag, packet) rows over one schema.

    Two hashes name it. ``content_hash`` is that of everything it says: data, functions, structure.
    ``pipeline_hash`` is that of schema and topology alone, so it stays when rows are added.

    Attributes:
        schema: the columns by role.
        label: what the stream is called in a pipeline.
    """

    schema: StreamSchema
    label: str

    @abstractmethod
    def chunks(self) -> Iterator[Chunk]:
        """The rows, chunk by chunk; every call starts from the first."""

    @abstractmethod
    def content_hash(self) -> ContentHash:
        """The identity of the stream, its data included; equal in every process."""

    @abstractmethod
    def pipeline_hash(self) -> ContentHash:
        """The identity of schema and topology; equal for other data in the same columns."""

    def output_schema(self, columns: Columns = None) -> tuple[Schema, Schema]:
        """The tag and the packet schema, with the system columns asked for.

        Args:
            columns: ``{"system_tags": True, "source": True}`` or some of it.
        """
        return self.schema.shown(columns)

    def keys(self, columns: Columns = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of tag and packet columns, with the system columns asked for."""
        tags, packets = self.schema.shown(columns)
        return tuple(tags), tuple(packets)

    def iter_packets(self) -> Iterator[tuple[Tag, Packet]]:
        """The rows one by one; every call starts from the first."""
        for chunk in self.chunks():
            for row in range(chunk.num_rows):
                yield Tag(chunk, row), Packet(chunk, row)

    def as_table(self, columns: Columns = None) -> pa.Table:
        """All rows as one Arrow table, tags first.

        Args:
            columns: ``{"system_tags": True, "source": True}`` or some of it.
        """
        tags, packets = self.schema.shown(columns)
        empty = (tags | packets).arrow.empty_table()
        return pa.concat_tables([empty, *(chunk.table(columns) for chunk in self.chunks())])

    def __arrow_c_schema__(self) -> object:
        tags, packets = self.schema.shown()
        return (tags | packets).arrow.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows for any library that reads Arrow: ``pl.DataFrame(stream)``, ``pa.table(stream)``."""
        tags, packets = self.schema.shown()
        batches = (batch for chunk in self.chunks() for batch in chunk.table().to_batches())
        reader: Any = pa.RecordBatchReader.from_batches((tags | packets).arrow, batches)
        return reader.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        tags = ", ".join(f"{name}: {kind.name}" for name, kind in self.schema.tags.types.items())
        packets = ", ".join(f"{name}: {kind.name}" for name, kind in self.schema.packets.types.items())
        return f"<{type(self).__name__} {self.label!r} ({tags}) -> ({packets})>"
