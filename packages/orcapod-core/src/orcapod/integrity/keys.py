"""``Keys``: the keys of many records, compared without making an object of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.protocols import Key

__all__ = ["Keys"]


class Keys:
    """Keys of the records of one table: all text, or all bytes.

    Args:
        columns: the keys; of dictionaries, what they stand for.
    """

    def __init__(self, columns: Iterable[pa.ChunkedArray[Any]] = ()) -> None:
        self._chunks: list[pa.Array[Any]] = []
        for column in columns:
            self.add(column)

    @classmethod
    def of(cls, keys: Iterable[Key]) -> Keys:
        """Return these keys, all text or all bytes."""
        listed: list[Any] = list(keys)
        return cls([pa.chunked_array([listed])])

    def add(self, column: pa.ChunkedArray[Any]) -> None:
        """Add the keys of further records."""
        type_ = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
        self._chunks += column.cast(pa.large_string() if is_text else pa.large_binary()).chunks

    def are_among(self, others: Keys) -> pa.ChunkedArray[Any]:
        """Return for each whether it is one of these, too."""
        mine, theirs = self._column(), others._column()
        if mine.type != theirs.type:
            return pa.chunked_array([pa.repeat(False, len(mine))])
        found: pa.ChunkedArray[Any] = pc.is_in(mine, value_set=theirs)
        return found

    def without(self, others: Keys) -> Keys:
        """Return those that are none of these."""
        return Keys([self._column().filter(pc.invert(self.are_among(others)))])

    def distinct(self) -> list[Key]:
        """Return each once."""
        keys: list[Key] = pc.unique(self._column()).to_pylist()
        return keys

    def doubled(self) -> list[Key]:
        """Return those that are there more than once."""
        column = self._column()
        if pc.count_distinct(column, mode="all").as_py() == len(column):
            return []
        counts = pc.value_counts(column)
        keys: list[Key] = counts.field("values").filter(pc.greater(counts.field("counts"), 1)).to_pylist()
        return keys

    def _column(self) -> pa.ChunkedArray[Any]:
        return pa.chunked_array(self._chunks, None if self._chunks else pa.large_binary())
