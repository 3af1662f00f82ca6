"""``Chunk``: some rows of a stream, the unit in which everything moves.

A chunk is one Arrow record batch in which every column has a role. Tags, system tags and packet
columns bear their own names. Provenance moves in *provenance columns*: each names, for every row, the
producing record of some of its packet columns (``students::row_3``). All columns of one
source row, or of one computed record, share one, so provenance costs a column per record and not
one per value; the text ``students::row_3::score`` is put together only when someone looks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import eq
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams.column_names import SEPARATOR, ColumnConfig, Columns, colliding, source_info_name
from orcapod.errors import SchemaError
from orcapod.hashing import hash_rows
from orcapod.types import STR, Schema

__all__ = ["Chunk", "Origin", "StreamSchema", "regroup"]

_PROVENANCE = "__provenance:"
_NOTHING = pa.scalar("", pa.large_string())


@dataclass(frozen=True)
class StreamSchema:
    """The columns of a stream, by role.

    Attributes:
        tags: the keys of a row.
        packets: the data of a row.
        system_tags: the ids of the source rows that it comes from; ``str``, or ``list[str]`` once
            rows were nested.
        sources: the type of every packet column's source info; likewise ``str`` or ``list[str]``.

    Raises:
        SchemaError: the names of two columns are one name in Python.
    """

    tags: Schema
    packets: Schema
    system_tags: Schema
    sources: Schema

    def __post_init__(self) -> None:
        if two := colliding([*self.tags, *self.packets]):
            raise SchemaError(str(two), column=two.other)

    @classmethod
    def from_record(cls, tags: Schema, packets: Schema, system_tags: Schema) -> StreamSchema:
        """Return the schema of rows in which one record has produced every value."""
        return cls(tags, packets, system_tags, Schema(dict.fromkeys(packets, STR)))

    def shown(self, columns: Columns = None) -> tuple[Schema, Schema]:
        """Return the tag and the packet schema with the columns asked for."""
        config = ColumnConfig.of(columns)
        tags, packets = self.tags, self.packets
        if config.system_tags:
            tags = tags | self.system_tags
        if config.source:
            packets = packets | self.sources.rename({name: source_info_name(name) for name in self.sources})
        return tags, packets

    def entries(self, packets: Iterable[str]) -> Schema:
        """Return the columns of what is recorded of a row: its keys, and who made these of its data columns."""
        made_by = {source_info_name(name): self.sources.types[name] for name in packets}
        return self.tags | self.system_tags | Schema(made_by)

    @property
    def structure(self) -> tuple[object, object]:
        """The user's columns by role, as they enter hashes."""
        return self.tags.structure, self.packets.structure


@dataclass(frozen=True, slots=True)
class Origin:
    """Provenance of the values of one packet column.

    Attributes:
        provenance: the batch column that names the producing record of each value.
        column: what that record calls the column; None where the provenance is full already.
    """

    provenance: str
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
    def from_record(
        cls, schema: StreamSchema, columns: Mapping[str, pa.Array[Any]], record: pa.Array[Any], names: Iterable[str]
    ) -> Chunk:
        """Return a chunk whose packet columns ``names`` were produced by the records of ``record``."""
        provenance = _PROVENANCE + "0"
        batch = pa.RecordBatch.from_pydict({**columns, provenance: record})
        return cls(batch, schema, {name: Origin(provenance, name) for name in names})

    @property
    def num_rows(self) -> int:
        return self.batch.num_rows

    @cached_property
    def nbytes(self) -> int:
        """How many bytes the rows have; to count them costs more than what most operators do."""
        return self.batch.nbytes

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
        """Return consecutive rows, without a copy."""
        return Chunk(self.batch.slice(start, length), self.schema, self.origins)

    def with_batch(self, batch: pa.RecordBatch) -> Chunk:
        """Return other rows in the same roles."""
        return Chunk(batch, self.schema, self.origins)

    def renamed(self, names: Mapping[str, str], schema: StreamSchema) -> Chunk:
        """Return the rows with some columns renamed; a value keeps its provenance under the new name."""
        batch = self.batch.rename_columns([names.get(name, name) for name in self.batch.schema.names])
        origins = {
            names.get(name, name): Origin(names.get(origin.provenance, origin.provenance), origin.column)
            for name, origin in self.origins.items()
        }
        return Chunk(batch, schema, origins)

    def selected(self, schema: StreamSchema) -> Chunk:
        """Return the columns of this schema alone, and the provenance columns that they need."""
        origins = {name: self.origins[name] for name in schema.packets}
        provenance = dict.fromkeys(origin.provenance for origin in origins.values())
        names = [*schema.tags, *schema.system_tags, *schema.packets, *provenance]
        batch = self.batch if len(names) == self.batch.num_columns else self.batch.select(names)
        return Chunk(batch, schema, origins)

    def provenance_columns(self) -> list[str]:
        """Return the names of the columns that carry provenance."""
        return list(dict.fromkeys(origin.provenance for origin in self.origins.values()))

    def source_info(self, name: str) -> pa.Array[Any]:
        """Return the source info of a packet column: ``{source}::{record}::{column}`` for every row."""
        origin = self.origins[name]
        records = self.batch.column(origin.provenance)
        if origin.column is None:
            return records
        return _ended(records, pa.scalar(SEPARATOR + origin.column, pa.large_string()))

    def table(self, columns: Columns = None) -> pa.Table:
        """Return the rows as a table of tags, then packet columns, with the columns asked for."""
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

    def with_full_provenance(self) -> Chunk:
        """Return the same rows, every packet column with a provenance column of full texts."""
        full = {name: _PROVENANCE + name for name in self.schema.packets}  # the same, whatever the order of columns
        names = [*self.schema.tags, *self.schema.system_tags, *self.schema.packets]
        columns = {name: self.batch.column(name) for name in names}
        columns |= {column: self.source_info(name) for name, column in full.items()}
        origins = {name: Origin(column, None) for name, column in full.items()}
        return Chunk(pa.RecordBatch.from_pydict(columns), self.schema, origins)

    @staticmethod
    def concat(chunks: Sequence[Chunk]) -> Chunk:
        """Return the rows of several chunks of one stream, at least one, in this order."""
        first = chunks[0]
        if len(chunks) == 1:
            return first
        if any(chunk.origins != first.origins for chunk in chunks):
            chunks = [chunk.with_full_provenance() for chunk in chunks]
            first = chunks[0]
        names = first.batch.schema.names
        batch = pa.concat_batches([chunk.batch.select(names) for chunk in chunks])  # type: ignore[attr-defined]  # stubs lack it
        return first.with_batch(batch)


def _ended(texts: pa.Array[Any], ending: pa.Scalar[Any]) -> pa.Array[Any]:
    """Return every text with the ending, at any depth of lists."""
    if isinstance(texts, pa.LargeListArray):
        lengths = pc.fill_null(texts.value_lengths(), 0)
        ends = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(lengths)])
        mask = texts.is_null() if texts.null_count else None
        return pa.LargeListArray.from_arrays(ends, _ended(texts.flatten(), ending), mask=mask)
    joined: pa.Array[Any] = pc.binary_join_element_wise(texts, ending, _NOTHING)
    return joined


def regroup(chunks: Iterable[Chunk], *, rows: int, size: int) -> Iterator[Chunk]:
    """Yield the same rows in chunks of ``rows`` rows, or fewer of about ``size`` bytes, at least one.

    Where rows are so small that ``size`` does not matter, how they were chunked before does not, either.
    """
    waiting: list[Chunk] = []
    waiting_rows = waiting_size = 0
    for chunk in chunks:
        total, nbytes = chunk.num_rows, chunk.nbytes
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
