"""Sweeps: parameters that are tags, functions that take those they name, and results that know theirs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, PipelineError, SchemaError
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource

WAYS: dict[str, dict[str, Any]] = {
    "sync": {},
    "async": {"orchestrator": AsyncPipelineOrchestrator()},
    "threads": {"execution_engine": LocalExecutor(workers=2)},
}


def pod(function: Any, output: str, **options: Any) -> FunctionPod:
    return FunctionPod(op.PythonPacketFunction(function, output, identity="version", **options))


def scaled(level: int, factor: int) -> int:
    if level < 0:
        raise ValueError("broken")
    return level * factor


def total(value: list[int]) -> int:
    return sum(value)


def title(sum: int, subject: str, factor: int) -> str:  # noqa: A002  # the column's name
    return f"{subject} x {factor}: {sum}"


def cells(levels: list[tuple[str, int]]) -> DictSource:
    rows = [{"subject": subject, "cell": i, "level": level} for i, (subject, level) in enumerate(levels)]
    types = {"subject": str, "cell": int, "level": int}
    return DictSource(rows, ["subject", "cell"], source_id="cells", data_schema=types)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=8)
@given(
    levels=st.lists(st.tuples(st.sampled_from("ab"), st.integers(-1, 3)), max_size=6),
    factors=st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True),
    windows=st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True),
)
def test_a_sweep_gives_what_plain_python_says(
    way: str, levels: list[tuple[str, int]], factors: list[int], windows: list[int]
) -> None:
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        every = cells(levels).cross(op.grid(factor=factors, window=windows))
        values = pod(scaled, "value", tags=["factor"])(every, label="values")
        sums = pod(total, "sum")(values.group_by("subject", "factor", "window", tags="drop"), label="sums")
        pod(title, "title", tags=["subject", "factor"])(sums, label="titles")
    result = pipeline.run(**WAYS[way])
    broken = {subject for subject, level in levels if level < 0}
    expected = {
        (subject, factor, window): f"{subject} x {factor}: {sum(x * factor for each, x in levels if each == subject)}"
        for subject, factor, window in product({subject for subject, _ in levels} - broken, factors, windows)
    }
    found = pipeline.titles.as_table().to_pylist()
    assert {(row["subject"], row["factor"], row["window"]): row["title"] for row in found} == expected
    assert len(found) == len(expected)
    assert result.counts("sums")["incomplete"] == len(broken) * len(factors) * len(windows)
    computed = len({(level, factor) for _, level in levels for factor in factors if level >= 0})
    assert result.counts("values")["computed"] == computed, "the window is no part of what is computed"
    again = pipeline.run(**WAYS[way])
    assert not any(again.counts(label)["computed"] for label in again.node_counts)


def test_a_tag_counts_like_a_column_of_its_name_and_only_if_it_is_named() -> None:
    """The same values are the same computation, wherever they come from."""
    store = MemoryDatabase()
    as_tag, as_data = op.Pipeline("tag", store), op.Pipeline("data", store)
    rows = [{"i": i, "factor": i % 2, "level": 5} for i in range(4)]
    with as_tag:
        pod(scaled, "value", tags="factor")(DictSource(rows, ["i", "factor"], source_id="s"))
    with as_data:
        pod(scaled, "value")(DictSource(rows, ["i"], source_id="s"))
    assert as_tag.run().counts("scaled") == {"computed": 2, "cached": 2, "failed": 0}
    assert as_data.run().counts("scaled") == {"computed": 0, "cached": 4, "failed": 0}
    assert as_tag.scaled.as_table().column_names == ["i", "factor", "value"]
    plain = op.PythonPacketFunction(total, "sum", identity="version")
    told = op.PythonPacketFunction(total, "sum", identity="version", tags=[])
    source = cells([("a", 1)]).map_packets({"level": "value"}).group_by("subject")
    assert FunctionPod(plain)(source).pipeline_hash() == FunctionPod(told)(source).pipeline_hash()


def test_a_default_stands_where_there_is_no_such_tag() -> None:
    def raised(level: int, factor: int = 10) -> int:
        return level + factor

    function = pod(raised, "y", tags=["factor"])
    assert function(cells([("a", 1)])).as_table()["y"].to_pylist() == [11]
    swept = function(cells([("a", 1)]).cross(op.grid(factor=[1, 2])))
    assert swept.as_table()["y"].to_pylist() == [2, 3]
    with_data = DictSource([{"i": 0, "level": 1, "factor": 5}], ["i"])
    assert function(with_data).as_table()["y"].to_pylist() == [11], "it named the tag, and takes no data for it"


def test_two_nodes_that_differ_in_the_tags_that_they_take_are_two() -> None:
    def raised(level: int, factor: int = 10) -> int:
        return level + factor

    pipeline = op.Pipeline("p")
    with pipeline:
        swept = cells([("a", 1)]).cross(op.grid(factor=[1, 2]))
        pod(raised, "y")(swept)
        pod(raised, "y", tags=["factor"])(swept)
    pipeline.run()
    assert [node.as_table()["y"].to_pylist() for label, node in pipeline.items() if "raised" in label] == [
        [11, 11],
        [2, 3],
    ]


def test_a_row_that_a_function_is_given_by_hand_has_its_tags() -> None:
    (tag, packet), *_ = cells([("a", 2)]).cross(op.grid(factor=[3]))
    assert pod(scaled, "value", tags=["factor"]).process_packet(tag, packet)[1]["value"] == 6


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s: pod(scaled, "y")(s.cross(op.grid(factor=[1]))), ["'factor'", "is a tag", "tags=['factor']"]),
        (lambda s: pod(scaled, "y", tags=["factor"])(s), ["no tag column", "'factor'", "['subject', 'cell']"]),
        (lambda s: pod(scaled, "y", tags=["level", "factor"])(s), ["'level'", "is data", "leave it out of tags"]),
        (lambda s: pod(scaled, "y", tags=["nope"]), ["tags names 'nope'", "['level', 'factor']"]),
        (
            lambda s: pod(scaled, "y", tags=["factor"])(s.cross(op.grid(factor=["a"]))),
            ["'factor'", "int", "str"],
        ),
    ],
)
def test_a_tag_that_cannot_be_taken_is_told_while_it_is_built(
    build: Callable[[DictSource], object], words: list[str]
) -> None:
    with pytest.raises(SchemaError) as caught:
        build(cells([("a", 1)]))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_grid_has_every_combination_and_its_records_are_called_after_their_values() -> None:
    made = op.grid(threshold=[1.0, 2.0], mode=["fast", "slow"])
    assert made.as_table().to_pylist() == [
        {"threshold": threshold, "mode": mode} for threshold in (1.0, 2.0) for mode in ("fast", "slow")
    ]
    assert (made.label, made.source_id, made.keys()) == ("grid", "grid(threshold,mode)", (("threshold", "mode"), ()))
    ids = [list(tag.system_tags().values()) for tag, _ in made]
    assert ids[0] == ["grid(threshold,mode)", "threshold=1.0,mode=fast"]
    assert list(op.grid(n=range(3)).as_table()["n"].to_pylist()) == [0, 1, 2]
    assert op.grid(n=[None, 1]).as_table()["n"].to_pylist() == [None, 1]


def test_cases_are_those_that_are_given() -> None:
    given = [{"threshold": 1.0, "smooth": 3}, {"threshold": 2.0, "smooth": None}]
    made = op.cases(given, label="tried")
    assert made.as_table().to_pylist() == given
    assert (made.label, made.source_id) == ("tried", "cases(threshold,smooth)")


def test_what_is_added_to_a_sweep_computes_itself_alone_and_the_rest_keeps_its_records() -> None:
    store, entries = MemoryDatabase(), []
    for factors in ([1, 2], [0, 1, 2]):
        pipeline = op.Pipeline("p", store)
        with pipeline:
            pod(scaled, "value", tags=["factor"])(cells([("a", 5)]).cross(op.grid(factor=factors)), label="values")
        assert pipeline.run().counts("values") == {
            "computed": 2 if len(entries) == 0 else 1,
            "cached": len(entries) and 2,
            "failed": 0,
        }
        entries.append(store.at("p").get_records(pipeline["values"].path).num_rows)
    assert entries == [2, 3]


def test_two_grids_of_the_same_parameters_need_names() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        one = cells([("a", 1)])
        pod(scaled, "value", tags=["factor"])(one.cross(op.grid(factor=[1])), label="few")
        pod(scaled, "value", tags=["factor"])(one.cross(op.grid(factor=[2])), label="many")
    with pytest.raises(PipelineError, match=r"'grid\(factor\)'.*source_id"):
        pipeline.run()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: op.grid(), ["grid", "no parameter", "threshold="]),
        (lambda: op.grid(x=[]), ["grid", "'x'", "no values"]),
        (lambda: op.grid(x="fast"), ["grid", "x 'fast'", "str", "x=[1, 2]"]),
        (lambda: op.grid(x=1.0), ["grid", "x 1.0", "float"]),
        (lambda: op.grid(x=[1, 1]), ["'x'", "row 0", "row 1"]),
        (lambda: op.cases([]), ["cases", "no parameter"]),
        (lambda: op.cases([{}]), ["cases", "no parameter"]),
        (lambda: op.cases([{"a": 1}, {"b": 1}]), ["row 1", "['a']", "['b']"]),
        (lambda: op.cases([1]), ["row 0", "int"]),
    ],
)
def test_what_is_no_sweep_is_refused(build: Callable[[], object], words: list[str]) -> None:
    with pytest.raises(InputValidationError) as caught:
        build()
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("name", ["label", "source_id"])
def test_a_parameter_that_is_called_like_an_argument_is_told_its_way(name: str) -> None:
    with pytest.raises(InputValidationError, match=rf"grid: found {name} \['a'\].*write cases\(\[{{'{name}': ..., "):
        op.grid(threshold=[1], **{name: ["a"]})  # type: ignore[arg-type]
    assert op.cases([{name: "a"}, {name: "b"}]).as_table()[name].to_pylist() == ["a", "b"]
