"""``FunctionSpec``: what is computed in a step, and where its results and rows are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import pyarrow as pa

from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import DatabaseError
from orcapod.functions import PythonPacketFunction
from orcapod.hashing import ContentHash
from orcapod.records import GivenEntries, Result, SizeLimit

__all__ = ["Cache", "FunctionSpec", "Records"]


class Cache(Protocol):
    """Cache of results: where they are looked up and stored."""

    @property
    def size_limit(self) -> SizeLimit | None:
        """Bytes that a result may have, and who says so; None for any size."""
        ...

    @property
    def has_files(self) -> bool:
        """Whether files belong to the results, without which they are not there."""
        ...

    def newest(self, ids: Sequence[bytes]) -> list[bytes]: ...

    def next(self, first: bytes) -> bytes: ...

    def lookup(self, ids: Sequence[bytes]) -> pa.Table: ...

    def lost(self, ids: Sequence[bytes]) -> DatabaseError: ...

    def present(self, ids: Sequence[bytes]) -> set[bytes]: ...

    def begin(self, stored: Sequence[Any], most: int) -> int: ...

    def store(self, results: Sequence[Result]) -> pa.Table: ...


class Records(Protocol):
    """Pipeline records: which rows the results stand for.

    Attributes:
        given: those that were given on.
    """

    given: GivenEntries

    def add(self, rows: Chunk, ids: Sequence[bytes], *, fresh: bool) -> None: ...

    def count(self, rows: Chunk, ids: Sequence[bytes]) -> int: ...


@dataclass(frozen=True)
class FunctionSpec:
    """Specification of a step: what is the same for all chunks that go through it.

    Attributes:
        function: what is computed.
        fingerprint: of its code, as it is now.
        schema: of the rows that it gives.
        cache: where results are looked up and stored.
        records: where it is stored which rows they stand for.
    """

    function: PythonPacketFunction
    fingerprint: ContentHash
    schema: StreamSchema
    cache: Cache
    records: Records

    def taken(self, chunk: Chunk) -> Chunk:
        """Return a chunk without the packet columns that the function does not take: there may be thousands."""
        names = self.function.packet_columns(chunk.schema)
        if len(names) == len(chunk.schema.packets):
            return chunk
        packets, sources = chunk.schema.packets.select(names), chunk.schema.sources.select(names)
        return chunk.selected(replace(chunk.schema, packets=packets, sources=sources))
