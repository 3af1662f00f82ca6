"""``Aggregate``: numbers that say something of a group of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import pyarrow as pa
import pyarrow.types as pat

from orcapod.arrow import array_of, scalar_of
from orcapod.checks import Checks
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Origin, StreamSchema
from orcapod.display import shown
from orcapod.errors import InputValidationError, SchemaError
from orcapod.operators.columns import check_new_name, column_type
from orcapod.operators.keys import comparable, group_numbers
from orcapod.operators.nested import going_on, group_levels, nested_schema, uncertain
from orcapod.operators.operator import Operator, PushOperator
from orcapod.operators.ordering import check_ordered
from orcapod.streams import Incomplete, Stream
from orcapod.types import INT, STR, ListType, LogicalType, OptionalType, Schema, registry

__all__ = ["Aggregate"]

_FUNCTIONS = ("count", "sum", "mean", "min", "max", "first", "std")
_FLOAT = registry.resolve(float)
_NUMBERS = ("bool", "int", "float")
_LARGEST = 2**63 - 1
_EXAMPLE = "aggregate('subject', n='count', rate=('rate', 'mean'))"


@dataclass(frozen=True, slots=True)
class _Output:
    """What one new column says of a group.

    Attributes:
        column: the column it is made of; None for the rows themselves.
        function: one of ``_FUNCTIONS``.
        ddof: what is taken from the number of values before a ``std`` is divided by it.
    """

    column: str | None
    function: str
    ddof: int = 1


class Aggregate(Operator):
    """One row for all rows that agree in these tags, with numbers made of their values; groups as ``GroupBy`` has them.

    It computes, as no other operator does, without a call of Python per row or group:

    - ``count``: how many values there are that are not null, an ``int``; alone, in place of a pair, how many rows.
    - ``sum``: of ``int`` or ``bool`` an exact ``int``, else ``float``; of no values it is 0.
    - ``mean``: a ``float``.
    - ``std``: a ``float``, the standard deviation of a sample; ``("x", "std", 0)`` is that of all there are. None of
      fewer than two values (one).
    - ``min``, ``max``: a value of the column; NaN only where nothing else is.
    - ``first``: the value of the first row, be it null.

    Null is left out by all others; where no value is left, ``mean``, ``min`` and ``max`` are None. NaN is a value.

    No rows make no group, by no tags either.

    The tags named stay; no others do. Ids are those of all members, as lists, and so is the provenance of a value: all
    values of its column, none for a number of rows or for what is made of a tag, and for ``first`` the value's own.

    Args:
        by: names of tag columns; none for one group of all rows.
        outputs: names of new columns, and what they are made of: ``{"rate": ("rate", "mean")}``, or "count".
        incomplete: what becomes of a group with rows that have failed: ``skip`` gives nothing of it, the next run does;
            ``keep`` goes on with the other rows, and marks what is made of them; ``raise`` ends the run.
        named: the same as keywords.

    Raises:
        SchemaError: nothing is to be computed, or something that is none of these.
        InputValidationError: later, where a sum of ``int`` does not fit in 64 bits.
    """

    name = "Aggregate"
    order_matters = True
    sees_missing = True

    def __init__(
        self,
        by: str | Sequence[str],
        outputs: Mapping[str, Any] | None = None,
        /,
        *,
        incomplete: Incomplete = "skip",
        **named: Any,
    ) -> None:
        check = Checks(self.name, SchemaError)
        self.incomplete = check.choice("incomplete", incomplete, get_args(Incomplete))
        self.by = check.names("by", by)
        if len(set(self.by)) != len(self.by):
            raise SchemaError(f"Aggregate: a tag is named twice in {list(self.by)}; name it once")
        given = check.mapping_or_empty("outputs", outputs, "{'rate': ('rate', 'mean')}")
        if twice := [name for name in named if name in given]:
            raise SchemaError(f"Aggregate: {twice[0]!r} is among the outputs and a keyword; give it once")
        self.outputs = {name: _output(name, each) for name, each in {**given, **named}.items()}
        if not self.outputs:
            raise SchemaError(f"Aggregate: nothing to compute; write {_EXAMPLE}")

    def arguments(self) -> object:
        outputs = {name: (each.column, each.function, each.ddof) for name, each in self.outputs.items()}
        return self.by, outputs, *([] if self.incomplete == "skip" else [self.incomplete])

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        (stream,) = inputs
        schema = stream.schema
        if missing := [name for name in self.by if name not in schema.tags]:
            raise SchemaError(
                f"Aggregate: there is no tag column {missing[0]!r}; found {list(schema.tags)}, name some of these",
                column=missing[0],
                found=str(list(schema.tags)),
            )
        types = {}
        for name, output in self.outputs.items():
            check_new_name(self.name, name, self.by)
            types[name] = INT if output.column is None else _made_type(output, schema)
        nested = nested_schema(schema, stream.pipeline_hash().short)
        sources = {name: _sources(output, schema, nested) for name, output in self.outputs.items()}
        return StreamSchema(schema.tags.select(self.by), Schema(types), nested.system_tags, Schema(sources))

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushAggregate(self, self.output_schema(inputs))


class _PushAggregate(PushOperator):
    def __init__(self, operator: Aggregate, schema: StreamSchema) -> None:
        self._operator = operator
        self._by = operator.by
        self._outputs = operator.outputs
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
        if (unknown := rows.unknown(self._by)) is not None:
            rows = uncertain(rows, unknown, keeps=self._operator.incomplete == "keep")
        types = rows.schema.tags.types
        keys = [comparable(rows.column(name), types[name]) for name in self._by]
        numbers = group_numbers(keys) if keys else None
        incomplete, named = self._operator.incomplete, self._operator.name
        rows, numbers = going_on(rows, numbers, incomplete=incomplete, single=self._by, named=named)
        groups = _Groups(numbers)
        columns: dict[str, Any] = {name: rows.column(name).take(groups.firsts) for name in self._by}
        columns |= {name: groups.listed(rows.column(name)) for name in self._schema.system_tags}
        columns |= self._values(rows, groups, columns)
        origins = {}
        for name, output in self._outputs.items():
            origins[name] = origin = _origin(output, rows)
            if origin.provenance not in columns:
                columns[origin.provenance] = _provenance(output, rows, groups)
        made = Chunk(pa.RecordBatch.from_pydict(columns), self._schema, origins)
        return [made.completed(groups.levels(rows.completeness))]

    def _values(self, rows: Chunk, groups: _Groups, tags: Mapping[str, pa.Array[Any]]) -> dict[str, pa.Array[Any]]:
        types = self._schema.packets.types
        values: dict[str, Any] = {}
        measures = []
        for name, output in self._outputs.items():
            if output.column is not None and output.function == "first":
                values[name] = rows.column(output.column).take(groups.firsts)
            elif output.column is not None and output.function == "std":
                values[name] = groups.std(rows.column(output.column), output.ddof)
            else:
                measures.append((name, *_measure(rows, output)))
        for name, value in groups.measured(measures).items():
            try:
                values[name] = value if value.type == types[name].arrow else value.cast(types[name].arrow)
            except pa.ArrowInvalid:
                sums: list[Any] = value.to_pylist()
                at = next(at for at, each in enumerate(sums) if not -_LARGEST - 1 <= each <= _LARGEST)
                raise InputValidationError(
                    f"Aggregate: the sum of column {self._outputs[name].column!r} is {sums[at]} in the group "
                    f"{ {tag: tags[tag][at].as_py() for tag in self._by} }, expected an int of 64 bits; make floats of "
                    "the values, or smaller groups",
                    column=self._outputs[name].column,
                    found=str(sums[at]),
                ) from None
        return {name: values[name] for name in self._outputs}


class _Groups:
    """The groups of some rows, in the order of their numbers.

    Args:
        numbers: of each row's group.

    Attributes:
        firsts: the first row of each.
    """

    def __init__(self, numbers: pa.Array[Any]) -> None:
        self._numbers = numbers
        self._order = pc.array_sort_indices(self._numbers)  # stable: rows of a group stay in order
        ends = pc.run_end_encode(self._numbers.take(self._order), run_end_type=pa.int64()).run_ends
        self._ends = pa.concat_arrays([array_of([0], pa.int64()), ends])
        self.firsts: pa.Array[Any] = self._order.take(self._ends[:-1])

    def levels(self, levels: pa.Array[Any] | None) -> pa.Array[Any] | None:
        """Return how complete groups are, given how complete their rows are; None if all are whole."""
        if levels is None:
            return None
        return group_levels(levels.take(self._order), self._numbers.take(self._order))

    def listed(self, column: pa.Array[Any]) -> pa.Array[Any]:
        """Return the values of each group as a list."""
        return pa.LargeListArray.from_arrays(self._ends, column.take(self._order))

    def empty_lists(self) -> pa.Array[Any]:
        """Return an empty list of text for each group."""
        return pa.LargeListArray.from_arrays(
            pa.repeat(scalar_of(0, pa.int64()), len(self._ends)), array_of([], STR.arrow)
        )

    def measured(self, measures: Sequence[tuple[str, pa.Array[Any], str, Any]]) -> dict[str, pa.Array[Any]]:
        """Return what Arrow's aggregations of columns say of each group, by name."""
        names = [f"v{at}" for at in range(len(measures))]
        table = pa.table([self._numbers, *(column for _, column, _, _ in measures)], ["group", *names])
        asked: list[Any] = [
            (each, function, options) for each, (_, _, function, options) in zip(names, measures, strict=True)
        ]
        made = table.group_by("group", use_threads=False).aggregate(asked).sort_by("group")  # Arrow promises no order
        return {
            name: made.column(f"{each}_{function}").combine_chunks()
            for each, (name, _, function, _) in zip(names, measures, strict=True)
        }

    def std(self, column: pa.Array[Any], ddof: int) -> pa.Array[Any]:
        """Return the standard deviation of each group; null of as many values as ``ddof``, or fewer.

        Arrow's own, which puts together what it finds in parts of the rows, depends on where those of other groups lie.
        """
        values = column.cast(pa.float64(), safe=False)
        mean = self.measured([("mean", values, "mean", None)])["mean"]
        number_of_row = pc.index_in(self._numbers, value_set=self._numbers.take(self.firsts))
        deviations = pc.subtract(values, mean.take(number_of_row))
        squares = pc.multiply(deviations, deviations)
        found = self.measured([("sum", squares, "sum", None), ("count", squares, "count", None)])
        freedom = pc.subtract(found["count"], scalar_of(ddof, pa.int64()))
        some = pc.if_else(pc.greater(freedom, scalar_of(0, pa.int64())), freedom, scalar_of(None, pa.int64()))
        deviation: pa.Array[Any] = pc.sqrt(pc.divide(found["sum"], some.cast(pa.float64())))
        return deviation


def _output(name: str, given: object) -> _Output:
    match given:
        case str() if given == "count":
            return _Output(None, "count")
        case (str(column), str(function)) if function in _FUNCTIONS:
            return _Output(column, function)
        case (str(column), "std", int(ddof)) if ddof in (0, 1) and not isinstance(ddof, bool):
            return _Output(column, "std", ddof)
        case _:
            raise SchemaError(
                f"Aggregate: found {shown(given)} for {name!r}, expected 'count', or a column and one of "
                f"{', '.join(_FUNCTIONS)}, as in {_EXAMPLE}",
                column=name,
                found=shown(given),
            )


def _made_type(output: _Output, schema: StreamSchema) -> LogicalType:
    """Return the type of what is made of a column."""
    assert output.column is not None
    dtype = column_type("Aggregate", output.column, schema)
    kind = dtype.non_null.general.name
    match output.function:
        case "count":
            return INT
        case "first":
            return dtype
        case "min" | "max":
            check_ordered("Aggregate", output.column, dtype)
            return dtype
    if kind not in _NUMBERS:
        raise SchemaError(
            f"Aggregate: column {output.column!r} is {dtype.name}, expected int, float or bool for {output.function}; "
            "make such a column first",
            column=output.column,
            expected="int, float or bool",
            found=dtype.name,
        )
    if output.function == "sum":
        return _FLOAT if kind == "float" else INT
    may_be_none = isinstance(dtype, OptionalType) or (output.function == "std" and output.ddof > 0)
    return OptionalType(_FLOAT) if may_be_none else _FLOAT


def _sources(output: _Output, schema: StreamSchema, nested: StreamSchema) -> LogicalType:
    """Return the type of the provenance of what is made of a column."""
    if output.column is None or output.column not in schema.packets:
        return ListType(STR)
    return (schema if output.function == "first" else nested).sources.types[output.column]


def _measure(rows: Chunk, output: _Output) -> tuple[pa.Array[Any], str, Any]:
    """Return the column of which Arrow makes an output, with which of its aggregations, and options."""
    if output.column is None:
        return pa.repeat(scalar_of(0, pa.int64()), rows.num_rows), "count", None
    column = rows.column(output.column)
    match output.function:
        case "count":
            return column if not pat.is_nested(column.type) else _presence(column), "count", None
        case "sum":
            return _summable(column), "sum", pc.ScalarAggregateOptions(min_count=0)
        case "mean":
            return column, "mean", None
        case function:
            return column.cast(pa.int64()) if pat.is_duration(column.type) else column, function, None


def _summable(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return a column whose sum Arrow does not let overflow: as decimals, where ints might."""
    if pat.is_boolean(column.type):
        return column.cast(pa.int8())
    if pat.is_floating(column.type):
        return column
    ends: Any = pc.min_max(column).as_py()
    largest = max(-(ends["min"] or 0), ends["max"] or 0)
    return column if largest * len(column) <= _LARGEST else column.cast(pa.decimal128(38))


def _presence(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return a column that is null where another is."""
    present_: pa.Array[Any] = pc.if_else(column.is_valid(), True, scalar_of(None, pa.bool_()))
    return present_


def _origin(output: _Output, rows: Chunk) -> Origin:
    """Return where an output comes from: values of several outputs may come from the same records."""
    origin = rows.origins.get(output.column or "")
    if origin is None:
        return Origin("__provenance:none", None)
    return Origin(f"{origin.provenance}/{'first' if output.function == 'first' else 'all'}", origin.column)


def _provenance(output: _Output, rows: Chunk, groups: _Groups) -> pa.Array[Any]:
    origin = rows.origins.get(output.column or "")
    if origin is None:
        return groups.empty_lists()
    column = rows.column(origin.provenance)
    return column.take(groups.firsts) if output.function == "first" else groups.listed(column)
