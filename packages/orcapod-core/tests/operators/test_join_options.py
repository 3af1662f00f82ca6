"""Joins that speak: by which tags, which rows, how many, and what is said where nothing meets."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.errors import InputValidationError, LabelError, SchemaError
from orcapod.operators import Join
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource
from orcapod.streams import Stream
from orcapod.testing.operator import ANY, OperatorSuite
from orcapod.testing.strategies import scattered

KEYS = st.none() | st.sampled_from([0.0, -0.0, 1.0, 2.0])
WAYS: dict[str, Any] = {"sync": None, "async": AsyncPipelineOrchestrator()}


class TestLeftJoin(OperatorSuite):
    columns = [({"k": float | None, "t": ANY}, {"x": ANY}), ({"k": float | None, "u": int}, {"y": ANY})]

    def make_operator(self):
        return Join(how="left")


class TestAntiJoin(OperatorSuite):
    columns = [({"k": float | None, "t": ANY}, {"x": ANY}), ({"k": float | None}, {"y": ANY})]

    def make_operator(self):
        return Join(how="anti")


def left(keys: list[float | None]) -> DictSource:
    rows = [{"k": k, "i": i, "x": i} for i, k in enumerate(keys)]
    return DictSource(rows, ["k", "i"], source_id="left", data_schema={"k": float | None, "i": int, "x": int})


def right(keys: list[float | None]) -> DictSource:
    rows = [{"k": k, "j": j, "y": 10 * j} for j, k in enumerate(keys)]
    return DictSource(rows, ["k", "j"], source_id="right", data_schema={"k": float | None, "j": int, "y": int})


def agree(one: float | None, other: float | None) -> bool:
    return one is not None and one == other


def expected(how: str, ones: list[float | None], others: list[float | None]) -> list[tuple[Any, ...]]:
    """What plain Python says: i, j, x, y."""
    found: list[tuple[Any, ...]] = []
    for i, one in enumerate(ones):
        meeting = [(i, j, i, 10 * j) for j, other in enumerate(others) if agree(one, other)]
        if how != "anti":
            found += meeting
        if not meeting and how != "inner":
            found.append((i, None, i, None))
    return found


@settings(max_examples=20)
@given(how=st.sampled_from(["inner", "left", "anti"]), data=st.data())
def test_a_join_gives_what_plain_python_says(how: Any, data: st.DataObject) -> None:
    ones, others = (data.draw(st.lists(KEYS, max_size=5)) for _ in range(2))
    joined = left(ones).join(right(others), how=how)
    chunks = data.draw(scattered(joined))
    rows = [row for chunk in chunks for row in chunk.table().to_pylist()]
    assert Counter((row["i"], row.get("j"), row["x"], row.get("y")) for row in rows) == Counter(
        expected(how, ones, others)
    )
    for row in joined.as_table({"source": True}).to_pylist():
        if how == "left":
            assert (row["_source_y"] is None) == (row["y"] is None)


def test_what_is_not_said_is_no_part_of_what_identifies_a_join() -> None:
    one, other = left([1.0]), right([1.0])
    plain = one.join(other)
    assert plain.content_hash() == other.join(one).content_hash()
    assert Join().arguments() == ()
    said = [
        plain,
        one.join(other, on="k"),
        one.join(other, how="left"),
        one.join(other, how="anti"),
        other.join(one, how="left"),
        one.join(other, validate="1:1"),
        one.join(other, validate="n:1"),
        other.join(one, validate="n:1"),
    ]
    assert len({stream.content_hash() for stream in said}) == len(said)
    assert len({stream.pipeline_hash() for stream in said}) == len(said)
    assert one.join(other, on=["k"]).content_hash() == one.join(other, on="k").content_hash()


@pytest.mark.parametrize(
    ("validate", "ones", "others", "words"),
    [
        ("1:1", [1.0, 2.0], [2.0, 1.0], None),
        ("1:n", [1.0, 2.0], [2.0, 2.0], None),
        ("n:1", [1.0, 1.0], [2.0, 1.0], None),
        ("1:1", [None, None], [None, None], None),
        ("1:1", [1.0, 1.0], [2.0], ["'1:1'", "first", "2 rows of k=1.0"]),
        ("1:1", [1.0], [2.0, 2.0, 2.0], ["'1:1'", "second", "3 rows of k=2.0"]),
        ("1:n", [0.0, -0.0], [2.0], ["'1:n'", "first", "2 rows of k=0.0"]),
        ("n:1", [1.0], [2.0, 2.0, 3.0, 3.0], ["'n:1'", "second", "2 rows of k=2.0", "1 others"]),
    ],
)
@pytest.mark.parametrize("how", ["inner", "left", "anti"])
@pytest.mark.parametrize("way", WAYS)
def test_a_relation_that_does_not_hold_ends_the_run(
    way: str, how: Any, validate: Any, ones: list[Any], others: list[Any], words: list[str] | None
) -> None:
    pipeline = op.Pipeline("p")
    with pipeline, warnings.catch_warnings():
        joined = left(ones).join(right(others), how=how, validate=validate)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of these meet nothing
        if words is None:
            assert pipeline.run(WAYS[way]).ok
            return
        with pytest.raises(InputValidationError) as caught:
            pipeline.run(WAYS[way])
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert caught.value.column == "k"
    with pytest.raises(InputValidationError):
        joined.as_table()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda a, b: a.join(b, on="j"), ["on=['j']", "'j'", "['k', 'i']"]),
        (lambda a, b: a.join(b.map_tags({"j": "i"}), on="k"), ["'i'", "on=['k']", "drop_tag_columns"]),
        (lambda a, b: a.join(b, how="right"), ["how", "'right'", "left"]),
        (lambda a, b: a.join(b, validate="n:n"), ["validate", "'n:n'", "1:n"]),
        (lambda a, b: a.join(b, a, how="left"), ["2 streams", "found 3"]),
        (lambda a, b: a.join(how="anti"), ["2 streams", "found 1"]),
        (lambda a, b: a.join(b.map_tags({"k": "h"}), how="left"), ["how='left'", "share", "['h', 'j']"]),
        (lambda a, b: a.cross(b), ["Cross", "'k'", "join", "map_tags"]),
    ],
)
def test_a_join_that_cannot_be_is_refused_while_it_is_built(
    build: Callable[[Stream, Stream], Stream], words: list[str]
) -> None:
    with pytest.raises(SchemaError) as caught:
        build(left([1.0]), right([1.0]))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_join_by_nothing_warns_at_the_users_line_and_a_cross_does_not() -> None:
    ages = DictSource([{"subj": "a", "age": 3}], ["subj"], source_id="ages")
    cells = DictSource([{"subject": "a", "cell": 1, "x": 1}], ["subject", "cell"], source_id="cells")
    with pytest.warns(UserWarning, match=r"share no tag.*\['subject', 'cell'\] and \['subj'\]") as caught:
        cells.join(ages)
    assert "map_tags({'subj': 'subject'})" in str(caught[0].message)
    assert "cross" in str(caught[0].message)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="share no tag"):
        FunctionPod(op.PythonPacketFunction(grown, "y", identity="version"))(cells, ages)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        crossed = cells.cross(ages)
        cells.join(ages.map_tags({"subj": "subject"}))
        cells.join(left([1.0]).map_packets({"x": "z"}).map_tags({"i": "cell"}), right([2.0]))  # one by another
    assert crossed.as_table().to_pylist() == [{"subject": "a", "cell": 1, "subj": "a", "x": 1, "age": 3}]


def grown(x: int, age: int) -> int:
    return x + age


@pytest.mark.parametrize("way", WAYS)
def test_a_join_that_meets_nothing_warns_once_and_rows_are_counted(way: str) -> None:
    one = DictSource([{"s": f"s{i}", "x": i} for i in range(3)], ["s"], source_id="one")
    other = DictSource([{"s": f"S{i}", "y": i} for i in range(2)], ["s"], source_id="other")
    pipeline = op.Pipeline("p")
    with pipeline:
        one.join(other, label="joined").filter(x=1)
    with pytest.warns(UserWarning, match=r"'joined': of 3 and 2 rows none agree in 's'.*s='s0' and s='S0'") as caught:
        result = pipeline.run(WAYS[way])
    assert len(caught) == 1
    assert result.rows("joined") == ((3, 2), 0)
    assert result.rows("one").given == 3
    assert result.rows("filter").taken == (0,)
    assert "joined: 3 and 2 rows in, 0 out" in repr(result)
    assert "rows out" in result._repr_html_()
    with pytest.raises(LabelError, match=r"'nope'.*'joined'"):
        result.rows("nope")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        empty = op.Pipeline("empty")
        with empty:
            one.filter(x=7).join(other)
            one.join(other, how="anti")
        empty.run(WAYS[way])


def test_a_value_less_the_mean_of_its_group() -> None:
    """The message names what helps, and so it is short."""
    scores = DictSource(
        [{"subject": "ab"[i % 2], "k": i, "score": i} for i in range(4)], ["subject", "k"], source_id="s"
    )
    mean = FunctionPod(op.PythonPacketFunction(mean_of, "mean", identity="version"))
    with pytest.raises(SchemaError, match=r"select_tag_columns\(\['subject'\]\).*tags=\"drop\"") as caught:
        scores.join(mean(scores.group_by("subject")))
    assert (caught.value.column, caught.value.found) == ("k", "list[int]")
    joined = scores.join(mean(scores.group_by("subject", tags="drop")), validate="n:1")
    assert [(row["k"], row["score"] - row["mean"]) for row in joined.as_table().sort_by("k").to_pylist()] == [
        (0, -1.0),
        (1, -1.0),
        (2, 1.0),
        (3, 1.0),
    ]


def mean_of(score: list[int]) -> float:
    return sum(score) / len(score)


def test_columns_of_other_makers_meet_whatever_they_were_called_before() -> None:
    """Rows of one input whose values come from elsewhere than those before them."""
    one = DictSource([{"k": 1, "x": 1}], ["k"], source_id="one")
    other = DictSource([{"k": 2, "w": 2}], ["k"], source_id="other").map_packets({"w": "x"})
    third = DictSource([{"k": k, "z": k} for k in (1, 2)], ["k"], source_id="third")
    for pipeline in (op.Pipeline("p"), op.Pipeline("q")):
        with pipeline:
            one.concat(other).join(third, third.map_packets({"z": "y"}), label="joined")
            one.concat(other).merge_join(third.map_packets({"z": "x"}), label="merged")
        pipeline.run(AsyncPipelineOrchestrator() if pipeline.name == ("p",) else None)
        rows = pipeline.joined.as_table({"source": True}).to_pylist()
        assert sorted(row["_source_x"] for row in rows) == ["one::row_0::x", "other::row_0::w"]
        assert pipeline.merged.as_table().num_rows == 2
