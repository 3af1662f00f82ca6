"""``Head``: the first rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream

__all__ = ["Head"]


class Head(Operator):
    """The first ``n`` rows, in the order of the stream; no more are asked for.

    Args:
        n: how many rows, at the most.

    Raises:
        ConfigError: it is no number of rows.
    """

    name = "Head"
    order_matters = True
    sees_missing = True

    def __init__(self, n: int = 5) -> None:
        self.n = Checks(self.name).count("n", n, least=0)

    def arguments(self) -> object:
        return self.n

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        return schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushHead(self.n, self.output_schema(inputs))


class _PushHead(PushOperator):
    def __init__(self, n: int, schema: StreamSchema) -> None:
        self._left = n
        self._schema = schema
        self._is_counted = True
        self.is_complete = n == 0

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        certain = self._counted(chunk)
        first = chunk.slice(0, min(self._left, certain))
        self._left -= first.num_rows
        self.is_complete = self._left == 0
        if first.num_rows:
            yield first
        if not self.is_complete and certain < chunk.num_rows:
            yield chunk.slice(certain, chunk.num_rows - certain).without_packets(self._schema)

    def _counted(self, chunk: Chunk) -> int:
        """Return how many rows there are before the first of which it is not known how many rows it is."""
        if not self._is_counted:
            return 0
        levels = chunk.completeness
        uncertain = -1 if levels is None else pc.index(levels, pa.scalar(Completeness.UNCERTAIN, pa.int8())).as_py()
        self._is_counted = uncertain < 0
        return chunk.num_rows if self._is_counted else uncertain

    def close(self, index: int) -> Iterable[Chunk]:
        return []
