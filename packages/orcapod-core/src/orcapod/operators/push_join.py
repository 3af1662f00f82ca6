"""``PushJoin``: a join at work.

It is a symmetric hash join. Whatever side a chunk comes from, it is matched at once against
all rows that came from the other, so it gives every pair exactly once, in whatever order chunks come.
More than two inputs are a cascade of two-sided joins. The matching itself is Arrow's, on the keys
alone; rows are then taken by position, so provenance is moved like any other column.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import Any, Literal

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import scalar_of
from orcapod.compute import counted, pc
from orcapod.datagrams import COMPLETENESS, Chunk, Completeness, StreamSchema
from orcapod.errors import InputValidationError
from orcapod.operators.input_order import InputOrder
from orcapod.operators.keys import comparable, without_nulls
from orcapod.operators.operator import PushOperator
from orcapod.streams import Stream
from orcapod.types import LogicalType, Schema

__all__ = ["CheckedKeys", "PushJoin", "PushLeftJoin"]


class PushJoin(PushOperator):
    """Cascade of hash joins: stage ``i`` joins what inputs 0 to ``i`` gave with input ``i + 1``.

    Args:
        inputs: the streams.
        schema: of their join.
        names: for every input, columns that are renamed on the way in.
        as_written: whether the order of the inputs means something.
    """

    def __init__(
        self,
        inputs: Sequence[Stream],
        schema: StreamSchema,
        names: Sequence[Mapping[str, str]] | None = None,
        *,
        as_written: bool = False,
    ) -> None:
        self._schema = schema
        self._input_order = InputOrder(inputs, as_written=as_written)
        extra = names or [{}] * len(inputs)
        self._names = [{**self._input_order.names(index), **extra[index]} for index in range(len(inputs))]
        self._schemas = [_renamed(stream.schema, each) for stream, each in zip(inputs, self._names, strict=True)]
        tags_of = [set(stream.schema.tags) for stream in inputs]
        self._keys = [
            [name for name in tags if any(name in other for other in tags_of if other is not tags)] for tags in tags_of
        ]
        self._stages: list[Pair] = []
        joined = self._schemas[0]
        for each in self._schemas[1:]:
            keys = {name: dtype for name, dtype in each.tags.types.items() if name in joined.tags}
            joined = StreamSchema(
                each.tags | joined.tags,
                joined.packets | each.packets,
                joined.system_tags | each.system_tags,
                joined.sources | each.sources,
            )
            self._stages.append(Pair(keys, joined))

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        entering = self._entering(index, chunk)
        if (unknown := entering.unknown(self._keys[index])) is not None:
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

    def _entering(self, index: int, chunk: Chunk) -> Chunk:
        """Return rows of an input, their columns named as in no other."""
        provenance = {name: f"{name}/{index}" for name in chunk.provenance_columns()}
        return chunk.renamed({**self._names[index], **provenance}, self._schemas[index])

    def _finished(self, chunk: Chunk) -> Chunk:
        ordered = self._input_order.ordered(chunk.batch)
        return Chunk(ordered, self._schema, chunk.origins).selected(self._schema)


class Pair:
    """A join of two sides that remembers a side as long as the other may still give rows."""

    def __init__(self, keys: Mapping[str, LogicalType], schema: StreamSchema) -> None:
        self.keys = keys
        self.schema = schema
        self._rows: dict[str, list[Chunk]] = {"left": [], "right": []}
        self._open = {"left", "right"}

    @property
    def closed(self) -> bool:
        return not self._open

    def push(self, side: str, chunk: Chunk) -> list[Chunk]:
        other = "right" if side == "left" else "left"
        chunk = _with_comparable_keys(chunk, self.keys)
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
        rows = _matched(left, right, self.keys, self.schema, "inner")
        return [rows] if rows.num_rows else []

    def close(self, side: str) -> None:
        self._open.discard(side)
        other = "right" if side == "left" else "left"
        self._rows[other].clear()


class PushLeftJoin(PushJoin):
    """Hash join that holds the first stream until the second has ended, and gives all its rows."""

    def __init__(self, inputs: Sequence[Stream], schema: StreamSchema) -> None:
        super().__init__(inputs, schema, as_written=True)
        self._pair = self._stages[0]
        self._held: list[Chunk] = []
        self._others: list[Chunk] = []
        self._has_ended = False
        self._unmatched = Completeness.WHOLE

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        entering = self._entering(index, chunk)
        if (unknown := entering.unknown(self._keys[index])) is not None:
            yield entering.with_batch(entering.batch.filter(unknown)).without_packets(self._schema)
            entering = entering.with_batch(entering.batch.filter(pc.invert(unknown)))
            if index:
                self._unmatched = Completeness.UNCERTAIN
        if index:
            self._others.append(_with_positive_zeros(entering, self._pair.keys))
        elif self._has_ended:
            yield from self._joined(entering)
        else:
            self._held.append(entering)

    def close(self, index: int) -> Iterable[Chunk]:
        if not index:
            return
        self._has_ended = True
        self._others = [Chunk.concat(self._others)] if self._others else []
        for chunk in self._held:
            yield from self._joined(chunk)
        self._held.clear()

    def _joined(self, left: Chunk) -> Iterable[Chunk]:
        (right,) = self._others or [left.slice(0, 0).without_packets(self._schemas[1])]
        if self._unmatched:
            right = right.marked()
        left = _with_positive_zeros(left, self._pair.keys)
        rows = _matched(left, right, self._pair.keys, self._pair.schema, "left outer", self._unmatched)
        if rows.num_rows:
            yield self._finished(rows).completed(rows.completeness)


class CheckedKeys(PushOperator):
    """A join of two streams that ends with an error if a row agrees with more than it may.

    Args:
        inner: the join.
        keys: the tags in which rows agree.
        relation: ``1:1``, ``1:n`` or ``n:1``.
        named: what the join is called.
    """

    def __init__(self, inner: PushOperator, keys: Sequence[str], relation: str, named: str) -> None:
        self._inner = inner
        self._keys = list(keys)
        self._relation = relation
        self._named = named
        self._rows: dict[int, list[Chunk]] = {at: [] for at, side in enumerate(relation.split(":")) if side == "1"}

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        if index in self._rows:
            self._rows[index].append(chunk.with_packets())
        return self._inner.push(index, chunk)

    def close(self, index: int) -> Iterable[Chunk]:
        if rows := self._rows.pop(index, None):
            self._check(rows, ("first", "second")[index])
        return self._inner.close(index)

    def _check(self, chunks: Sequence[Chunk], called: str) -> None:
        types = chunks[0].schema.tags.types
        tags = pa.Table.from_batches([chunk.batch.select(self._keys) for chunk in chunks]).combine_chunks()
        batch = without_nulls(tags.to_batches()[0], self._keys) if tags.num_rows else tags
        keys = pa.table({name: comparable(_whole(batch.column(name)), types[name]) for name in self._keys})
        count = keys.append_column("row", counted(0, keys.num_rows)).group_by(self._keys, use_threads=False)
        found = count.aggregate([("row", "count"), ("row", "min")])
        several = found.filter(pc.greater(found.column("row_count"), 1)).sort_by("row_min")
        if not several.num_rows:
            return
        row = several.column("row_min")[0].as_py()
        values = {name: types[name].to_python(_whole(batch.column(name)).slice(row, 1))[0] for name in self._keys}
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
        more = several.num_rows - 1
        raise InputValidationError(
            f"{self._named}: validate={self._relation!r} expects each {', '.join(self._keys)} in one row of the "
            f"{called} stream, found {several.column('row_count')[0].as_py()} rows of {shown}"
            f"{f', and {more} others that are there more than once' if more else ''}; leave out what is too many, or "
            "join by another tag too",
            column=self._keys[0],
            expected="one row",
            found=shown,
        )


def _whole(column: Any) -> pa.Array[Any]:
    combined: pa.Array[Any] = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return combined


def _matched(
    left: Chunk,
    right: Chunk,
    keys: Mapping[str, LogicalType],
    schema: StreamSchema,
    how: Literal["inner", "left outer"],
    unmatched: Completeness = Completeness.WHOLE,
) -> Chunk:
    """Return a row for every pair that agrees in the keys, in the order of the left, then the right."""
    pairs = _numbered(left, keys, "l").join(_numbered(right, keys, "r"), _names(keys), join_type=how)
    pairs = pairs.select(["l", "r"]).combine_chunks().sort_by([("l", "ascending"), ("r", "ascending")])
    lefts = left.batch.take(pairs.column("l").combine_chunks())
    rights = right.batch.take(pairs.column("r").combine_chunks())
    columns = dict(zip(lefts.schema.names, lefts.columns, strict=True))
    for name, column in zip(rights.schema.names, rights.columns, strict=True):
        if name == COMPLETENESS:
            column = pc.fill_null(column, scalar_of(unmatched, pa.int8()))
            columns[name] = pc.max_element_wise(columns[name], column) if name in columns else column
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
        columns["k"] = pa.repeat(scalar_of(0, pa.int64()), chunk.num_rows)
    return pa.table({**columns, number: counted(0, chunk.num_rows)})


def _names(keys: Sized) -> list[str]:
    return [f"k{i}" for i in range(len(keys))] or ["k"]


def _with_comparable_keys(chunk: Chunk, keys: Iterable[str]) -> Chunk:
    """Return the rows without null in a key; keys of -0.0 become 0.0, whichever side they came from."""
    return _with_positive_zeros(chunk.with_batch(without_nulls(chunk.batch, keys)), keys)


def _with_positive_zeros(chunk: Chunk, keys: Iterable[str]) -> Chunk:
    batch = chunk.batch
    for key in keys:
        if pat.is_floating(batch.schema.field(key).type):
            batch = batch.set_column(batch.schema.get_field_index(key), key, pc.add(batch.column(key), 0.0))
    return chunk.with_batch(batch)
