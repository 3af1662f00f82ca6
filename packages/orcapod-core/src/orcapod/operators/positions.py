"""``Positions``: how the system tags of several inputs stand side by side in one row.

The system tags of input ``i`` are called ``{name}::{P}:{i}``, P being the first digits of its pipeline
hash and ``i`` its place among the inputs sorted by that hash, so that the order in which the inputs
were written means nothing. Inputs of equal hash cannot be told apart by their names; their ids are
put in order by value, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import SEPARATOR
from orcapod.errors import SchemaError
from orcapod.streams import Stream
from orcapod.types import Schema

__all__ = ["Positions"]

_MOST = 512


class Positions:
    """The places of the inputs' system tags in the rows that a join makes of them."""

    def __init__(self, inputs: Sequence[Stream]) -> None:
        hashes = [stream.pipeline_hash().hex for stream in inputs]
        order = sorted(range(len(inputs)), key=lambda index: hashes[index])
        place = {index: position for position, index in enumerate(order)}
        ending = [f"{SEPARATOR}{stream.pipeline_hash().short}:{place[i]}" for i, stream in enumerate(inputs)]
        self._names = [
            {name: name + ending[i] for name in stream.schema.system_tags} for i, stream in enumerate(inputs)
        ]
        self._types = [stream.schema.system_tags for stream in inputs]
        self._order = order
        if (count := sum(map(len, self._names))) > _MOST:
            raise SchemaError(
                f"the result would carry {count} system tags, more than {_MOST}: each names a source row that a row is "
                "made of, and joining rows with what was derived from them doubles these; compute in fewer joins, or "
                "start provenance anew with node.as_source()"
            )
        groups = (list(group) for _, group in groupby(order, key=lambda index: hashes[index]))
        self._alike = [group for group in groups if len(group) > 1 and self._types[group[0]]]

    def schema(self) -> Schema:
        """The system tags of the rows, in canonical order."""
        return Schema(
            {
                self._names[index][name]: found
                for index in self._order
                for name, found in self._types[index].types.items()
            }
        )

    def names(self, index: int) -> Mapping[str, str]:
        """What the system tags of one input are called in the rows."""
        return self._names[index]

    def ordered(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows with the ids of inputs of equal hash in order, by a sorting network of whole columns."""
        for group in self._alike:
            for last in range(len(group) - 1, 0, -1):
                for here in range(last):
                    batch = self._exchanged(batch, group[here], group[here + 1])
        return batch

    def _exchanged(self, batch: pa.RecordBatch, first: int, second: int) -> pa.RecordBatch:
        ones, others = list(self._names[first].values()), list(self._names[second].values())
        wrong = pc.greater(_text(batch, ones), _text(batch, others))
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for one, other in zip(ones, others, strict=True):
            columns[one], columns[other] = (
                pc.if_else(wrong, columns[other], columns[one]),
                pc.if_else(wrong, columns[one], columns[other]),
            )
        return pa.RecordBatch.from_pydict(columns)


def _text(batch: pa.RecordBatch, names: Sequence[str]) -> pa.Array[Any]:
    separator = pa.scalar("\0", pa.large_string())
    columns = [batch.column(name) for name in names]
    texts = [
        pc.binary_join(column.cast(pa.list_(pa.string())), "\0").cast(pa.large_string())
        if pa.types.is_large_list(column.type)
        else column
        for column in columns
    ]
    joined: pa.Array[Any] = pc.binary_join_element_wise(*texts, separator)
    return joined
