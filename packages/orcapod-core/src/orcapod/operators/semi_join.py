"""``SemiJoin``: the rows of one stream that have a match in another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.keys import comparable, join_key_type
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream
from orcapod.types import OptionalType, Schema

__all__ = ["PushSemiJoin", "SemiJoin", "shared_tags"]


class SemiJoin(Operator):
    """The rows of the first stream that agree in the shared tags with a row of the second; each once.

    Nothing of the second stream comes along, neither columns nor ids. A null tag agrees with nothing. A row that agrees
    with none but rows that have failed is missing like them.
    """

    name = "SemiJoin"
    sees_missing = True
    inputs = (2, 2)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        left, right = (stream.schema for stream in inputs)
        keys = shared_tags(inputs)
        if not keys:
            raise SchemaError(
                f"SemiJoin: the streams share no tag; found {list(left.tags)} and {list(right.tags)}, "
                "expected one that both have; rename one with map_tags"
            )
        for one, other in ((left, right), (right, left)):
            for name in one.packets:
                if name in other.tags:
                    raise SchemaError(
                        f"SemiJoin: column {name!r} is a tag in one stream and data in another, expected one of the "
                        "two; rename one of them",
                        column=name,
                    )
        for name in keys:
            join_key_type(self.name, name, left.tags.types[name], right.tags.types[name])
        tags = {
            name: dtype.inner if name in keys and isinstance(dtype, OptionalType) else dtype
            for name, dtype in left.tags.types.items()
        }
        return replace(left, tags=Schema(tags))

    def meeting_tags(self, inputs: Sequence[Stream]) -> Sequence[str]:
        return shared_tags(inputs)

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return PushSemiJoin(shared_tags(inputs), self.output_schema(inputs))


def shared_tags(inputs: Sequence[Stream]) -> list[str]:
    """Return the tags that two streams share."""
    left, right = inputs
    return [name for name in left.schema.tags if name in right.schema.tags]


class PushSemiJoin(PushOperator):
    """Hash semi join that holds the first stream until the second has ended.

    Args:
        keys: the tags in which rows agree.
        schema: of the rows.
        is_anti: give the rows that agree with none.
    """

    def __init__(self, keys: Sequence[str], schema: StreamSchema, *, is_anti: bool = False) -> None:
        self._keys = keys
        self._is_anti = is_anti
        self._schema = schema
        self._held: list[Chunk] = []
        self._right: list[pa.Table] = []
        self._failed: list[pa.Table] = []
        self._is_unknown = False
        self._complete = False

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        if index == 1:
            self._right.append(self._comparable(chunk.with_packets()))
            if (missing := chunk.missing) is not None:
                self._failed.append(self._comparable(chunk.with_batch(chunk.batch.filter(missing))))
                self._is_unknown = self._is_unknown or chunk.unknown(self._keys) is not None
            return []
        if not self._complete:
            self._held.append(chunk)
            return []
        return self._matching([chunk])

    def close(self, index: int) -> Iterable[Chunk]:
        if index == 0:
            return []
        self._complete = True
        self._right = [_each_once(pa.concat_tables(self._right))] if self._right else []
        self._failed = [_each_once(pa.concat_tables(self._failed))] if self._failed else []
        held, self._held = self._held, []
        return self._matching(held)

    def _matching(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        if not chunks or not (self._right or self._is_anti):
            return []
        rows = Chunk.concat(chunks)
        keys = self._comparable(rows)
        (right,) = self._right or [keys.slice(0, 0)]
        agreeing = _is_in(keys, right)
        wanted = pc.invert(agreeing) if self._is_anti else agreeing
        unknown = rows.unknown(self._keys)
        if not self._failed and unknown is None:
            rows = rows.with_batch(rows.batch.filter(wanted))
        else:
            rows = _with_uncertain(rows, wanted, self._uncertain(keys, agreeing, unknown))
        return [Chunk(rows.batch, self._schema, rows.origins)] if rows.num_rows else []

    def _uncertain(self, keys: pa.Table, agreeing: pa.Array[Any], unknown: pa.Array[Any] | None) -> pa.Array[Any]:
        """Say of each row whether it depends on what has failed that it agrees with a row."""
        (failed,) = self._failed or [keys.slice(0, 0)]
        valid = reduce(pc.and_, [column.combine_chunks().is_valid() for column in keys.columns])
        depends = pc.and_(valid if self._is_unknown else _is_in(keys, failed), pc.invert(agreeing))
        uncertain: pa.Array[Any] = depends if unknown is None else pc.or_(depends, unknown)
        return uncertain

    def _comparable(self, chunk: Chunk) -> pa.Table:
        types = chunk.schema.tags.types
        return pa.table({f"k{i}": comparable(chunk.column(key), types[key]) for i, key in enumerate(self._keys)})


def _with_uncertain(rows: Chunk, wanted: pa.Array[Any], uncertain: pa.Array[Any]) -> Chunk:
    """Return the rows that are wanted, and those of which that is uncertain, marked so."""
    levels = pc.if_else(uncertain, Completeness.UNCERTAIN, Completeness.WHOLE).cast(pa.int8())
    if rows.completeness is not None:
        levels = pc.max_element_wise(levels, rows.completeness)
    kept = pc.or_(wanted, uncertain)
    return rows.with_batch(rows.batch.filter(kept)).completed(levels.filter(kept))


def _is_in(keys: pa.Table, known: pa.Table) -> pa.Array[Any]:
    """Say of each row whether its keys, none of them null, are those of another."""
    names = keys.column_names
    values, among = keys.column(0).combine_chunks(), known.column(0)
    if len(names) > 1:
        values = counted(0, keys.num_rows)
        among = keys.append_column("row", values).join(known, names, join_type="left semi").column("row")
    found: pa.Array[Any] = pc.is_in(values, value_set=among, skip_nulls=True)
    return found


def _each_once(keys: pa.Table) -> pa.Table:
    names = keys.column_names
    if len(names) == 1:  # several times as fast as a group by
        return pa.table({names[0]: pc.unique(keys.column(0))})
    return keys.group_by(names).aggregate([])
