"""``Chunk``: some rows of a stream, the unit in which everything moves.

A chunk is one Arrow record batch in which every column has a role. Tags, system tags and packet
columns bear their own names. Provenance moves in *provenance columns*: each names, for every row, the
producing record of some of its packet columns (``students::row_3``). All columns of one
source row, or of one computed record, share one, so provenance costs a column per record and not
one per value; the text ``students::row_3::score`` is put together only when someone looks.

A row that has failed moves on without a packet: its packet columns are null, and a column of the chunk says so
(``Completeness``), which is not there as long as all rows are whole. A tag of such a row that is null, though its type
has no null, is not known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import eq
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import counted, pc
from orcapod.datagrams.column_names import SEPARATOR, ColumnConfig, Columns, colliding, source_info_name
from orcapod.datagrams.completeness import COMPLETENESS, Completeness
from orcapod.errors import SchemaError
from orcapod.hashing import hash_rows
from orcapod.types import STR, LogicalType, OptionalType, Schema

__all__ = ["Chunk", "Origin", "StreamSchema", "regroup", "with_packets"]

_PROVENANCE = "__provenance:"
_NOTHING = scalar_of("", pa.large_string())


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

    def type_of(self, column: str) -> LogicalType:
        """Return the type of a tag or packet column."""
        return self.packets.types[column] if column in self.packets else self.tags.types[column]

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
            indices = array_of(indices, pa.int64())
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
        names = [*schema.tags, *schema.system_tags, *schema.packets, *provenance, *self._marks]
        batch = self.batch if len(names) == self.batch.num_columns else self.batch.select(names)
        return Chunk(batch, schema, origins)

    @property
    def completeness(self) -> pa.Array[Any] | None:
        """What of each row is there, as ``Completeness`` says it; None if all rows are whole."""
        at = self.batch.schema.get_field_index(COMPLETENESS)
        return None if at < 0 else self.batch.column(at)

    @property
    def missing(self) -> Any:
        """Whether each row is without a packet, as an array; None if all rows have one."""
        levels = self.completeness
        if levels is None or (pc.max(levels).as_py() or 0) < Completeness.MISSING:
            return None
        return pc.greater_equal(levels, scalar_of(int(Completeness.MISSING), pa.int8()))

    @property
    def num_packets(self) -> int:
        """How many rows have a packet."""
        missing = self.missing
        return self.num_rows if missing is None else self.num_rows - missing.true_count

    def packet_rows(self) -> list[int] | None:
        """Return the rows that have a packet; None for all of them."""
        missing = self.missing
        return None if missing is None else [row for row, is_gone in enumerate(missing.to_pylist()) if not is_gone]

    def with_packets(self) -> Chunk:
        """Return the rows that have a packet."""
        missing = self.missing
        return self if missing is None else self.with_batch(self.batch.filter(pc.invert(missing)))

    def completed(self, levels: pa.Array[Any] | None) -> Chunk:
        """Return the rows, as complete as these levels say; those that are missing have no packets."""
        others = [name for name in self.batch.schema.names if name != COMPLETENESS]
        if levels is None or not pc.max(levels).as_py():
            return self.with_batch(self.batch.select(others)) if self._marks else self
        columns = {name: self.batch.column(name) for name in others}
        missing = pc.greater_equal(levels, scalar_of(int(Completeness.MISSING), pa.int8()))
        if pc.any(missing).as_py():
            rows = pc.if_else(missing, scalar_of(None, pa.int64()), counted(0, self.num_rows))
            columns |= {name: columns[name].take(rows) for name in [*self.schema.packets, *self.provenance_columns()]}
        return self.with_batch(pa.RecordBatch.from_pydict({**columns, COMPLETENESS: levels.cast(pa.int8())}))

    def without_packets(
        self, schema: StreamSchema | None = None, level: Completeness = Completeness.UNCERTAIN
    ) -> Chunk:
        """Return all rows without a packet, with what is known of their tags and ids.

        Args:
            schema: what rows are to be of; tags and ids of it that are not here are not known.
            level: what is said of those that were more complete.
        """
        schema = self.schema if schema is None else schema
        known = (self.schema.tags | self.schema.system_tags).types
        columns: dict[str, Any] = {}
        for name, dtype in (schema.tags | schema.system_tags | schema.packets).types.items():
            is_known = name in known and known[name].arrow == dtype.arrow and name not in schema.packets
            columns[name] = self.column(name) if is_known else _nulls(self.num_rows, dtype.arrow)
        levels = pa.repeat(scalar_of(int(level), pa.int8()), self.num_rows)
        if self.completeness is not None:
            levels = pc.max_element_wise(levels, self.completeness)
        columns[COMPLETENESS] = levels
        origins, kinds = {}, dict[pa.DataType, str]()
        for name, dtype in schema.sources.types.items():  # as of rows of one record, where they may be
            provenance = kinds.setdefault(dtype.arrow, f"{_PROVENANCE}{len(kinds)}")
            columns[provenance] = _nulls(self.num_rows, dtype.arrow)
            origins[name] = Origin(provenance, name)
        return Chunk(pa.RecordBatch.from_pydict(columns), schema, origins)

    def failed(self, rows: Collection[int]) -> Chunk:
        """Return all rows, these without a packet."""
        if not rows:
            return self
        levels = [int(Completeness.MISSING if row in rows else Completeness.WHOLE) for row in range(self.num_rows)]
        own = array_of(levels, pa.int8())
        return self.completed(own if self.completeness is None else pc.max_element_wise(own, self.completeness))

    def unknown(self, tags: Iterable[str]) -> Any:
        """Return an array that says of each row whether one of these tags is not known; None if all are."""
        missing = self.missing
        if missing is None:
            return None
        types = self.schema.tags.types
        nulls = [self.column(name).is_null() for name in tags if not isinstance(types[name], OptionalType)]
        found = pc.and_(missing, reduce(pc.or_, nulls)) if nulls else None
        return found if found is not None and pc.any(found).as_py() else None

    @property
    def _marks(self) -> list[str]:
        return [] if self.completeness is None else [COMPLETENESS]

    def provenance_columns(self) -> list[str]:
        """Return the names of the columns that carry provenance."""
        return list(dict.fromkeys(origin.provenance for origin in self.origins.values()))

    def source_info(self, name: str) -> pa.Array[Any]:
        """Return the source info of a packet column: ``{source}::{record}::{column}`` for every row."""
        origin = self.origins[name]
        records = self.batch.column(origin.provenance)
        if origin.column is None:
            return records
        return _ended(records, scalar_of(SEPARATOR + origin.column, pa.large_string()))

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
        columns |= {name: self.column(name) for name in self._marks}
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
        if any(chunk.completeness is not None for chunk in chunks):
            chunks = [chunk.marked() for chunk in chunks]
            first = chunks[0]
        names = first.batch.schema.names
        batch = pa.concat_batches([chunk.batch.select(names) for chunk in chunks])  # type: ignore[attr-defined]  # stubs lack it
        return first.with_batch(batch)

    def marked(self) -> Chunk:
        """Return the same rows, with the column of their completeness."""
        if self.completeness is not None:
            return self
        levels = pa.repeat(scalar_of(int(Completeness.WHOLE), pa.int8()), self.num_rows)
        return self.with_batch(self.batch.append_column(COMPLETENESS, levels))


def _nulls(length: int, type_: Any) -> pa.Array[Any]:
    nulls: pa.Array[Any] = pa.nulls(length, type_)
    return nulls


def _ended(texts: pa.Array[Any], ending: pa.Scalar[Any]) -> pa.Array[Any]:
    """Return every text with the ending, at any depth of lists."""
    if isinstance(texts, pa.LargeListArray):
        lengths = pc.fill_null(texts.value_lengths(), scalar_of(0, pa.int64()))
        ends = pa.concat_arrays([array_of([0], pa.int64()), pc.cumulative_sum(lengths)])
        mask = texts.is_null() if texts.null_count else None
        return pa.LargeListArray.from_arrays(ends, _ended(texts.flatten(), ending), mask=mask)
    joined: pa.Array[Any] = pc.binary_join_element_wise(texts, ending, _NOTHING)
    return joined


def with_packets(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Yield the rows that have a packet."""
    for chunk in chunks:
        present = chunk.with_packets()
        if present.num_rows:
            yield present


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
