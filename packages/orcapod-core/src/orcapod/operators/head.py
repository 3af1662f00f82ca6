"""``Head``: the first rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema
from orcapod.operators.nested import going_on
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Incomplete, Stream

__all__ = ["Head"]


class Head(Operator):
    """The first ``n`` rows, in the order of the stream; no more are asked for.

    Args:
        n: how many rows, at the most.
        incomplete: what becomes of rows that have failed before there are so many: with ``skip`` they count, and behind
            one of which it is not known whether it is there, no row is certain; ``keep`` takes the first of the other
            rows, and marks them; ``raise`` ends the run.

    Raises:
        ConfigError: it is no number of rows, or there is no such way with failed rows.
    """

    name = "Head"
    order_matters = True
    sees_missing = True

    def __init__(self, n: int = 5, *, incomplete: Incomplete = "skip") -> None:
        check = Checks(self.name)
        self.n = check.count("n", n, least=0)
        self.incomplete = check.choice("incomplete", incomplete, get_args(Incomplete))

    def arguments(self) -> object:
        return self.n if self.incomplete == "skip" else (self.n, self.incomplete)

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        return schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        if self.incomplete == "skip":
            return _PushHead(self.n, self.output_schema(inputs))
        return _PushPresentHead(self)


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
        uncertain = -1 if levels is None else pc.index(levels, scalar_of(Completeness.UNCERTAIN, pa.int8())).as_py()
        self._is_counted = uncertain < 0
        return chunk.num_rows if self._is_counted else uncertain

    def close(self, index: int) -> Iterable[Chunk]:
        return []


class _PushPresentHead(PushOperator):
    """The first rows that have a packet, once there are so many."""

    def __init__(self, operator: Head) -> None:
        self._operator = operator
        self._left = operator.n
        self._waiting: list[Chunk] = []
        self.is_complete = operator.n == 0

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        rows = chunk.packet_rows()
        present = range(chunk.num_rows) if rows is None else rows
        is_last = len(present) >= self._left
        self._waiting.append(chunk.slice(0, present[self._left - 1] + 1) if is_last else chunk)
        self._left -= len(present)
        return self._first() if is_last or self._operator.incomplete == "raise" else []

    def close(self, index: int) -> Iterable[Chunk]:
        return self._first()

    def _first(self) -> Iterable[Chunk]:
        if not self._waiting:
            return
        rows, _ = going_on(Chunk.concat(self._waiting), incomplete=self._operator.incomplete, named=self._operator.name)
        self._waiting.clear()
        self.is_complete = self._left <= 0
        yield rows
