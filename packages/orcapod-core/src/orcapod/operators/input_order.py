"""``InputOrder``: the canonical order of the inputs of a join, and their system tags in one row.

The system tags of input ``i`` are called ``{name}::{P}:{i}``, P being the first digits of its pipeline
hash and ``i`` its position among the inputs sorted by that hash, so that the order in which the inputs
were written means nothing. Inputs of equal hash are in the order of the names of their sources, and then of
their columns. Those that are alike in these, too, such as a stream that is joined with itself, cannot be told
apart; their ids are put in order by value, row by row, and what else belongs to the inputs goes with the ids.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import scalar_of
from orcapod.compute import counted, pc
from orcapod.datagrams import SEPARATOR, StreamSchema
from orcapod.errors import SchemaError
from orcapod.hashing import recipes
from orcapod.operators.nested import with_position
from orcapod.streams import Stream
from orcapod.types import Schema, encode

__all__ = ["InputOrder"]

_MOST = 512
_BETWEEN = scalar_of(b"\0", pa.large_binary())
_NOTHING = scalar_of(b"", pa.large_binary())


class InputOrder:
    """Canonical order of the inputs of a join, and names of their system tags in its rows.

    Args:
        inputs: the streams.
        as_written: take the order in which they were written, where it means something.
    """

    def __init__(self, inputs: Sequence[Stream], *, as_written: bool = False) -> None:
        ranks: list[tuple[object, ...]] = [(index,) for index in range(len(inputs))] if as_written else _ranks(inputs)
        order = sorted(range(len(inputs)), key=lambda index: ranks[index])
        positions = {index: position for position, index in enumerate(order)}
        ending = [SEPARATOR + recipes.joined(stream.pipeline_hash(), positions[i]) for i, stream in enumerate(inputs)]
        self._names = [
            {name: name + ending[i] for name in stream.schema.system_tags} for i, stream in enumerate(inputs)
        ]
        self._schemas = [with_position(stream.schema, positions[i]) for i, stream in enumerate(inputs)]
        self._order = order
        if (count := sum(map(len, self._names))) > _MOST:
            raise SchemaError(
                f"the result would carry {count} system tags, more than {_MOST}: each names a source row that a row is "
                "made of, and joining rows with what was derived from them doubles these; compute in fewer joins, or "
                "start provenance anew with node.as_source(source_id=...)"
            )
        groups = (list(group) for _, group in groupby(order, key=lambda index: ranks[index]))
        self._alike = [group for group in groups if len(group) > 1]

    def system_tags(self) -> Schema:
        """Return the system tags of the rows, in canonical order."""
        return Schema(
            {
                self._names[index][name]: dtype
                for index in self._order
                for name, dtype in self._schemas[index].system_tags.types.items()
            }
        )

    def names(self, index: int) -> Mapping[str, str]:
        """Return the names in the rows of the system tags of one input."""
        return self._names[index]

    @property
    def order(self) -> Sequence[int]:
        """The inputs in canonical order."""
        return self._order

    @property
    def alike(self) -> Sequence[Sequence[int]]:
        """The inputs that cannot be told apart, group by group."""
        return self._alike

    def schemas(self) -> Sequence[StreamSchema]:
        """Return the schemas of the inputs, the lists of each told apart from those of the others."""
        return self._schemas

    def ordered(self, batch: pa.RecordBatch, beside: Sequence[Sequence[str]] | None = None) -> pa.RecordBatch:
        """Return the rows with the ids of inputs that are alike in order: a sorting network of columns.

        Args:
            batch: the rows.
            beside: for every input the columns that go with its ids, in one order for inputs that are alike.
                Where ids are equal, these decide.
        """
        for group in self._alike:
            for last in range(len(group) - 1, 0, -1):
                for here in range(last):
                    pair = [
                        _InputColumns(list(self._names[index].values()), beside[index] if beside else [])
                        for index in (group[here], group[here + 1])
                    ]
                    batch = _exchanged(batch, *pair)
        return batch


@dataclass(frozen=True, slots=True)
class _InputColumns:
    """Columns of an input: its ids, and what goes with them."""

    ids: Sequence[str]
    beside: Sequence[str]

    @property
    def all(self) -> Sequence[str]:
        return [*self.ids, *self.beside]


def _ranks(inputs: Sequence[Stream]) -> list[tuple[object, ...]]:
    """Return for every input what decides on its position."""
    hashes = [stream.pipeline_hash().hex for stream in inputs]
    count = Counter(hashes)
    return [
        (each,) if count[each] == 1 else (each, sorted(stream.sources()), stream.schema.structure)
        for each, stream in zip(hashes, inputs, strict=True)
    ]


def _exchanged(batch: pa.RecordBatch, first: _InputColumns, second: _InputColumns) -> pa.RecordBatch:
    if not batch.num_rows or not first.all:
        return batch
    one, other = _text(batch, first.ids), _text(batch, second.ids)
    wrong = pc.greater(one, other)
    equal = pc.equal(one, other)
    if first.beside and pc.any(equal).as_py():
        tied = batch.filter(equal)
        wrong = pc.replace_with_mask(wrong, equal, pc.greater(_bytes(tied, first), _bytes(tied, second)))
    if not pc.any(wrong).as_py():
        return batch
    numbers = counted(0, batch.num_rows)
    others = pc.add(numbers, batch.num_rows)
    left, right = pc.if_else(wrong, others, numbers), pc.if_else(wrong, numbers, others)
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for mine, theirs in zip(first.all, second.all, strict=True):
        both = pa.concat_arrays([columns[mine], columns[theirs]])
        columns[mine], columns[theirs] = both.take(left), both.take(right)
    return pa.RecordBatch.from_pydict(columns)


def _text(batch: pa.RecordBatch, ids: Sequence[str]) -> pa.Array[Any]:
    """Return the ids of every row, one after the other, as bytes in the order of the texts."""
    columns = [
        encode(column) if pat.is_nested(column.type) else pc.fill_null(column.cast(pa.large_binary()), b"")
        for column in (batch.column(name) for name in ids)
    ]
    empty = pa.repeat(scalar_of(b"", pa.large_binary()), batch.num_rows)
    joined: pa.Array[Any] = pc.binary_join_element_wise(empty, *columns, _BETWEEN)
    return joined


def _bytes(batch: pa.RecordBatch, columns: _InputColumns) -> pa.Array[Any]:
    """Return bytes of all columns that are different wherever a value is."""
    arrays = [batch.column(name) for name in columns.all]
    parts = [part for column in arrays for part in (pc.if_else(column.is_valid(), b"1", b"0"), encode(column))]
    joined: pa.Array[Any] = pc.binary_join_element_wise(*(part.cast(pa.large_binary()) for part in parts), _NOTHING)
    return joined
