"""``Chunk``: some rows of a stream, the unit in which everything moves.

A chunk is one Arrow record batch in which every column has a role. Tags, system tags and packet
columns bear their own names. Provenance moves as *slots*: a column that names, for every row, the
record that made some of its packet columns (``students::row_3``). All columns of one source row, or
of one computed record, share a slot, so provenance costs one column per maker and not one per
value; the text ``students::row_3::score`` is made only when someone looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import eq
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams.columns import SEPARATOR, ColumnConfig, Columns, source_info_name
from orcapod.hashing import hash_rows
from orcapod.types import STR, Schema

__all__ = ["Chunk", "Origin", "StreamSchema", "regroup"]

_SLOT = "__slot:"
_NOTHING = pa.scalar("", pa.large_string())


@dataclass(frozen=True)
class StreamSchema:
    """The columns of a stream, by role.

    Attributes:
        tags: the keys of a row.
        packets: the data of a row.
        system_tags: the ids of the source rows that it was made of; ``str``, or ``list[str]`` once
            rows were collected.
        sources: the type of every packet column's source info; likewise ``str`` or ``list[str]``.
    """

    tags: Schema
    packets: Schema
    system_tags: Schema
    sources: Schema

    @classmethod
    def plain(cls, tags: Schema, packets: Schema, system_tags: Schema) -> StreamSchema:
        """The schema of rows in which every value was made by one record."""
        return cls(tags, packets, system_tags, Schema(dict.fromkeys(packets, STR)))

    def shown(self, columns: Columns = None) -> tuple[Schema, Schema]:
        """The tag and the packet schema with the columns asked for."""
        config = ColumnConfig.of(columns)
        tags, packets = self.tags, self.packets
        if config.system_tags:
            tags = tags | self.system_tags
        if config.source:
            packets = packets | self.sources.rename({name: source_info_name(name) for name in self.sources})
        return tags, packets

    @property
    def structure(self) -> tuple[object, object]:
        """What enters a pipeline hash: the user's columns by role."""
        return self.tags.structure, self.packets.structure


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the values of one packet column come from.

    Attributes:
        slot: the batch column that names the record which made each value.
        column: what that record calls the column; None when the slot's text is complete.
    """

    slot: str
    column: str | None


@dataclass(frozen=True)
class Chunk:
    """Rows of a stream; a value, never changed.

    Attributes:
        batch: the columns, in the Arrow types of their logical types.
        schema: their roles.
        origins: for every packet column, where its values come from.
    """

    batch: pa.RecordBatch
    schema: StreamSchema
    origins: Mapping[str, Origin]

    @classmethod
    def made_by(
        cls, schema: StreamSchema, columns: Mapping[str, pa.Array[Any]], maker: pa.Array[Any], names: Iterable[str]
    ) -> Chunk:
        """A chunk whose packet columns ``names`` were all made by the records that ``maker`` names."""
        slot = _SLOT + "0"
        batch = pa.RecordBatch.from_pydict({**columns, slot: maker})
        return cls(batch, schema, {name: Origin(slot, name) for name in names})

    @property
    def num_rows(self) -> int:
        return self.batch.num_rows

    def column(self, name: str) -> pa.Array[Any]:
        return self.batch.column(name)

    def take(self, indices: pa.Array[Any] | Sequence[int]) -> Chunk:
        """Return the rows at these positions, in this order; without a copy where they are consecutive."""
        if not isinstance(indices, pa.Array):
            first, count = (indices[0] if indices else 0), len(indices)
            if all(map(eq, indices, range(first, first + count))):
                return self.slice(first, count)
            indices = pa.array(indices, pa.int64())
        return Chunk(self.batch.take(indices), self.schema, self.origins)

    def slice(self, start: int, length: int) -> Chunk:
        """Consecutive rows, without a copy."""
        return Chunk(self.batch.slice(start, length), self.schema, self.origins)

    def with_batch(self, batch: pa.RecordBatch) -> Chunk:
        """Other rows in the same roles."""
        return Chunk(batch, self.schema, self.origins)

    def renamed(self, names: Mapping[str, str], schema: StreamSchema) -> Chunk:
        """The same rows with some columns renamed; a value keeps its provenance under the new name."""
        batch = self.batch.rename_columns([names.get(name, name) for name in self.batch.schema.names])
        origins = {
            names.get(name, name): Origin(names.get(origin.slot, origin.slot), origin.column)
            for name, origin in self.origins.items()
        }
        return Chunk(batch, schema, origins)

    def selected(self, schema: StreamSchema) -> Chunk:
        """The columns of this schema alone, and the slots that they need."""
        origins = {name: self.origins[name] for name in schema.packets}
        slots = dict.fromkeys(origin.slot for origin in origins.values())
        return Chunk(self.batch.select([*schema.tags, *schema.system_tags, *schema.packets, *slots]), schema, origins)

    def slots(self) -> list[str]:
        """The names of the columns that carry provenance."""
        return list(dict.fromkeys(origin.slot for origin in self.origins.values()))

    def source_info(self, name: str) -> pa.Array[Any]:
        """Who made the values of a packet column: ``{source}::{record}::{column}`` for every row."""
        origin = self.origins[name]
        made = self.batch.column(origin.slot)
        if origin.column is None:
            return made
        return _ended(made, pa.scalar(SEPARATOR + origin.column, pa.large_string()))

    def table(self, columns: Columns = None) -> pa.Table:
        """The rows as an Arrow table of tags, then packet columns, with the columns asked for."""
        tags, packets = self.schema.shown(columns)
        arrays = [self.batch.column(name) for name in tags]
        arrays += [self.batch.column(name) for name in self.schema.packets]
        if ColumnConfig.of(columns).source:
            arrays += [self.source_info(name) for name in self.schema.packets]
        return pa.Table.from_arrays(arrays, schema=(tags | packets).arrow)

    @cached_property
    def packet_hashes(self) -> list[bytes]:
        """The row hash of every packet."""
        return hash_rows(self.batch, self.schema.packets)

    def spelled_out(self) -> Chunk:
        """The same rows, every packet column with a slot of its own and the complete text in it."""
        slots = {name: _SLOT + name for name in self.schema.packets}  # the same, whatever the order of columns
        kept = [*self.schema.tags, *self.schema.system_tags, *self.schema.packets]
        columns = {name: self.batch.column(name) for name in kept}
        columns |= {slot: self.source_info(name) for name, slot in slots.items()}
        origins = {name: Origin(slot, None) for name, slot in slots.items()}
        return Chunk(pa.RecordBatch.from_pydict(columns), self.schema, origins)

    @staticmethod
    def concat(chunks: Sequence[Chunk]) -> Chunk:
        """The rows of several chunks of one stream, at least one, in this order."""
        first = chunks[0]
        if len(chunks) == 1:
            return first
        if any(chunk.origins != first.origins for chunk in chunks):
            chunks = [chunk.spelled_out() for chunk in chunks]
            first = chunks[0]
        names = first.batch.schema.names
        batch = pa.concat_batches([chunk.batch.select(names) for chunk in chunks])  # type: ignore[attr-defined]  # stubs lack it
        return first.with_batch(batch)


def _ended(made: pa.Array[Any], ending: pa.Scalar[Any]) -> pa.Array[Any]:
    """Every text of a slot with the ending, at any depth of lists."""
    if isinstance(made, pa.LargeListArray):
        ends = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(made.value_lengths())])
        return pa.LargeListArray.from_arrays(ends, _ended(made.flatten(), ending))
    joined: pa.Array[Any] = pc.binary_join_element_wise(made, ending, _NOTHING)
    return joined


def regroup(chunks: Iterable[Chunk], *, rows: int, size: int) -> Iterator[Chunk]:
    """The same rows in chunks of ``rows`` rows, or fewer that have about ``size`` bytes, at least one row each.

    Where rows are so small that ``size`` does not matter, how they were chunked before does not, either.
    """
    waiting: list[Chunk] = []
    waiting_rows = waiting_size = 0
    for chunk in chunks:
        total, nbytes = chunk.num_rows, chunk.batch.nbytes  # asked for once: it costs more than most operators
        fitting = max(1, min(rows, size * total // max(1, nbytes)))
        start = 0
        while start < total:
            count = min(fitting, rows - waiting_rows, total - start)
            part_size = nbytes * count // total
            if waiting and waiting_size + part_size > size:
                yield Chunk.concat(waiting)
                waiting, waiting_rows, waiting_size = [], 0, 0
                continue
            waiting.append(chunk if count == total else chunk.slice(start, count))
            waiting_rows += count
            waiting_size += part_size
            start += count
            if waiting_rows == rows:
                yield Chunk.concat(waiting)
                waiting, waiting_rows, waiting_size = [], 0, 0
    if waiting:
        yield Chunk.concat(waiting)
