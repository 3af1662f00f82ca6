"""Operators that select, drop and rename columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, StreamSchema, column_called
from orcapod.errors import SchemaError
from orcapod.operators.operator import RowwiseOperator
from orcapod.streams import Stream
from orcapod.types import Schema

__all__ = [
    "DropPacketColumns",
    "DropTagColumns",
    "MapPackets",
    "MapTags",
    "SelectPacketColumns",
    "SelectTagColumns",
]


class _ColumnsOperator(RowwiseOperator):
    """Selection of some columns of one role."""

    sees_missing = True

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = Checks(self.name, SchemaError).names("columns", columns)

    def arguments(self) -> object:
        return self.columns

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        return chunk.selected(schema)


class SelectTagColumns(_ColumnsOperator):
    """Projection on these tag columns, in this order."""

    name = "SelectTagColumns"

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        _check(self.name, "tag", self.columns, schema.tags)
        return replace(schema, tags=schema.tags.select(self.columns))


class DropTagColumns(_ColumnsOperator):
    """Projection on all tag columns but these."""

    name = "DropTagColumns"

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        _check(self.name, "tag", self.columns, schema.tags)
        return replace(schema, tags=schema.tags.drop(self.columns))


class SelectPacketColumns(_ColumnsOperator):
    """Projection on these packet columns, in this order."""

    name = "SelectPacketColumns"

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        _check(self.name, "packet", self.columns, schema.packets)
        return _with_packets(schema, self.columns)


class DropPacketColumns(_ColumnsOperator):
    """Projection on all packet columns but these."""

    name = "DropPacketColumns"

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        _check(self.name, "packet", self.columns, schema.packets)
        return _with_packets(schema, schema.packets.drop(self.columns))


class _MapOperator(RowwiseOperator):
    """Renaming of some columns of one role."""

    sees_missing = True

    def __init__(self, names: Mapping[str, str]) -> None:
        check = Checks(self.name, SchemaError)
        self.names = dict(check.mapping("names", names, "{'old': 'new'}"))
        for new in self.names.values():
            check.text("a new name", new)

    def arguments(self) -> object:
        return self.names

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        return chunk.renamed(self.names, schema)

    def _check(self, role: str, mine: Schema, others: Schema) -> None:
        _check(self.name, role, self.names, mine)
        taken = [self.names.get(name, name) for name in mine] + list(others)
        for old, new in self.names.items():
            if not new or new.startswith("_"):
                raise SchemaError(
                    f"{self.name}: {old!r} cannot become {new!r}; a name may not be empty or start with '_', "
                    "choose another",
                    column=old,
                    found=repr(new),
                )
            if taken.count(new) > 1:
                raise SchemaError(
                    f"{self.name}: {old!r} cannot become {new!r}, which is there already; found {taken}, "
                    "choose another",
                    column=old,
                    found=repr(new),
                )


class MapTags(_MapOperator):
    """Renaming of tag columns, ``{old: new}``."""

    name = "MapTags"

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        self._check("tag", schema.tags, schema.packets)
        return replace(schema, tags=schema.tags.rename(self.names))


class MapPackets(_MapOperator):
    """Renaming of packet columns, ``{old: new}``; a value keeps its provenance under the new name."""

    name = "MapPackets"

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        self._check("packet", schema.packets, schema.tags)
        packets, sources = schema.packets.rename(self.names), schema.sources.rename(self.names)
        return replace(schema, packets=packets, sources=sources)


def _with_packets(schema: StreamSchema, names: Iterable[str]) -> StreamSchema:
    selected = list(names)
    return replace(schema, packets=schema.packets.select(selected), sources=schema.sources.select(selected))


def _check(name: str, role: str, columns: Iterable[str], schema: Schema) -> None:
    listed = list(columns)
    if missing := [column for column in listed if column not in schema]:
        why = f"{name}: there is no {role} column {missing[0]!r}; found {list(schema)}, name some of these"
        if near := column_called(missing[0], schema):
            why += f"; {near!r} is written with other signs: {near!a}"
        raise SchemaError(why, column=missing[0], found=str(list(schema)))
    if len(set(listed)) != len(listed):
        raise SchemaError(f"{name}: a column is named twice in {listed}; name it once")
