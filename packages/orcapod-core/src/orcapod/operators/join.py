"""``Join``: the rows of several streams that agree in the tags they share.

It is a symmetric hash join. Whatever side a chunk comes from, it is matched at once against
all rows that came from the other, so it gives every pair exactly once, in whatever order chunks come.
More than two inputs are a cascade of two-sided joins. The matching itself is Arrow's, on the keys
alone; rows are then taken by position, so provenance is moved like any other column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import counted, pc
from orcapod.datagrams import COMPLETENESS, Chunk, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.input_order import InputOrder
from orcapod.operators.keys import comparable, join_key_type, without_nulls
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream
from orcapod.types import LogicalType, Schema

__all__ = ["Join", "PushJoin", "joined_tags"]


class Join(Operator):
    """The natural join of streams: one row for every combination of rows that agree in their shared tags.

    A null tag agrees with nothing. Streams that share no tag give every combination. Their packet
    columns must be different; the order of inputs means nothing.
    """

    name = "Join"
    symmetric = True
    sees_missing = True
    inputs = (1, None)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        packets: dict[str, LogicalType] = {}
        order = InputOrder(inputs)
        schemas = order.schemas()
        for schema in schemas:
            _check_distinct(schema, packets)
            packets.update(schema.packets.types)
        tags = joined_tags(self.name, schemas)
        sources = {name: dtype for schema in schemas for name, dtype in schema.sources.types.items()}
        return StreamSchema(tags, Schema(packets), order.system_tags(), Schema(sources))

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return PushJoin(inputs, self.output_schema(inputs))


def joined_tags(operator: str, schemas: Sequence[StreamSchema]) -> Schema:
    """Return the tags of rows that agree in the tags they share.

    Raises:
        SchemaError: a tag is of several types, or a tag here and data there.
    """
    tags: dict[str, LogicalType] = {}
    packets = {name for schema in schemas for name in schema.packets}
    for schema in schemas:
        for name, dtype in schema.tags.types.items():
            if name in packets:
                raise SchemaError(
                    f"{operator}: column {name!r} is a tag in one stream and data in another, expected one of the two; "
                    "rename one of them",
                    column=name,
                )
            tags[name] = join_key_type(operator, name, tags[name], dtype) if name in tags else dtype
    return Schema(tags)


class PushJoin(PushOperator):
    """Cascade of hash joins: stage ``i`` joins what inputs 0 to ``i`` gave with input ``i + 1``.

    Args:
        inputs: the streams.
        schema: of their join.
        names: for every input, columns that are renamed on the way in.
    """

    def __init__(
        self, inputs: Sequence[Stream], schema: StreamSchema, names: Sequence[Mapping[str, str]] | None = None
    ) -> None:
        self._schema = schema
        self._input_order = InputOrder(inputs)
        extra = names or [{}] * len(inputs)
        self._names = [{**self._input_order.names(index), **extra[index]} for index in range(len(inputs))]
        self._schemas = [_renamed(stream.schema, each) for stream, each in zip(inputs, self._names, strict=True)]
        tags_of = [set(stream.schema.tags) for stream in inputs]
        self._keys = [
            [name for name in tags if any(name in other for other in tags_of if other is not tags)] for tags in tags_of
        ]
        self._stages: list[_Pair] = []
        joined = self._schemas[0]
        for each in self._schemas[1:]:
            keys = {name: dtype for name, dtype in each.tags.types.items() if name in joined.tags}
            joined = StreamSchema(
                each.tags | joined.tags,
                joined.packets | each.packets,
                joined.system_tags | each.system_tags,
                joined.sources | each.sources,
            )
            self._stages.append(_Pair(keys, joined))

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        provenance = {name: f"{name}/{index}" for name in chunk.provenance_columns()}  # as no other input
        entering = chunk.renamed({**self._names[index], **provenance}, self._schemas[index])
        if (unknown := chunk.unknown(self._keys[index])) is not None:
            yield entering.with_batch(entering.batch.filter(unknown)).without_packets(self._schema)
            entering = entering.with_batch(entering.batch.filter(pc.invert(unknown)))
        flow = [entering] if index == 0 else self._stages[index - 1].push("right", entering)
        for stage in self._stages[index:]:
            flow = [rows for part in flow for rows in stage.push("left", part)]
        for part in flow:
            yield self._finished(part).completed(part.completeness)

    def close(self, index: int) -> Iterable[Chunk]:
        if index:
            self._stages[index - 1].close("right")
        elif self._stages:
            self._stages[0].close("left")
        for before, after in zip(self._stages, self._stages[1:], strict=False):
            if before.closed:
                after.close("left")
        return []

    def _finished(self, chunk: Chunk) -> Chunk:
        ordered = self._input_order.ordered(chunk.batch)
        return Chunk(ordered, self._schema, chunk.origins).selected(self._schema)


class _Pair:
    """A join of two sides that remembers a side as long as the other may still give rows."""

    def __init__(self, keys: Mapping[str, LogicalType], schema: StreamSchema) -> None:
        self._keys = keys
        self._schema = schema
        self._rows: dict[str, list[Chunk]] = {"left": [], "right": []}
        self._open = {"left", "right"}

    @property
    def closed(self) -> bool:
        return not self._open

    def push(self, side: str, chunk: Chunk) -> list[Chunk]:
        other = "right" if side == "left" else "left"
        chunk = _with_comparable_keys(chunk, self._keys)
        if not chunk.num_rows:
            return []
        if other in self._open:
            self._rows[side].append(chunk)
        if not self._rows[other]:
            return []
        if len(self._rows[other]) > 1:
            self._rows[other] = [Chunk.concat(self._rows[other])]
        (against,) = self._rows[other]
        left, right = (chunk, against) if side == "left" else (against, chunk)
        rows = _matched(left, right, self._keys, self._schema)
        return [rows] if rows.num_rows else []

    def close(self, side: str) -> None:
        self._open.discard(side)
        other = "right" if side == "left" else "left"
        self._rows[other].clear()


def _matched(left: Chunk, right: Chunk, keys: Mapping[str, LogicalType], schema: StreamSchema) -> Chunk:
    """Return a row for every pair that agrees in the keys, in the order of the left, then the right."""
    pairs = _numbered(left, keys, "l").join(_numbered(right, keys, "r"), _names(keys), join_type="inner")
    pairs = pairs.select(["l", "r"]).combine_chunks().sort_by([("l", "ascending"), ("r", "ascending")])
    lefts = left.batch.take(pairs.column("l").combine_chunks())
    rights = right.batch.take(pairs.column("r").combine_chunks())
    columns = dict(zip(lefts.schema.names, lefts.columns, strict=True))
    for name, column in zip(rights.schema.names, rights.columns, strict=True):
        if name == COMPLETENESS and name in columns:
            columns[name] = pc.max_element_wise(columns[name], column)
        columns.setdefault(name, column)
    return Chunk(pa.RecordBatch.from_pydict(columns), schema, {**left.origins, **right.origins})


def _renamed(schema: StreamSchema, names: Mapping[str, str]) -> StreamSchema:
    """Return the schema of rows that enter, given the new names of their system tags and data."""

    def named(columns: Schema) -> Schema:
        return columns.rename({old: new for old, new in names.items() if old in columns})

    return StreamSchema(schema.tags, named(schema.packets), named(schema.system_tags), named(schema.sources))


def _numbered(chunk: Chunk, keys: Mapping[str, LogicalType], number: str) -> pa.Table:
    columns = {
        name: comparable(chunk.column(key), dtype)
        for name, (key, dtype) in zip(_names(keys), keys.items(), strict=False)
    }
    if not keys:
        columns["k"] = pa.repeat(pa.scalar(0), chunk.num_rows)
    return pa.table({**columns, number: counted(0, chunk.num_rows)})


def _names(keys: Sized) -> list[str]:
    return [f"k{i}" for i in range(len(keys))] or ["k"]


def _with_comparable_keys(chunk: Chunk, keys: Iterable[str]) -> Chunk:
    """Return the rows without null in a key; keys of -0.0 become 0.0, whichever side they came from."""
    batch = without_nulls(chunk.batch, keys)
    for key in keys:
        if pat.is_floating(batch.schema.field(key).type):
            batch = batch.set_column(batch.schema.get_field_index(key), key, pc.add(batch.column(key), 0.0))
    return chunk.with_batch(batch)


def _check_distinct(schema: StreamSchema, packets: Mapping[str, object]) -> None:
    for name in schema.packets:
        if name in packets:
            raise SchemaError(
                f"Join: packet column {name!r} is in two of the streams; rename one with map_packets, "
                "drop one with drop_packet_columns, or use MergeJoin",
                column=name,
            )
