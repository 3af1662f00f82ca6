"""Operators that select rows: ``Filter``, ``DropNulls``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import isnan
from operator import and_
from typing import Any

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.checks import Checks
from orcapod.compute import Expression, counted, pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema, as_identifier, column_called
from orcapod.display import shown
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.operators.keys import comparable, told_apart
from orcapod.operators.operator import RowwiseOperator
from orcapod.operators.polars_predicate import PolarsPredicate
from orcapod.streams import Stream
from orcapod.types import LogicalType, OptionalType, Schema, as_standard, column_of, encode, type_of_values

__all__ = ["DropNulls", "Filter"]

_NUMBER = "__number"
_MISSING = re.compile(r"No match for FieldRef\.Name\((?P<name>.*?)\) in ")


class Filter(RowwiseOperator):
    """Selection of rows for which a predicate and all constraints hold; null does not hold.

    A row that has failed is left out if its tags say so, whatever its data would have been.

    Args:
        predicate: an expression over tag and packet columns, of pyarrow, ``pc.field("x") > 3``, or of polars,
            ``pl.col("x") > 3``; one of polars may look at one row at a time.
        constraints: values by column, ``{"a column": 3}``; these may stand in place of the predicate, too.
        columns: the same as keywords, ``sex="f"``, of any column and type: a record, an array or a file is found by
            what identifies it. None means that the column is null, and NaN that it is NaN, as in joins.

    Raises:
        SchemaError: there is nothing to filter by, or the predicate is none.
    """

    name = "Filter"
    sees_missing = True

    def __init__(self, predicate: Any = None, constraints: Mapping[str, Any] | None = None, /, **columns: Any) -> None:
        if isinstance(predicate, Mapping) and constraints is None:
            predicate, constraints = None, predicate
        given = Checks(self.name, SchemaError).mapping_or_empty("constraints", constraints, "{'sex': 'f'}")
        wanted = {as_identifier(name): value for name, value in given.items()}
        if twice := [name for name in columns if name in wanted]:
            raise SchemaError(f"Filter: {twice[0]!r} is among the constraints and a keyword; give it once")
        wanted |= columns
        if predicate is None and not wanted:
            raise SchemaError("Filter: nothing to filter by; give a pyarrow expression, or column=value")
        self._polars = PolarsPredicate(predicate) if PolarsPredicate.is_polars(predicate) else None
        if predicate is not None and self._polars is None and not isinstance(predicate, pc.Expression):
            raise SchemaError(
                f"Filter: found a predicate of type {type(predicate).__qualname__}, expected a pyarrow expression "
                "such as pyarrow.compute.field('x') > 3, or one of polars"
            )
        self.predicate: Expression | None = predicate if self._polars is None else None
        self.constraints = wanted
        self._structures = {name: _structure(name, value) for name, value in wanted.items()}
        self._identities: dict[tuple[str, LogicalType], pa.Scalar[Any]] = {}

    def arguments(self) -> object:
        if self._polars is not None:
            return ("polars", self._polars.structure), self._structures
        return None if self.predicate is None else _expression_structure(self.predicate), self._structures

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        columns = schema.tags | schema.packets
        for name, value in self.constraints.items():
            column = column_called(name, columns)
            if column is None:
                raise _no_column(name, columns)
            if value is not None:
                try:
                    self._identity(name, columns.types[column])
                except ValueTypeError as error:
                    raise _never_holds(name, value, error) from None
        if self._polars is not None:
            self._polars.check(columns)
        try:
            _row_of_nulls(columns.arrow).filter(self._expression(columns))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError, TypeError) as error:
            if missing := _MISSING.match(str(error)):
                raise _no_column(missing["name"], columns) from None
            given = shown(self.constraints) if self.predicate is None else self.predicate
            raise SchemaError(f"Filter: {given} does not apply to {columns}: {error}") from None
        return schema

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        return _selected(chunk, lambda rows: self._selected(rows, schema), lambda rows: self._by_tags(rows, schema))

    def _selected(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        if self._polars is not None:
            mask = self._polars.mask(chunk.batch)
            if not pc.all(mask).as_py():
                chunk = chunk.with_batch(chunk.batch.filter(mask))
        columns = schema.tags | schema.packets
        chunk = self._identical(chunk, columns, self.constraints)
        if self.predicate is None and not self.constraints:
            return chunk
        return _held(chunk, self._expression(columns), columns)

    def _by_tags(self, chunk: Chunk, schema: StreamSchema) -> tuple[Chunk, bool]:
        """Return the rows that their tags do not exclude, and whether nothing but tags counts."""
        is_certain, tags = True, schema.tags
        if self._polars is not None:
            if is_certain := self._polars.takes(tags):
                chunk = chunk.with_batch(chunk.batch.filter(self._polars.mask(chunk.batch)))
        elif self.predicate is not None:
            try:
                chunk = _held(chunk, self.predicate, tags)
            except pa.ArrowInvalid:  # it names data
                is_certain = False
        constraints = {name: value for name, value in self.constraints.items() if column_called(name, tags)}
        if constraints:
            chunk = _held(self._identical(chunk, tags, constraints), _all_of(self._tests(tags, constraints)), tags)
        return chunk, is_certain and len(constraints) == len(self.constraints)

    def _identical(self, chunk: Chunk, columns: Schema, constraints: Mapping[str, Any]) -> Chunk:
        """Return the rows with the values of these constraints, of those that Arrow does not tell apart."""
        for name, value in constraints.items():
            dtype = columns.types[column := column_called(name, columns) or name]
            if value is not None and not _is_plain(dtype):
                holds = pc.equal(comparable(chunk.column(column), dtype), self._identity(name, dtype))
                chunk = chunk.with_batch(chunk.batch.filter(holds))
        return chunk

    def _identity(self, name: str, dtype: LogicalType) -> pa.Scalar[Any]:
        """Return what identifies the value of a constraint among those of a column, as it was when first asked for."""
        if (name, dtype) not in self._identities:
            self._identities[name, dtype] = _identified(self.constraints[name], dtype)
        return self._identities[name, dtype]

    def _expression(self, columns: Schema) -> Expression:
        return _all_of(([] if self.predicate is None else [self.predicate]) + self._tests(columns, self.constraints))

    def _tests(self, columns: Schema, constraints: Mapping[str, Any]) -> list[Expression]:
        tests: list[Expression] = []
        for name, value in constraints.items():
            column = column_called(name, columns) or name
            dtype, field = columns.types[column], pc.field(column)
            standard = as_standard(value)
            if value is None:
                tests.append(field.is_null())
            elif isinstance(standard, float) and isnan(standard):
                tests.append(pc.is_nan(field))
            elif _is_plain(dtype):
                tests.append(field == scalar_of(dtype.to_storage(value), dtype.arrow))
        return tests


class DropNulls(RowwiseOperator):
    """Selection of rows with a value in each of these columns, then no longer optional.

    Args:
        columns: tag or packet columns; all if None.
    """

    name = "DropNulls"
    sees_missing = True

    def __init__(self, columns: Sequence[str] | None = None) -> None:
        self.columns = Checks(self.name, SchemaError).names_or_none("columns", columns)

    def arguments(self) -> object:
        return self.columns

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (schema,) = (stream.schema for stream in inputs)
        known = schema.tags | schema.packets
        if missing := [name for name in self.columns or () if name not in known]:
            why = f"DropNulls: there is no column {missing[0]!r}; found {list(known)}, name some of these"
            raise SchemaError(why, column=missing[0], found=str(list(known)))
        return replace(schema, tags=self._present(schema.tags), packets=self._present(schema.packets))

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        names = self.columns if self.columns is not None else [*schema.tags, *schema.packets]
        tags, types = [name for name in names if name in schema.tags], chunk.schema.packets.types
        is_certain = not any(isinstance(types.get(name), OptionalType) for name in names)
        rows = _selected(chunk, lambda rows: _valid(rows, names), lambda rows: (_valid(rows, tags), is_certain))
        return Chunk(rows.batch, schema, rows.origins)

    def _present(self, schema: Schema) -> Schema:
        return Schema({name: dtype.non_null if self._names(name) else dtype for name, dtype in schema.types.items()})

    def _names(self, column: str) -> bool:
        return self.columns is None or column in self.columns


def _is_plain(dtype: LogicalType) -> bool:
    """Say whether Arrow itself tells the values of a type apart."""
    return dtype.is_canonical and not pa.types.is_nested(dtype.arrow)


def _identified(value: Any, dtype: LogicalType) -> pa.Scalar[Any]:
    identity: pa.Scalar[Any] = comparable(column_of([value], dtype), dtype)[0]
    return identity


def _structure(name: str, value: Any) -> object:
    """Return what tells a value from others: itself, or its type and what identifies it.

    Raises:
        SchemaError: it cannot be a value, as a file that is not there.
    """
    try:
        dtype = type_of_values([value])
    except (SchemaError, RecursionError):  # None, or a container of nothing, or of itself
        return as_standard(value)
    if _is_plain(dtype):
        return as_standard(value)
    try:
        return dtype.hash_name, told_apart(column_of([value], dtype), dtype)[0].as_py()
    except ValueTypeError as error:
        raise _never_holds(name, value, error) from None


def _row_of_nulls(schema: pa.Schema) -> pa.Table:
    """Return what Arrow needs to say that it cannot compute an expression: of no row at all it computes nothing."""
    return pa.Table.from_arrays([pa.nulls(1, field.type) for field in schema], schema=schema)


def _no_column(name: str, columns: Schema) -> SchemaError:
    why = f"Filter: there is no column {name!r}; found {list(columns)}, name some of these"
    if name == "label":
        why += "; to give the node a label, apply the operator: Filter(...)(stream, label=...)"
    return SchemaError(why, column=name, found=str(list(columns)))


def _never_holds(name: str, value: Any, error: ValueTypeError) -> SchemaError:
    why = f"Filter: {name}={shown(value)} never holds: {error}; give a value of that type"
    if isinstance(value, list | tuple | set | frozenset):
        why += f", or pyarrow.compute.field({name!r}).isin(...) for any of several"
    return SchemaError(why, **error.about(column=name))


def _selected(
    chunk: Chunk, select: Callable[[Chunk], Chunk], select_missing: Callable[[Chunk], tuple[Chunk, bool]]
) -> Chunk:
    """Return the rows of a chunk that are selected, in their order.

    Args:
        chunk: the rows.
        select: selects rows with a packet.
        select_missing: selects rows without, of which tags may be null; says too whether that is certain.
    """
    missing = chunk.missing
    if missing is None:
        return select(chunk)
    numbered = chunk.with_batch(chunk.batch.append_column(_NUMBER, counted(0, chunk.num_rows)))
    found = [select(numbered.with_batch(numbered.batch.filter(pc.invert(missing)))).column(_NUMBER)]
    without = numbered.with_batch(numbered.batch.filter(missing))
    unknown = without.unknown(chunk.schema.tags)
    if unknown is not None:
        found.append(without.column(_NUMBER).filter(unknown))
        without = without.with_batch(without.batch.filter(pc.invert(unknown)))
    others, is_certain = select_missing(without)
    rows = pa.concat_arrays([*found, others.column(_NUMBER)])
    chunk = chunk.take(rows.take(pc.sort_indices(rows)))
    missing = chunk.missing
    if missing is None or (is_certain and unknown is None):
        return chunk
    return chunk.completed(pc.if_else(missing, Completeness.UNCERTAIN, chunk.completeness))


def _held(chunk: Chunk, expression: Expression, columns: Schema) -> Chunk:
    """Return the rows for which an expression over these columns holds."""
    table = pa.Table.from_batches([chunk.batch.select(list(columns))])
    numbered = table.append_column("", counted(0, chunk.num_rows))
    held = numbered.filter(expression).column("").combine_chunks()
    return chunk if len(held) == chunk.num_rows else chunk.take(held)


def _all_of(tests: Sequence[Expression]) -> Expression:
    return reduce(and_, tests) if tests else pc.scalar(True)


def _valid(chunk: Chunk, names: Iterable[str]) -> Chunk:
    """Return the rows with a value in each of these columns."""
    valid = [chunk.column(name).is_valid() for name in names if chunk.column(name).null_count]
    return chunk.with_batch(chunk.batch.filter(reduce(pc.and_, valid))) if valid else chunk


def _expression_structure(expression: Expression) -> object:
    """Return what tells an expression from others: its text, which cuts literals short, and these."""
    reduced: Any = expression.__reduce__()
    ((serialized,),) = reduced[1:]  # a file of one row, with a column for every literal
    literals = pa.ipc.open_file(serialized).get_batch(0).columns
    return str(expression), [
        (str(column.type), column.is_valid()[0].as_py(), encode(column)[0].as_py()) for column in literals
    ]
