"""Canonical bytes of Python structures: every kind apart, no order that means nothing, prefix-free."""

import enum
import os
import subprocess
import sys
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePosixPath
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import IdentityError
from orcapod.hashing import ContentHash, hash_structure
from orcapod.hashing.canonical import canonical_bytes


class Colour(enum.Enum):
    RED = 1


class Shade(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


DISTINCT = [
    *[
        None,
        True,
        False,
        0,
        1,
        -1,
        10**5000,
        0.0,
        -0.0,
        1.0,
        float("inf"),
        float("nan"),
        1j,
        "1",
        "",
        "\ud800",
        b"1",
        b"",
    ],
    *[
        [],
        (),
        set(),
        {},
        [1],
        (1,),
        {1},
        {1: None},
        [[]],
        ((),),
        [1, 1],
        [[1], 1],
        {"a": 1},
        {"a": 1, "b": 2},
        ["a", 1],
    ],
    *[date(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), time(1), timedelta(1), timedelta(0, 1)],  # noqa: DTZ001  # a wall clock's
    *[Decimal(1), UUID(int=1), PurePosixPath("1"), PurePosixPath("a/b"), range(1), slice(0, 1, 1), range(2)],
    *[Colour.RED, Shade.RED, Number.ONE, ContentHash("m", b"1"), "m:31", "None", ["ab", "c"], ["a", "bc"]],
]

PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=4), st.binary(max_size=4)
)
STRUCTURES = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=3),
        st.frozensets(st.integers() | st.text(max_size=2), max_size=3),
    ),
    max_leaves=6,
)


def test_different_things_have_different_bytes():
    encoded = [canonical_bytes(value) for value in DISTINCT]
    assert len(set(encoded)) == len(encoded)


def test_no_text_passes_for_several():
    """A text that holds the bytes by which another one would begin."""
    head = canonical_bytes("")[:9].decode()
    assert hash_structure(["a" + head + "b", "c"]) != hash_structure(["a", "b" + head + "c"])
    assert hash_structure({"a" + head: "b"}) != hash_structure({"a": head + "b"})


@given(STRUCTURES, STRUCTURES)
def test_no_structure_is_the_beginning_of_another(one, other):
    first, second = canonical_bytes(one), canonical_bytes(other)
    if first != second:
        assert not first.startswith(second)
        assert not second.startswith(first)
        assert hash_structure(one) != hash_structure(other)


@given(st.dictionaries(st.integers() | st.text(max_size=3), PLAIN), st.randoms())
def test_the_order_in_which_a_dict_or_a_set_was_filled_does_not_enter(filled, random):
    items = list(filled.items())
    random.shuffle(items)
    assert canonical_bytes(dict(items)) == canonical_bytes(filled)
    assert canonical_bytes({key for key, _ in items}) == canonical_bytes(frozenset(filled))


def test_what_is_the_same_has_the_same_bytes():
    nan = -float("nan")
    assert canonical_bytes(nan) == canonical_bytes(float("nan"))
    assert canonical_bytes(OrderedDict(b=1, a=2)) == canonical_bytes({"a": 2, "b": 1})
    assert canonical_bytes(frozenset({1, 2})) == canonical_bytes({2, 1})
    assert canonical_bytes(bytearray(b"a")) == canonical_bytes(b"a")


@pytest.mark.parametrize("unknown", [object(), int, len, lambda: 1, iter([]), [{"a": object()}], {"k": {1, print}}])
def test_what_has_no_canonical_bytes_is_an_error_that_names_it(unknown):
    with pytest.raises(
        IdentityError, match=r"found .* of type \w+, which has no canonical bytes; expected plain values"
    ):
        hash_structure(unknown)


def test_a_content_hash_is_read_as_it_was_printed():
    made = hash_structure(("a", 1))
    assert ContentHash.parse(str(made)) == made
    assert str(made) == f"structure-v1:{made.digest.hex()}"
    assert made.short == made.hex[:12]
    for text in ("abc", ":00", "m:xyz"):
        with pytest.raises(ValueError, match="expected a hash as it is printed"):
            ContentHash.parse(text)


def test_hashes_do_not_depend_on_the_hash_seed():
    program = "from orcapod.hashing import hash_structure as h; print(h([{'a', 'b', 'c', 1}, {'y': frozenset('xyz')}]))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(found) == 1
