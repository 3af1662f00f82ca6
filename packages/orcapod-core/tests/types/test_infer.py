"""The type of values that nobody declared."""

from datetime import UTC, date, datetime
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import SchemaError
from orcapod.hashing.canonical import canonical_bytes
from orcapod.testing.strategies import types, values
from orcapod.types import AwareDatetime, OptionalType, column_of, misfit, registry, type_of_values

WALL = datetime(2024, 1, 1)  # noqa: DTZ001  # a wall clock's
INSTANT = WALL.replace(tzinfo=UTC)


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("given_values", "annotation"),
    [
        ([1, 2], int),
        ([1, 2.5], float),
        ([1, None], int | None),
        ([1, None, 2.5], float | None),
        ([True], bool),
        (["a", Name("b")], str),
        ([b"a"], bytes),
        ([date(2024, 1, 1)], date),
        ([WALL], datetime),
        ([INSTANT, None], AwareDatetime | None),
        ([[], [1], [2]], list[int]),
        ([[], [1, None], None], list[int | None] | None),
        ([[[]], [], [[1.5, 1]]], list[list[float]]),
        ([(1, 2), (3,), ()], tuple[int, ...]),
        ([(1, "a"), (2, None)], tuple[int, str | None]),
        ([(1, (2, "b"))], tuple[int, tuple[int, str]]),
        ([()], tuple[()]),
        ([{"a": 1}, {}, {"b": 2}], dict[str, int]),
        ([{1: [1.0]}], dict[int, list[float]]),
        ([{"a": 1, "b": "x"}, {"b": "y", "a": 2}], TypedDict("R", {"a": int, "b": str})),
        ([{"a": 1, "b": ["x"]}, {"a": None, "b": []}], TypedDict("R", {"a": int | None, "b": list[str]})),
    ],
)
def test_values_tell_their_type(given_values, annotation):
    assert type_of_values(given_values) == registry.resolve(annotation)


@pytest.mark.parametrize(
    ("given_values", "row", "words"),
    [
        ([1, 2, "a", b"b"], 2, ["int", "str", "mixed"]),
        ([None, True, 1], 2, ["bool", "int", "mixed"]),
        ([1.5, True], 1, ["bool", "float"]),
        ([WALL, INSTANT], 1, ["time zone"]),
        ([date(2024, 1, 1), WALL], 1, ["date", "datetime"]),
        ([[1], [], ["a"]], 2, ["int", "str"]),
        ([[1], (1,)], 1, ["list", "tuple"]),
        ([(1, "a"), (1, "a", "b")], 1, ["mixed"]),
        ([{"a": 1, "b": "x"}, {"a": 1}], 1, ["mixed"]),
        ([{"a": 1, 1: "x"}], 0, ["mixed"]),
        ([None, object()], 1, ["object", "register"]),
        ([object()], 0, ["object"]),
    ],
)
def test_values_of_no_single_type_are_an_error_and_the_row_is_known(given_values, row, words):
    with pytest.raises(SchemaError) as caught:
        type_of_values(given_values)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert misfit(given_values) == row


@pytest.mark.parametrize("given_values", [[], [None], [[], []], [[None]], [{}], [{"a": []}]])
def test_without_a_value_to_look_at_the_type_must_be_declared(given_values):
    with pytest.raises(SchemaError, match="data_schema"):
        type_of_values(given_values)
    assert misfit(given_values) is None


def _large_int(value):
    """Whether there is an int somewhere that may have no exact float."""
    match value:
        case dict():
            return any(map(_large_int, value.values()))
        case list() | tuple():
            return any(map(_large_int, value))
        case _:
            return isinstance(value, int) and abs(value) > 2**53


def _floats(value):
    """The value with floats for its ints: one int among floats is a float."""
    match value:
        case bool():
            return value
        case int():
            return float(value)
        case list() | tuple():
            return type(value)(map(_floats, value))
        case dict():
            return {key: _floats(item) for key, item in value.items()}
        case _:
            return value


@given(st.data())
def test_what_is_inferred_holds_the_values_it_was_inferred_from(data):
    annotation = data.draw(types())
    given_values = data.draw(st.lists(values(annotation), min_size=1, max_size=5))
    try:
        found = type_of_values(given_values)
    except SchemaError:
        return  # nothing but empty lists and Nones somewhere, or a record that passes for a mixed dict
    if _large_int(given_values):
        return  # among the floats of a tuple it has no exact float, and column_of says so
    back = found.to_python(column_of(given_values, found))
    assert [canonical_bytes(_floats(value)) for value in back] == [canonical_bytes(_floats(v)) for v in given_values]
    assert isinstance(found, OptionalType) == (None in given_values)


def test_numpy_values_tell_the_type_of_what_they_stand_for():
    np = pytest.importorskip("numpy")
    for given_values, annotation in [
        ([np.int8(1), 2], int),
        ([np.float32(1), 2], float),
        ([[np.int8(1)], [2]], list[int]),
        ([np.datetime64("2024-01-01T00:00:00"), None], datetime | None),
    ]:
        assert type_of_values(given_values) == registry.resolve(annotation)
    with pytest.raises(SchemaError):
        type_of_values([np.longdouble(1)])


def test_mixed_dicts_come_back_in_the_order_of_the_first() -> None:
    rows = [{"sigma": 1.0, "kernel": "gauss"}, {"kernel": "box", "sigma": 2.0}]
    dtype = type_of_values(rows)
    assert [list(row) for row in dtype.to_python(column_of(rows, dtype))] == [["sigma", "kernel"]] * 2
