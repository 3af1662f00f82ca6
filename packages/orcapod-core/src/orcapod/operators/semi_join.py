"""``SemiJoin``: the rows of one stream that have a match in another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.keys import comparable, join_key_type, without_nulls
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream
from orcapod.types import OptionalType, Schema

__all__ = ["SemiJoin"]


class SemiJoin(Operator):
    """The rows of the first stream that agree in the shared tags with a row of the second; each once.

    Nothing of the second stream comes along, neither columns nor ids. A null tag agrees with nothing.
    """

    name = "SemiJoin"
    inputs = (2, 2)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        left, right = (stream.schema for stream in inputs)
        keys = _keys(inputs)
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

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushSemiJoin(_keys(inputs), self.output_schema(inputs))


def _keys(inputs: Sequence[Stream]) -> list[str]:
    left, right = inputs
    return [name for name in left.schema.tags if name in right.schema.tags]


class _PushSemiJoin(PushOperator):
    """Hash semi join that holds the first stream until the second has ended."""

    def __init__(self, keys: Sequence[str], schema: StreamSchema) -> None:
        self._keys = keys
        self._schema = schema
        self._held: list[Chunk] = []
        self._right: list[pa.Table] = []
        self._complete = False

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        if index == 1:
            self._right.append(self._comparable(chunk))
            return []
        if not self._complete:
            self._held.append(chunk)
            return []
        return self._matching([chunk])

    def close(self, index: int) -> Iterable[Chunk]:
        if index == 0:
            return []
        self._complete = True
        if self._right:
            self._right = [_each_once(pa.concat_tables(self._right))]
        held, self._held = self._held, []
        return self._matching(held)

    def _matching(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        if not self._right or not chunks:
            return []
        (right,) = self._right
        rows = Chunk.concat(chunks)
        rows = rows.with_batch(without_nulls(rows.batch, self._keys))
        table = self._comparable(rows)
        names = table.column_names
        if len(names) == 1:
            batch = rows.batch.filter(pc.is_in(table.column(0).combine_chunks(), value_set=right.column(0)))
        else:
            numbered = table.append_column("row", counted(0, rows.num_rows))
            matches: Any = numbered.join(right, names, join_type="left semi").column("row").combine_chunks()
            batch = rows.batch.take(matches.take(pc.sort_indices(matches)))
        return [Chunk(batch, self._schema, rows.origins)] if batch.num_rows else []

    def _comparable(self, chunk: Chunk) -> pa.Table:
        present, types = without_nulls(chunk.batch, self._keys), chunk.schema.tags.types
        return pa.table({f"k{i}": comparable(present.column(key), types[key]) for i, key in enumerate(self._keys)})


def _each_once(keys: pa.Table) -> pa.Table:
    names = keys.column_names
    if len(names) == 1:  # several times as fast as a group by
        return pa.table({names[0]: pc.unique(keys.column(0))})
    return keys.group_by(names).aggregate([])
