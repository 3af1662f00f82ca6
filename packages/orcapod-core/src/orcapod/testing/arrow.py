"""Hypothesis strategies for Arrow types, columns and tables: whatever a store or a hash may be handed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

__all__ = ["arrays", "column_types", "tables"]

_DAY = 86_400
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

_VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.bool_(): st.booleans(),
    pa.int8(): st.integers(-(2**7), 2**7 - 1),
    pa.int16(): st.integers(-(2**15), 2**15 - 1),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint8(): st.integers(0, 2**8 - 1),
    pa.uint16(): st.integers(0, 2**16 - 1),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats(),
    pa.string(): _TEXT,
    pa.large_string(): _TEXT,
    pa.binary(): st.binary(max_size=8),
    pa.large_binary(): st.binary(max_size=8),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.integers(-_DAY, _DAY),
    pa.date64(): st.integers(-_DAY, _DAY).map(lambda days: days * _DAY * 1000),
    pa.timestamp("s"): st.integers(-(2**33), 2**33),
    pa.timestamp("us", "UTC"): st.integers(-(2**53), 2**53),
    pa.timestamp("ns", "Europe/Berlin"): st.integers(-(2**60), 2**60),
    pa.time32("s"): st.integers(0, _DAY - 1),
    pa.time64("ns"): st.integers(0, _DAY * 10**9 - 1),
    pa.duration("us"): st.integers(-(2**62), 2**62),
    pa.month_day_nano_interval(): st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 3),
    pa.decimal128(12, 3): st.integers(-(10**12) + 1, 10**12 - 1).map(lambda number: Decimal(number).scaleb(-3)),
    pa.decimal256(20, 2): st.integers(-(10**20) + 1, 10**20 - 1).map(lambda number: Decimal(number).scaleb(-2)),
    pa.null(): st.none(),
    pa.dictionary(pa.int16(), pa.string()): _TEXT,
    pa.dictionary(pa.int32(), pa.int64()): st.integers(-5, 5),
}


def column_types() -> st.SearchStrategy[pa.DataType]:
    """Arrow types, nested ones included."""
    return st.recursive(st.sampled_from(list(_VALUES)), _nested, max_leaves=4)


def _nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    keys = st.sampled_from([pa.string(), pa.int64(), pa.binary()])
    return st.one_of(
        inner.map(pa.list_),
        inner.map(pa.large_list),
        inner.map(lambda type_: pa.list_(type_, 2)),
        st.lists(inner, max_size=3).map(lambda types: pa.struct([(f"f{i}", type_) for i, type_ in enumerate(types)])),
        st.builds(pa.map_, keys, inner),
    )


def _values(type_: Any) -> st.SearchStrategy[Any]:
    """Python values, or None, from which ``pa.array`` makes a column of that type."""
    if pa.types.is_struct(type_):
        present: st.SearchStrategy[Any] = st.fixed_dictionaries({field.name: _values(field.type) for field in type_})
    elif pa.types.is_map(type_):
        keys = _values(type_.key_type).filter(lambda key: key is not None)
        present = st.lists(st.tuples(keys, _values(type_.item_type)), max_size=3)
    elif pa.types.is_fixed_size_list(type_):
        present = st.lists(_values(type_.value_type), min_size=type_.list_size, max_size=type_.list_size)
    elif pa.types.is_list(type_) or pa.types.is_large_list(type_):
        present = st.lists(_values(type_.value_type), max_size=3)
    else:
        present = _VALUES[type_]
    return st.one_of(st.none(), present)


@st.composite
def arrays(draw: st.DrawFn, type_: pa.DataType, *, size: int | None = None) -> pa.Array[Any]:
    """Return a column of that type, of ``size`` values or of any number, often a slice of a longer one."""
    before = draw(st.integers(0, 3))
    length = draw(st.integers(0, 6)) if size is None else size
    values = draw(st.lists(_values(type_), min_size=before + length, max_size=before + length))
    return pa.array(values, type_)[before:]


@st.composite
def tables(draw: st.DrawFn, *, key: str = "key") -> pa.Table:
    """Return a table of up to four columns of any type, after a text column of distinct keys."""
    types = draw(st.lists(column_types(), max_size=4))
    size = draw(st.integers(0, 6))
    columns: dict[str, pa.Array[Any]] = {key: pa.array([f"k{row}" for row in range(size)], pa.string())}
    for number, type_ in enumerate(types):
        columns[f"c{number}"] = draw(arrays(type_, size=size))
    return pa.table(columns)
