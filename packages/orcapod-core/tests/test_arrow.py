"""Arrays made without pyarrow's look for pandas are those that pyarrow makes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.arrow import array_of, empty_table, laid_out, rows_of, scalar_of

LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-(2**7), 2**7 - 1)),
    (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.float64(), st.floats()),
    (pa.string(), st.text()),
    (pa.large_string(), st.text()),
    (pa.binary(), st.binary()),
    (pa.large_binary(), st.binary()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
]

Column = tuple[pa.DataType, st.SearchStrategy[Any]]


def nested(column: Column) -> st.SearchStrategy[Column]:
    type_, values = column
    lists = st.lists(st.none() | values, max_size=4)
    rows = st.fixed_dictionaries({"a": st.none() | values}, optional={"b": st.integers(-9, 9), "c": st.text()})
    return st.sampled_from(
        [
            (pa.list_(type_), lists),
            (pa.large_list(type_), lists.map(tuple)),
            (
                pa.map_(pa.string(), type_),
                st.dictionaries(st.text(), st.none() | values).map(lambda each: [*each.items()]),
            ),
            (pa.struct([("a", type_), ("b", pa.int64())]), rows),
        ]
    )


COLUMNS = st.recursive(st.sampled_from(LEAVES), lambda inner: inner.flatmap(nested), max_leaves=3)


@st.composite
def columns(draw: st.DrawFn) -> tuple[pa.DataType, list[Any]]:
    type_, values = draw(COLUMNS)
    return type_, draw(st.lists(st.none() | values, max_size=20))


@given(columns())
def test_common_values_are_laid_out_as_pyarrow_has_them(column: tuple[pa.DataType, list[Any]]) -> None:
    type_, values = column
    made, wanted = laid_out(values, type_), pa.array(values, type_)
    assert made is not None
    made.validate(full=True)
    assert made.type == wanted.type
    assert made.null_count == wanted.null_count
    assert repr(made.to_pylist()) == repr(wanted.to_pylist())  # a NaN is not equal to itself


@given(columns(), st.lists(st.none() | st.datetimes(timezones=st.just(UTC)), max_size=20))
def test_rows_are_those_that_pyarrow_gives(column: tuple[pa.DataType, list[Any]], times: list[Any]) -> None:
    type_, values = column
    rows = min(len(values), len(times))
    made = {"a": pa.array(values[:rows], type_), "b": pa.array(times[:rows], pa.timestamp("us", "UTC"))}
    found = [row["a"] for row in rows_of(pa.table(made))]
    assert list(map(str, found)) == list(map(str, pa.table(made)["a"].to_pylist()))  # UTC has two reprs
    assert [row["b"] for row in rows_of(pa.table(made))] == times[:rows]


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary(), st.datetimes(),
    st.datetimes(timezones=st.just(timezone(timedelta(hours=2)))), st.builds(np.float64), st.builds(np.int64),
    st.lists(st.integers() | st.text()), st.dictionaries(st.sampled_from(["a", "z"]), st.integers() | st.text()),
)  # fmt: skip


def outcome(make: Any, *arguments: Any) -> object:
    try:
        made = make(*arguments)
        return None if made is None else (made.type, repr(made.to_pylist()))
    except Exception as error:  # noqa: BLE001  # whatever it is, it has to be the same
        return type(error), str(error)


@given(st.lists(ANYTHING, max_size=5), COLUMNS)
def test_whatever_else_is_given_becomes_or_raises_what_it_does_in_pyarrow(values: list[Any], column: Column) -> None:
    made = outcome(laid_out, values, column[0])
    assert made is None or made == outcome(pa.array, values, column[0])


@pytest.mark.parametrize("values", [np.array([1]), range(3), iter([1]), {1: 2}, "ab", pa.array([1])])
def test_what_is_no_list_is_left_to_pyarrow(values: Any) -> None:
    assert laid_out(values, pa.int64()) is None


def test_what_is_too_large_or_no_text_is_refused_in_pyarrows_words() -> None:
    with pytest.raises(pa.ArrowInvalid, match="Value 128 too large to fit in C integer type"):
        array_of([1, 128], pa.int8())
    with pytest.raises(OverflowError):
        scalar_of(2**63, pa.int64())
    with pytest.raises(UnicodeEncodeError):
        array_of(["\ud800"], pa.large_string())


def test_a_scalar_and_an_empty_table_are_pyarrows() -> None:
    moment = datetime.now(UTC)
    assert scalar_of(moment, pa.timestamp("us", "UTC")) == pa.scalar(moment, pa.timestamp("us", "UTC"))
    assert not scalar_of(None, pa.int64()).is_valid
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.list_(pa.string()))], {"k": "v"})
    assert empty_table(schema).equals(schema.empty_table(), check_metadata=True)
    assert empty_table(pa.schema([])) == pa.schema([]).empty_table()
