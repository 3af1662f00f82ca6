"""``Batch``: consecutive rows as one row of lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema
from orcapod.operators.nested import nest, nested_schema
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Incomplete, Stream

__all__ = ["Batch"]


class Batch(Operator):
    """Nesting of every ``size`` rows into one: columns become lists, and so do ids and provenance.

    No rows make no batch. A row that has failed has its place in its batch, as if it were there.

    Args:
        size: how many rows make a batch; 0 for all rows that there are.
        drop_partial: leave out the last rows if they are fewer than ``size``.
        incomplete: what becomes of a batch with rows that have failed: ``skip`` computes nothing of it, the next run
            does; ``keep`` goes on with the other rows, and marks what is made of them; ``raise`` ends the run.

    Raises:
        ConfigError: the size is no number of rows, or there is no such way with incomplete batches.
    """

    name = "Batch"
    order_matters = True
    sees_missing = True

    def __init__(self, size: int = 0, *, drop_partial: bool = False, incomplete: Incomplete = "skip") -> None:
        check = Checks(self.name)
        self.size = check.count("size", size, least=0, also=", 0 for all rows")
        self.drop_partial = check.flag("drop_partial", drop_partial)
        self.incomplete: Incomplete = check.choice("incomplete", incomplete, get_args(Incomplete))

    def arguments(self) -> object:
        return self.size, self.drop_partial, *([] if self.incomplete == "skip" else [self.incomplete])

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (stream,) = inputs
        return nested_schema(stream.schema, stream.pipeline_hash().short)

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushBatch(self, self.output_schema(inputs))


class _PushBatch(PushOperator):
    def __init__(self, operator: Batch, schema: StreamSchema) -> None:
        self._operator = operator
        self._size = operator.size
        self._drop_partial = operator.drop_partial
        self._schema = schema
        self._waiting: list[Chunk] = []
        self._rows = 0
        self._is_uncertain = False

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        self._waiting.append(self._placed(chunk) if self._size else chunk)
        self._rows += chunk.num_rows
        if not self._size or self._rows < self._size:
            return []
        rows = Chunk.concat(self._waiting)
        self._rows = rows.num_rows % self._size
        full = rows.num_rows - self._rows
        self._waiting = [rows.slice(full, self._rows)] if self._rows else []
        return [self._batched(rows.slice(0, full), self._size)]

    def close(self, index: int) -> Iterable[Chunk]:
        if not self._rows or (self._size and self._drop_partial and not self._is_uncertain):
            return []
        return [self._batched(Chunk.concat(self._waiting), self._rows)]

    def _placed(self, chunk: Chunk) -> Chunk:
        """Return the rows, incomplete from the first on of which it is not known how many rows it is."""
        levels = chunk.completeness
        if not self._is_uncertain:
            first = -1 if levels is None else pc.index(levels, scalar_of(Completeness.UNCERTAIN, pa.int8())).as_py()
            if first < 0:
                return chunk
            self._is_uncertain = True
        else:
            first = 0
        least = Completeness.PARTIAL if self._operator.incomplete == "keep" else Completeness.UNCERTAIN
        after = pc.greater_equal(counted(0, chunk.num_rows), first)
        levels = pa.repeat(scalar_of(0, pa.int8()), chunk.num_rows) if levels is None else levels
        return chunk.completed(pc.max_element_wise(levels, pc.if_else(after, least, 0).cast(pa.int8())))

    def _batched(self, rows: Chunk, size: int) -> Chunk:
        starts = pc.multiply(counted(0, rows.num_rows // size + 1), scalar_of(size, pa.int64()))
        return nest(rows, starts, self._schema, incomplete=self._operator.incomplete, named=self._operator.name)
