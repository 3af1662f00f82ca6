"""Hypothesis strategies for what people hand in: types, values, rows, tables and sources.

``orcapod.testing.arrow`` draws what a store may be handed, which is any Arrow table; here it is what a
pipeline may be handed, which is values of declared types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
from enum import Enum, StrEnum
from itertools import pairwise
from types import GenericAlias
from typing import Any, Literal
from uuid import UUID

import pyarrow as pa
from hypothesis import strategies as st

from orcapod.datagrams import Chunk
from orcapod.hashing.canonical import canonical_bytes
from orcapod.operators import OperatorStream
from orcapod.sources import ArrowTableSource, DictSource, Source
from orcapod.streams import Stream
from orcapod.types import Schema, column_of, registry
from orcapod.types.choices import EnumType, LiteralType
from orcapod.types.containers import (
    DictType,
    ListType,
    RecordType,
    SetType,
    TupleType,
    VariadicTupleType,
    record_type,
)
from orcapod.types.logical import LogicalType, OptionalType
from orcapod.types.scalars import (
    AWARE_DATETIME,
    BOOL,
    BYTES,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    LONGEST_SPAN,
    STR,
    TIME,
    TIMEDELTA,
)
from orcapod.types.texts import DECIMAL, UUID_TEXT

__all__ = [
    "ALL_COLUMNS",
    "bag",
    "chunkings",
    "rows",
    "scattered",
    "schemas",
    "sources",
    "split",
    "tables",
    "types",
    "values",
]

ALL_COLUMNS: Mapping[str, bool] = {"system_tags": True, "source": True}
"""As the ``columns`` argument of a stream's methods: everything there is to see."""

_SCALARS: dict[LogicalType, st.SearchStrategy[Any]] = {
    BOOL: st.booleans(),
    INT: st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1),
    FLOAT: st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")]) | st.floats(),
    STR: st.sampled_from(["", "a", "é\0"]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    BYTES: st.sampled_from([b"", b"\0"]) | st.binary(max_size=6),
    DATE: st.dates(),
    DATETIME: st.datetimes(),
    AWARE_DATETIME: st.datetimes(timezones=st.just(UTC)),
    TIME: st.times(),
    TIMEDELTA: st.timedeltas(-LONGEST_SPAN, LONGEST_SPAN),
    DECIMAL: st.sampled_from([Decimal("1.0"), Decimal("1.00"), Decimal("-0"), Decimal("Infinity")])
    | st.decimals().filter(lambda number: not number.is_snan()),
    UUID_TEXT: st.uuids(),
}


class Colour(Enum):
    """An enum as people write them."""

    RED = 1
    GREEN = 2


class Size(StrEnum):
    """One whose members are text, too."""

    SMALL = "s"
    LARGE = "l"


_ANNOTATIONS: list[Any] = [
    *(scalar.annotation for scalar in _SCALARS),
    Colour,
    Size,
    Literal["a", "b"],
    Literal[0, 1],
]
_KEYS: list[Any] = [bool, int, str, bytes, date, Decimal, UUID, Colour, tuple[int, str], frozenset[int]]


def types(*, nested: int = 4) -> st.SearchStrategy[Any]:
    """Annotations of values: scalars, and containers of up to ``nested`` scalars; some of them ``T | None``."""
    return _perhaps_none(st.recursive(st.sampled_from(_ANNOTATIONS), _containers, max_leaves=nested))


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a type, as they come back from a column; small ones often, so that equal ones meet."""
    match registry.resolve(annotation):
        case OptionalType(inner=inner):
            return st.none() | values(inner)
        case ListType(item=item):
            return st.lists(values(item), max_size=3)
        case VariadicTupleType(item=item):
            return st.lists(values(item), max_size=3).map(tuple)
        case TupleType(items=items):
            return st.tuples(*map(values, items))
        case DictType(key=key, item=item):
            return st.dictionaries(values(key), values(item), max_size=3)
        case SetType(item=item, python=python):
            return st.frozensets(values(item), max_size=3).map(python)
        case EnumType(python=python):
            return st.sampled_from(list(python))
        case LiteralType(members=members):
            return st.sampled_from(sorted(members))
        case RecordType(members=members):
            return _named({name: values(member) for name, member in members.items()})
        case scalar:
            return _SCALARS[scalar]


def schemas(*names: str, nested: int = 4) -> st.SearchStrategy[Schema]:
    """Schemas of columns of these names."""
    return st.fixed_dictionaries({name: types(nested=nested) for name in names}).map(Schema)


def rows(schema: Mapping[str, Any], *, most: int = 6) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Up to ``most`` rows of Python values."""
    return st.lists(_named({name: values(kind) for name, kind in schema.items()}), max_size=most)


@st.composite
def tables(draw: st.DrawFn, schema: Mapping[str, Any], given: Sequence[Mapping[str, Any]] | None = None) -> pa.Table:
    """Arrow tables of ``given`` rows, or of any, in any chunking, often sliced out of a larger one."""
    typed = Schema(schema)
    drawn = draw(rows(schema)) if given is None else list(given)
    padded = [*drawn[:1], *drawn, *drawn[:1]] if drawn and draw(st.booleans()) else drawn
    columns = {name: column_of([row[name] for row in padded], kind) for name, kind in typed.types.items()}
    table = pa.table(columns).slice(1 if len(padded) > len(drawn) else 0, len(drawn))
    cuts = draw(chunkings(len(drawn)))
    parts = [table.slice(start, length) for start, length in cuts]
    return pa.concat_tables(parts) if parts else table


@st.composite
def chunkings(draw: st.DrawFn, length: int) -> list[tuple[int, int]]:
    """Ways to cut ``length`` rows into consecutive parts of at least one row: (start, length) of each."""
    cuts = draw(st.lists(st.integers(1, length - 1), max_size=4)) if length > 1 else []
    ends = sorted({0, length, *cuts})
    return [(start, end - start) for start, end in pairwise(ends)]


@st.composite
def sources(
    draw: st.DrawFn, tags: Mapping[str, Any], packets: Mapping[str, Any], *, source_id: str | None = None, most: int = 6
) -> Source:
    """Sources of these tag and packet columns: of dicts, or of an Arrow table in any chunking; also empty ones."""
    schema = {**tags, **packets}
    drawn = draw(rows(schema, most=most))
    if draw(st.booleans()):
        return DictSource(drawn, list(tags), source_id=source_id, data_schema=schema)
    return ArrowTableSource(draw(tables(schema, drawn)), list(tags), source_id=source_id, data_schema=schema)


def split(chunk: Chunk, cuts: Sequence[tuple[int, int]]) -> list[Chunk]:
    """Return the parts of a chunk that ``chunkings`` names."""
    return [chunk.slice(start, length) for start, length in cuts]


@st.composite
def scattered(draw: st.DrawFn, stream: Stream) -> list[Chunk]:
    """Return the chunks of a stream, every operator on the way given chunks of any size, its inputs in any order."""
    if not isinstance(stream, OperatorStream):
        return [part for chunk in stream.chunks() for part in split(chunk, draw(chunkings(chunk.num_rows)))]
    waiting = [draw(scattered(each)) for each in stream.inputs]
    operator = stream.producer.push_operator(stream.inputs)
    made: list[Chunk] = []
    for index in draw(st.permutations([i for i, parts in enumerate(waiting) for _ in range(len(parts) + 1)])):
        made += operator.push(index, waiting[index].pop(0)) if waiting[index] else operator.close(index)
    return made


def bag(schema: Schema, table: pa.Table) -> list[bytes]:
    """Return what a table holds, whatever the order of its rows and columns: equal for tables of the same rows.

    All NaNs are one; 0.0 and -0.0, 1 and 1.0, a list and a tuple are not.
    """
    columns = {name: kind.to_python(table.column(name)) for name, kind in schema.types.items()}
    return sorted(canonical_bytes({name: column[i] for name, column in columns.items()}) for i in range(table.num_rows))


def _named(members: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*members.values()).map(lambda drawn: dict(zip(members, drawn, strict=True)))


def _perhaps_none(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(lambda kind, optional: kind | None if optional else kind, inner, st.booleans())


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    item = _perhaps_none(inner)
    return st.one_of(
        item.map(lambda kind: GenericAlias(list, (kind,))),
        item.map(lambda kind: GenericAlias(tuple, (kind, ...))),
        st.lists(item, min_size=1, max_size=3).map(lambda kinds: GenericAlias(tuple, tuple(kinds))),
        st.builds(lambda key, kind: GenericAlias(dict, (key, kind)), st.sampled_from(_KEYS), item),
        st.builds(
            lambda python, key: GenericAlias(python, (key,)), st.sampled_from([set, frozenset]), st.sampled_from(_KEYS)
        ),
        st.dictionaries(st.sampled_from(["a", "b", "a: int"]), item, min_size=1, max_size=2).map(_record),
    )


def _record(members: dict[str, Any]) -> Any:
    return record_type({name: registry.resolve(kind) for name, kind in members.items()}).annotation
