"""Columns from outside: any Arrow storage becomes the one of its logical type, exactly or not at all."""

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, TypedDict
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import OrcapodError, SchemaError, ValueTypeError
from orcapod.hashing.canonical import canonical_bytes
from orcapod.testing.arrow import arrays, column_types
from orcapod.testing.strategies import Colour, types, values
from orcapod.types import AwareDatetime, column_of, conform, registry, type_of_column

FIRST, SECOND = datetime(2024, 1, 1), datetime(2024, 1, 2)  # noqa: DTZ001  # a wall clock's
PAIR = pa.struct([("b", pa.int32()), ("a", pa.string())])


TWICE = pa.array([[("a", 1), ("b", 2)], [("a", 1), ("a", 2)], [("a", 1)]], pa.map_(pa.string(), pa.int64()))


class Record(TypedDict):
    a: str
    b: int


class FloatRecord(TypedDict):
    a: str | None
    b: float | None


STORAGES = [
    *((arrow, [1, 2], int) for arrow in [pa.int8(), pa.int16(), pa.int32(), pa.int64()]),
    *((arrow, [1, 2], int) for arrow in [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]),
    *((arrow, [0.5, -0.0], float) for arrow in [pa.float16(), pa.float32(), pa.float64()]),
    *((arrow, ["", "é"], str) for arrow in [pa.string(), pa.large_string(), pa.string_view()]),
    *((arrow, [b"", b"\0"], bytes) for arrow in [pa.binary(), pa.large_binary(), pa.binary_view()]),
    (pa.binary(2), [b"ab", b"cd"], bytes),
    (pa.bool_(), [True, False], bool),
    (pa.date32(), [date.min, date.max], date),
    (pa.date64(), [date(2024, 1, 1), date(1960, 1, 1)], date),
    *((pa.timestamp(unit), [FIRST, SECOND], datetime) for unit in ["s", "ms", "us", "ns"]),
    (pa.timestamp("us"), [datetime.min, datetime.max], datetime),  # noqa: DTZ901  # a wall clock's
    (pa.timestamp("ms", "Europe/Berlin"), [t.replace(tzinfo=UTC) for t in (FIRST, SECOND)], AwareDatetime),
    (pa.dictionary(pa.int32(), pa.string()), ["a", "b"], str),
    (pa.dictionary(pa.int32(), pa.int32()), [1, 2], int),
    (pa.list_(pa.int32()), [[1], []], list[int]),
    (pa.list_(pa.int32(), 2), [[1, 2], [3, 4]], list[int]),
    (pa.large_list(pa.field("other", pa.string(), nullable=False)), [["a"], []], list[str]),
    (pa.list_(pa.list_(pa.int8())), [[[1]], [[], [2]]], list[list[int]]),
    (pa.map_(pa.string(), pa.int32()), [{"a": 1}, {}], dict[str, int]),
    (pa.map_(pa.string(), pa.list_(pa.int32()), keys_sorted=True), [{"a": [1]}, {}], dict[str, list[int]]),
    (PAIR, [{"a": "x", "b": 1}, {"a": "y", "b": 2}], Record),
    (pa.list_(PAIR), [[{"a": "x", "b": 1}], []], list[Record]),
    (pa.time32("s"), [time(0), time(23, 59, 59)], time),
    (pa.time64("us"), [time.min, time.max], time),
    (pa.time64("ns"), [time(1, 2, 3, 4), time(0)], time),
    *((pa.duration(unit), [timedelta(seconds=-1), timedelta(days=9)], timedelta) for unit in ["s", "ms", "us", "ns"]),
    (pa.decimal128(5, 2), [Decimal("1.50"), Decimal("-0.01")], Decimal),
    (pa.decimal128(5, -2), [Decimal("1.00E+4"), Decimal("1E+2")], Decimal),
    (pa.decimal256(60, 40), [Decimal(f"{n}.{1:040}") for n in (1, -7)], Decimal),
    (pa.list_(pa.decimal128(5, 2)), [[Decimal("1.50")], []], list[Decimal]),
    (pa.uuid(), [UUID(int=1), UUID(int=2)], UUID),
]


def column(arrow, given_values):
    """Two chunks of that type, the second a slice of a longer one."""
    stored = [list(value.items()) if pa.types.is_map(arrow) and value is not None else value for value in given_values]
    values_type = arrow.value_type if pa.types.is_dictionary(arrow) else arrow
    whole = pa.array([stored[0], *stored], values_type)
    made = pa.chunked_array([whole[1:2], whole[2:]], values_type)
    return made.dictionary_encode() if pa.types.is_dictionary(arrow) else made


@pytest.mark.parametrize(("arrow", "given_values", "annotation"), STORAGES)
@pytest.mark.parametrize("null", [False, True])
def test_any_storage_becomes_the_one_of_its_type_with_the_same_values(arrow, given_values, annotation, null):
    given_values = [*given_values, None] if null else given_values
    found = column(arrow, given_values)
    logical = registry.resolve(annotation | None if null else annotation)
    assert type_of_column(found) == logical
    conformed = conform(found, logical)
    conformed.validate(full=True)
    assert conformed.type == logical.arrow
    assert repr(logical.to_python(conformed)) == repr(given_values)
    assert conform(found.chunk(0), logical).type == logical.arrow  # an array will do


def test_a_column_without_null_is_not_optional_whatever_the_flag_says():
    assert type_of_column(pa.chunked_array([[1, 2]])) == registry.resolve(int)
    assert type_of_column(pa.array([[1, None]])[:0]) == registry.resolve(list[int])


def test_nulls_that_were_sliced_away_are_not_there():
    maps = pa.array([[("a", None)], [("b", 1)]], pa.map_(pa.string(), pa.int64()))
    assert type_of_column(maps[1:]) == registry.resolve(dict[str, int])
    assert type_of_column(maps) == registry.resolve(dict[str, int | None])
    assert type_of_column(pa.array([[None], [1]])[1:]) == registry.resolve(list[int])
    structs = pa.array([{"a": None, "b": 1}, {"a": "x", "b": 1}])
    assert type_of_column(structs[1:]) == registry.resolve(Record)


def test_values_that_were_sliced_away_do_not_matter():
    lists = pa.array([[2**64 - 1], [1], [2**64 - 1]], pa.list_(pa.uint64()))
    assert conform(lists[1:2], registry.resolve(list[int])).to_pylist() == [[1]]


def test_members_of_a_null_are_no_nulls():
    structs = pa.array([{"a": "x", "b": 1}, None], PAIR)
    assert type_of_column(structs) == registry.resolve(Record | None)
    conform(structs, registry.resolve(Record | None))
    assert type_of_column(pa.array([[1], None], pa.list_(pa.int8(), 1))) == registry.resolve(list[int] | None)


@pytest.mark.parametrize("start", [0, 1])
def test_keys_that_lie_under_a_null_are_no_keys(start):
    ends = pa.array([0, 1, 3, 4], pa.int32()).buffers()[1]
    fields = [pa.field("key", pa.string(), nullable=False), pa.field("value", pa.int64())]
    pairs = pa.StructArray.from_arrays([pa.array(["a", "b", "b", "b"]), pa.array([1, 2, 3, 4])], fields=fields)
    maps = pa.Array.from_buffers(pa.map_(pa.string(), pa.int64()), 3, [pa.py_buffer(b"\x05"), ends], children=[pairs])
    maps.validate(full=True)
    kept = conform(maps[start:], registry.resolve(dict[str, int] | None))
    assert kept.to_pylist() == [[("a", 1)], None, [("b", 4)]][start:]


def test_run_end_encoding_is_undone():
    runs = pc.run_end_encode(pa.array([1, 1, None], pa.int32()))
    assert type_of_column(runs) == registry.resolve(int | None)
    assert conform(runs, registry.resolve(int | None)).to_pylist() == [1, 1, None]
    with pytest.raises(ValueTypeError, match="row 2"):
        conform(runs, registry.resolve(int))


@pytest.mark.parametrize(
    ("found", "annotation"),
    [
        (pa.array([1, 2]), float),
        (pa.array([1, None], pa.int8()), float | None),
        (pa.array([[1], [None]]), list[float | None]),
        (pa.array([[1]]), tuple[int, ...]),
        (pa.array([[1]], pa.list_(pa.int64(), 1)), tuple[float, ...]),
        (pa.array([None, None]), str | None),
        (pa.array([[], []]), list[int]),
        (pa.array([[None]]), list[int | None]),
        (pa.array([{"b": 1, "a": None}]), FloatRecord),
        (pa.array([{"1": "x", "0": 1}], pa.struct([("1", pa.string()), ("0", pa.int8())])), tuple[int, str]),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int8())), dict[str, float | None]),
    ],
)
def test_a_declared_type_takes_what_widens_to_it(found, annotation):
    logical = registry.resolve(annotation)
    assert conform(found, logical).type == logical.arrow


@pytest.mark.parametrize(
    ("found", "annotation", "words"),
    [
        (pa.array([1, 86_400 * 10**6], pa.time64("us")), time, ["row 1", "expected time", "outside the day"]),
        (pa.array([1000, 1], pa.time64("ns")), time, ["row 1", "time", "lose data"]),
        (pa.array([1000, 1], pa.duration("ns")), timedelta, ["row 1", "timedelta", "lose data"]),
        (pa.array([0, -(2**63)], pa.duration("us")), timedelta, ["row 1", "timedelta", "days"]),
        (pa.array([str(UUID(int=1)), "x"]), UUID, ["row 1", "expected UUID", "'x'"]),
        (pa.array(["1.5", "x"]), Decimal, ["row 1", "expected Decimal", "'x'"]),
        (pa.array(["RED", "PINK"]), Colour, ["row 1", "expected Colour(RED=1, GREEN=2)", "'PINK'", "no member"]),
        (pa.array(["a", "c"]), Literal["a", "b"], ["row 1", "expected Literal['a', 'b']", "'c'"]),
        (pa.array([[1, 2], [1, 1]]), set[int], ["row 1", "expected set[int]", "twice"]),
        (TWICE, dict[str, int], ["row 1", "expected dict[str, int]", "key twice"]),
        (TWICE.slice(1), dict[str, int], ["row 0", "key twice"]),
        (pa.chunked_array([TWICE[:1], TWICE[1:]]), dict[str, float], ["row 1", "key twice"]),
        (pa.array([None, [TWICE[1]]], pa.list_(TWICE.type)), list[dict[str, int]] | None, ["row 1", "key twice"]),
        (pa.array([["a"], ["x"]]), list[Literal["a"]], ["row 1", "expected Literal['a']", "'x'"]),
        (pa.array([1, 2**64 - 1], pa.uint64()), int, ["row 1", "int", "18446744073709551615"]),
        (pa.array([[1], [2, 2**64 - 1]], pa.list_(pa.uint64())), list[int], ["row 1", "list[int]"]),
        (pa.array([1, 2**53 + 1]), float, ["row 1", "float"]),
        (pa.array([1000, 1], pa.timestamp("ns")), datetime, ["row 1", "datetime", "lose data"]),
        (pa.array([0, 1], pa.date64()), date, ["row 1", "date", "lose data"]),
        (pa.array([1, 10**8], pa.date32()), date, ["row 1", "date", "years 1 to 9999"]),
        (pa.array([1, 10**12], pa.timestamp("s", "UTC")), AwareDatetime, ["row 1", "years 1 to 9999"]),
        (pa.array([1, -(10**12)], pa.timestamp("s")), datetime, ["row 1", "years 1 to 9999"]),
        (pa.array([[1], [10**8]], pa.list_(pa.date32())), list[date], ["row 1", "list[date]", "years 1 to 9999"]),
        (pa.array([1, None]), int, ["row 1", "expected int", "null", "int | None"]),
        (pa.array([None, None]), str, ["row 0", "str | None"]),
        (pa.array([[1], [2, None]]), list[int], ["row 1", "list[int]", "int | None"]),
        (pa.array([[1], None, [2, None]]), list[int] | None, ["row 2", "list[int]", "int | None"]),
        (pa.array([{"a": "x", "b": 1}, {"a": "x", "b": None}]), Record, ["row 1", "null", "int | None"]),
        (
            pa.array([{"0": 1, "1": None}], pa.struct([("0", pa.int8()), ("1", pa.string())])),
            tuple[int, str],
            ["row 0"],
        ),
        (pa.array([[("a", None)]], pa.map_(pa.string(), pa.int8())), dict[str, int], ["row 0", "int | None"]),
    ],
)
def test_a_value_without_exact_conversion_is_named_by_row(found, annotation, words):
    with pytest.raises(ValueTypeError) as caught:
        conform(found, registry.resolve(annotation))
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("found", "annotation"),
    [
        (pa.array([1.5]), int),
        (pa.array([1.0]), int),
        (pa.array(["1"]), int),
        (pa.array([True]), int),
        (pa.array([1]), bool),
        (pa.array([1]), str),
        (pa.array([b"a"]), str),
        (pa.array(["a"]), bytes),
        (pa.array([FIRST]), AwareDatetime),
        (pa.array([FIRST]), date),
        (pa.array([date(2024, 1, 1)]), datetime),
        (pa.array([[1]]), int),
        (pa.array([1]), list[int]),
        (pa.array([[1.5]]), list[int]),
        (pa.array([{"a": "x"}]), Record),
        (pa.array([{"a": "x", "b": 1, "c": 1}]), Record),
        (pa.array(["1"]).dictionary_encode(), int),
    ],
)
def test_a_column_of_another_type_is_refused_with_both_names(found, annotation):
    logical = registry.resolve(annotation)
    with pytest.raises(SchemaError) as caught:
        conform(found, logical)
    assert logical.name in str(caught.value)
    assert "found Arrow type" in str(caught.value)


@pytest.mark.parametrize(
    "arrow",
    [pa.month_day_nano_interval(), pa.dense_union([pa.field("a", pa.int8())]), pa.list_view(pa.int8())],
)
def test_a_type_that_nothing_stands_for_is_refused_with_what_to_do(arrow):
    for found in (pa.nulls(1, arrow), pa.nulls(1, pa.list_(arrow))):
        with pytest.raises(SchemaError, match="cast the column"):
            type_of_column(found)
        with pytest.raises(SchemaError, match="cast the column"):
            conform(found, registry.resolve(int | None))


def test_what_arrow_cannot_cast_is_refused_by_our_own_error():
    texts = pa.struct([("a", pa.dictionary(pa.int16(), pa.string()))])
    found = pa.array([[None]], pa.list_(texts))  # a null over a dictionary of no values
    with pytest.raises(SchemaError, match="cast the column before"):
        conform(found, type_of_column(found))


def test_uuids_inside_of_others_are_refused_with_what_to_do():
    nested = pa.ListArray.from_arrays([0, 1], pa.array([UUID(int=1).bytes], pa.uuid()))
    assert type_of_column(nested) == registry.resolve(list[UUID])
    with pytest.raises(SchemaError, match="make them text before"):
        conform(nested, registry.resolve(list[UUID]))


def test_keys_that_are_one_to_python_are_refused_when_they_are_read():
    zeros = pa.array([[(0.0, 1), (-0.0, 2)]], pa.map_(pa.float64(), pa.int64()))
    logical = registry.resolve(dict[float, int])
    with pytest.raises(ValueTypeError, match="key twice"):
        logical.to_python(conform(zeros, logical))


def test_a_column_without_rows_conforms():
    for annotation in (list[dict[str, bool]], dict[str, list[int]], tuple[int, str]):
        logical = registry.resolve(annotation)
        assert len(conform(pa.chunked_array([], logical.arrow), logical)) == 0


def test_two_members_of_one_name_are_no_record():
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])
    with pytest.raises(SchemaError, match="two members called 'a'"):
        type_of_column(twice)


def test_a_column_of_nothing_but_nulls_must_be_declared():
    for found in (pa.nulls(2), pa.array([[], None]), pa.array([{"a": None}])):
        with pytest.raises(SchemaError, match="data_schema"):
            type_of_column(found)


@given(st.data())
def test_a_column_is_of_its_own_type(data):
    """What a column says of itself holds: it conforms to that type, and its values are the same."""
    annotation = data.draw(types())
    logical = registry.resolve(annotation)
    made = column_of(data.draw(st.lists(values(annotation), max_size=5)), logical)
    assert canonical_bytes(logical.to_python(conform(made, logical))) == canonical_bytes(logical.to_python(made))
    try:
        found = type_of_column(made)
    except SchemaError:
        return  # no value anywhere that tells
    assert conform(made, found).type == found.arrow


@given(column_types().flatmap(arrays))
def test_any_arrow_column_is_taken_exactly_or_refused_by_our_own_errors(array):
    try:
        logical = type_of_column(array)
        conformed = conform(array, logical)
    except OrcapodError:
        return
    conformed.validate(full=True)
    assert conformed.type == logical.arrow
    assert len(conformed) == len(array)
    back = logical.to_python(conformed)
    column_of(back, logical)  # every value is of the type
    if not pa.types.is_nested(array.type) and not pa.types.is_timestamp(array.type):
        same = [a == b or (a != a and b != b) for a, b in zip(back, array.to_pylist(), strict=True)]
        assert all(same)


def test_half_floats_become_the_same_floats():
    halves = pa.array([0.5, math.nan, -0.0, math.inf], pa.float16())
    assert repr(conform(halves, registry.resolve(float)).to_pylist()) == "[0.5, nan, -0.0, inf]"


def test_a_column_of_floats_where_ints_are_declared_is_refused_with_advice():
    with pytest.raises(SchemaError, match="found Arrow type double; cast the column before, with null in place of NaN"):
        conform(pa.array([1.0, math.nan]), registry.resolve(int | None))
