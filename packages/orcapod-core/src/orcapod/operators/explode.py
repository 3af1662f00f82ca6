"""``Explode``: every member of a list as a row of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.datagrams import COMPLETENESS, Chunk, Origin, StreamSchema, Tag
from orcapod.errors import InputValidationError, SchemaError
from orcapod.operators.nested import item_of, nesting_of
from orcapod.operators.operator import RowwiseOperator
from orcapod.streams import Stream
from orcapod.types import INT, Schema

__all__ = ["Explode"]

_Members = tuple[Chunk, "pa.Array[Any]"]


class Explode(RowwiseOperator):
    """Unnesting: a row for every member of the lists in these columns, other columns repeated.

    Lists of one row must be of one length; an empty list, or null, makes no row. Lists nested by Batch,
    GroupBy or MergeJoin know the provenance of each member; the members of any other list have that of
    the list. Once nothing is left of what was nested together, the ids of the rows are unnested, too, so
    that ``Explode`` of all columns after ``Batch`` gives the rows as they were. How many members the lists in the data
    of a row have that has failed is not known; those in its tags are there.

    Args:
        columns: tag or packet columns of lists.
        index_tag: a new tag that counts the members of each list from 0.
    """

    name = "Explode"
    sees_missing = True

    def __init__(self, columns: str | Sequence[str], *, index_tag: str | None = None) -> None:
        check = Checks(self.name, SchemaError)
        self.columns = check.names("columns", columns)
        self.index_tag = check.text_or_none("index_tag", index_tag)
        if not self.columns:
            raise SchemaError("Explode: found no column, expected one or more columns of lists; name them")
        if len(set(self.columns)) != len(self.columns):
            raise SchemaError(f"Explode: a column is named twice in {list(self.columns)}; name it once")

    def arguments(self) -> object:
        return self.columns, self.index_tag

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        self._check(schema)
        followers = _followers(schema, self.columns)
        tags = _unnested(schema.tags, self.columns)
        if self.index_tag is not None:
            tags |= Schema({self.index_tag: INT})
        return StreamSchema(
            tags,
            _unnested(schema.packets, self.columns),
            _unnested(schema.system_tags, followers),
            _unnested(schema.sources, self.columns),
        )

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        missing = chunk.missing
        if missing is None:
            return self._exploded(chunk, schema)[0]
        parts = []
        for rows, is_missing in ((pc.indices_nonzero(missing), True), (pc.indices_nonzero(pc.invert(missing)), False)):
            part, parents = (self._exploded_missing if is_missing else self._exploded)(chunk.take(rows), schema)
            parts.append((part, rows.take(parents)))
        exploded = Chunk.concat([part for part, _ in parts if part.num_rows] or [parts[0][0]])
        return exploded.take(pc.sort_indices(pa.concat_arrays([rows for _, rows in parts])))

    def _exploded(self, chunk: Chunk, schema: StreamSchema) -> _Members:
        """Return a row for every member, and the row that each of them was in."""
        before, rows = chunk.schema, self._rows_with_lists(chunk)
        chunk = chunk if rows is None else chunk.take(rows)
        apart = {*self.columns, *_differing(before.system_tags, schema.system_tags)}
        by_member = _differing(before.sources, schema.sources)
        provenance = {name: (origin.provenance, name in by_member) for name, origin in chunk.origins.items()}
        names = [*before.tags, *before.system_tags, *before.packets]
        repeated = [name for name in names if name not in apart]
        repeated += dict.fromkeys(column for column, each in provenance.values() if not each)
        repeated += [COMPLETENESS] * (chunk.completeness is not None)
        parents = pc.list_parent_indices(chunk.column(self.columns[0]))
        taken = chunk.batch.select(repeated).take(parents)
        columns: dict[str, Any] = dict(zip(repeated, taken.columns, strict=True))
        columns |= {name: pc.list_flatten(chunk.column(name)) for name in apart}
        fresh = _fresh_names([column for column, each in provenance.values() if each], chunk.batch.schema.names)
        columns |= {new: pc.list_flatten(chunk.column(column)) for column, new in fresh.items()}
        if self.index_tag is not None:
            columns[self.index_tag] = _numbers(chunk.column(self.columns[0]), parents)
        origins = {
            name: Origin(fresh[column] if each else column, chunk.origins[name].column)
            for name, (column, each) in provenance.items()
        }
        exploded = Chunk(pa.RecordBatch.from_pydict(columns), schema, origins)
        return exploded, parents if rows is None else rows.take(parents)

    def _exploded_missing(self, chunk: Chunk, schema: StreamSchema) -> _Members:
        """Return the same of rows without a packet: as many as lists in tags say, or one in place of any number."""
        lists = next((name for name in self.columns if name in chunk.schema.tags), None)
        if lists is None or chunk.unknown([lists]) is not None:
            return chunk.without_packets(schema), counted(0, chunk.num_rows)
        by_member = _differing(chunk.schema.sources, schema.sources)
        emptied = {name for name in self.columns if name in chunk.schema.packets}
        emptied |= {chunk.origins[name].provenance for name in by_member}
        columns = dict(zip(chunk.batch.schema.names, chunk.batch.columns, strict=True))
        columns |= {name: _of_nulls(columns[name].type, columns[lists]) for name in emptied}
        return self._exploded(chunk.with_batch(pa.RecordBatch.from_pydict(columns)), schema)

    def _rows_with_lists(self, chunk: Chunk) -> pa.Array[Any] | None:
        """Return the rows whose lists have members; None for all.

        Raises:
            InputValidationError: lists of one row differ in length.
        """
        lengths = [pc.fill_null(pc.list_value_length(chunk.column(name)), 0) for name in self.columns]
        for name, found in zip(self.columns[1:], lengths[1:], strict=True):
            row = pc.index(pc.equal(lengths[0], found), False).as_py()
            if row >= 0:
                raise InputValidationError(
                    f"Explode: in the row of tag {Tag(chunk, row).as_dict()} the list {self.columns[0]!r} has "
                    f"{lengths[0][row]} members and {name!r} has {found[row]}, expected one length; explode them one "
                    "after the other",
                    column=name,
                    expected=str(lengths[0][row]),
                    found=str(found[row]),
                )
        if any(chunk.column(name).null_count for name in self.columns):  # Arrow may keep members under a null
            rows: pa.Array[Any] = pc.indices_nonzero(pc.greater(lengths[0], 0)).cast(pa.int64())
            return rows
        return None

    def _check(self, schema: StreamSchema) -> None:
        known = schema.tags | schema.packets
        for name in self.columns:
            if name not in known:
                why = f"Explode: there is no column {name!r}; found {list(known)}, name some of these"
                raise SchemaError(why, column=name, found=str(list(known)))
            if item_of(known.types[name]) is None:
                raise SchemaError(
                    f"Explode: column {name!r} is {known.types[name].name}, expected a list; leave it out, as it is "
                    "repeated anyway",
                    column=name,
                    expected="list",
                    found=known.types[name].name,
                )
        new = self.index_tag
        if new is not None and (not isinstance(new, str) or not new or new.startswith("_") or new in known):
            raise SchemaError(
                f"Explode: found index_tag {new!r}, expected a name that is not empty, does not start with '_', and is "
                f"none of {list(known)}; choose another"
            )


def _of_nulls(type_: Any, lists: pa.Array[Any]) -> pa.Array[Any]:
    """Return a list of nulls for each list, of as many."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    ends = pa.concat_arrays([array_of([0], pa.int64()), pc.cumulative_sum(lengths.cast(pa.int64()))])
    return pa.LargeListArray.from_arrays(ends, pa.nulls(ends[-1].as_py(), type_.value_type))


def _followers(schema: StreamSchema, columns: Iterable[str]) -> set[str]:
    """Return the system tags unnested with these columns: nothing nested with them stays."""
    marks = {name: nesting_of(dtype) for name, dtype in {**schema.tags.types, **schema.sources.types}.items()}
    taken = {marks[name] for name in columns} - {None}
    left = {mark for name, mark in marks.items() if name not in columns}
    return {name for name, dtype in schema.system_tags.types.items() if nesting_of(dtype) in taken - left}


def _unnested(schema: Schema, columns: Iterable[str]) -> Schema:
    """Return the schema with items in place of the lists of these columns."""
    apart = frozenset(columns)
    return Schema({name: (item_of(dtype) or dtype) if name in apart else dtype for name, dtype in schema.types.items()})


def _differing(before: Schema, after: Schema) -> set[str]:
    return {name for name, dtype in after.types.items() if dtype != before.types[name]}


def _fresh_names(columns: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Return names for the members of provenance columns; others may need them whole."""
    used = set(taken)
    names: dict[str, str] = {}
    for column in dict.fromkeys(columns):
        name = f"{column}/each"
        while name in used:
            name += "+"
        names[column] = name
    return names


def _numbers(lists: pa.Array[Any], parents: pa.Array[Any]) -> pa.Array[Any]:
    """Return the position of every member in its list, from 0."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    starts = pc.subtract(pc.cumulative_sum(lengths), lengths)
    numbers: pa.Array[Any] = pc.subtract(counted(0, len(parents)), starts.take(parents))
    return numbers
