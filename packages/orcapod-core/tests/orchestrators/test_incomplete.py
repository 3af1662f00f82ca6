"""Nothing made of failed rows looks whole (promise 26)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import IncompleteError, InputValidationError, OrcapodError
from orcapod.executors import LocalExecutor
from orcapod.observers import LoggingObserver
from orcapod.operators import Operator, PushOperator, RowwiseOperator
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource
from orcapod.streams import Stream

pytestmark = pytest.mark.filterwarnings("ignore:.* none agree")  # where rows are drawn at random

BROKEN: set[int] = set()
WAYS: dict[str, dict[str, Any]] = {
    "sync": {},
    "async": {"orchestrator": AsyncPipelineOrchestrator()},
    "threads": {"execution_engine": LocalExecutor(workers=2)},
    "async threads": {
        "orchestrator": AsyncPipelineOrchestrator(buffer_size=1),
        "execution_engine": LocalExecutor(workers=2),
    },
}
EVERYTHING = {"system_tags": True, "source": True}


def pod(function: Any, output: str) -> FunctionPod:
    return FunctionPod(op.PythonPacketFunction(function, output, identity="version"))


def load(x: int) -> int:
    if x in BROKEN:
        raise ValueError(f"{x} is broken")
    return x


def total(y: list[int]) -> int:
    return sum(y)


def shifted(y: int) -> int:
    return y + 100


def source(values: Sequence[int], name: str = "s", column: str = "x") -> DictSource:
    rows = [{"i": i, "g": "abc"[i % 3], column: x} for i, x in enumerate(values)]
    types = {"i": int, "g": str, column: int}
    return DictSource(rows, ["i", "g"], source_id=name, data_schema=types)


class Difference(Operator):
    """A stranger's: each row less the row before, and it knows nothing of rows that have failed."""

    name = "test.Difference"
    order_matters = True

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        return inputs[0].schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _Differences()


class _Differences(PushOperator):
    last = 0

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        assert chunk.column("y").null_count == 0
        values = chunk.column("y").to_pylist()
        made = pa.array([y - before for y, before in zip(values, [self.last, *values], strict=False)], pa.int64())
        self.last = values[-1]
        at = chunk.batch.schema.get_field_index("y")
        return [chunk.with_batch(chunk.batch.set_column(at, "y", made))]

    def close(self, index: int) -> Iterable[Chunk]:
        return []


class Odd(RowwiseOperator):
    """A stranger's, too: the rows whose number is odd, twice."""

    name = "test.Odd"

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        return inputs[0].schema

    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        assert chunk.column("y").null_count == 0
        rows = [row for row, y in enumerate(chunk.column("y").to_pylist()) for _ in range(2) if y % 2]
        return Chunk(chunk.batch.take(pa.array(rows, pa.int64())), schema, chunk.origins)


STEPS: dict[str, Any] = {
    "a stranger, row by row": lambda one, _: Odd()(one),
    "filter by tag": lambda one, _: one.filter(pc.field("g") != "b"),
    "filter by data": lambda one, _: one.filter(pc.field("y") > 1),
    "filter by both": lambda one, _: one.filter(pc.field("y") > 1, g="a"),
    "drop nulls": lambda one, _: one.drop_nulls(["y"]),
    "rename": lambda one, _: (
        one.map_tags({"i": "n"}).map_packets({"y": "z"}).map_packets({"z": "y"}).map_tags({"n": "i"})
    ),
    "select": lambda one, _: one.select_packet_columns(["y"]).select_tag_columns(["g", "i"]),
    "concat": lambda one, other: one.concat(other if one.schema.sources == other.schema.sources else one.head(2)),
    "join": lambda one, other: one.join(other.map_packets({"y": "w"})).drop_packet_columns(["w"]),
    "join by group": lambda one, other: one.join(
        other.select_tag_columns(["g"]).map_packets({"y": "w"})
    ).drop_packet_columns(["w"]),
    "merge join": lambda one, other: pod(total, "y")(one.merge_join(other.map_tags({"g": "h"}))).drop_tag_columns(
        ["h"]
    ),
    "semi join": lambda one, other: one.semi_join(other.filter(pc.field("y") > 2).select_tag_columns(["i"])),
    "shift": lambda one, _: pod(shifted, "y")(one),
    "batch": lambda one, _: one.batch(2).explode(["i", "g", "y"]),
    "batch for good": lambda one, _: pod(total, "y")(one.batch(3, drop_partial=True)).explode(["i", "g"]),
    "group": lambda one, _: pod(total, "y")(one.group_by("g")).explode("i"),
    "group without tags": lambda one, other: (
        pod(total, "y")(one.group_by("g", tags="drop")).join(other.map_packets({"y": "w"})).drop_packet_columns(["w"])
    ),
    "nested groups": lambda one, _: pod(total, "y")(pod(total, "y")(one.group_by("g", "i")).batch()).explode(
        ["g", "i"]
    ),
    "sort": lambda one, _: one.sort("y", "i", descending=[True, False]),
    "head": lambda one, _: one.sort("g", "i").head(3),
    "head of what is sorted by data": lambda one, _: one.sort("y").head(2),
    "sample": lambda one, _: one.sample(fraction=0.5),
    "sample of a number": lambda one, _: one.sample(n=2),
    "aggregate": lambda one, other: (
        one.aggregate("g", y=("y", "sum")).join(other.map_packets({"y": "w"})).drop_packet_columns(["w"])
    ),
    "index": lambda one, _: one.group_by("g").index("y").drop_nulls(["y"]).explode("i"),
    "a stranger": lambda one, _: Difference()(one),
}


def built(store: MemoryDatabase, values: Sequence[int], steps: Sequence[str]) -> op.Pipeline:
    pipeline = op.Pipeline("p", store)
    with pipeline:
        stream: Stream = pod(load, "y")(source(values))
        other: Stream = pod(load, "y")(source([x + 1 for x in values], "o"))
        for number, step in enumerate(steps):
            stream, other = STEPS[step](stream, other), stream
            pod(shifted, "end")(stream, label=f"end_{number}")
    return pipeline


def shown(node: Stream) -> Counter[str]:
    return Counter(map(repr, node.as_table(EVERYTHING).to_pylist()))


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=7)
@given(
    values=st.lists(st.integers(0, 6), max_size=7),
    steps=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=3),
    broken=st.sets(st.integers(0, 6), max_size=3),
)
def test_what_is_there_is_whole_and_the_rest_is_counted_and_made_by_the_next_run(
    way: str, values: list[int], steps: list[str], broken: set[int]
) -> None:
    BROKEN.clear()
    whole = built(MemoryDatabase(), values, steps)
    whole.run()
    store = MemoryDatabase()
    BROKEN.update(broken)
    pipeline = built(store, values, steps)
    result = pipeline.run(**WAYS[way])
    for label, node in pipeline.items():
        lost = shown(whole[label]) - shown(node)
        assert not shown(node) - shown(whole[label]), f"{label} looks whole"
        if label in result.node_counts:
            counts = result.counts(label)
            assert counts["computed"] + counts["cached"] == node.as_table().num_rows
            assert bool(lost) <= bool(counts["failed"] + counts["incomplete"]), f"{label} has lost {lost}"
    assert result.ok is not bool(broken.intersection(values) or broken.intersection(x + 1 for x in values))
    BROKEN.clear()
    again = pipeline.run(**WAYS[way])
    assert again.ok
    assert not any(counts["incomplete"] for counts in map(again.counts, again.node_counts))
    for label, node in pipeline.items():
        assert shown(node) == shown(whole[label])


@pytest.mark.parametrize("step", [step for step in STEPS if step != "a stranger, row by row"])
def test_no_step_loses_a_failed_row(step: str) -> None:
    """As many rows are counted as there would be, where that is known."""
    BROKEN.clear()
    values = [3, 4, 5, 6, 3]
    whole = built(MemoryDatabase(), values, [step]).run()
    BROKEN.add(3)
    result = built(MemoryDatabase(), values, [step]).run()
    BROKEN.clear()
    for label in ("end_0", "load_1"):
        assert sum(result.counts(label).values()) >= sum(whole.counts(label).values())
    assert result.counts("end_0")["incomplete"]


@pytest.mark.parametrize("way", WAYS)
def test_a_group_of_which_a_member_failed_is_not_computed(tmp_path: Path, way: str) -> None:
    BROKEN.clear()
    BROKEN.add(1)
    pipeline = op.Pipeline("p", tmp_path / "lab.db")
    with pipeline:
        loaded = pod(load, "y")(source(range(6)), label="load")
        sums = pod(total, "sum")(loaded.group_by("g"), label="sums")
        pod(lambda_of(max, "sum"), "most")(sums.batch(), label="most")
    result = pipeline.run(**WAYS[way])
    assert result.counts("sums") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
    assert result.counts("most") == {"computed": 0, "cached": 0, "failed": 0, "incomplete": 1}
    assert "sums: 2 computed, 0 cached, 0 failed, 1 incomplete" in repr(result)
    assert "incomplete" in result._repr_html_()
    assert not pipeline.most.as_table().num_rows
    (run,) = pipeline.log_database.get_records(("_runs",)).to_pylist()
    assert (run["__failed"], run["__incomplete"]) == (1, 2)
    assert json.loads(run["__nodes"])["sums"]["counts"]["incomplete"] == 1
    BROKEN.clear()
    assert pipeline.run(**WAYS[way]).counts("most")["computed"] == 1
    assert pipeline.most.as_table()["most"].to_pylist() == [7]


def lambda_of(function: Any, name: str) -> Any:
    def most(sum: list[int]) -> int:  # noqa: A002  # the column's name
        return int(function(sum))

    return most


@pytest.mark.parametrize("way", WAYS)
def test_what_is_left_of_a_group_is_computed_if_somebody_wants_it_and_marked_for_good(tmp_path: Path, way: str) -> None:
    BROKEN.clear()
    BROKEN.update([1, 2, 5])
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            loaded = pod(load, "y")(source(range(6)), label="load")
            sums = pod(total, "y")(loaded.group_by("g", incomplete="keep"), label="sums")
            pod(shifted, "z")(sums, label="shifted")
        result = pipeline.run(**WAYS[way])
        assert result.counts("sums") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
        for label in ("sums", "shifted"):
            records = pipeline.log_database.get_records(pipeline[label].path).to_pylist()
            assert {row["g"]: (row["i"], bool(row["__incomplete"])) for row in records} == {
                "a": ([0, 3], False),
                "b": ([4], True),
            }
        BROKEN.clear()
        BROKEN.add(5)
        pipeline.run(**WAYS[way])
        records = pipeline.log_database.get_records(pipeline.sums.path).to_pylist()
        assert sorted((row["i"], bool(row["__incomplete"])) for row in records) == [
            ([0, 3], False),
            ([1, 4], False),
            ([2], True),
            ([4], True),
        ]
        assert sorted(pipeline.sums.as_table()["i"].to_pylist()) == [[0, 3], [1, 4], [2]]
    BROKEN.clear()


def test_the_same_rows_are_another_record_once_the_group_is_whole() -> None:
    store = MemoryDatabase()
    BROKEN.clear()
    BROKEN.add(3)
    for values in ([0, 1, 2, 3], [0, 1, 2]):
        pipeline = op.Pipeline("p", store)
        with pipeline:
            pod(total, "y")(pod(load, "y")(source(values)).group_by("g", incomplete="keep"), label="sums")
        result = pipeline.run()
    BROKEN.clear()
    assert result.counts("sums")["cached"] == 3
    records = pipeline.log_database.get_records(pipeline.sums.path).to_pylist()
    assert [bool(row["__incomplete"]) for row in records if row["i"] == [0]] == [True, False]


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("nested", ["group", "batch"])
def test_a_run_ends_with_an_incomplete_group_if_that_is_wanted(way: str, nested: str) -> None:
    BROKEN.clear()
    BROKEN.add(4)
    pipeline = op.Pipeline("p")
    with pipeline:
        loaded = pod(load, "y")(source(range(6)))
        grouped = loaded.group_by("g", incomplete="raise") if nested == "group" else loaded.batch(6, incomplete="raise")
        pod(total, "y")(grouped, label="sums")
    words = r"GroupBy: the group of g='b' has 2 rows, and 1 of them" if nested == "group" else "Batch: the group has 6"
    with pytest.raises(IncompleteError, match=words) as caught:
        pipeline.run(**WAYS[way])
    assert caught.value.found == "i=4, g='b'"
    BROKEN.clear()
    assert pipeline.run(**WAYS[way]).ok


def test_what_becomes_of_incomplete_groups_tells_one_node_from_another() -> None:
    grouped = source(range(3)).group_by
    hashes = {grouped("g", incomplete=way).content_hash() for way in ("skip", "keep", "raise")}
    assert len(hashes) == 3
    assert grouped("g", incomplete="skip").content_hash() == grouped("g").content_hash()
    assert len({source(range(3)).batch(2, incomplete=way).content_hash() for way in ("skip", "keep", "raise")}) == 3


def test_a_batch_keeps_its_rows_whichever_of_them_failed() -> None:
    BROKEN.clear()
    pipeline = op.Pipeline("p")
    with pipeline:
        loaded = pod(load, "y")(source(range(6)), label="load")
        loaded.batch(2, label="pairs")
        loaded.filter(pc.field("y") >= 0).batch(2, label="after_a_filter")
        pod(shifted, "y")(loaded.filter(pc.field("y") >= 0)).batch(2, label="after_a_function")
        loaded.filter(pc.field("i") >= 0).batch(2, label="after_a_filter_by_tags")
        loaded.filter(pc.field("y") >= 0).batch(2, incomplete="keep", label="kept")
    BROKEN.add(2)
    pipeline.run()
    assert pipeline.pairs.as_table()["i"].to_pylist() == [[0, 1], [4, 5]]
    assert pipeline.after_a_filter_by_tags.as_table()["i"].to_pylist() == [[0, 1], [4, 5]]
    assert pipeline.after_a_filter.as_table()["i"].to_pylist() == [[0, 1]], "which rows follow is not known"
    assert pipeline.after_a_function.as_table()["i"].to_pylist() == [[0, 1]]
    assert pipeline.kept.as_table()["i"].to_pylist() == [[0, 1], [3], [4, 5]]
    BROKEN.clear()


def test_a_failed_row_has_no_part_in_what_its_tags_keep_it_out_of() -> None:
    BROKEN.clear()
    BROKEN.add(1)
    pipeline = op.Pipeline("p")
    with pipeline:
        loaded = pod(load, "y")(source(range(6)))
        pod(total, "y")(loaded.filter(pc.field("i") != 1).group_by("g"), label="by_tag")
        pod(total, "y")(loaded.filter(pc.field("y") > 3, i=4).group_by("g"), label="by_constraint")
        pod(total, "y")(loaded.filter(pc.field("y") != 1).group_by("g"), label="by_data")
        pod(total, "y")(loaded.semi_join(source([1], "t").map_packets({"x": "t"})).group_by("g"), label="matched")
        pod(total, "y")(source([1], "u", "y").semi_join(loaded.filter(pc.field("y") > 0)).batch(), label="unmatched")
        perhaps = loaded.filter(pc.field("y") >= 0).map_packets({"y": "t"})
        pod(total, "y")(source([1, 1], "v", "y").semi_join(perhaps).batch(), label="uncertain")
    result = pipeline.run()
    BROKEN.clear()
    labels = ("by_tag", "by_constraint", "by_data", "matched", "unmatched", "uncertain")
    assert [result.counts(label)["incomplete"] for label in labels] == [0, 0, 1, 0, 0, 1]


def test_members_whose_number_is_not_known_may_be_in_any_group() -> None:
    def pair(x: int) -> list[int]:
        if x in BROKEN:
            raise ValueError(x)
        return [x, x]

    BROKEN.clear()
    BROKEN.add(1)
    pipeline = op.Pipeline("p")
    with pipeline:
        members = pod(pair, "y")(source(range(3))).explode("y", index_tag="n", label="members")
        pod(total, "y")(members.group_by("n"), label="by_number")
        pod(total, "y")(members.group_by("g"), label="by_group")
        pod(total, "y")(members.group_by("n", incomplete="keep"), label="kept")
        numbers = DictSource([{"n": n, "y": n} for n in range(3)], ["n"], source_id="n")
        named = members.map_packets({"y": "w"})
        pod(shifted, "z")(numbers.join(named), label="joined")
        pod(shifted, "z")(numbers.join(named, how="left"), label="from_left")
        pod(shifted, "z")(numbers.join(named, how="anti"), label="alone")
        pod(shifted, "z")(numbers.semi_join(named), label="matched")
    result = pipeline.run()
    BROKEN.clear()
    assert result.counts("by_number") == {"computed": 0, "cached": 0, "failed": 0, "incomplete": 3}
    assert result.counts("by_group") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
    assert pipeline.kept.as_table()["n"].to_pylist() == [0, 1]
    assert all(pipeline.log_database.get_records(pipeline.kept.path)["__incomplete"].to_pylist())
    rows = {label: pipeline[label].as_table().num_rows for label in ("joined", "from_left", "alone", "matched")}
    assert rows == {"joined": 4, "from_left": 4, "alone": 0, "matched": 2}
    assert {label: result.counts(label)["incomplete"] for label in rows} == {
        "joined": 1,
        "from_left": 2,
        "alone": 1,
        "matched": 1,
    }


def test_reading_a_node_of_another_pipeline_tells_of_its_failed_rows() -> None:
    BROKEN.clear()
    BROKEN.add(1)
    first, second = op.Pipeline("first"), op.Pipeline("second")
    with first:
        pod(load, "y")(source(range(6)), label="load")
    assert not first.load.group_by("g").as_table().num_rows, "nothing is computed yet"
    first.run()
    assert first.load.group_by("g").as_table()["g"].to_pylist() == ["a", "c"]
    with second:
        pod(total, "y")(first.load.group_by("g"), label="sums")
        pod(total, "y")(first.load.as_source("anew").group_by("g"), label="anew")
    result = second.run()
    assert [result.counts(label)["incomplete"] for label in ("sums", "anew")] == [1, 1]
    assert not result.ok
    with pytest.raises(IncompleteError, match="2 rows"):
        result.raise_for_errors()
    BROKEN.clear()
    first.run()
    assert second.run().ok


def test_a_row_that_has_failed_fails_once_and_is_nowhere_else_tried() -> None:
    calls: list[int] = []

    def counted(y: int) -> int:
        calls.append(y)
        return y

    BROKEN.clear()
    BROKEN.add(0)
    pipeline = op.Pipeline("p")
    with pipeline:
        pod(counted, "z")(pod(load, "y")(source([0, 1, 0])))
    logs = LoggingObserver(pipeline.log_database)
    result = pipeline.run(SyncPipelineOrchestrator(), observer=logs)
    BROKEN.clear()
    assert calls == [1]
    assert len(result.errors) == 2
    assert logs.get_logs(node_label="counted").num_rows == 1
    assert result.counts("counted") == {"computed": 1, "cached": 0, "failed": 0, "incomplete": 2}


def test_marks_are_verified_like_all_that_is_stored(tmp_path: Path) -> None:
    BROKEN.clear()
    BROKEN.add(1)
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            loaded = pod(load, "y")(source(range(6)).drop_tag_columns(["i"]))
            pod(total, "y")(loaded.group_by("g", incomplete="keep"), label="sums")
        pipeline.run()
        path = ("p", *pipeline.sums.path)
        assert op.verify_store(database).ok
        records = database.get_records(path)
        changed = records.set_column(
            records.column_names.index("__incomplete"), "__incomplete", pa.array([True] * records.num_rows)
        )
        database.delete_records(path, records.column(0).to_pylist())
        database.add_records(path, changed)
        assert not op.verify_store(database).ok
    BROKEN.clear()


def levelled(stream: Stream, levels: Sequence[int]) -> list[Chunk]:
    """The rows of a stream, so complete, each in a chunk of its own."""
    (chunk,) = stream.chunks()
    marked = chunk.completed(pa.array(levels, pa.int8()))
    return [marked.slice(row, 1) for row in range(marked.num_rows)]


def given_by(stream: Any, levels: Sequence[int]) -> list[tuple[Any, int]]:
    """What an operator gives for rows that are so complete: tag ``i`` and completeness."""
    (origin,) = stream.inputs
    chunks = [(0, chunk) for chunk in levelled(origin, levels)]
    found = []
    for chunk in stream.run([*chunks, (0, None)]):
        marks = [0] * chunk.num_rows if chunk.completeness is None else chunk.completeness.to_pylist()
        found += list(zip(chunk.column("i").to_pylist(), marks, strict=True))
    return found


def test_behind_a_row_that_may_be_none_all_batches_are_uncertain_however_rows_come() -> None:
    numbers = source(range(5))
    assert given_by(numbers.batch(2), [0, 0, 3, 0, 0]) == [([0, 1], 0), ([2, 3], 3), ([4], 3)]
    assert given_by(numbers.batch(2), [0, 0, 2, 0, 0]) == [([0, 1], 0), ([2, 3], 2), ([4], 0)]
    whole_ones = numbers.batch(2, drop_partial=True)
    assert given_by(whole_ones, [0, 0, 3, 0, 0]) == [([0, 1], 0), ([2, 3], 3), ([4], 3)], "it may be one of two"
    assert given_by(whole_ones, [0, 0, 2, 0, 0]) == [([0, 1], 0), ([2, 3], 2)]
    kept = numbers.batch(2, incomplete="keep")
    assert given_by(kept, [0, 0, 3, 0, 0]) == [([0, 1], 0), ([3], 1), ([4], 1)]


def test_a_group_is_there_if_one_of_its_rows_is() -> None:
    groups = source(range(6)).group_by("g")
    assert given_by(groups, [0, 2, 3, 3, 3, 3]) == [([0, 3], 2), ([1, 4], 2), ([2, 5], 3)]
    assert given_by(groups, [0, 1, 2, 1, 0, 2]) == [([0, 3], 1), ([1, 4], 1), ([2, 5], 2)]


def test_whether_a_row_passes_a_filter_is_certain_if_its_tags_say_so() -> None:
    numbers = source(range(3))
    for by_tags in (numbers.filter(g="a"), numbers.filter(pc.field("g") == "a"), numbers.filter(i=0)):
        assert given_by(by_tags, [2, 2, 0]) == [(0, 2)]
    for by_data in (numbers.filter(x=0), numbers.filter(pc.field("x") == 0), numbers.filter(x=0, g="a")):
        assert given_by(by_data, [2, 0, 0]) == [(0, 3)]
    assert given_by(numbers.drop_nulls(), [2, 0, 0]) == [(0, 2), (1, 0), (2, 0)], "there can be no null"


def test_a_relation_is_checked_among_the_rows_that_are_there() -> None:
    BROKEN.clear()
    BROKEN.update([3, 4, 5])
    pipeline = op.Pipeline("p")
    with pipeline:
        loaded = pod(load, "w")(source(range(6))).select_tag_columns(["g"])
        source(range(3), "u", "y").join(loaded, validate="n:1", label="joined")
    pipeline.run()
    assert pipeline.joined.as_table().num_rows == 3
    BROKEN.clear()
    with pytest.raises(InputValidationError, match="2 rows of g='a'"):
        pipeline.run()


def test_what_a_stranger_makes_is_as_complete_as_what_it_may_be_made_of() -> None:
    numbers = source(range(3), column="y")
    assert given_by(Difference()(numbers), [0, 0, 0]) == [(0, 0), (1, 0), (2, 0)]
    assert given_by(Difference()(numbers), [0, 1, 0]) == [(0, 1), (1, 1), (2, 1)]
    assert given_by(Difference()(numbers), [0, 2, 0]) == [(1, 3), (0, 3), (2, 3)]
    assert given_by(Odd()(numbers), [0, 0, 2]) == [(1, 0), (1, 0), (2, 3)]
    assert given_by(Odd()(numbers), [2, 1, 0]) == [(0, 3), (1, 1), (1, 1)]


CHOOSING: dict[str, Any] = {
    "sort": lambda rows, **way: rows.sort("y", descending=True, **way),
    "sort by a tag": lambda rows, **way: rows.sort("i", descending=True, **way).drop_nulls(),
    "the largest two": lambda rows, **way: rows.sort("y", descending=True).head(2, **way),
    "the first two": lambda rows, **way: rows.head(2, **way),
    "two at random": lambda rows, **way: rows.sample(n=2, **way),
    "of groups": lambda rows, **way: rows.aggregate("g", y=("y", "sum"), n=("i", "count"), one=("y", "first"), **way),
    "of all": lambda rows, **way: rows.aggregate([], y=("y", "max"), **way),
}


def is_partial(name: str, row: Any, values: Sequence[int], broken: set[int]) -> bool:
    match name:
        case "sort by a tag":
            return False
        case "of groups":
            return any(x in broken for i, x in enumerate(values) if "abc"[i % 3] == row["g"])
        case "the first two":
            good = [i for i, x in enumerate(values) if x not in broken]
            last = good[1] if len(good) > 1 else len(values)
            return any(x in broken for x in values[:last])
        case _:
            return any(x in broken for x in values)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 9), max_size=8, unique=True),
    st.sets(st.integers(0, 9), max_size=4),
    st.sampled_from(list(WAYS)),
)
def test_what_is_left_is_as_if_nothing_had_failed_and_is_marked(values: list[int], broken: set[int], way: str) -> None:
    """By operators that sort, choose and count, too."""
    BROKEN.clear()
    BROKEN.update(broken)
    pipeline = op.Pipeline("p")
    with pipeline:
        loaded = pod(load, "y")(source(values), label="load")
        for name, made in CHOOSING.items():
            pod(shifted, "z")(made(loaded, incomplete="keep"), label=f"end: {name}")
    result = pipeline.run(**WAYS[way])
    BROKEN.clear()
    rows = [{"i": i, "g": "abc"[i % 3], "y": x} for i, x in enumerate(values) if x not in broken]
    good = DictSource(rows, ["i", "g"], source_id="s", data_schema={"i": int, "g": str, "y": int})
    for name, made in CHOOSING.items():
        expected = pod(shifted, "z")(made(good)).as_table().to_pylist()
        found = pipeline[f"end: {name}"].as_table().to_pylist()
        if name == "of groups":  # in the order of their first rows, be they there or not
            found, expected = sorted(found, key=str), sorted(expected, key=str)
        assert found == expected, name
        if not rows and values and name != "sort by a tag":
            assert result.counts(f"end: {name}")["incomplete"], f"{name} is gone"
        records = pipeline.log_database.get_records(pipeline[f"end: {name}"].path) if expected else pa.table({})
        for row in records.to_pylist():
            assert bool(row.get("__incomplete")) == is_partial(name, row, values, broken), (name, row)


@pytest.mark.parametrize("way", ["sync", "async"])
@pytest.mark.parametrize("name", [name for name in CHOOSING if name != "sort by a tag"])
def test_a_run_ends_where_something_is_missing_if_that_is_wanted(name: str, way: str) -> None:
    BROKEN.clear()
    BROKEN.add(1)
    pipeline = op.Pipeline("p")
    with pipeline:
        pod(shifted, "z")(CHOOSING[name](pod(load, "y")(source(range(6))), incomplete="raise"), label="end")
    words = '(Sort|Head|Sample|Aggregate): .* missing, since they.*incomplete="keep"'
    with pytest.raises(IncompleteError, match=words) as caught:
        pipeline.run(**WAYS[way])
    assert caught.value.found == "i=1, g='b'"
    BROKEN.clear()
    assert pipeline.run(**WAYS[way]).ok


@pytest.mark.parametrize("name", CHOOSING)
def test_the_choice_tells_one_operator_from_another_and_the_usual_one_is_none(name: str) -> None:
    loaded = pod(load, "y")(source(range(6)))
    hashes = {CHOOSING[name](loaded, incomplete=way).content_hash() for way in ("skip", "keep", "raise")}
    assert len(hashes) == 3
    assert CHOOSING[name](loaded).content_hash() in hashes
    with pytest.raises(OrcapodError, match="found incomplete 'drop', expected one of"):
        CHOOSING[name](loaded, incomplete="drop")


def test_a_share_has_no_such_choice() -> None:
    """Each row is chosen by itself."""
    with pytest.raises(OrcapodError, match=r"found incomplete='keep' with fraction.*n="):
        source(range(6)).sample(fraction=0.5, incomplete="keep")


@pytest.mark.parametrize("way", ["sync", "async"])
def test_what_an_operator_leaves_out_is_counted_there(way: str) -> None:
    """Also where no function is behind it, which would count it."""
    BROKEN.clear()
    BROKEN.update([1, 2])
    pipeline = op.Pipeline("p")
    with pipeline:
        loaded = pod(load, "y")(source(range(9)), label="load")
        loaded.group_by("g", label="groups")
        loaded.group_by("g", incomplete="keep", label="kept")
    result = pipeline.run(**WAYS[way])
    assert (result.rows("groups"), result.incomplete) == (((7,), 1), {"groups": 2})
    assert "groups: 7 rows in, 1 out, 2 incomplete" in repr(result)
    assert ">2<" in result._repr_html_()
    assert "kept: 7 rows in, 3 out" in repr(result)
    BROKEN.clear()
    assert pipeline.run(**WAYS[way]).incomplete == {}


def test_a_group_that_another_pipeline_has_not_made_is_told_of_too() -> None:
    """Nothing failed here, and yet something is missing."""
    BROKEN.clear()
    BROKEN.add(1)
    first, second = op.Pipeline("first"), op.Pipeline("second")
    with first:
        pod(load, "y")(source(range(6)), label="load")
    first.run()
    with second:
        first.load.as_source().group_by("g", label="groups")
    result = second.run()
    assert result.incomplete == {"groups": 1}
    assert not result.ok
    with pytest.raises(IncompleteError, match="1 rows were not computed"):
        result.raise_for_errors()
    BROKEN.clear()
