"""The built-in types: which values they accept, exactly, and what they say about those that they do not."""

import enum
import math
import typing
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Context, Decimal, localcontext
from typing import Annotated, Literal, NamedTuple, NotRequired, Optional, TypedDict
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import SchemaError, ValueTypeError
from orcapod.hashing.canonical import canonical_bytes
from orcapod.testing.strategies import tables, types, values
from orcapod.types import AwareDatetime, column_of, encode, registry


class Point(TypedDict):
    x: float
    y: float | None


class Loose(TypedDict, total=False):
    x: int


class Looser(TypedDict):
    x: NotRequired[int]


class Pair(NamedTuple):
    a: int
    b: str


class Colour(enum.IntEnum):
    RED = 1
    CRIMSON = 1


class Mode(enum.StrEnum):
    FAST = "fast"


class Rights(enum.Flag):
    READ = 1


class Odd(enum.Enum):
    THING = object()


class Name(str):
    __slots__ = ()


WALL = datetime(2024, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001  # a wall clock's
DAY = date(2024, 1, 2)
INSTANT = WALL.replace(tzinfo=UTC)
EAST = INSTANT.astimezone(timezone(timedelta(hours=5, minutes=30)))

ACCEPTED = [
    (int, Colour.RED, 1),
    (int, -(2**63), -(2**63)),
    (float, 3, 3.0),
    (float, 2**60, 2.0**60),
    (str, Name("é"), "é"),
    (bytes, bytearray(b"ab"), b"ab"),
    (bytes, memoryview(b"ab"), b"ab"),
    (bool, True, True),
    (date, date(2024, 2, 29), date(2024, 2, 29)),
    (datetime, WALL, WALL),
    (AwareDatetime, EAST, INSTANT),
    (int | None, None, None),
    (list[float], [1, 2.5], [1.0, 2.5]),
    (list[int | None], [1, None], [1, None]),
    (list[list[str]], [[], ["a"]], [[], ["a"]]),
    (tuple[int, ...], (1, 2), (1, 2)),
    (tuple[int, str | None], (1, None), (1, None)),
    (tuple[int, str], Pair(1, "a"), (1, "a")),
    (tuple[()], (), ()),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (dict[int, list[int]], OrderedDict({2: [1], 1: []}), {2: [1], 1: []}),
    (Point, {"y": None, "x": 1}, {"x": 1.0, "y": None}),
    (list[AwareDatetime], [EAST], [INSTANT]),
    (time, time(1, 2, 3, 4), time(1, 2, 3, 4)),
    (timedelta, timedelta(days=-1, microseconds=1), timedelta(days=-1, microseconds=1)),
    (timedelta, pd.Timedelta("1.5s"), timedelta(seconds=1.5)),
    (timedelta, np.timedelta64(3, "ms"), timedelta(milliseconds=3)),
    (Decimal, Decimal("-0.100"), Decimal("-0.100")),
    (Decimal, 10**30, Decimal(10**30)),
    (Decimal, Decimal("NaN"), Decimal("NaN")),
    (UUID, UUID(int=5), UUID(int=5)),
    (Colour, Colour.RED, Colour.RED),
    (Colour, Colour.CRIMSON, Colour.RED),
    (Mode, Mode.FAST, Mode.FAST),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], np.int64(2), 2),
    (Literal[True], True, True),
    (Literal["a", None], None, None),
    (set[int], {3, 1, 2}, {1, 2, 3}),
    (set[float], {1, 2.5}, {1.0, 2.5}),
    (frozenset[str], {"b", "a"}, frozenset({"a", "b"})),
    (frozenset[int | None], frozenset({None, 1}), frozenset({None, 1})),
    (set[frozenset[tuple[int, str]]], {frozenset({(1, "a")}), frozenset()}, {frozenset({(1, "a")}), frozenset()}),
    (dict[tuple[int, Colour], set[UUID]], {(1, Colour.RED): {UUID(int=1)}}, {(1, Colour.RED): {UUID(int=1)}}),
    (
        dict[frozenset[date], Decimal],
        {frozenset({date(2024, 1, 1)}): Decimal(1)},
        {frozenset({date(2024, 1, 1)}): Decimal(1)},
    ),
]

REFUSED = [
    (int, True, ["expected int", "True", "bool", "int()"]),
    (int, 1.5, ["expected int", "1.5", "float"]),
    (int, 1.0, ["expected int", "1.0"]),
    (int, "1", ["expected int", "'1'", "str"]),
    (int, 2**63, ["expected int", "64 bits"]),
    (int, -(2**63) - 1, ["expected int", "64 bits"]),
    (int, None, ["expected int", "None", "int | None"]),
    (float, True, ["expected float", "bool"]),
    (float, 2**53 + 1, ["expected float", "no exact float"]),
    (float, 10**400, ["expected float", "no exact float"]),
    (bool, 1, ["expected bool", "1", "int"]),
    (str, b"a", ["expected str", "bytes"]),
    (str, "a\ud800", ["expected str", "Unicode"]),
    (str, Name("\udfff"), ["expected str", "Unicode"]),
    (bytes, "a", ["expected bytes", "str"]),
    (date, WALL, ["expected date", ".date()"]),
    (datetime, date(2024, 1, 1), ["expected datetime", "date"]),
    (datetime, INSTANT, ["has a time zone", "AwareDatetime"]),
    (AwareDatetime, WALL, ["no time zone", "attach"]),
    (AwareDatetime, datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))), ["years 1 to 9999"]),
    (list[int], (1, 2), ["expected list[int]", "tuple"]),
    (list[int], [1, "a"], ["item 1 of list[int]", "expected int", "'a'"]),
    (list[int], [1, None], ["item 1", "int | None"]),
    (list[str], "ab", ["expected list[str]", "'ab'"]),
    (tuple[int, ...], [1], ["expected tuple[int, ...]", "list"]),
    (tuple[int, str], (1,), ["2 members expected, 1 found"]),
    (tuple[int, str], (1, 2), ["member 1", "expected str"]),
    (dict[str, int], {1: 1}, ["a key", "expected str"]),
    (dict[str, int], {"a": "b"}, ["key 'a'", "expected int"]),
    (dict[str, int], [("a", 1)], ["expected dict[str, int]"]),
    (Point, {"x": 1.0}, ["missing ['y']", "extra []"]),
    (Point, {"x": 1.0, "y": 1.0, 3: 4}, ["missing []", "extra [3]"]),
    (Point, {"x": None, "y": None}, ["x of", "expected float", "float | None"]),
    (time, time(1, tzinfo=UTC), ["expected time", "time zone", "drop it"]),
    (time, WALL, ["expected time", "datetime"]),
    (timedelta, timedelta.max, ["expected timedelta", "64 bits", "number of days"]),
    (timedelta, pd.Timedelta("1ns"), ["expected timedelta", "1 nanoseconds", "round it"]),
    (datetime, pd.Timestamp("2024-01-01 00:00:00.000000001"), ["expected datetime", "1 nanoseconds", "round it"]),
    (Decimal, 1.5, ["expected Decimal", "1.5", "float"]),
    (Decimal, True, ["expected Decimal", "True", "bool"]),
    (UUID, "0" * 32, ["expected UUID", "str"]),
    (Colour, 1, ["expected Colour(RED=1)", "1", "int"]),
    (Colour, Mode.FAST, ["expected Colour(RED=1)", "Mode.FAST"]),
    (Mode, "fast", ["expected Mode(FAST='fast')", "'fast'"]),
    (Literal["a", "b"], "c", ["expected Literal['a', 'b']", "'c'"]),
    (Literal[1], True, ["expected Literal[1]", "True"]),
    (Literal[True], 1, ["expected Literal[True]", "1"]),
    (set[int], [1], ["expected set[int]", "list"]),
    (set[int], {1, "a"}, ["an item of set[int]", "expected int", "'a'"]),
    (frozenset[int], {None}, ["an item", "int | None"]),
]


@pytest.mark.parametrize(("annotation", "value", "kept"), ACCEPTED)
def test_an_exact_conversion_is_made(annotation, value, kept):
    logical = registry.resolve(annotation)
    (back,) = logical.to_python(column_of([value], logical))
    assert canonical_bytes(back) == canonical_bytes(kept)


@pytest.mark.parametrize(("annotation", "value", "words"), REFUSED)
def test_any_other_value_is_refused_by_row_with_what_was_found_and_expected(annotation, value, words):
    logical = registry.resolve(annotation)
    with pytest.raises(ValueTypeError, match="^row 0: ") as caught:
        column_of([value], logical)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_row_is_that_of_the_first_value_that_does_not_fit():
    for given_values, annotation in [
        ([1, 2, "a", "b"], int),
        ([[1], [2], [None]], list[int]),
        (["a", "b", "\ud800"], str),
    ]:
        with pytest.raises(ValueTypeError, match="^row 2: "):
            column_of(given_values, registry.resolve(annotation))


def test_a_long_value_is_shortened_in_a_message():
    with pytest.raises(ValueTypeError) as caught:
        column_of(["x" * 10_000], registry.resolve(int))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Loose, ["Loose", "['x']", "T | None"]),
        (Looser, ["Looser", "['x']", "T | None"]),
        (typing.Tuple, ["members"]),  # noqa: UP006
        (list[object], ["object"]),
        (list[int | str], ["int | str"]),
        (set, ["set", "set[str]"]),
        (set[list[int]], ["set[list[int]]", "its items", "tuple"]),
        (frozenset[set[int]], ["frozenset[set[int]]", "its items", "hashed"]),
        (dict[list[int], int], ["dict[list[int], int]", "its keys", "tuple"]),
        (dict[tuple[int, list[int]], int], ["its keys", "tuple[int, list[int]]"]),
        (Rights, ["Flag Rights", "take int"]),
        (Odd, ["Odd.THING", "object", "look this one up"]),
        (Literal["a", 1], ["Literal", "one type"]),
        (Literal[None], ["Literal", "one type"]),
        (Literal[2**64], ["Literal", "64 bits"]),
        (Literal["\ud800"], ["Literal", "Unicode"]),
        (enum.Enum, ["Enum", "without members"]),
        (enum.Enum("Empty", {}), ["Empty", "without members"]),
    ],
)
def test_a_type_whose_values_could_not_be_kept_is_refused(annotation, words):
    with pytest.raises(SchemaError) as caught:
        registry.resolve(annotation)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Optional[int], int | None),  # noqa: UP045
        (typing.List[int], list[int]),  # noqa: UP006
        (Annotated[int, "metres"], int),
        (typing.Tuple[int, ...], tuple[int, ...]),  # noqa: UP006
        (Literal["a", "b"], Literal["b", "a"]),
        (Literal["a", None], Literal["a"] | None),
        (TypedDict("Same", {"y": float | None, "x": float}), Point),
    ],
)
def test_different_ways_to_write_a_type_are_one_type(one, other):
    assert registry.resolve(one) == registry.resolve(other)
    assert registry.resolve(one).arrow == registry.resolve(other).arrow


TAKES = [
    (float, int, True),
    (int, float, False),
    (int, bool, False),
    (float, bool, False),
    (int | None, int, True),
    (int, int | None, False),
    (float | None, int | None, True),
    (list[float], list[int], True),
    (list[float | None] | None, list[int], True),
    (list[int], list[int | None], False),
    (list[int], tuple[int, ...], False),
    (tuple[float, ...], tuple[int, ...], True),
    (tuple[float, str], tuple[int, str], True),
    (tuple[float, str], tuple[int, str, int], False),
    (dict[str, float], dict[str, int], True),
    (dict[str, int], dict[int, int], False),
    (Point, TypedDict("Ints", {"x": int, "y": int}), True),
    (TypedDict("Ints", {"x": int, "y": int}), Point, False),
    (Point, TypedDict("Less", {"x": float}), False),
    (datetime, AwareDatetime, False),
    (date, datetime, False),
    (float, Literal[1], True),
    (int, Literal[True], False),
    (Decimal, int, True),
    (set[int | None], set[int], True),
    (set[str], set[Literal["a"]], True),
    (set[float], set[int], False),  # ints in order are not in order as floats, or as text
    (set[Decimal], set[int], False),
    (frozenset[tuple[float, ...]], frozenset[tuple[int, ...]], False),
]


@pytest.mark.parametrize(("mine", "theirs", "fits"), TAKES)
def test_a_type_takes_what_converts_to_it_exactly(mine, theirs, fits):
    assert registry.resolve(mine).takes(registry.resolve(theirs)) is fits


@given(types())
def test_a_type_takes_itself_and_is_taken_by_its_optional(annotation):
    logical = registry.resolve(annotation)
    assert logical.takes(logical)
    assert registry.resolve(annotation | None).takes(logical)
    assert registry.resolve(annotation | None).hash_name == logical.hash_name


@given(st.data())
def test_values_come_back_from_a_column_as_they_went_in_however_it_is_cut(data):
    annotation = data.draw(types())
    logical = registry.resolve(annotation)
    given_values = data.draw(st.lists(values(annotation), max_size=6))
    expected = [canonical_bytes(value) for value in given_values]
    column = column_of(given_values, logical)
    column.validate(full=True)
    assert column.type == logical.arrow
    assert [canonical_bytes(value) for value in logical.to_python(column)] == expected
    table = data.draw(tables({"x": annotation}, [{"x": value} for value in given_values]))
    assert [canonical_bytes(value) for value in logical.to_python(table.column("x"))] == expected


def test_what_comes_out_of_a_column_is_fresh_each_time():
    logical = registry.resolve(list[dict[str, list[int]]])
    column = column_of([[{"a": [1]}]], logical)
    logical.to_python(column)[0][0]["a"].append(2)
    assert logical.to_python(column) == [[{"a": [1]}]]


class TestNumpy:
    @pytest.fixture
    def np(self):
        return pytest.importorskip("numpy")

    @pytest.mark.parametrize(
        ("annotation", "make", "kept"),
        [
            (int, lambda np: np.int8(-3), -3),
            (int, lambda np: np.uint64(7), 7),
            (float, lambda np: np.float32(0.5), 0.5),
            (float, lambda np: np.int16(2), 2.0),
            (float, lambda np: np.float64(-0.0), -0.0),
            (bool, lambda np: np.bool_(True), True),
            (str, lambda np: np.str_("é"), "é"),
            (bytes, lambda np: np.bytes_(b"a"), b"a"),
            (date, lambda np: np.datetime64("2024-02-29"), date(2024, 2, 29)),
            (datetime, lambda np: np.datetime64("2024-01-02T03:04:05.000006"), WALL),
            (int, lambda np: np.array(5), 5),
            (list[int], lambda np: np.array([1, 2], dtype="i2"), [1, 2]),
            (list[list[float]], lambda np: np.array([[1.0], [2.0]], dtype="f4"), [[1.0], [2.0]]),
            (list[int], lambda np: [np.int8(1), 2], [1, 2]),
            (list[float], lambda np: np.arange(3), [0.0, 1.0, 2.0]),
        ],
    )
    def test_a_numpy_value_is_the_python_value_that_it_is(self, annotation, make, kept, np):
        logical = registry.resolve(annotation)
        (back,) = logical.to_python(column_of([make(np)], logical))
        assert canonical_bytes(back) == canonical_bytes(kept)

    @pytest.mark.parametrize(
        ("annotation", "make"),
        [
            (int, lambda np: np.float64(1.5)),
            (int, lambda np: np.bool_(True)),
            (int, lambda np: np.uint64(2**64 - 1)),
            (int, lambda np: np.datetime64("2024-01-01", "ns")),
            (datetime, lambda np: np.datetime64("2024-01-01", "ns")),
            (list[int], lambda np: np.array(["2024-01-01"], dtype="M8[ns]")),
            (int, lambda np: np.timedelta64(5, "ns")),
            (float, lambda np: np.longdouble(1) / 3),
            (list[int], lambda np: np.array([1.5])),
            (list[int], lambda np: np.array(5)),
            (int, lambda np: np.array([5])),
        ],
    )
    def test_a_numpy_value_of_another_kind_is_refused(self, annotation, make, np):
        with pytest.raises(ValueTypeError, match="^row 0: "):
            column_of([make(np)], registry.resolve(annotation))


def test_nan_infinity_and_negative_zero_are_kept():
    logical = registry.resolve(float)
    nan, zero, infinity = logical.to_python(column_of([math.nan, -0.0, -math.inf], logical))
    assert math.isnan(nan)
    assert math.copysign(1, zero) == -1
    assert infinity == -math.inf


def test_true_and_one_are_two_choices():
    assert registry.resolve(Literal[True]) != registry.resolve(Literal[1])
    assert registry.resolve(Literal[1]).arrow != registry.resolve(Literal[True]).arrow


def test_an_enum_of_another_value_or_name_is_another_type():
    kinds = [
        registry.resolve(enum.Enum(name, members))
        for name in ("Colour", "Color")
        for members in ({"A": 1}, {"A": 2}, {"B": 1}, {"A": 1, "B": 2})
    ]
    assert len({kind.hash_name for kind in kinds}) == len(kinds)


def test_members_of_any_name_are_told_apart():
    one, two = (registry.resolve(enum.Enum("E", members)) for members in ({"a=1, b": 2}, {"a": 1, "b": 2}))
    assert one != two


def test_an_enum_that_a_cell_defined_again_is_the_same():
    before, after = (registry.resolve(enum.Enum("Colour", {"RED": 1})) for _ in range(2))
    assert before == after
    (member,) = after.python
    assert before.to_python(column_of([member], before)) == list(before.python)


def test_what_a_literal_allows_is_no_part_of_a_hash():
    assert registry.resolve(Literal["a"]).hash_name == registry.resolve(str).hash_name
    assert registry.resolve(str).takes(registry.resolve(Literal["a"]))
    assert registry.resolve(Literal["a", "b"]).takes(registry.resolve(Literal["a"]))
    assert not registry.resolve(Literal["a"]).takes(registry.resolve(Literal["a", "b"]))
    assert not registry.resolve(Literal["a"]).takes(registry.resolve(str))


def test_sets_are_kept_the_same_by_every_type_that_takes_them():
    """Payloads of text begin with its length, so that their order is another one than that of the text."""
    wide, narrow = registry.resolve(set[str]), registry.resolve(set[Literal["b", "aa"]])
    assert wide.takes(narrow)
    assert column_of([{"b", "aa"}], wide) == column_of([{"b", "aa"}], narrow)


class Tenths(Decimal):
    def __str__(self):
        return "some tenths"


class Short(UUID):
    def __str__(self):
        return self.hex[:8]


@given(st.decimals())
def test_every_decimal_is_kept_exactly(value):
    logical = registry.resolve(Decimal)
    (back,) = logical.to_python(column_of([value], logical))
    assert back.as_tuple() == value.as_tuple()


def test_the_text_of_a_value_depends_on_nothing_but_the_value():
    decimals, ids = registry.resolve(Decimal), registry.resolve(UUID)
    with localcontext(Context(prec=2, capitals=0, traps=[])):
        assert column_of([Decimal("1.2345E+50"), 10**5], decimals).to_pylist() == ["1.2345E+50", "100000"]
        with pytest.raises(ValueTypeError, match="not the text of a Decimal"):
            decimals.from_storage("abc")
    assert column_of([Tenths("0.1")], decimals).to_pylist() == ["0.1"]
    assert column_of([Short(int=1)], ids).to_pylist() == [str(UUID(int=1))]


@given(st.data())
def test_equal_sets_are_kept_the_same_however_they_were_filled(data):
    annotation = data.draw(st.sampled_from([set[int], set[str], set[float | None], frozenset[tuple[int, Decimal]]]))
    logical = registry.resolve(annotation)
    items = list(data.draw(values(annotation)))
    others = data.draw(st.permutations(items))
    one, other = (column_of([logical.python(each)], logical) for each in (items, others))
    assert encode(one).equals(encode(other))


class Zoned(TypedDict):
    zone: str
    at: int


def test_a_typed_dict_comes_back_in_the_order_of_its_declaration() -> None:
    """A program can see it; at rest and in hashes, members are sorted."""
    dtype, other = registry.resolve(Zoned), registry.resolve(TypedDict("Other", {"at": int, "zone": str}))
    column = column_of([{"at": 1, "zone": "x"}], dtype)
    assert [list(value) for value in (*dtype.to_python(column), *other.to_python(column))] == [
        ["zone", "at"],
        ["at", "zone"],
    ]
    assert dtype == other


@pytest.mark.parametrize("missing", [pd.NaT, pd.NA])
@pytest.mark.parametrize("annotation", [int, datetime, timedelta, str, Decimal, list[int]])
def test_what_is_missing_to_pandas_is_null(missing: object, annotation: typing.Any) -> None:
    assert column_of([missing], registry.resolve(annotation | None)).to_pylist() == [None]
    assert column_of([[missing]], registry.resolve(list[annotation | None])).to_pylist() == [[None]]
    with pytest.raises(ValueTypeError, match=f"found {missing}; declare '.* | None' if there may be none"):
        column_of([missing], registry.resolve(annotation))


@pytest.mark.parametrize("annotation", [int, str, bool, date, Decimal, list[int]])
def test_nan_is_not_none_and_its_error_says_what_to_give(annotation: typing.Any) -> None:
    for declared, found in ((annotation | None, math.nan), (list[annotation | None], [np.float64("nan")])):
        with pytest.raises(
            ValueTypeError, match="found .*nan.* of type float.*: NaN is a float; give None for what is"
        ):
            column_of([found], registry.resolve(declared))
