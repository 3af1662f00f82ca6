"""``Aggregate`` against the same said in plain Python, over random rows in random chunks and by every orchestrator."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any, Literal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.compute import counted, pc
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, SchemaError
from orcapod.operators import Aggregate
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing.strategies import ALL_COLUMNS, scattered

TYPES = {"k": str | None, "t": int, "x": int | None, "y": float, "d": timedelta | None}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from([None, "a", "b"]),
            "t": st.integers(0, 1),
            "x": st.none() | st.integers(-9, 9),
            "y": st.floats(-9, 9, width=16) | st.just(math.nan),
            "d": st.none() | st.integers(-9, 9).map(timedelta),
        }
    ),
    max_size=12,
)
FUNCTIONS = ["count", "sum", "mean", "min", "max", "first", "std"]
EVERY = {f"{column}_{each}": (column, each) for column in "xy" for each in FUNCTIONS}


def source(rows: list[dict[str, Any]]) -> DictSource:
    return DictSource(rows, ["k", "t"], data_schema=TYPES, source_id="s")


def said(function: str, values: list[Any], ddof: int = 1) -> Any:
    """What one function says of the values of a group."""
    there = [each for each in values if each is not None]
    numbers = [each for each in there if each == each]
    match function:
        case "count":
            return len(there)
        case "sum":
            return sum(there)
        case "first":
            return values[0]
        case "mean":
            return sum(there) / len(there) if there else None
        case "min" | "max":
            picked: Callable[..., Any] = min if function == "min" else max
            return picked(numbers, default=there[0] if there else None)
        case _:
            if len(there) <= ddof:
                return None
            if len(numbers) < len(there):
                return math.nan
            return statistics.stdev(there) if ddof else statistics.pstdev(there)


def grouped(rows: list[dict[str, Any]], *by: str) -> dict[Any, list[dict[str, Any]]]:
    groups: dict[Any, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return groups


def alike(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> bool:
    return len(found) == len(expected) and all(
        one.keys() == other.keys() and all(map(close, one.values(), other.values()))
        for one, other in zip(found, [{name: row[name] for name in found[0]} for row in expected], strict=True)
    )


def close(one: Any, other: Any) -> bool:
    """Of one type, and equal; floats up to the order of additions."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


@given(rows=ROWS, by=st.sampled_from([(), ("k",), ("t",), ("k", "t")]), data=st.data())
def test_every_function_says_what_plain_python_says(
    rows: list[dict[str, Any]], by: tuple[str, ...], data: st.DataObject
) -> None:
    made = source(rows).aggregate(by, EVERY, n="count", low=("d", "min"), high=("d", "max"), whole=("x", "std", 0))
    expected = [
        dict(zip(by, key, strict=True))
        | {name: said(each, [row[column] for row in members]) for name, (column, each) in EVERY.items()}
        | {
            "n": len(members),
            "low": said("min", [row["d"] for row in members]),
            "high": said("max", [row["d"] for row in members]),
            "whole": said("std", [row["x"] for row in members], 0),
        }
        for key, members in grouped(rows, *by).items()
    ]
    assert alike(made.as_table().to_pylist(), expected)
    chunks = data.draw(scattered(made))
    assert alike([row for chunk in chunks for row in chunk.table().to_pylist()], expected)


@given(rows=ROWS)
def test_ids_and_provenance_are_those_of_the_members(rows: list[dict[str, Any]]) -> None:
    made = source(rows).aggregate("k", n="count", total=("x", "sum"), y=("y", "first"), last=("t", "max"))
    ids = [name for name in made.as_table(ALL_COLUMNS).column_names if name.startswith("_tag_record_id")]
    found = made.as_table(ALL_COLUMNS).to_pylist()
    numbers = grouped([{**row, "at": at} for at, row in enumerate(rows)], "k").values()
    for row, members in zip(found, numbers, strict=True):
        records = [f"row_{member['at']}" for member in members]
        assert [row[name] for name in ids] == [records]
        assert row["_source_total"] == [f"s::{record}::x" for record in records]
        assert row["_source_y"] == f"s::{records[0]}::y"
        assert row["_source_n"] == row["_source_last"] == []


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator(buffer_size=1)])
def test_a_function_goes_on_with_them_in_every_orchestrator(orchestrator: Any) -> None:
    @op.function_pod(output_keys="x", max_concurrency=4, identity="version")
    async def half(x: int) -> float:
        return x / 3

    @op.function_pod(output_keys="z", identity="version")
    def scaled(mean: float, spread: float | None, n: int) -> float:
        return mean * n + (spread or 0)

    rows = [{"k": "ab"[i % 7 > 4], "x": i} for i in range(50)]
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        halves = half.pod(DictSource(rows, ["k"], source_id="s"))
        measures = halves.aggregate("k", mean=("x", "mean"), spread=("x", "std"), n="count")
        scaled.pod(measures, label="scaled")
    assert pipeline.run(orchestrator).ok
    found = {row["k"]: row["z"] for row in pipeline.scaled.as_table().to_pylist()}
    for key, members in grouped(rows, "k").items():
        values = [row["x"] / 3 for row in members]
        assert found[key[0]] == pytest.approx(sum(values) + statistics.stdev(values))


def test_what_is_said_of_a_group_does_not_depend_on_rows_of_others() -> None:
    """Or what is made of it is computed anew when they change: Arrow goes through 32,768 rows at a time."""
    count = 80_000
    x = pc.sin(pc.cast(counted(0, count), pa.float64()))
    table = pa.table({"i": counted(0, count), "k": pa.array(["a", "b"] * (count // 2)), "x": x})
    every = {each: ("x", each) for each in FUNCTIONS}

    def of_a(rows: pa.Table) -> list[Any]:
        made = ArrowTableSource(rows, ["i", "k"], source_id="s", record_id_column="i").aggregate("k", every).as_table()
        return made.filter(pc.equal(made["k"], "a")).to_pylist()

    is_a = pc.equal(table["k"], "a")
    assert of_a(table) == of_a(table.filter(pc.or_(is_a, pc.greater(table["i"], 200)))) == of_a(table.filter(is_a))


def test_types_say_what_may_be_none() -> None:
    made = source([]).aggregate("k", {**EVERY, "n": "count", "y_whole": ("y", "std", 0)})
    tags, packets = made.output_schema()
    assert tags == {"k": str | None}
    expected = {
        "x_count": int, "x_sum": int, "x_mean": float | None, "x_min": int | None, "x_max": int | None,
        "x_first": int | None, "x_std": float | None, "n": int,
        "y_count": int, "y_sum": float, "y_mean": float, "y_min": float, "y_max": float, "y_first": float,
        "y_std": float | None, "y_whole": float,
    }  # fmt: skip
    assert dict(packets) == expected


def test_a_sum_of_ints_is_exact_as_long_as_it_fits_and_never_wraps() -> None:
    large = 2**62
    fits = DictSource([{"k": 1, "x": large}, {"k": 1, "x": large - 1}, {"k": 2, "x": -(2**63)}], ["k"])
    assert fits.aggregate("k", x=("x", "sum")).as_table().column("x").to_pylist() == [2**63 - 1, -(2**63)]
    beyond = DictSource([{"k": 1, "x": 5}, {"k": 2, "x": large}, {"k": 2, "x": large}], ["k"])
    with pytest.raises(InputValidationError, match=rf"sum of column 'x' is {2**63} in the group .'k': 2., .*64 bits"):
        beyond.aggregate("k", x=("x", "sum")).as_table()
    below = DictSource([{"k": 1, "x": -(2**63)}, {"k": 2, "x": -(2**63)}, {"k": 2, "x": -1}], ["k"])
    with pytest.raises(InputValidationError, match=f"is {-(2**63) - 1} in the group .'k': 2"):
        below.aggregate("k", x=("x", "sum")).as_table()


def test_a_mean_of_large_ints_does_not_wrap() -> None:
    rows = DictSource([{"k": 1, "x": 2**62}] * 4, ["k"])
    assert rows.aggregate("k", x=("x", "mean")).as_table().column("x").to_pylist() == [2.0**62]


def test_bools_are_counted_and_dates_text_and_choices_have_ends() -> None:
    rows = [{"k": 1, "b": b, "d": date(2020, 1, 1 + at), "s": s, "l": s}
            for at, (b, s) in enumerate([(True, "é"), (False, "z"), (True, "a")])]  # fmt: skip
    stream = DictSource(rows, ["k"], data_schema={"l": Literal["a", "z", "é"]})
    made = stream.aggregate(
        "k", b=("b", "sum"), share=("b", "mean"), d=("d", "max"), s=("s", "max"), l=("l", "min"), any=("b", "max")
    )
    assert made.as_table().to_pylist() == [
        {"k": 1, "b": 2, "share": pytest.approx(2 / 3), "d": date(2020, 1, 3), "s": "é", "l": "a", "any": True}
    ]
    assert made.output_schema()[1]["l"] == Literal["a", "z", "é"]


def test_count_takes_any_type_and_first_gives_it() -> None:
    rows = [{"k": 1, "x": None}, {"k": 1, "x": [1, None]}]
    made = DictSource(rows, ["k"]).aggregate("k", n=("x", "count"), x=("x", "first"))
    assert made.as_table().to_pylist() == [{"k": 1, "n": 1, "x": None}]


def test_what_it_computes_is_part_of_what_it_is() -> None:
    different = [
        Aggregate("k", x=("x", "sum")), Aggregate("k", y=("x", "sum")), Aggregate("k", x=("y", "sum")),
        Aggregate("k", x=("x", "mean")), Aggregate("t", x=("x", "sum")), Aggregate([], x=("x", "sum")),
        Aggregate("k", x=("x", "std")), Aggregate("k", x=("x", "std", 0)), Aggregate("k", x="count"),
    ]  # fmt: skip
    assert len({each.content_hash() for each in different}) == len(different)
    assert Aggregate("k", x=("x", "std")).content_hash() == Aggregate("k", {"x": ("x", "std", 1)}).content_hash()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"by": "k"}, "nothing to compute; write aggregate"),
        ({"by": ["k", "k"], "n": "count"}, "a tag is named twice"),
        ({"by": "x", "n": "count"}, "no tag column 'x'; found .'k', 't'."),
        ({"by": "k", "n": "size"}, "found 'size' for 'n', expected 'count', or a column and one of count, sum, mean"),
        ({"by": "k", "n": ("x", "median")}, "found .'x', 'median'. for 'n'"),
        ({"by": "k", "n": ("x", "std", 2)}, "'std', 2"),
        ({"by": "k", "n": ("x", "sum", 0)}, "'sum', 0"),
        ({"by": "k", "n": ("q", "sum")}, "no column 'q'; found .'k', 't', 'x', 'y', 'd'."),
        ({"by": "k", "n": ("d", "mean")}, "column 'd' is timedelta . None, expected int, float or bool for mean"),
        ({"by": "k", "k": "count"}, "found 'k' for a new column, .* none of .'k'."),
        ({"by": "k", "_n": "count"}, "found '_n' for a new column, .* not start with '_'"),
    ],
)
def test_what_it_cannot_compute_is_refused_while_it_is_built(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        source([]).aggregate(arguments.pop("by"), **arguments)


def test_values_without_an_order_have_no_ends() -> None:
    stream = DictSource([{"k": 1, "x": [1]}], ["k"])
    with pytest.raises(SchemaError, match=r"column 'x' is list\[int\], expected values that have an order"):
        stream.aggregate("k", x=("x", "min"))


def test_an_output_is_given_once() -> None:
    with pytest.raises(SchemaError, match="'x' is among the outputs and a keyword"):
        Aggregate("k", {"x": "count"}, x="count")


def test_groups_come_in_the_order_of_their_first_rows() -> None:
    rows = pa.table({"k": ["b", "a", "b", "c"] * 20_000, "x": range(80_000)})
    made = op.sources.ArrowTableSource(rows, ["k"], source_id="s").aggregate("k", n="count", x=("x", "min"))
    assert made.as_table().to_pylist() == [
        {"k": "b", "n": 40_000, "x": 0}, {"k": "a", "n": 20_000, "x": 1}, {"k": "c", "n": 20_000, "x": 3}
    ]  # fmt: skip


@pytest.mark.parametrize("by", [[], ["i"]])
def test_no_rows_make_no_group(by: list[str]) -> None:
    empty = DictSource([], ["i"], source_id="s", data_schema={"i": int, "x": float})
    assert empty.aggregate(by, n="count", mean=("x", "mean")).as_table().num_rows == 0
