"""``MergeJoin``: a join in which data of one name is put side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, Origin, StreamSchema
from orcapod.operators.join import JoinMachine, joined_tags
from orcapod.operators.operator import Machine, Operator
from orcapod.operators.positions import Positions
from orcapod.operators.united import united
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

    symmetric = True
    inputs = (2, None)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        positions = Positions(inputs)
        schemas = positions.placed()
        packets: dict[str, LogicalType] = {}
        sources: dict[str, LogicalType] = {}
        for name in dict.fromkeys(name for schema in schemas for name in schema.packets):
            found = [schemas[index] for index in positions.order if name in schemas[index].packets]
            packets[name], sources[name] = found[0].packets.types[name], found[0].sources.types[name]
            if len(found) > 1:
                types = [schema.packets.types[name] for schema in found]
                makers = [schema.sources.types[name] for schema in found]
                packets[name] = ListType(united(self.name, f"packet column {name!r}", types))
                sources[name] = ListType(united(self.name, f"the provenance of packet column {name!r}", makers))
        tags = joined_tags(self.name, schemas)
        return StreamSchema(tags, Schema(packets), positions.schema(), Schema(sources))

    def machine(self, inputs: Sequence[Stream]) -> Machine:
        return _MergeMachine(inputs, self.output_schema(inputs))


class _MergeMachine(JoinMachine):
    """A join of rows whose common columns are told apart by the number of the input, and merged at the end."""

    def __init__(self, inputs: Sequence[Stream], schema: StreamSchema) -> None:
        holders = {
            name: [index for index in Positions(inputs).order if name in inputs[index].schema.packets]
            for name in schema.packets
        }
        self._parts = {
            name: {index: f"__{index}:{name}" for index in found} for name, found in holders.items() if len(found) > 1
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
        batch = self._positions.ordered(chunk.batch, moving)
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        origins = dict(chunk.origins)
        for name, parts in self._parts.items():
            columns[name] = _side_by_side([columns[part] for part in parts.values()])
            made = [chunk.origins[part] for part in parts.values()]
            slot = "|".join(origin.provenance for origin in made)
            if slot not in columns:
                columns[slot] = _side_by_side([columns[origin.provenance] for origin in made])
            origins[name] = Origin(slot, made[0].column)
        return Chunk(pa.RecordBatch.from_pydict(columns), self._schema, origins).selected(self._schema)

    def _is_regular(self, origins: Mapping[str, Origin]) -> bool:
        """Whether slots can be merged and exchanged as they are, without looking at single columns."""
        one_name = all(len({origins[part].column for part in parts.values()}) == 1 for parts in self._parts.values())
        return one_name and all(
            len({_pattern([origins[part].provenance for part in self._owned[index].values()]) for index in group}) == 1
            for group in self._positions.alike
        )

    def _with_full_provenance(self, chunk: Chunk) -> Chunk:
        """The rows with the complete provenance of every column that is to be merged."""
        columns = dict(zip(chunk.batch.schema.names, chunk.batch.columns, strict=True))
        origins = dict(chunk.origins)
        for part in (part for owned in self._owned for part in owned.values()):
            columns[f"{part}/text"] = chunk.source_info(part)
            origins[part] = Origin(f"{part}/text", None)
        return Chunk(pa.RecordBatch.from_pydict(columns), chunk.schema, origins)


def _pattern(names: Sequence[str]) -> tuple[int, ...]:
    """Which names are the same, whatever they are."""
    return tuple(names.index(name) for name in names)


def _side_by_side(columns: Sequence[pa.Array[Any]]) -> pa.Array[Any]:
    """A list for every row, with its values in these columns."""
    rows, width = len(columns[0]), len(columns)
    numbers = counted(0, rows * width)
    row = pc.divide(numbers, width)
    place = pc.subtract(numbers, pc.multiply(row, width))
    values = pa.concat_arrays(columns).take(pc.add(pc.multiply(place, rows), row))
    return pa.LargeListArray.from_arrays(pc.multiply(counted(0, rows + 1), width), values)
