"""``Index`` and ``Pick`` against the same said in plain Python, over random values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import SchemaError
from orcapod.operators import Index, Pick
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.streams import Stream
from orcapod.testing.strategies import ALL_COLUMNS, scattered


class Point(TypedDict):
    a: int
    b: float | None


@dataclass(frozen=True)
class Fit:
    slope: float
    labels: list[str]


class Pair(NamedTuple):
    first: int
    second: str


NUMBERS = st.none() | st.integers(0, 9)
LISTS = st.lists(st.none() | st.lists(NUMBERS, max_size=4), max_size=8)
DICTS = st.lists(st.none() | st.dictionaries(st.integers(0, 3), NUMBERS), max_size=8)


def source(values: list[Any], dtype: Any) -> DictSource:
    rows = [{"k": k, "x": value, "y": k} for k, value in enumerate(values)]
    return DictSource(rows, ["k"], data_schema={"k": int, "x": dtype, "y": int}, source_id="s")


def element(value: Any, at: Any) -> Any:
    try:
        return value[at]
    except (IndexError, KeyError, TypeError):
        return None


def read(made: Stream, column: str = "x") -> list[Any]:
    return [packet[column] for _, packet in made.iter_packets()]


@given(values=LISTS, position=st.integers(-5, 5), is_tuple=st.booleans(), data=st.data())
def test_index_gives_the_element_at_a_position(
    values: list[Any], position: int, is_tuple: bool, data: st.DataObject
) -> None:
    dtype: Any = list[int | None] | None
    if is_tuple:
        values, dtype = [None if value is None else tuple(value) for value in values], tuple[int | None, ...] | None
    made = source(values, dtype).index("x", position)
    assert made.output_schema() == ({"k": int}, {"x": int | None, "y": int})
    expected = [element(value, position) for value in values]
    assert read(made) == expected
    chunks = data.draw(scattered(made))
    assert [row["x"] for chunk in chunks for row in chunk.table().to_pylist()] == expected
    assert made.as_table(ALL_COLUMNS).column("_source_x").to_pylist() == [f"s::row_{k}::x" for k in range(len(values))]


@given(values=st.lists(st.tuples(st.integers(), st.text(max_size=2), NUMBERS), max_size=5), at=st.integers(-3, 2))
def test_a_tuple_of_known_length_has_every_element(values: list[Any], at: int) -> None:
    values = [(number % 2**31, text.encode("ascii", "ignore").decode(), none) for number, text, none in values]
    made = source(values, tuple[int, str, int | None]).index("x", at)
    assert read(made) == [value[at] for value in values]
    assert made.output_schema()[1]["x"] == (int, str, int | None)[at]


@given(values=DICTS, key=st.integers(0, 4), data=st.data())
def test_pick_gives_what_is_under_a_key(values: list[Any], key: int, data: st.DataObject) -> None:
    made = source(values, dict[int, int | None] | None).pick("x", key)
    assert made.output_schema() == ({"k": int}, {"x": int | None, "y": int})
    expected = [element(value, key) for value in values]
    assert read(made) == expected
    chunks = data.draw(scattered(made))
    assert [row["x"] for chunk in chunks for row in chunk.table().to_pylist()] == expected


@pytest.mark.parametrize(
    ("dtype", "key", "values"),
    [
        (dict[str, float], "é", [{"é": 1.0, "e": 2.0}, {}]),
        (dict[float, int], math.nan, [{math.nan: 1}, {1.0: 2}]),
        (dict[float, int], -0.0, [{0.0: 1}, {}]),
        (dict[tuple[int, str], int], (1, "a"), [{(1, "a"): 1}, {(1, "b"): 2}]),
        (dict[bool, str], True, [{True: "t"}, {False: "f"}]),
        (dict[bytes, list[int]], b"", [{b"": [1]}, {b"a": [2]}]),
    ],
)
def test_keys_may_be_of_any_type(dtype: Any, key: Any, values: list[Any]) -> None:
    (found, nothing) = read(source(values, dtype).pick("x", key))
    assert found == next(iter(values[0].values()))
    assert nothing is None


@pytest.mark.parametrize(
    ("dtype", "values", "key", "type_", "expected"),
    [
        (Point, [{"a": 1, "b": None}, {"a": 2, "b": 0.5}], "b", float | None, [None, 0.5]),
        (Point | None, [{"a": 1, "b": None}, None], "a", int | None, [1, None]),
        (Fit, [Fit(0.5, ["x"])], "labels", list[str], [["x"]]),
        (Pair, [Pair(1, "a")], "second", str, ["a"]),
        (complex, [1 + 2j], "imag", float, [2.0]),
    ],
)
def test_pick_gives_a_field_of_a_record(dtype: Any, values: list[Any], key: str, type_: Any, expected: Any) -> None:
    made = source(values, dtype).pick("x", key)
    assert read(made) == expected
    assert made.output_schema()[1]["x"] == type_


def test_a_struct_of_arrow_is_a_record() -> None:
    table = pa.table({"k": [1, 2, 3], "x": [{"a": 1}, None, {"a": 3}]}).slice(1)
    assert read(ArrowTableSource(table, ["k"]).pick("x", "a")) == [None, 3]


def test_slices_of_lists_and_maps_are_read_where_they_are() -> None:
    lists = pa.array([[1], [2, 3], None, [4, 5, 6]], pa.large_list(pa.int64())).slice(1)
    maps = pa.array([[(1, 1)], [(2, 2)], None, [(1, 3), (2, 4)]], pa.map_(pa.int64(), pa.int64())).slice(1)
    made = ArrowTableSource(pa.table({"k": [1, 2, 3], "l": lists, "m": maps}), ["k"]).index("l", 1).pick("m", 2)
    assert made.as_table().to_pydict() == {"k": [1, 2, 3], "l": [3, None, 5], "m": [2, None, 4]}


def test_members_that_lie_under_a_null_are_nobodys() -> None:
    lists = pa.LargeListArray.from_arrays([0, 2, 4], pa.array([1, 2, 3, 4]), mask=pa.array([False, True]))
    source = ArrowTableSource(pa.table({"k": [1, 2], "x": lists}), ["k"])
    assert read(source.index("x", 0)) == read(source.index("x", -2)) == [1, None]


def test_into_a_new_column_the_whole_stays_beside_it() -> None:
    stream = source([[1, 2]], list[int])
    both = stream.index("x", 0, into="first").index("x", -1, into="last")
    assert both.as_table(ALL_COLUMNS).select(["x", "y", "first", "last", "_source_first"]).to_pylist() == [
        {"x": [1, 2], "y": 0, "first": 1, "last": 2, "_source_first": "s::row_0::x"}
    ]


def test_a_tag_stays_a_tag() -> None:
    made = source([1, 2, 3], int).batch(2).index("k", -1)
    assert made.output_schema() == ({"k": int | None}, {"x": list[int], "y": list[int]})
    assert made.as_table().column("k").to_pylist() == [1, 2]


def test_what_was_collected_keeps_the_provenance_of_the_element() -> None:
    made = source([5, 6, 7], int).batch(2).index("x", 1).as_table(ALL_COLUMNS)
    assert made.column("x").to_pylist() == [6, None]
    assert made.column("_source_x").to_pylist() == ["s::row_1::x", None]
    assert made.column("_source_y").to_pylist() == [["s::row_0::y", "s::row_1::y"], ["s::row_2::y"]]
    (records,) = [name for name in made.column_names if name.startswith("_tag_record_id")]
    assert made.column(records).to_pylist() == [["row_0", "row_1"], ["row_2"]]


def test_what_is_chosen_is_part_of_what_it_is() -> None:
    different = [Index("x", 0), Index("x", 1), Index("y", 0), Index("x", 0, into="z"), Pick("x", 1), Pick("x", "1"),
                 Pick("y", 1), Pick("x", 1, into="z")]  # fmt: skip
    assert len({each.content_hash() for each in different}) == len(different)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s: s.index("q"), "Index: there is no column 'q'; found .'k', 'x', 'y'."),
        (lambda s: s.index("y"), "Index: column 'y' is int, expected a list or tuple with such an element; .*use Pick"),
        (lambda s: s.pick("y", 1), "Pick: column 'y' is int, expected a dict with keys of that type, or a record"),
        (lambda s: s.index("x", 0, into="y"), "found 'y' for a new column, .* none of .'k', 'x', 'y'."),
        (lambda s: s.index("x", 0, into="_y"), "found '_y' for a new column"),
        (lambda s: source([(1, 2)], tuple[int, int]).index("x", 2), "is tuple.int, int., expected .* such an element"),
        (lambda s: source([(1, 2)], tuple[int, int]).index("x", -3), "expected .* such an element"),
        (lambda s: source([{"a": 1, "b": None}], Point).pick("x", "c"), "a record with such a field"),
        (lambda s: source([{1: 1}], dict[int, int]).pick("x", "1"), "expected a dict with keys of that type"),
        (lambda s: s.index("x", 0.5), "found position 0.5, expected an int"),
    ],
)
def test_what_is_not_there_is_refused_while_it_is_built(build: Any, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        build(source([[1]], list[int]))
