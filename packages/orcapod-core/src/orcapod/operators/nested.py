"""Rows nested into lists, and what is known of such lists afterwards.

A list that an operator makes of the rows of a stream is of ``NestedType``: a list like any other,
that knows which nesting made it. Lists of one nesting have one length in every row, so they can be
unnested together, and the ids of the members with them. Lists made elsewhere have another mark.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import counted, pc
from orcapod.datagrams import COMPLETENESS, SEPARATOR, Chunk, Completeness, StreamSchema, Tag
from orcapod.errors import IncompleteError
from orcapod.streams import Incomplete
from orcapod.types import ListType, LogicalType, OptionalType, Schema

__all__ = [
    "NestedType",
    "going_on",
    "group_levels",
    "group_starts",
    "item_of",
    "nest",
    "nested_schema",
    "nesting_of",
    "uncertain",
    "with_position",
]


class NestedType(ListType):
    """``list[T]`` of values of several rows.

    Args:
        item: the type of the values.
        nesting: the nesting that made it.
    """

    def __init__(self, item: LogicalType, nesting: str) -> None:
        super().__init__(item)
        self.nesting = nesting


def item_of(dtype: LogicalType) -> LogicalType | None:
    """Return the type of the items of a list; None if the type is no list."""
    inner = dtype.non_null
    return inner.item if isinstance(inner, ListType) else None


def nesting_of(dtype: LogicalType) -> str | None:
    """Return the nesting that made the lists of a type; None where no nesting did."""
    return dtype.nesting if isinstance(dtype, NestedType) else None


def nested_schema(schema: StreamSchema, nesting: str, *, single: Iterable[str] = ()) -> StreamSchema:
    """Return the schema of rows that are made of several rows each.

    Args:
        schema: that of the rows.
        nesting: what tells this nesting from others.
        single: the tags that have one value in all rows that are nested into one.
    """
    unnested = frozenset(single)

    def listed(columns: Schema) -> Schema:
        return Schema(
            {name: dtype if name in unnested else NestedType(dtype, nesting) for name, dtype in columns.types.items()}
        )

    return StreamSchema(listed(schema.tags), listed(schema.packets), listed(schema.system_tags), listed(schema.sources))


def nest(
    chunk: Chunk,
    starts: Any,
    schema: StreamSchema,
    *,
    single: Sequence[str] = (),
    incomplete: Incomplete = "skip",
    named: str,
) -> Chunk:
    """Return the rows of a chunk, those of one group as lists; where none is missing, nothing is copied.

    Args:
        chunk: the rows, those of a group one after the other.
        starts: where the groups begin, and the last one ends: one number more than there are groups.
        schema: what ``nested_schema`` said.
        single: the tags that have one value in a group.
        incomplete: what becomes of a group in which rows are missing.
        named: what the operator is called.

    Raises:
        IncompleteError: rows are missing in a group, and that is not wanted.
    """
    if chunk.completeness is None:
        return _nested(chunk, starts, schema, single)
    groups = pc.list_parent_indices(pa.LargeListArray.from_arrays(starts, counted(0, chunk.num_rows)))
    chunk, groups = going_on(chunk, groups, incomplete=incomplete, single=single, named=named)
    levels: Any = chunk.completeness
    return _nested(chunk, group_starts(groups), schema, single).completed(group_levels(levels, groups))


def group_starts(groups: pa.Array[Any]) -> pa.Array[Any]:
    """Return where groups begin, and the last one ends, given the number of each row's group, in ascending order."""
    ends = pc.run_end_encode(groups, run_end_type=pa.int64()).run_ends
    return pa.concat_arrays([array_of([0], pa.int64()), ends])


def _nested(chunk: Chunk, starts: Any, schema: StreamSchema, single: Sequence[str]) -> Chunk:
    """Return the rows of each group as one, however complete they are."""
    firsts = starts.slice(0, len(starts) - 1)
    nested = {
        name: column.take(firsts) if name in single else pa.LargeListArray.from_arrays(starts, column)
        for name, column in zip(chunk.batch.schema.names, chunk.batch.columns, strict=True)
        if name != COMPLETENESS
    }
    return Chunk(pa.RecordBatch.from_pydict(nested), schema, chunk.origins)


def group_levels(levels: pa.Array[Any], groups: pa.Array[Any]) -> pa.Array[Any]:
    """Return how complete groups are; one of which a row is certain to be there is there, too."""
    aggregates = _aggregated(groups, levels, ["min", "max"])
    least, most = aggregates.column("min"), aggregates.column("max")
    is_there = pc.less(least, Completeness.UNCERTAIN)
    found = pc.if_else(is_there, pc.min_element_wise(most, scalar_of(Completeness.MISSING, pa.int8())), most)
    combined: pa.Array[Any] = found.combine_chunks()
    return combined


def uncertain(rows: Chunk, unknown: pa.Array[Any], *, keeps: bool) -> Chunk:
    """Return the rows, none of them whole, where it is not known in which groups some of them belong."""
    others = Completeness.PARTIAL if keeps else Completeness.MISSING
    levels = pc.if_else(unknown, Completeness.UNCERTAIN, others).cast(pa.int8())
    return rows.completed(pc.max_element_wise(levels, rows.completeness))


def going_on(
    rows: Chunk, groups: pa.Array[Any] | None = None, *, incomplete: Incomplete, single: Sequence[str] = (), named: str
) -> tuple[Chunk, pa.Array[Any]]:
    """Return the rows to go on with, where some are missing, and their groups.

    Args:
        rows: the rows.
        groups: the number of each row's group, as they first appear; one group if None.
        incomplete: what becomes of a group in which rows are missing: ``keep`` leaves these out, unless there are no
            others, and marks the others.
        single: the tags that have one value in a group.
        named: what the operator is called.

    Raises:
        IncompleteError: rows are missing, and that is not wanted.
    """
    if groups is None:
        groups = pa.repeat(scalar_of(0, pa.int64()), rows.num_rows)
    if incomplete == "skip" or (missing := rows.missing) is None:
        return rows, groups
    if incomplete == "raise":
        raise _incomplete(rows, missing, groups, single, named)
    counts = _aggregated(groups, missing.cast(pa.int64()), ["sum", "count"])
    is_empty = pc.equal(counts.column("sum"), counts.column("count")).combine_chunks()
    kept = pc.or_(pc.invert(missing), is_empty.take(groups))
    level = pc.if_else(pc.greater(counts.column("sum"), 0), Completeness.PARTIAL, Completeness.WHOLE).combine_chunks()
    rows = rows.completed(pc.max_element_wise(rows.completeness, level.take(groups).cast(pa.int8())))
    return rows.with_batch(rows.batch.filter(kept)), groups.filter(kept)


def _incomplete(
    chunk: Chunk, missing: pa.Array[Any], groups: pa.Array[Any], single: Sequence[str], named: str
) -> IncompleteError:
    row = pc.index(missing, True).as_py()
    members = pc.equal(groups, groups[row])
    count, gone = pc.sum(members).as_py(), pc.sum(pc.and_(members, missing)).as_py()
    tag = Tag(chunk, row)
    about = ", ".join(f"{name}={tag[name]!r}" for name in single)
    first = ", ".join(f"{name}={value!r}" for name, value in tag.items())
    return IncompleteError(
        f"{named}: the group {f'of {about} ' if about else ''}has {count} rows, and {gone} of them are missing, since "
        f"they, or what they are made of, have failed: {first} the first; mend what failed, or have the other groups "
        'computed with incomplete="skip", or what is left of such groups with incomplete="keep"',
        found=first,
    )


def _aggregated(groups: pa.Array[Any], values: pa.Array[Any], functions: Sequence[Any]) -> pa.Table:
    """Return aggregates of the values of each group, by the name of the function."""
    table = pa.table({"g": groups, "v": values}).group_by("g", use_threads=False)
    return table.aggregate([("v", each) for each in functions]).rename_columns(
        {f"v_{name}": name for name in functions}
    )


def with_position(schema: StreamSchema, position: int) -> StreamSchema:
    """Return the schema of one input of a join, its lists told apart from those of the others."""

    def marked(dtype: LogicalType) -> LogicalType:
        match dtype:
            case NestedType():
                return NestedType(marked(dtype.item), f"{dtype.nesting}{SEPARATOR}{position}")
            case ListType():
                return ListType(marked(dtype.item))
            case OptionalType():
                return OptionalType(marked(dtype.inner))
            case _:
                return dtype

    def all_marked(columns: Schema) -> Schema:
        return Schema({name: marked(dtype) for name, dtype in columns.types.items()})

    return replace(
        schema,
        tags=all_marked(schema.tags),
        packets=all_marked(schema.packets),
        system_tags=all_marked(schema.system_tags),
        sources=all_marked(schema.sources),
    )
