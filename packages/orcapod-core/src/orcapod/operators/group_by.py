"""``GroupBy``: rows of equal tags as one row of lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, get_args

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.keys import comparable, group_numbers
from orcapod.operators.nested import group_starts, nest, nested_schema, uncertain
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Incomplete, Stream

__all__ = ["GroupBy"]


class GroupBy(Operator):
    """Nesting of rows that agree in these tags into one, groups in the order of their first rows.

    The tags named keep their one value; every other column becomes a list in row order, and so do ids
    and provenance. Null is a value like any other here, and so is NaN.

    Args:
        names: names of tag columns, or one list of them.
        tags: what becomes of the other tags: lists, or nothing with ``drop``, as when the rows are to be joined by
            those that were named.
        incomplete: what becomes of a group with rows that have failed: ``skip`` computes nothing of it, the next run
            does; ``keep`` goes on with the other rows, and marks what is made of them; ``raise`` ends the run.

    Raises:
        SchemaError: no tag is named, or one is named twice, or there is no such way with tags or incomplete groups.
    """

    name = "GroupBy"
    order_matters = True
    sees_missing = True

    def __init__(
        self,
        *names: str | Sequence[str],
        tags: Literal["list", "drop"] = "list",
        incomplete: Incomplete = "skip",
    ) -> None:
        check = Checks(self.name, SchemaError)
        self.tags = tuple(name for each in names for name in check.names("names", each))
        self.keeps_tags = check.choice("tags", tags, ("list", "drop")) == "list"
        self.incomplete: Incomplete = check.choice("incomplete", incomplete, get_args(Incomplete))
        if not self.tags:
            raise SchemaError("GroupBy: found no tag to group by, expected one or more; use Batch() for one group")
        if len(set(self.tags)) != len(self.tags):
            raise SchemaError(f"GroupBy: a tag is named twice in {list(self.tags)}; name it once")

    def arguments(self) -> object:
        given = [] if self.keeps_tags else [("tags", "drop")]
        given += [] if self.incomplete == "skip" else [("incomplete", self.incomplete)]
        return (self.tags, *given) if given else self.tags

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (stream,) = inputs
        for name in self.tags:
            if name in stream.schema.packets:
                raise SchemaError(
                    f"GroupBy: {name!r} is data, expected a tag, one of {list(stream.schema.tags)}; make it a tag "
                    "where the rows come from",
                    column=name,
                )
            if name not in stream.schema.tags:
                raise SchemaError(
                    f"GroupBy: there is no tag column {name!r}; found {list(stream.schema.tags)}, name one of these",
                    column=name,
                    found=str(list(stream.schema.tags)),
                )
        return nested_schema(self._taken(stream.schema), stream.pipeline_hash().short, single=self.tags)

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        (stream,) = inputs
        return _PushGroupBy(self, self._taken(stream.schema), self.output_schema(inputs))

    def _taken(self, schema: StreamSchema) -> StreamSchema:
        return schema if self.keeps_tags else replace(schema, tags=schema.tags.select(self.tags))


class _PushGroupBy(PushOperator):
    def __init__(self, operator: GroupBy, taken: StreamSchema, schema: StreamSchema) -> None:
        self._operator = operator
        self._taken = taken
        self._schema = schema
        self._waiting: list[Chunk] = []

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        self._waiting.append(chunk.selected(self._taken))
        return []

    def close(self, index: int) -> Iterable[Chunk]:
        if not self._waiting:
            return []
        rows = Chunk.concat(self._waiting)
        self._waiting.clear()
        operator = self._operator
        if (unknown := rows.unknown(operator.tags)) is not None:
            rows = uncertain(rows, unknown, keeps=operator.incomplete == "keep")
        groups = group_numbers([comparable(rows.column(name), rows.schema.tags.types[name]) for name in operator.tags])
        order = pc.sort_indices(groups)  # stable: rows of a group stay in order
        rows, groups = rows.take(order), groups.take(order)
        single, incomplete = operator.tags, operator.incomplete
        starts = group_starts(groups)
        return [nest(rows, starts, self._schema, single=single, incomplete=incomplete, named=operator.name)]
