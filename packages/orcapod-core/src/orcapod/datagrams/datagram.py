"""``Tag`` and ``Packet``: the two halves of one row, as light views that convert when someone looks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.datagrams.chunk import Chunk
from orcapod.datagrams.column_names import Columns
from orcapod.errors import ValueTypeError
from orcapod.hashing import ROW_METHOD, ContentHash
from orcapod.types import Schema, column_of

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
        """Return the values by name."""
        return dict(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return self.keys() == other.keys() and all(self._is(name, other[name]) for name in self)

    def _is(self, name: str, value: object) -> bool:
        """Say whether a value is that of a column; whether arrays and the like are, is for their type to say."""
        dtype = self.schema.types[name]
        if dtype.is_canonical:
            return bool(self[name] == value)
        try:
            given = column_of([value], dtype)
        except ValueTypeError:
            return False
        mine = dtype.identity(self.chunk.batch.column(name).slice(self.row, 1))
        return mine.equals(dtype.identity(given))

    __hash__ = None  # type: ignore[assignment]  # its values need not be hashable

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={self._shown(name)}' for name in self)})"

    def _shown(self, name: str) -> str:
        """Return what a value looks like, or why there is none: the file of one may have been changed or lost."""
        try:
            return repr(self[name])
        except ValueTypeError as error:
            return f"<{error}>"


class Tag(Datagram):
    """The keys of a row."""

    __slots__ = ()

    @property
    def schema(self) -> Schema:
        return self.chunk.schema.tags

    def system_tags(self) -> dict[str, Any]:
        """Return the ids of the source rows that this row was comes from."""
        types = self.chunk.schema.system_tags.types
        return {name: types[name].to_python(self.chunk.column(name).slice(self.row, 1))[0] for name in types}


class Packet(Datagram):
    """The data of a row: what functions see."""

    __slots__ = ()

    @property
    def schema(self) -> Schema:
        return self.chunk.schema.packets

    def source_info(self) -> dict[str, Any]:
        """Return the source info of each value: ``{source}::{record}::{column}``."""
        row = self.chunk.slice(self.row, 1)
        return {name: row.source_info(name)[0].as_py() for name in self.schema}

    def content_hash(self) -> ContentHash:
        """Return what makes packets the same: its columns and values, nothing else."""
        return ContentHash(ROW_METHOD, self.chunk.packet_hashes[self.row])

    def as_table(self, columns: Columns = None) -> pa.Table:
        """Return the packet's columns as a table of one row."""
        _, packets = self.chunk.schema.shown(columns)
        return self.chunk.slice(self.row, 1).table(columns).select(list(packets))


class LazyPacket(Packet):
    """A packet whose chunk is created when someone looks: most results nobody ever looks at."""

    __slots__ = ("_create",)

    def __init__(self, create: Callable[[], Chunk]) -> None:
        self._create = create
        self.row = 0

    @property
    def chunk(self) -> Chunk:  # type: ignore[override]  # in place of the attribute
        return self._create()


def row_of(tag: Tag, packet: Packet) -> Chunk:
    """Return the row that a tag and a packet create together, as a chunk of one row."""
    if tag.chunk is packet.chunk and tag.row == packet.row:
        return tag.chunk.slice(tag.row, 1)
    left, right = tag.chunk.slice(tag.row, 1), packet.chunk.slice(packet.row, 1)
    schema = replace(right.schema, tags=left.schema.tags, system_tags=left.schema.system_tags)
    columns = {name: left.column(name) for name in [*schema.tags, *schema.system_tags]}
    columns |= {name: right.column(name) for name in [*schema.packets, *right.provenance_columns()]}
    return Chunk(pa.RecordBatch.from_pydict(columns), schema, right.origins)
