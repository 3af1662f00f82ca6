"""What operators mean: each against the same thing said in a few lines of plain Python, over random rows."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.operators import Batch, Concat, Explode, GroupBy
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.streams import Stream

TYPES = {"k": float | None, "t": str | None, "u": int | None, "x": int | None, "l": list[int | None] | None}
VALUES = {
    "k": st.sampled_from([None, 0.0, -0.0, math.nan, 1.5]),
    "t": st.sampled_from([None, "", "a", "b"]),
    "u": st.sampled_from([None, 0, 1]),
    "x": st.none() | st.integers(0, 9),
    "l": st.none() | st.lists(st.none() | st.integers(0, 9), max_size=3),
}
Rows = list[dict[str, Any]]


def rows(*names: str) -> st.SearchStrategy[Rows]:
    return st.lists(st.fixed_dictionaries({name: VALUES[name] for name in names}), max_size=8)


def stream(given: Rows, *tags: str, names: str = "ktx", source_id: str = "s") -> Stream:
    return DictSource(given, tags, data_schema={name: TYPES[name] for name in names}, source_id=source_id)


def shown(made: Stream) -> list[str]:
    """The rows as text, since a NaN is no other; in their order."""
    return [repr(dict(sorted(row.items()))) for row in made.as_table().to_pylist()]


def said(expected: Rows) -> list[str]:
    return [repr(dict(sorted(row.items()))) for row in expected]


def key(row: dict[str, Any], *names: str) -> tuple[Any, ...] | None:
    """What rows agree in: all NaNs are one, 0.0 is -0.0; None if a value is null."""
    values = [row[name] for name in names]
    if None in values:
        return None
    return tuple(each + 0.0 if isinstance(each, float) and each == each else repr(each) for each in values)


@given(left=rows("k", "t", "u", "x"), right=rows("t", "u", "x"))
def test_a_semi_join_keeps_the_rows_that_agree_in_all_shared_tags(left: Rows, right: Rows) -> None:
    made = stream(left, "k", "t", "u", names="ktux").semi_join(stream(right, "t", "u", names="tux"))
    known = {key(row, "t", "u") for row in right} - {None}
    assert shown(made) == said([row for row in left if key(row, "t", "u") in known])
    tags, packets = made.output_schema()
    assert tags == {"k": float | None, "t": str, "u": int}
    assert packets == {"x": int | None}


@given(given=rows("k", "t", "u", "x"))
def test_a_group_has_the_rows_of_equal_keys_in_their_order(given: Rows) -> None:
    """Null is a key like any other here: no row is lost."""
    groups: dict[Any, Rows] = {}
    for row in given:
        groups.setdefault((key(row, "k"), row["t"]), []).append(row)
    expected = [
        {
            "k": members[0]["k"],
            "t": members[0]["t"],
            "u": [row["u"] for row in members],
            "x": [row["x"] for row in members],
        }
        for members in groups.values()
    ]
    assert shown(GroupBy("k", "t")(stream(given, "k", "t", "u", names="ktux"))) == said(expected)


@given(given=rows("k", "x"), size=st.integers(0, 4), drop_partial=st.booleans())
def test_a_batch_has_so_many_rows(given: Rows, size: int, drop_partial: bool) -> None:
    width = size or len(given) or 1
    parts = [given[at : at + width] for at in range(0, len(given), width)]
    if size and drop_partial:
        parts = [part for part in parts if len(part) == size]
    expected = [{name: [row[name] for row in part] for name in ("k", "x")} for part in parts]
    assert shown(Batch(size, drop_partial=drop_partial)(stream(given, "k", names="kx"))) == said(expected)


@given(given=rows("k", "x", "l"))
def test_explode_makes_a_row_of_every_member(given: Rows) -> None:
    expected = [
        {"k": row["k"], "n": at, "x": row["x"], "l": member}
        for row in given
        for at, member in enumerate(row["l"] or [])
    ]
    assert shown(Explode("l", index_tag="n")(stream(given, "k", names="kxl"))) == said(expected)


def test_members_that_lie_under_a_null_are_nobodys() -> None:
    lists = pa.LargeListArray.from_arrays([0, 2, 4, 5], pa.array([1, 2, 3, 4, 5]), mask=pa.array([False, True, False]))
    source = ArrowTableSource(pa.table({"k": [1, 2, 3], "l": lists}), ["k"], source_id="s")
    assert [(row["k"], row["l"]) for row in Explode("l")(source).as_table().to_pylist()] == [(1, 1), (1, 2), (3, 5)]


@given(one=rows("k", "x"), other=rows("k", "x"))
def test_concat_gives_the_rows_of_one_and_then_of_the_other(one: Rows, other: Rows) -> None:
    streams = (stream(one, "k", names="kx"), stream(other, "k", names="kx", source_id="o"))
    assert shown(Concat()(*streams)) == said([*one, *other])


def test_a_concat_takes_the_wider_type_and_one_order_of_ids_whatever_comes_first() -> None:
    sure = DictSource([{"k": 1.0, "x": 1}], ["k"], source_id="s")
    unsure = stream([{"k": 1.0, "t": "a", "x": None}], "k", "t", source_id="o").drop_tag_columns(["t"])
    ways = Concat()(sure, unsure), Concat()(unsure, sure)
    for made in ways:
        assert made.output_schema() == ({"k": float | None}, {"x": int | None})
        assert made.as_table().num_rows == 2
    assert list(ways[0].schema.system_tags) == list(ways[1].schema.system_tags)


def test_selected_columns_stand_in_the_order_in_which_they_are_named() -> None:
    made = stream([], "k", "t", names="ktux").select_packet_columns(["x", "u"]).select_tag_columns(["t", "k"])
    assert [list(part) for part in made.output_schema()] == [["t", "k"], ["x", "u"]]
    assert made.as_table().column_names == ["t", "k", "x", "u"]


@given(given=rows("k", "t", "x"))
def test_filter_and_drop_nulls_keep_rows_for_what_is_in_them(given: Rows) -> None:
    made = stream(given, "k", "t")
    assert shown(made.filter(t="a", x=3)) == said([row for row in given if row["t"] == "a" and row["x"] == 3])
    assert shown(made.filter(t=None)) == said([row for row in given if row["t"] is None])
    assert shown(made.drop_nulls(["t", "x"])) == said([row for row in given if None not in (row["t"], row["x"])])


DICTS: list[dict[str, int]] = [{"a": 1, "b": 2}, {"b": 2, "a": 1}, {"b": 3, "a": 1}]


@pytest.mark.parametrize(
    ("wrapped", "dtype"),
    [
        (lambda each: each, dict[str, int]),
        (lambda each: each, dict[str, int] | None),
        (lambda each: {0: each}, dict[int, dict[str, int]]),
        (lambda each: [each, None], list[dict[str, int] | None]),
        (lambda each: (1, each), tuple[int, dict[str, int]]),
        (lambda each: {name: float(value) for name, value in each.items()}, dict[str, float]),
    ],
)
def test_dicts_are_one_key_in_whatever_order_they_were_put_together(wrapped: Any, dtype: Any) -> None:
    """As they are equal in Python; what a function is given keeps its order."""
    rows = [{"k": wrapped(each), "x": x} for x, each in enumerate(DICTS)]
    source = DictSource(rows, ["k"], source_id="s", data_schema={"k": dtype, "x": int})
    assert source.group_by("k").as_table()["x"].to_pylist() == [[0, 1], [2]]
    assert source.aggregate("k", n="count").as_table()["n"].to_pylist() == [2, 1]
    assert source.filter(k=wrapped(DICTS[1])).as_table()["x"].to_pylist() == [0, 1]
    others = source.map_packets({"x": "y"})
    pairs = source.join(others).as_table()
    assert sorted(zip(pairs["x"].to_pylist(), pairs["y"].to_pylist(), strict=True)) == [
        (0, 0), (0, 1), (1, 0), (1, 1), (2, 2),
    ]  # fmt: skip
    assert source.filter(k=wrapped(DICTS[0])).content_hash() != source.filter(k=wrapped(DICTS[1])).content_hash()
