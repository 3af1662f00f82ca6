"""``Head``: the first rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, StreamSchema
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

    def __init__(self, n: int = 5) -> None:
        self.n = Checks(self.name).count("n", n, least=0)

    def arguments(self) -> object:
        return self.n

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        return schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushHead(self.n)


class _PushHead(PushOperator):
    def __init__(self, n: int) -> None:
        self._left = n
        self.is_complete = n == 0

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        first = chunk.slice(0, min(self._left, chunk.num_rows))
        self._left -= first.num_rows
        self.is_complete = self._left == 0
        return [first]

    def close(self, index: int) -> Iterable[Chunk]:
        return []
