"""``MergeJoin``: a join in which data of one name is put side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, Origin, StreamSchema
from orcapod.operators.common_type import common_type
from orcapod.operators.input_order import InputOrder
from orcapod.operators.keys import common_tags, joined_tags
from orcapod.operators.operator import Operator, PushOperator
from orcapod.operators.push_join import PushJoin
from orcapod.streams import Stream
from orcapod.types import ListType, LogicalType, Schema

__all__ = ["MergeJoin"]


class MergeJoin(Operator):
    """One row for every combination of rows that agree in their shared tags, packet columns of one name as lists.

    A packet column of several streams becomes a list with one member of each, all such columns in the same
    order, and so does its provenance. The order of inputs means nothing: members stand in the order of the
    pipeline hashes of the streams, and in the order of their ids where these are equal. Columns of one
    stream stay as they are. A null tag agrees with nothing.
    """

    name = "MergeJoin"
    symmetric = True
    sees_missing = True
    inputs = (2, None)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        order = InputOrder(inputs)
        schemas = order.schemas()
        packets: dict[str, LogicalType] = {}
        sources: dict[str, LogicalType] = {}
        for name in dict.fromkeys(name for schema in schemas for name in schema.packets):
            holders = [schemas[index] for index in order.order if name in schemas[index].packets]
            packets[name], sources[name] = holders[0].packets.types[name], holders[0].sources.types[name]
            if len(holders) > 1:
                types = [schema.packets.types[name] for schema in holders]
                provenance = [schema.sources.types[name] for schema in holders]
                packets[name] = ListType(common_type(self.name, f"packet column {name!r}", types))
                sources[name] = ListType(
                    common_type(self.name, f"the provenance of packet column {name!r}", provenance)
                )
        tags = joined_tags(self.name, schemas)
        return StreamSchema(tags, Schema(packets), order.system_tags(), Schema(sources))

    def meeting_tags(self, inputs: Sequence[Stream]) -> Sequence[str]:
        return common_tags(inputs)

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushMergeJoin(inputs, self.output_schema(inputs))


class _PushMergeJoin(PushJoin):
    """A join of rows whose common columns are told apart by the number of the input, and merged at the end."""

    def __init__(self, inputs: Sequence[Stream], schema: StreamSchema) -> None:
        holders = {
            name: [index for index in InputOrder(inputs).order if name in inputs[index].schema.packets]
            for name in schema.packets
        }
        self._parts = {
            name: {index: f"__{index}:{name}" for index in indices}
            for name, indices in holders.items()
            if len(indices) > 1
        }
        self._owned = [
            {name: parts[index] for name, parts in self._parts.items() if index in parts}
            for index in range(len(inputs))
        ]
        super().__init__(inputs, schema, self._owned)

    def _finished(self, chunk: Chunk) -> Chunk:
        if not self._is_regular(chunk.origins):
            chunk = self._with_full_provenance(chunk)
        moving = [
            [*owned.values(), *dict.fromkeys(chunk.origins[part].provenance for part in owned.values())]
            for owned in self._owned
        ]
        batch = self._input_order.ordered(chunk.batch, moving)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        origins = dict(chunk.origins)
        for name, parts in self._parts.items():
            columns[name] = _side_by_side([columns[part] for part in parts.values()])
            merged = [chunk.origins[part] for part in parts.values()]
            provenance = "|".join(origin.provenance for origin in merged)
            if provenance not in columns:
                columns[provenance] = _side_by_side([columns[origin.provenance] for origin in merged])
            origins[name] = Origin(provenance, merged[0].column)
        return Chunk(pa.RecordBatch.from_pydict(columns), self._schema, origins).selected(self._schema)

    def _is_regular(self, origins: Mapping[str, Origin]) -> bool:
        """Say whether provenance columns can be merged and exchanged as they are, all at once."""
        one_name = all(len({origins[part].column for part in parts.values()}) == 1 for parts in self._parts.values())
        return one_name and all(
            len({_pattern([origins[part].provenance for part in self._owned[index].values()]) for index in group}) == 1
            for group in self._input_order.alike
        )

    def _with_full_provenance(self, chunk: Chunk) -> Chunk:
        """Return the rows with the full provenance of every column that is to be merged."""
        columns = dict(zip(chunk.batch.schema.names, chunk.batch.columns, strict=True))
        origins = dict(chunk.origins)
        for part in (part for owned in self._owned for part in owned.values()):
            columns[f"{part}/text"] = chunk.source_info(part)
            origins[part] = Origin(f"{part}/text", None)
        return Chunk(pa.RecordBatch.from_pydict(columns), chunk.schema, origins)


def _pattern(names: Sequence[str]) -> tuple[int, ...]:
    """Return which names are the same, whatever they are."""
    return tuple(names.index(name) for name in names)


def _side_by_side(columns: Sequence[pa.Array[Any]]) -> pa.Array[Any]:
    """Return a list for every row, with its values in these columns."""
    rows, width = len(columns[0]), len(columns)
    numbers = counted(0, rows * width)
    row = pc.divide(numbers, width)
    column = pc.subtract(numbers, pc.multiply(row, width))
    values = pa.concat_arrays(columns).take(pc.add(pc.multiply(column, rows), row))
    return pa.LargeListArray.from_arrays(pc.multiply(counted(0, rows + 1), width), values)
