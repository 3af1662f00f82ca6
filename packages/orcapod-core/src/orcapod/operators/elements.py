"""``Index`` and ``Pick``: one element of every list, dict or record of a column."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.checks import Checks
from orcapod.compute import counted, pc
from orcapod.datagrams import Chunk, Origin, StreamSchema
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.operators.columns import check_new_name, column_type
from orcapod.operators.keys import comparable
from orcapod.operators.nested import item_of
from orcapod.operators.operator import RowwiseOperator
from orcapod.streams import Stream
from orcapod.types import DictType, LogicalType, OptionalType, RecordType, Schema, TupleType, VariadicTupleType

__all__ = ["Index", "Pick"]


class _ElementOperator(RowwiseOperator):
    """Selection of one element of every value of a column."""

    def __init__(self, column: str, into: str | None) -> None:
        check = Checks(self.name, SchemaError)
        self.column = check.text("column", column)
        self.into = check.text_or_none("into", into)

    @abstractmethod
    def element_type(self, dtype: LogicalType) -> LogicalType | None:
        """Return the type of the elements of values of a type; None if there is no such element in any of them."""

    @abstractmethod
    def elements(self, column: pa.Array[Any], dtype: LogicalType) -> pa.Array[Any]:
        """Return the element of every value of a column, null where there is none."""

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        dtype = column_type(self.name, self.column, schema)
        if self.into is not None:
            check_new_name(self.name, self.into, schema.tags | schema.packets)
        element = self._element_type(dtype)
        if self.column in schema.tags:
            return replace(schema, tags=self._with(schema.tags, element))
        made_by = schema.sources.types[self.column]
        if item_of(made_by) is not None:
            made_by = self._element_type(made_by)
        return replace(schema, packets=self._with(schema.packets, element), sources=self._with(schema.sources, made_by))

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        before, new = chunk.schema, self.into or self.column
        columns = dict(zip(chunk.batch.schema.names, chunk.batch.columns, strict=True))
        columns[new] = self.elements(columns[self.column], (before.tags | before.packets).types[self.column])
        origins = dict(chunk.origins)
        if self.column in origins:
            origins[new] = origin = origins[self.column]
            made_by = before.sources.types[self.column]
            if item_of(made_by) is not None:
                provenance = f"{origin.provenance}/{self.name}:{len(columns)}"
                columns[provenance] = self.elements(columns[origin.provenance], made_by)
                origins[new] = Origin(provenance, origin.column)
        return Chunk(pa.RecordBatch.from_pydict(columns), schema, origins).selected(schema)

    def _element_type(self, dtype: LogicalType) -> LogicalType:
        element = self.element_type(dtype.non_null)
        if element is None:
            raise SchemaError(
                f"{self.name}: column {self.column!r} is {dtype.name}, {self._expected}",
                column=self.column,
                found=dtype.name,
            )
        return OptionalType(element) if isinstance(dtype, OptionalType) and element == element.non_null else element

    @property
    @abstractmethod
    def _expected(self) -> str:
        """Say what the column should be, and what to do."""

    def _with(self, columns: Schema, element: LogicalType) -> Schema:
        return columns | Schema({self.into or self.column: element})


class Index(_ElementOperator):
    """The element at one position of every list or tuple of a column.

    Where a list has no such element, or is null itself, there is null. What Batch, GroupBy or MergeJoin have put into
    lists keeps the provenance of the element; any other element has that of its list. The ids of the row stay.

    Args:
        column: a tag or packet column of lists or tuples.
        position: from 0, or from the end: -1 is the last.
        into: a new column for it, beside the lists; in their place if None.
    """

    name = "Index"
    _expected = "expected a list or tuple with such an element; choose another column or position, or use Pick"

    def __init__(self, column: str, position: int = 0, *, into: str | None = None) -> None:
        super().__init__(column, into)
        check = Checks(self.name, SchemaError)
        self.position = check.count("position", position, least=-(2**62), most=2**62)

    def arguments(self) -> object:
        return self.column, self.position, self.into

    def element_type(self, dtype: LogicalType) -> LogicalType | None:
        match dtype:
            case TupleType(items=items):
                return items[self.position] if -len(items) <= self.position < len(items) else None
            case VariadicTupleType(item=item):
                return _optional(item)
            case _:
                member = item_of(dtype)
                return None if member is None else _optional(member)

    def elements(self, column: Any, dtype: LogicalType) -> pa.Array[Any]:
        match dtype.non_null:
            case TupleType(items=items):
                return _member(column, self.position % len(items))
        starts, ends = column.offsets[:-1], column.offsets[1:]
        at = pc.add(starts if self.position >= 0 else ends, self.position)
        is_there = pc.less(at, ends) if self.position >= 0 else pc.greater_equal(at, starts)
        if column.null_count:
            is_there = pc.and_(is_there, column.is_valid())
        taken: pa.Array[Any] = column.values.take(pc.if_else(is_there, at, scalar_of(None, pa.int64())))
        return taken


class Pick(_ElementOperator):
    """What is under one key in every dict of a column, or in one field of every record.

    Where a dict has no such key, or is null itself, there is null. An element has the provenance of what it is in.

    Args:
        column: a tag or packet column of dicts, or of records: ``TypedDict``, dataclasses, structs and the like.
        key: the key, or the name of the field.
        into: a new column for it, beside the dicts; in their place if None.
    """

    name = "Pick"
    _expected = "expected a dict with keys of that type, or a record with such a field; choose another, or use Index"

    def __init__(self, column: str, key: Hashable, *, into: str | None = None) -> None:
        super().__init__(column, into)
        self.key = key

    def arguments(self) -> object:
        return self.column, self.key, self.into

    def element_type(self, dtype: LogicalType) -> LogicalType | None:
        match dtype:
            case DictType(key=key, item=item):
                return _optional(item) if self._stored(key) is not None else None
            case RecordType(members=members) if isinstance(self.key, str):
                return members.get(self.key)
            case _:
                return None

    def elements(self, column: Any, dtype: LogicalType) -> pa.Array[Any]:
        match dtype.non_null:
            case DictType(key=key):
                return _under(column, comparable(array_of([self._stored(key)], key.arrow), key)[0], key)
            case RecordType(members=members):
                return _member(column, list(members).index(str(self.key)))
        raise AssertionError(dtype)

    def _stored(self, dtype: LogicalType) -> Any:
        """Return the key as it is stored; None if it is none of this type."""
        try:
            return dtype.to_storage(self.key)
        except ValueTypeError:
            return None


def _optional(dtype: LogicalType) -> LogicalType:
    return dtype if isinstance(dtype, OptionalType) else OptionalType(dtype)


def _member(column: pa.Array[Any], at: int) -> pa.Array[Any]:
    """Return a member of every struct, null where the struct is."""
    member: pa.Array[Any] = pc.struct_field(column, [at])
    return member


def _under(column: Any, key: pa.Scalar[Any], dtype: LogicalType) -> pa.Array[Any]:
    """Return what is under a key in every map."""
    whole = pa.concat_arrays([column, column[:0]])  # without what lies around a slice
    counts = pc.fill_null(pc.subtract(whole.offsets[1:], whole.offsets[:-1]), 0)
    rows = pc.list_parent_indices(pa.ListArray.from_arrays(whole.offsets, counted(0, len(whole.keys))))
    hits = pc.indices_nonzero(pc.equal(comparable(whole.keys, dtype), key))
    taken: pa.Array[Any] = whole.items.take(hits.take(pc.index_in(counted(0, len(counts)), value_set=rows.take(hits))))
    return taken
