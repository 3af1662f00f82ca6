"""``Concat``: the rows of several streams."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, Origin, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.common_type import common_type
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Missing, Stream
from orcapod.types import LogicalType, OptionalType, Schema

__all__ = ["Concat"]

_NO_PROVENANCE = "__provenance:none:"


class Concat(Operator):
    """All rows of all streams, in the order in which they come; the order of inputs means nothing.

    The streams have the same tags and the same data, of the same types, up to ``T`` and ``T | None``. Each row
    keeps the ids it has; those that only other streams have are null in it.

    Args:
        missing: what becomes of a column that not all of them have: an ``error``, or ``null`` in the rows without it,
            and in their provenance.

    Raises:
        SchemaError: ``missing`` is neither.
    """

    name = "Concat"
    symmetric = True
    sees_missing = True
    inputs = (1, None)

    def __init__(self, *, missing: Missing = "error") -> None:
        self.missing: Missing = Checks(self.name, SchemaError).choice("missing", missing, get_args(Missing))

    def arguments(self) -> object:
        return () if self.missing == "error" else (self.missing,)

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        schemas = [stream.schema for stream in inputs]
        _check_roles(schemas)
        if self.missing == "error":
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
        all_types = [each.types for each in columns]
        for name in dict.fromkeys(name for each in all_types for name in each):
            dtypes = [each[name] for each in all_types if name in each]
            first, *others = dtypes
            is_one = all(dtype is first for dtype in others)  # as nearly always
            dtype = first if is_one else common_type(self.name, called(name), dtypes)
            missing = len(dtypes) < len(columns) and not isinstance(dtype, OptionalType)
            types[name] = OptionalType(dtype) if missing else dtype
        return Schema(types)


class _PushConcat(PushOperator):
    def __init__(self, schema: StreamSchema) -> None:
        self._schema = schema
        columns = {**schema.tags.types, **schema.packets.types, **schema.system_tags.types}
        self._types: dict[str, Any] = {name: dtype.arrow for name, dtype in columns.items()}
        self._made_by: dict[str, Any] = {name: dtype.arrow for name, dtype in schema.sources.types.items()}

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        if _width(chunk.schema) == len(self._types):
            return [chunk.selected(self._schema)]
        columns = dict(zip(chunk.batch.schema.names, chunk.batch.columns, strict=True))
        origins = dict(chunk.origins)
        for name, type_ in self._types.items():
            if name not in columns:
                columns[name] = pa.nulls(chunk.num_rows, type_)
        for name, type_ in self._made_by.items():
            if name not in origins:
                origins[name] = Origin(_NO_PROVENANCE + name, None)
                columns[_NO_PROVENANCE + name] = pa.nulls(chunk.num_rows, type_)
        return [Chunk(pa.RecordBatch.from_pydict(columns), chunk.schema, origins).selected(self._schema)]

    def close(self, index: int) -> Iterable[Chunk]:
        return []


def _width(schema: StreamSchema) -> int:
    return len(schema.tags) + len(schema.packets) + len(schema.system_tags)


def _in_canonical_order(inputs: Sequence[Stream]) -> list[Stream]:
    return sorted(inputs, key=lambda stream: stream.pipeline_hash().hex)


def _check_roles(schemas: Sequence[StreamSchema]) -> None:
    packets = {name for schema in schemas for name in schema.packets}
    if both := [name for schema in schemas for name in schema.tags if name in packets]:
        raise SchemaError(
            f"Concat: column {both[0]!r} is a tag in one stream and data in another, expected one of the two; rename "
            "one of them",
            column=both[0],
        )


def _check_same(schemas: Sequence[StreamSchema]) -> None:
    first = schemas[0]
    for other in schemas[1:]:
        for role, mine, theirs in (("tag", first.tags, other.tags), ("packet", first.packets, other.packets)):
            if set(mine) != set(theirs):
                raise SchemaError(
                    f"Concat: the {role} columns differ: found {sorted(mine)} in one stream and {sorted(theirs)} in "
                    "another, expected the same; select or rename columns first, or write concat(..., missing='null')"
                )
