"""``Batch``: consecutive rows as one row of lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.operators.nested import nest, nested_schema
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream

__all__ = ["Batch"]


class Batch(Operator):
    """Nesting of every ``size`` rows into one: columns become lists, and so do ids and provenance.

    No rows make no batch.

    Args:
        size: how many rows make a batch; 0 for all rows that there are.
        drop_partial: leave out the last rows if they are fewer than ``size``.

    Raises:
        ConfigError: the size is no number of rows.
    """

    name = "Batch"
    order_matters = True

    def __init__(self, size: int = 0, *, drop_partial: bool = False) -> None:
        check = Checks(self.name)
        self.size = check.count("size", size, least=0, also=", 0 for all rows")
        self.drop_partial = check.flag("drop_partial", drop_partial)

    def arguments(self) -> object:
        return self.size, self.drop_partial

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (stream,) = inputs
        return nested_schema(stream.schema, stream.pipeline_hash().short)

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushBatch(self, self.output_schema(inputs))


class _PushBatch(PushOperator):
    def __init__(self, operator: Batch, schema: StreamSchema) -> None:
        self._size = operator.size
        self._drop_partial = operator.drop_partial
        self._schema = schema
        self._waiting: list[Chunk] = []
        self._rows = 0

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        self._waiting.append(chunk)
        self._rows += chunk.num_rows
        if not self._size or self._rows < self._size:
            return []
        rows = Chunk.concat(self._waiting)
        self._rows = rows.num_rows % self._size
        full = rows.num_rows - self._rows
        self._waiting = [rows.slice(full, self._rows)] if self._rows else []
        return [self._batched(rows.slice(0, full), self._size)]

    def close(self, index: int) -> Iterable[Chunk]:
        if not self._rows or (self._size and self._drop_partial):
            return []
        return [self._batched(Chunk.concat(self._waiting), self._rows)]

    def _batched(self, rows: Chunk, size: int) -> Chunk:
        ends = pc.multiply(counted(0, rows.num_rows // size + 1), size)
        return nest(rows, ends, self._schema, single={})
