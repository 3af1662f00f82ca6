"""``Filter`` and ``DropNulls``: the rows they select, and what is known of these."""

import math
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.errors import SchemaError
from orcapod.hashing import hash_structure
from orcapod.hashing.canonical import canonical_bytes
from orcapod.operators import Filter
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing.strategies import ALL_COLUMNS, rows, schemas
from orcapod.types import OptionalType, Schema, type_of_values

SCHEMA = {"k": int, "x": float | None, "s": str | None}
ROWS = [
    {"k": 0, "x": 0.0, "s": "a"},
    {"k": 1, "x": None, "s": "b"},
    {"k": 2, "x": 2.5, "s": None},
    {"k": 3, "x": math.nan, "s": ""},
]


def stream(given_rows=ROWS, schema=SCHEMA):
    return DictSource(given_rows, ["k"], source_id="s", data_schema=schema)


def kept(made):
    return [tag["k"] for tag, _ in made.iter_packets()]


@pytest.mark.parametrize(
    ("predicate", "constraints", "expected"),
    [
        (pc.field("k") > 1, {}, [2, 3]),
        (pc.field("x") >= 0, {}, [0, 2]),
        (~(pc.field("x") >= 0), {}, [3]),
        (pc.field("x").is_null(), {}, [1]),
        (pc.field("x").is_valid(), {}, [0, 2, 3]),
        (pc.field("s").isin(["a", "b"]), {}, [0, 1]),
        (pc.match_substring(pc.field("s"), "b"), {}, [1]),
        ((pc.field("k") > 0) & (pc.field("x") > 0), {}, [2]),
        (pc.field("k") > 0, {"s": "b"}, [1]),
        (None, {"s": "b"}, [1]),
        (None, {"s": None}, [2]),
        (None, {"x": None}, [1]),
        (None, {"x": 0}, [0]),
        (None, {"x": 2.5, "k": 2}, [2]),
        (None, {"x": 2.5, "k": 1}, []),
        (None, {"k": None}, []),
        (None, {"x": math.nan}, [3]),
        (None, {"x": -0.0}, [0]),
        (pc.field("k") > 3, {"x": math.nan}, []),
        (pc.scalar(True), {}, [0, 1, 2, 3]),
        (pc.scalar(False), {}, []),
        (pc.scalar(None).cast(pa.bool_()), {}, []),
    ],
)
def test_filter_keeps_the_rows_for_which_all_holds_and_null_does_not_hold(predicate, constraints, expected):
    made = stream().filter(predicate, **constraints)
    assert kept(made) == expected
    assert made.output_schema() == stream().output_schema()
    for tag, packet in made.iter_packets():
        assert packet.source_info() == {"x": f"s::row_{tag['k']}::x", "s": f"s::row_{tag['k']}::s"}


@pytest.mark.parametrize(
    "value",
    [
        *[True, 5, 0.5, "é", b"\0", date(2024, 2, 29), datetime(2024, 1, 1, 12), datetime(2024, 1, 1, tzinfo=UTC)],  # noqa: DTZ001  # a wall clock's
        datetime(2024, 1, 1, 5, tzinfo=timezone(timedelta(hours=5))),
    ],
)
def test_a_value_of_every_scalar_type_can_be_asked_for(value):
    source = DictSource([{"k": 0, "v": value}, {"k": 1, "v": None}], ["k"])
    assert kept(source.filter(v=value)) == [0]


@dataclass(frozen=True)
class Window:
    start: int
    weights: tuple[float, ...] = ()


@op.logical_type
class Bag:
    def __init__(self, words):
        self.words = words

    def to_bytes(self):
        return " ".join(self.words).encode()

    @classmethod
    def from_bytes(cls, data):
        return cls(data.decode().split())


VALUES = {
    "list": ([1, 2], [1], [1, 2]),
    "empty list": ([], [1], []),
    "set": ({"a", "b"}, {"a"}, {"b", "a"}),
    "dict": ({"a": 1.0}, {"a": 2.0}, {"a": 1.0}),
    "tuple": (("a", 1), ("a", 2), ("a", 1)),
    "record": (Window(1, (0.5,)), Window(1, (0.5, 1.0)), Window(1, (0.5,))),
    "array": (np.array([1.0, np.nan]), np.array([1.0]), np.asfortranarray([1.0, np.nan])),
    "times": (np.datetime64(5, "ns"), np.datetime64(6, "ns"), np.datetime64(5, "ns")),
    "codec": (Bag(["a"]), Bag(["b"]), Bag(["a"])),
    "frame": (pa.table({"a": [1]}), pa.table({"a": [2]}), pa.table({"a": [1]})),
    "complex": (1j, -1j, 1j),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_any_type_can_be_asked_for(kind):
    """The same value is found, as whatever it lies in memory, and the filter is the same then."""
    one, other, same = VALUES[kind]
    schema = {"v": type_of_values([one, other, None]).annotation} if kind != "set" else {"v": set[str] | None}
    rows = [{"k": k, "v": value} for k, value in enumerate([one, None, other, one])]
    source = DictSource(rows, ["k"], data_schema=schema, source_id="s")
    assert kept(source.filter(v=same)) == [0, 3]
    assert kept(source.filter(pc.field("k") > 0, v=same)) == [3]
    assert kept(source.filter(v=None)) == [1]
    hashes = [source.filter(v=value).content_hash() for value in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    with pytest.raises(SchemaError, match="never holds"):
        source.filter(v=object())


@pytest.mark.parametrize("library", [pc.field, pl.col])
def test_a_wall_clock_and_an_instant_are_not_compared(library):
    """Arrow itself only says so where there are rows: here it is said while the plan is made."""
    instants = DictSource([{"k": 1, "at": datetime(2026, 3, 29, tzinfo=UTC)}], ["k"], source_id="s")
    with pytest.raises(SchemaError, match=r"does not apply to Schema\(k: int, at: datetime\[UTC\]\)"):
        instants.filter(library("at") > datetime.fromisoformat("2026-03-29"))
    assert kept(instants.filter(library("at") > datetime(2026, 3, 28, tzinfo=UTC))) == [1]


def test_what_a_filter_is_made_of_never_changes():
    """Or all that was computed behind one would be computed again."""
    values = {"a": [1, 2], "b": np.array([1.0]), "c": np.datetime64(5, "ns"), "d": "x", "e": {"k": 1j}}
    found = str(hash_structure(Filter(values).arguments()))
    assert found == "structure-v1:a4b86cc07de06f9599788a5b20238f5291f1b0275fb7c337b94dc4fe5ca516f5"


def test_a_file_is_asked_for_by_what_is_in_it(tmp_path):
    for name, text in [("a", "x"), ("b", "y"), ("c", "x")]:
        (tmp_path / name).write_text(text)
    source = DictSource([{"k": k, "v": tmp_path / "ab"[k]} for k in range(2)], ["k"], source_id="s")
    made = source.filter(v=tmp_path / "c")
    assert kept(made) == [0]
    (tmp_path / "c").rename(tmp_path / "d")
    assert kept(made) == [0], "what was in it as the filter was made"
    assert made.content_hash() == source.filter(v=tmp_path / "d").content_hash()
    with pytest.raises(SchemaError, match="nothing is there"):
        source.filter(v=tmp_path / "nowhere")


def test_rows_that_were_nested_can_be_asked_for_by_their_members():
    nested = DictSource([{"g": k % 2, "k": k, "x": k} for k in range(3)], ["g", "k"]).group_by("g")
    assert [packet["x"] for _, packet in nested.filter(k=[0, 2]).iter_packets()] == [[0, 2]]


def test_columns_of_any_name_can_be_asked_for():
    source = DictSource(
        [{"k": 0, "a.b": 1, "a b": 2, "predicate_": 3}, {"k": 1, "a.b": 0, "a b": 0, "predicate_": 0}], ["k"]
    )
    for name, value in [("a.b", 1), ("a b", 2), ("predicate_", 3)]:
        assert kept(source.filter(**{name: value})) == [0]
        assert kept(source.filter(pc.field(name) > 0)) == [0]


OPTIONS = ["label", "predicate", "constraints", "columns", "self", "others", "operator", "size"]


@pytest.mark.parametrize("name", OPTIONS)
def test_no_column_is_taken_for_an_option(name):
    source = DictSource([{"k": 0, name: "a"}, {"k": 1, name: "b"}], ["k"])
    for made in (
        source.filter(**{name: "b"}),
        source.filter({name: "b"}),
        source.filter(None, {name: "b"}),
        source.filter(pc.field("k") >= 0, {name: "b"}),
        source.filter({name: "b"}, k=1),
        Filter(**{name: "b"})(source),
    ):
        assert kept(made) == [1]
    assert source.filter({name: "b"}).content_hash() == source.filter(**{name: "b"}).content_hash()


def test_a_label_is_given_where_the_operator_is_applied():
    assert Filter(k=1)(stream(), label="second").label == "second"
    with pytest.raises(SchemaError, match=r"no column 'label'.*Filter\(...\)\(stream, label=...\)"):
        stream().filter(k=1, label="second")


def test_a_constraint_is_given_once():
    with pytest.raises(SchemaError, match="'k' is among the constraints and a keyword"):
        stream().filter({"k": 1}, k=2)
    with pytest.raises(SchemaError, match="nothing to filter by"):
        stream().filter({})


def test_nan_is_one_value_as_in_joins():
    keys = DictSource([{"x": math.nan}], ["x"])
    rows = DictSource([{"x": math.nan, "y": 1}, {"x": 0.5, "y": 2}], ["x"])
    assert rows.filter(x=math.nan).as_table()["y"].to_pylist() == rows.join(keys).as_table()["y"].to_pylist() == [1]
    wide = DictSource([{"k": 0, "x": 1}], ["k"], data_schema={"x": float})
    assert kept(wide.filter(x=math.nan)) == []


def test_a_numpy_scalar_asks_for_the_value_that_it_is():
    np = pytest.importorskip("numpy")
    made = stream().filter(k=np.int64(1))
    assert kept(made) == [1]
    assert made.content_hash() == stream().filter(k=1).content_hash()


def test_the_order_of_rows_is_kept_over_many_chunks():
    source = ArrowTableSource(pa.table({"k": range(200_000)}), ["k"])
    table = source.filter(pc.bit_wise_and(pc.field("k"), 3) != 0).as_table()
    assert table["k"].to_pylist() == [k for k in range(200_000) if k % 4]


class TestIdentityOfFilters:
    DIFFERENT = (
        lambda: {"predicate": pc.field("k") > 1},
        lambda: {"predicate": pc.field("k") >= 1},
        lambda: {"predicate": pc.field("k") > 2},
        lambda: {"predicate": pc.field("x") > 1},
        lambda: {"predicate": pc.field("x") / 2 > 0},
        lambda: {"predicate": pc.field("k") / 2 > 0},
        lambda: {"predicate": pc.field("k") / 2.0 > 0},
        lambda: {"predicate": (pc.field("k") + 0) / 2 > 0},
        lambda: {"predicate": (pc.field("k") + 0.0) / 2 > 0},
        lambda: {"predicate": pc.field("s") == "1"},
        lambda: {"predicate": pc.field("s") == "..."},
        lambda: {"predicate": pc.field("s").isin(["a"])},
        lambda: {"predicate": pc.field("k").isin(range(1000))},
        lambda: {"predicate": pc.field("k").isin([*range(500), 7, *range(501, 1000)])},
        lambda: {"predicate": pc.field("k").isin(range(1001))},
        lambda: {"predicate": pc.field("s") == "x" * 5000},
        lambda: {"predicate": pc.field("s") == "x" * 4999 + "y"},
        lambda: {"predicate": pc.match_substring(pc.field("s"), "a")},
        lambda: {"predicate": pc.match_substring(pc.field("s"), "a", ignore_case=True)},
        lambda: {"predicate": pc.field("x") > 0.1},
        lambda: {"predicate": pc.field("x") > 0.1 + 2e-17},
        lambda: {"k": 1},
        lambda: {"k": 2},
        lambda: {"x": 1.0},
        lambda: {"x": None},
        lambda: {"x": math.nan},
        lambda: {"s": "1"},
        lambda: {"k": 1, "s": "1"},
        lambda: {"predicate": pc.field("k") > 1, "s": "1"},
    )

    def made(self, make):
        constraints = make()
        return stream().filter(constraints.pop("predicate", None), constraints)

    def test_filters_that_say_different_things_are_different(self):
        hashes = {self.made(make).content_hash() for make in self.DIFFERENT}
        assert len(hashes) == len(self.DIFFERENT)

    def test_a_filter_written_twice_is_one(self):
        for make in self.DIFFERENT:
            assert self.made(make).content_hash() == self.made(make).content_hash()
        assert stream().filter(k=1, s="a").content_hash() == stream().filter(s="a", k=1).content_hash()

    def test_in_another_process_it_is_the_same(self):
        program = """
import pyarrow.compute as pc
from orcapod.operators import Filter
predicate = pc.field("k").isin(range(99)) & (pc.field("s") == "é")
print(Filter(predicate, x=1).content_hash())
"""
        found = {
            subprocess.run(
                [sys.executable, "-c", program],
                check=True,
                capture_output=True,
                env={**os.environ, "PYTHONHASHSEED": seed},
            ).stdout
            for seed in ("1", "2")
        }
        assert len(found) == 1


@given(st.data())
@settings(max_examples=50)
def test_drop_nulls_keeps_the_rows_that_have_every_value_and_says_so_in_its_schema(data):
    schema = {"k": int, **data.draw(schemas("x", "s", nested=2))}
    given_rows = data.draw(rows(schema))
    columns = data.draw(st.none() | st.lists(st.sampled_from(list(schema)), unique=True))
    made = stream(given_rows, schema).drop_nulls(columns)
    names = list(schema) if columns is None else columns
    expected = [row for row in given_rows if all(row[name] is not None for name in names)]
    found = [{**tag, **packet} for tag, packet in made.iter_packets()]
    assert list(map(canonical_bytes, found)) == list(map(canonical_bytes, expected))
    types = {**made.schema.tags.types, **made.schema.packets.types}
    for name, before in Schema(schema).types.items():
        assert types[name] == (before.inner if name in names and isinstance(before, OptionalType) else before)


def test_drop_nulls_makes_an_optional_column_fit_what_takes_no_null():
    made = stream().drop_nulls(["x"])
    assert made.output_schema()[1] == {"x": float, "s": str | None}
    assert made.as_table().schema.field("x").nullable is False
    assert kept(made) == [0, 2, 3]
    assert kept(stream().drop_nulls()) == [0, 3]
    assert kept(stream().drop_nulls("s")) == [0, 1, 3]
    assert kept(stream().drop_nulls([])) == [0, 1, 2, 3]
    assert made.as_table(ALL_COLUMNS)["_source_x"].to_pylist() == [f"s::row_{i}::x" for i in (0, 2, 3)]
