"""``Sort``: rows in the order of their values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.columns import column_type
from orcapod.operators.nested import going_on
from orcapod.operators.operator import Operator, PushOperator
from orcapod.operators.ordering import check_ordered
from orcapod.streams import Incomplete, Stream

__all__ = ["Sort"]


class Sort(Operator):
    """All rows in the order of these columns; rows that are equal in them stay in the order in which they came.

    Text is in the order of its code points. NaN comes behind all numbers and null behind NaN, descending, too.

    Args:
        by: tag or packet columns, the first one first: names, or one list of them.
        descending: whether the largest come first; for all of the columns, or for each.
        incomplete: what becomes of the order where rows have failed whose place is not known: ``skip`` has no row whose
            place is certain; ``keep`` goes on with the other rows, and marks them; ``raise`` ends the run.

    Raises:
        SchemaError: no column is named, one is named twice, or ``descending`` is of another length.
    """

    name = "Sort"
    sees_missing = True

    def __init__(
        self,
        *by: str | Sequence[str],
        descending: bool | Sequence[bool] = False,
        incomplete: Incomplete = "skip",
    ) -> None:
        check = Checks(self.name, SchemaError)
        self.by = tuple(name for each in by for name in check.names("by", each))
        if not self.by:
            raise SchemaError("Sort: found no column to sort by, expected one or more; name them")
        if len(set(self.by)) != len(self.by):
            raise SchemaError(f"Sort: a column is named twice in {list(self.by)}; name it once")
        each = (descending,) * len(self.by) if isinstance(descending, bool) else check.members("descending", descending)
        self.descending = tuple(check.flag("descending", flag) for flag in each)
        if len(self.descending) != len(self.by):
            raise check.wrong("descending", descending, f"True or False, or one of them for each of {list(self.by)}")
        self.incomplete = check.choice("incomplete", incomplete, get_args(Incomplete))

    def arguments(self) -> object:
        return self.by, self.descending, *([] if self.incomplete == "skip" else [self.incomplete])

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        for name in self.by:
            check_ordered(self.name, name, column_type(self.name, name, schema))
        return schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushSort(self)


class _PushSort(PushOperator):
    def __init__(self, operator: Sort) -> None:
        self._operator = operator
        self._by = operator.by
        self._orders = ["descending" if flag else "ascending" for flag in operator.descending]
        self._waiting: list[Chunk] = []

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        self._waiting.append(chunk)
        return []

    def close(self, index: int) -> Iterable[Chunk]:
        if not self._waiting:
            return []
        rows = Chunk.concat(self._waiting)
        self._waiting.clear()
        if (missing := rows.missing) is None:
            return [self._sorted(rows)]
        if all(name in rows.schema.tags for name in self._by) and rows.unknown(self._by) is None:
            return [self._sorted(rows)]
        rows, _ = going_on(rows, incomplete=self._operator.incomplete, named=self._operator.name)
        if (missing := rows.missing) is None:
            return [self._sorted(rows)]
        # Where they belong, nobody knows: so no row has a place that is certain.
        nowhere = rows.with_batch(rows.batch.filter(missing)).without_packets()
        return [nowhere, self._sorted(rows.with_packets())]

    def _sorted(self, rows: Chunk) -> Chunk:
        if len(self._by) == 1:  # which needs no table, and half the time
            return rows.take(pc.array_sort_indices(rows.column(self._by[0]), order=self._orders[0]))
        names = [f"k{i}" for i in range(len(self._by))]
        keys = pa.table([rows.column(name) for name in self._by], names)
        return rows.take(pc.sort_indices(keys, sort_keys=list(zip(names, self._orders, strict=True))))
