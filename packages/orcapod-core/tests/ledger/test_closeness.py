"""Numbers are close at any depth of lists and records, as a plain model in Python has it."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.ledger.closeness import close

RECORD = pa.struct([("a", pa.float64()), ("b", pa.large_list(pa.int64()))])
TYPES = [pa.float64(), pa.int64(), pa.large_string(), RECORD, pa.large_list(RECORD)]
TYPES += [pa.large_list(pa.float64()), pa.large_list(pa.large_list(pa.int64()))]

few_floats = st.sampled_from([0.0, -0.0, 1.0, 1.05, 1.2, -1.0, 1e300, math.inf, -math.inf, math.nan])
few_ints = st.sampled_from([0, 1, 100, 105, 120, -100, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)])


def values(type_: Any) -> st.SearchStrategy[Any]:
    if pa.types.is_floating(type_):
        found: st.SearchStrategy[Any] = few_floats
    elif pa.types.is_integer(type_):
        found = few_ints
    elif pa.types.is_large_list(type_):
        found = st.lists(values(type_.value_type), max_size=2)
    elif pa.types.is_struct(type_):
        found = st.fixed_dictionaries({field.name: values(field.type) for field in type_})
    else:
        found = st.sampled_from(["", "a"])
    return st.none() | found


def near(one: Any, other: Any, rtol: float) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return all(near(one[name], other[name], rtol) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(near(*pair, rtol) for pair in zip(one, other, strict=True))
    if one is None or other is None or isinstance(one, str) or one == other:
        return bool(one == other)
    if math.isinf(one) or math.isinf(other):
        return False
    return (one != one and other != other) or abs(one - other) <= max(abs(one), abs(other)) * rtol


@pytest.mark.parametrize("type_", TYPES, ids=str)
@pytest.mark.parametrize("rtol", [0.0, 0.1])
@given(st.data())
def test_values_are_close_where_all_their_numbers_are(type_: Any, rtol: float, data: st.DataObject) -> None:
    pairs = data.draw(st.lists(st.tuples(values(type_), values(type_)), max_size=6))
    one, other = (pa.array([pair[at] for pair in pairs], type_) for at in range(2))
    assert close(one, other, rtol).to_pylist() == [near(*pair, rtol) for pair in pairs]
    assert close(one.slice(1), other.slice(1), rtol).to_pylist() == [near(*pair, rtol) for pair in pairs[1:]]
