"""``Concat``: the rows of several streams of the same columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa

from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.common_type import common_type
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream
from orcapod.types import LogicalType, OptionalType, Schema

__all__ = ["Concat"]


class Concat(Operator):
    """All rows of all streams, in the order in which they come; the order of inputs means nothing.

    The streams have the same tags and the same data, of the same types, up to ``T`` and ``T | None``. Each row
    keeps the ids it has; those that only other streams have are null in it.
    """

    name = "Concat"
    symmetric = True
    sees_missing = True
    inputs = (1, None)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        schemas = [stream.schema for stream in inputs]
        _check_same(schemas)
        return StreamSchema(
            self._all([schema.tags for schema in schemas], "tag column {!r}".format),
            self._all([schema.packets for schema in schemas], "packet column {!r}".format),
            self._all([stream.schema.system_tags for stream in _in_canonical_order(inputs)], "system tag {!r}".format),
            self._all([schema.sources for schema in schemas], "the provenance of packet column {!r}".format),
        )

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushConcat(self.output_schema(inputs))

    def _all(self, columns: Sequence[Schema], called: Callable[[str], str]) -> Schema:
        types: dict[str, LogicalType] = {}
        for name in dict.fromkeys(name for each in columns for name in each):
            dtypes = [each.types[name] for each in columns if name in each]
            dtype = common_type(self.name, called(name), dtypes)
            missing = len(dtypes) < len(columns) and not isinstance(dtype, OptionalType)
            types[name] = OptionalType(dtype) if missing else dtype
        return Schema(types)


class _PushConcat(PushOperator):
    def __init__(self, schema: StreamSchema) -> None:
        self._schema = schema
        self._system_tags = schema.system_tags.arrow

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        batch = chunk.batch
        for field in self._system_tags:
            if field.name not in batch.schema.names:
                batch = batch.append_column(field.name, pa.nulls(batch.num_rows, field.type))
        return [chunk.with_batch(batch).selected(self._schema)]

    def close(self, index: int) -> Iterable[Chunk]:
        return []


def _in_canonical_order(inputs: Sequence[Stream]) -> list[Stream]:
    return sorted(inputs, key=lambda stream: stream.pipeline_hash().hex)


def _check_same(schemas: Sequence[StreamSchema]) -> None:
    first = schemas[0]
    for other in schemas[1:]:
        for role, mine, theirs in (("tag", first.tags, other.tags), ("packet", first.packets, other.packets)):
            if set(mine) != set(theirs):
                raise SchemaError(
                    f"Concat: the {role} columns differ: found {sorted(mine)} in one stream and {sorted(theirs)} in "
                    "another, expected the same; select or rename columns first"
                )
