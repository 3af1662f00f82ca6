"""``Tag`` and ``Packet``: the two halves of one row, as light views that convert when someone looks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.datagrams.chunk import Chunk
from orcapod.datagrams.columns import Columns
from orcapod.hashing import ROW_METHOD, ContentHash
from orcapod.types import Schema

__all__ = ["Datagram", "LazyPacket", "Packet", "Tag", "row_of"]


class Datagram(Mapping[str, Any]):
    """One row's columns of one role: an immutable mapping from names to Python values.

    Every look-up makes a fresh value: changing a list that came out of a datagram changes nothing in it.
    """

    __slots__ = ("chunk", "row")

    def __init__(self, chunk: Chunk, row: int) -> None:
        self.chunk = chunk
        self.row = row

    @property
    @abstractmethod
    def schema(self) -> Schema:
        """The names and types of the columns."""

    def __getitem__(self, name: str) -> Any:
        return self.schema.types[name].to_python(self.chunk.batch.column(name).slice(self.row, 1))[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.schema)

    def __len__(self) -> int:
        return len(self.schema)

    def as_dict(self) -> dict[str, Any]:
        """The values by name."""
        return dict(self)

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # its values need not be hashable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.items())})"


class Tag(Datagram):
    """The keys of a row."""

    __slots__ = ()

    @property
    def schema(self) -> Schema:
        return self.chunk.schema.tags

    def system_tags(self) -> dict[str, Any]:
        """The ids of the source rows that this row was made of."""
        types = self.chunk.schema.system_tags.types
        return {name: types[name].to_python(self.chunk.column(name).slice(self.row, 1))[0] for name in types}


class Packet(Datagram):
    """The data of a row: what functions see."""

    __slots__ = ()

    @property
    def schema(self) -> Schema:
        return self.chunk.schema.packets

    def source_info(self) -> dict[str, Any]:
        """Who made each value: ``{source}::{record}::{column}``."""
        row = self.chunk.slice(self.row, 1)
        return {name: row.source_info(name)[0].as_py() for name in self.schema}

    def content_hash(self) -> ContentHash:
        """What makes this packet the same as another: its columns and values, nothing else."""
        return ContentHash(ROW_METHOD, self.chunk.packet_hashes[self.row])

    def as_table(self, columns: Columns = None) -> pa.Table:
        """The packet's columns as a table of one row."""
        _, packets = self.chunk.schema.shown(columns)
        return self.chunk.slice(self.row, 1).table(columns).select(list(packets))


class LazyPacket(Packet):
    """A packet whose chunk is made when someone looks: most results are never looked at one by one."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Chunk]) -> None:
        self._make = make
        self.row = 0

    @property
    def chunk(self) -> Chunk:  # type: ignore[override]  # takes the place of the slot
        return self._make()


def row_of(tag: Tag, packet: Packet) -> Chunk:
    """The row that a tag and a packet make together, as a chunk of one row."""
    if tag.chunk is packet.chunk and tag.row == packet.row:
        return tag.chunk.slice(tag.row, 1)
    left, right = tag.chunk.slice(tag.row, 1), packet.chunk.slice(packet.row, 1)
    schema = replace(right.schema, tags=left.schema.tags, system_tags=left.schema.system_tags)
    columns = {name: left.column(name) for name in [*schema.tags, *schema.system_tags]}
    columns |= {name: right.column(name) for name in [*schema.packets, *right.slots()]}
    return Chunk(pa.RecordBatch.from_pydict(columns), schema, right.origins)
