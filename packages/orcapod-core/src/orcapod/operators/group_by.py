"""``GroupBy``: rows of equal tags as one row of lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import SchemaError
from orcapod.operators.keys import comparable, group_numbers
from orcapod.operators.nested import nest, nested_schema
from orcapod.operators.operator import Operator, PushOperator
from orcapod.streams import Stream

__all__ = ["GroupBy"]


class GroupBy(Operator):
    """Nesting of rows that agree in these tags into one, groups in the order of their first rows.

    The tags named keep their one value; every other column becomes a list in row order, and so do ids
    and provenance. Null is a value like any other here, and so is NaN.

    Args:
        tags: names of tag columns, or one list of them.

    Raises:
        SchemaError: no tag is named, or one is named twice.
    """

    name = "GroupBy"
    order_matters = True

    def __init__(self, *tags: str | Sequence[str]) -> None:
        self.tags = tuple(name for each in tags for name in Checks(self.name, SchemaError).names("tags", each))
        if not self.tags:
            raise SchemaError("GroupBy: found no tag to group by, expected one or more; use Batch() for one group")
        if len(set(self.tags)) != len(self.tags):
            raise SchemaError(f"GroupBy: a tag is named twice in {list(self.tags)}; name it once")

    def arguments(self) -> object:
        return self.tags

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
        return nested_schema(stream.schema, stream.pipeline_hash().short, single=self.tags)

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushGroupBy(self.tags, self.output_schema(inputs))


class _PushGroupBy(PushOperator):
    def __init__(self, tags: Sequence[str], schema: StreamSchema) -> None:
        self._tags = tags
        self._schema = schema
        self._waiting: list[Chunk] = []

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        self._waiting.append(chunk)
        return []

    def close(self, index: int) -> Iterable[Chunk]:
        if not self._waiting:
            return []
        rows = Chunk.concat(self._waiting)
        self._waiting.clear()
        groups = group_numbers([comparable(rows.column(name), rows.schema.tags.types[name]) for name in self._tags])
        order = pc.sort_indices(groups)  # stable: rows of a group stay in order
        ends = pc.run_end_encode(groups.take(order), run_end_type=pa.int64()).run_ends
        ends = pa.concat_arrays([pa.array([0], pa.int64()), ends])
        ordered = rows.take(order)
        firsts = ends.slice(0, len(ends) - 1)
        single = {name: ordered.column(name).take(firsts) for name in self._tags}
        return [nest(ordered, ends, self._schema, single=single)]
