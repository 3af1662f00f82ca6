"""``ExplainedRows``: rows of which is told why they have no result, and how they are held against others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import array_of
from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, source_info_name, telling_tags
from orcapod.hashing import hash_rows
from orcapod.records import RECORD_ID
from orcapod.types import Schema, encode

__all__ = ["ComputedRows", "ExplainedRows", "MissingRows", "differing", "tag_keys", "tags_in", "texts_of_tags"]


class ExplainedRows(ABC):
    """Rows whose results are missing, or were."""

    packet_hashes: pa.Array[Any]
    """The packet of each."""

    @abstractmethod
    def entries(self, rows: pa.Array[Any]) -> pa.Table:
        """Return tags and source infos of the rows for which an array says so, as records have them."""

    def entries_at(self, numbers: Sequence[int]) -> pa.Table:
        """Return the same of the rows of these numbers, in their order."""
        wanted = array_of(numbers, pa.int64())
        return self.entries(pc.is_in(counted(0, len(self.packet_hashes)), value_set=wanted))


class ComputedRows(ExplainedRows):
    """Rows whose results a run has computed, as they are recorded."""

    def __init__(self, table: pa.Table, packet_hashes: pa.Array[Any]) -> None:
        self.packet_hashes = packet_hashes
        self._table = table

    def entries(self, rows: pa.Array[Any]) -> pa.Table:
        return self._table.filter(rows)


class MissingRows(ExplainedRows):
    """Rows that have no result. Their values are not held.

    Args:
        columns: what the function takes of them.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._chunks: list[Chunk] = []
        self._hashes: list[pa.Array[Any]] = [array_of([], pa.large_binary())]

    @property
    def has_rows(self) -> bool:
        """Whether there are any."""
        return bool(self._chunks)

    def add(self, chunk: Chunk, packet_hashes: Sequence[bytes]) -> None:
        names = [*chunk.schema.tags, *{chunk.origins[name].provenance: None for name in self._columns}]
        kept = names or chunk.batch.schema.names[:1]  # a batch without columns has no rows
        self._chunks.append(chunk.with_batch(chunk.batch.select(kept)))
        self._hashes.append(array_of(packet_hashes, pa.large_binary()))

    @property
    def packet_hashes(self) -> pa.Array[Any]:  # type: ignore[override]  # they grow
        if len(self._hashes) > 1:
            self._hashes = [pa.concat_arrays(self._hashes)]
        return self._hashes[0]

    def entries(self, rows: pa.Array[Any]) -> pa.Table:
        tables: list[pa.Table] = []
        start = 0
        for chunk in self._chunks:
            wanted = rows.slice(start, chunk.num_rows)
            start += chunk.num_rows
            if not tables or pc.any(wanted).as_py():
                tables.append(self._entries(chunk.with_batch(chunk.batch.filter(wanted))))
        return pa.concat_tables(tables)

    def _entries(self, chunk: Chunk) -> pa.Table:
        columns: dict[str, Any] = {RECORD_ID: pa.nulls(chunk.num_rows)}
        columns |= {name: chunk.column(name) for name in chunk.schema.tags}
        columns |= {source_info_name(name): chunk.source_info(name) for name in self._columns}
        return pa.table(columns)


def tags_in(entries: pa.Table, tags: Schema) -> list[dict[str, Any]]:
    """Return the tags of rows as Python values."""
    columns = [dtype.to_python(entries.column(name).combine_chunks()) for name, dtype in tags.types.items()]
    return [dict(zip(tags, values, strict=True)) for values in zip(*columns, strict=True)] if columns else []


def texts_of_tags(entries: pa.Table, tags: Schema) -> list[tuple[str | None, ...]]:
    """Return the tags of rows as logs have them."""
    columns = [dtype.to_python(entries.column(name).combine_chunks()) for name, dtype in tags.types.items()]
    texts = [[None if value is None else str(value) for value in values] for values in columns]
    return list(zip(*texts, strict=True)) if texts else [()] * entries.num_rows


def tag_keys(entries: pa.Table, tags: Schema) -> pa.Array[Any]:
    """Return what tells rows apart by their tags."""
    names = telling_tags(entries.schema, tags)
    if not names:
        return array_of([b""] * entries.num_rows, pa.large_binary())
    if len(names) == 1 and not pat.is_nested(entries.schema.field(names[0]).type):
        return entries.column(names[0]).combine_chunks()
    batches = entries.select(names).combine_chunks().to_batches()
    return array_of([each for batch in batches for each in hash_rows(batch, tags.select(names))], pa.large_binary())


def differing(before: pa.Table, after: pa.Table, column: str) -> list[bool]:
    """Say in which rows a column of text, or lists of text, is another one."""
    if column not in before.column_names or before.schema.field(column).type != after.schema.field(column).type:
        return [True] * after.num_rows
    one, other = (table.column(column).combine_chunks() for table in (before, after))
    if pat.is_nested(one.type):
        one, other = encode(one), encode(other)
    differs: list[bool] = pc.fill_null(pc.not_equal(one, other), False).to_pylist()
    return differs
