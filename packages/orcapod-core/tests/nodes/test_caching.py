"""Nothing is computed twice, and every row is recorded (promise 6)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, NoOpDatabase
from orcapod.nodes import FunctionNode
from orcapod.observers import NoOpObserver
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource


class Counting:
    """A pod that notes what it was called with."""

    def __init__(self, name: str = "f") -> None:
        self.calls: list[int] = []

        def f(x: int) -> int:
            self.calls.append(x)
            return 10 * x

        self.pod = FunctionPod(op.PythonPacketFunction(f, "y", name=name, identity="version"))


def source(values: list[Any], source_id: str = "s") -> DictSource:
    return DictSource(
        [{"i": i, "x": x} for i, x in enumerate(values)],
        tag_columns=["i"],
        source_id=source_id,
        data_schema={"i": int, "x": int},
    )


def pipeline_over(pod: FunctionPod, values: list[int], database: Any, **options: Any) -> op.Pipeline:
    pipeline = op.Pipeline("p", database, **options)
    with pipeline:
        pod(source(values))
    return pipeline


def entries(pipeline: op.Pipeline, label: str = "f") -> list[dict[str, Any]]:
    node = pipeline[label]
    assert isinstance(node, FunctionNode)
    rows: list[dict[str, Any]] = pipeline.log_database.get_records(node.path).to_pylist()
    return rows


def test_a_second_run_computes_nothing() -> None:
    counting, database = Counting(), MemoryDatabase()
    first = pipeline_over(counting.pod, [1, 2, 3], database)
    assert first.run().counts("f") == {"computed": 3, "cached": 0, "failed": 0}
    assert first.run().counts("f") == {"computed": 0, "cached": 3, "failed": 0}
    again = pipeline_over(counting.pod, [1, 2, 3], database)
    assert again.run().counts("f") == {"computed": 0, "cached": 3, "failed": 0}
    assert counting.calls == [1, 2, 3]
    assert again.f.as_table({"source": True, "system_tags": True}).equals(
        first.f.as_table({"source": True, "system_tags": True})
    )
    assert len(entries(again)) == 3


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=4))
def test_added_rows_compute_only_themselves(batches: list[list[int]]) -> None:
    counting, database = Counting(), MemoryDatabase()
    values: list[int] = []
    known: set[int] = set()
    for batch in batches:
        values += batch
        pipeline = pipeline_over(counting.pod, values, database)
        counts = pipeline.run().counts("f")
        fresh = set(values) - known
        assert counts == {"computed": len(fresh), "cached": len(values) - len(fresh), "failed": 0}
        known |= fresh
        assert pipeline.f.as_table().to_pylist() == [{"i": i, "y": 10 * x} for i, x in enumerate(values)]
        assert len(entries(pipeline)) == len(values)
    assert sorted(counting.calls) == sorted(known), "each packet once, in all runs together"


@pytest.mark.parametrize("rows", [2, 3, 5000, 9000])
def test_the_same_packet_under_several_tags_is_computed_once_and_recorded_for_each(rows: int) -> None:
    """Within a chunk, and, with more rows than a chunk holds, across chunks of one run."""
    counting = Counting()
    pipeline = pipeline_over(counting.pod, [7] * rows, MemoryDatabase())
    assert pipeline.run().counts("f") == {"computed": 1, "cached": rows - 1, "failed": 0}
    assert counting.calls == [7]
    kept = entries(pipeline)
    assert len(kept) == rows
    assert sorted(row["i"] for row in kept) == list(range(rows))
    assert len({row["__record_id"] for row in kept}) == 1
    assert pipeline.f.as_table().num_rows == rows


def test_an_entry_says_who_made_the_inputs() -> None:
    pipeline = pipeline_over(Counting().pod, [7, 7], MemoryDatabase())
    pipeline.run()
    assert [row["_source_x"] for row in entries(pipeline)] == ["s::row_0::x", "s::row_1::x"]


def test_the_same_function_on_two_streams_computes_each_packet_once() -> None:
    counting = Counting()
    pipeline = op.Pipeline("p")
    with pipeline:
        counting.pod(source([1, 2, 3], "a"), label="first")
        counting.pod(source([3, 4], "b"), label="second")
    result = pipeline.run()
    assert result.counts("first")["computed"] == 3
    assert result.counts("second") == {"computed": 1, "cached": 1, "failed": 0}
    assert counting.calls == [1, 2, 3, 4]


def test_a_diamond_is_computed_once() -> None:
    counting, left, right = Counting("f"), Counting("left"), Counting("right")
    pipeline = op.Pipeline("p")
    with pipeline:
        stem = counting.pod(source([1, 2])).map_packets({"y": "x"})
        left.pod(stem).map_packets({"y": "l"}).join(right.pod(stem).map_packets({"y": "r"}), label="both")
    pipeline.run()
    assert counting.calls == [1, 2]
    assert left.calls == right.calls == [10, 20]
    assert pipeline.both.as_table()["l"].to_pylist() == [100, 200]


def test_a_result_database_shared_by_two_pipelines_computes_once() -> None:
    counting, results = Counting(), MemoryDatabase()
    one = op.Pipeline("one", MemoryDatabase(), results)
    two = op.Pipeline("two", MemoryDatabase(), results)
    for pipeline in (one, two):
        with pipeline:
            counting.pod(source([1, 2]))
    assert one.run().counts("f") == {"computed": 2, "cached": 0, "failed": 0}
    assert two.run().counts("f") == {"computed": 0, "cached": 2, "failed": 0}
    assert two.run().counts("f") == {"computed": 0, "cached": 2, "failed": 0}
    assert counting.calls == [1, 2]
    assert len(entries(one)) == len(entries(two)) == 2
    assert two.f.as_table().equals(one.f.as_table())
    assert {path[0] for path in results.list_paths()} == {"_code", "_result"}


def test_results_belong_to_the_store_whatever_its_pipelines_are_called() -> None:
    """A renamed pipeline, or a copy of a notebook, computes nothing again."""
    counting, database = Counting(), MemoryDatabase()
    names: list[str | tuple[str, ...]] = ["one", "other", ("folder", "third")]
    for at, name in enumerate(names):
        pipeline = op.Pipeline(name, database)
        with pipeline:
            counting.pod(source([1, 2]))
        counts = pipeline.run().counts("f")
        assert (counts["computed"], counts["cached"]) == ((0, 2) if at else (2, 0))
        assert pipeline.f.as_table()["y"].to_pylist() == [10, 20]
    assert counting.calls == [1, 2]
    assert len([path for path in database.list_paths() if path[0] == "_result"]) == 1


def test_results_that_were_deleted_are_computed_again() -> None:
    counting = Counting()
    pipeline = pipeline_over(counting.pod, [1, 2, 3], MemoryDatabase())
    pipeline.run()
    (path,) = [path for path in pipeline.database.list_paths() if path[0] == "_result"]
    kept = pipeline.database.get_records(path).column(0).to_pylist()
    pipeline.database.delete_records(path, kept[1:2])
    with pytest.warns(UserWarning, match="left out 1 rows"):
        assert pipeline.f.as_table()["y"].to_pylist() == [10, 30]
    assert pipeline.run().counts("f") == {"computed": 1, "cached": 2, "failed": 0}
    assert pipeline.f.as_table()["y"].to_pylist() == [10, 20, 30]
    assert len(entries(pipeline)) == 3


def test_a_store_that_keeps_nothing_still_runs_a_pipeline_to_its_end() -> None:
    first, second = Counting("first"), Counting("second")
    seen = []

    class Watching(NoOpObserver):
        def on_packet_end(self, node_label: str, tag: Any, packet: Any, result: Any, *, cached: bool) -> None:
            seen.append((node_label, result["y"], cached))

    pipeline = op.Pipeline("p", NoOpDatabase())
    with pipeline:
        second.pod(first.pod(source([1, 2])).map_packets({"y": "x"}))
    result = pipeline.run(observer=Watching())
    assert result.counts("second") == {"computed": 2, "cached": 0, "failed": 0}
    assert seen == [("first", 10, False), ("first", 20, False), ("second", 100, False), ("second", 200, False)]


def test_what_was_cached_is_told_to_the_observer_and_what_was_computed_too() -> None:
    events: list[tuple[str, int, Any]] = []

    class Watching(NoOpObserver):
        def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
            events.append(("start", tag["i"], packet["x"]))

        def on_packet_end(self, node_label: str, tag: Any, packet: Any, result: Any, *, cached: bool) -> None:
            events.append(("cached" if cached else "end", tag["i"], result["y"]))

    counting, database = Counting(), MemoryDatabase()
    pipeline_over(counting.pod, [1], database).run()
    pipeline_over(counting.pod, [1, 2, 2], database).run(observer=Watching())
    assert sorted(events) == [("cached", 0, 10), ("cached", 2, 20), ("end", 1, 20), ("start", 1, 2)]
