"""``Pipeline``: what it records, what its nodes are called, how pipelines are composed."""

from __future__ import annotations

import linecache
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, LabelError, PipelineError
from orcapod.executors import LocalExecutor
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource, Source


def source(source_id: str = "s", rows: int = 2, column: str = "x") -> DictSource:
    return DictSource([{"i": i, column: i} for i in range(rows)], tag_columns=["i"], source_id=source_id)


@op.function_pod("y")
def increment(x: int) -> int:
    return x + 1


@op.function_pod("z")
def double(y: int) -> int:
    return 2 * y


# Recording


def test_only_what_is_derived_inside_the_block_is_recorded_with_all_it_is_made_of() -> None:
    outside = increment.pod(source())
    unrelated = source("other").map_packets({"x": "q"})
    pipeline = op.Pipeline("p")
    with pipeline:
        double.pod(outside)
    source("late").map_packets({"x": "q"})
    assert unrelated is not None
    assert list(pipeline.nodes) == ["s", "increment", "double"]


def test_the_order_of_nodes_puts_each_behind_what_it_is_made_of() -> None:
    with op.Pipeline("p") as pipeline:
        made = increment.pod(source())
        made.join(double.pod(made), label="both")
    assert list(pipeline) == ["s", "increment", "double", "both"]
    assert [part.label for part in pipeline.both.inputs] == ["increment", "double"]
    assert repr(pipeline).splitlines()[1:] == [
        "  s", "  increment <- s", "  double <- increment", "  both <- increment, double>"
    ]  # fmt: skip


def test_a_block_left_with_an_exception_records_nothing() -> None:
    pipeline = op.Pipeline("p")

    def cell() -> None:
        with pipeline:
            increment.pod(source())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cell()
    assert list(pipeline.nodes) == []
    with pipeline:
        increment.pod(source())
    assert list(pipeline.nodes) == ["s", "increment"]
    increment.pod(source("after"))
    assert list(pipeline.nodes) == ["s", "increment"], "the recorder was put back"


def test_an_inner_block_of_the_same_pipeline_falls_with_the_outer() -> None:
    pipeline = op.Pipeline("p")

    def cell() -> None:
        with pipeline:
            with pipeline:
                increment.pod(source())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cell()
    assert list(pipeline.nodes) == []


def test_the_inner_of_two_pipelines_records_and_then_the_outer_again() -> None:
    outer, inner = op.Pipeline("outer"), op.Pipeline("inner")
    with outer:
        first = increment.pod(source())
        with inner:
            double.pod(first)
        first.map_packets({"y": "w"})
    assert list(outer.nodes) == ["s", "increment", "map_packets"]
    assert list(inner.nodes) == ["s", "increment", "double"]


def test_only_the_calling_thread_records() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        thread = threading.Thread(target=lambda: increment.pod(source("thread")))
        thread.start()
        thread.join()
        double.pod(source(column="y"))
    assert list(pipeline.nodes) == ["s", "double"]


def test_running_the_same_cell_again_adds_nothing() -> None:
    pipeline = op.Pipeline("p")
    for _ in range(3):
        with pipeline:
            increment.pod(source()).map_packets({"y": "w"})
        assert list(pipeline.nodes) == ["s", "increment", "map_packets"]
    assert pipeline.run().counts("increment")["computed"] == 2


def test_a_block_entered_again_adds_to_what_is_there_and_keeps_its_nodes() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        made = increment.pod(source())
    node, own = pipeline.increment, LocalExecutor()
    node.executor = own
    assert pipeline.run().counts("increment")["computed"] == 2
    with pipeline:
        double.pod(made)
    assert pipeline.increment is node
    assert pipeline.increment.executor is own
    result = pipeline.run()
    assert result.counts("increment")["cached"] == result.counts("double")["computed"] == 2


def test_a_node_may_be_built_upon_in_a_later_block_and_stays_itself() -> None:
    """Cell by cell, as in a notebook."""
    pipeline = op.Pipeline("p")
    with pipeline:
        increment.pod(source())
    node = pipeline.increment
    with pipeline:
        double.pod(node)
    assert list(pipeline.nodes) == ["s", "increment", "double"]
    assert pipeline.increment is node
    with pipeline:
        pipeline.double.map_packets({"z": "w"}, label="last")
    result = pipeline.run()
    assert result.counts("increment")["computed"] == result.counts("double")["computed"] == 2
    assert pipeline.last.as_table()["w"].to_pylist() == [2, 4]


def test_a_run_inside_the_open_block_is_refused() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        increment.pod(source())
        with pytest.raises(PipelineError, match="with"):
            pipeline.run()
    assert pipeline.run().counts("increment")["computed"] == 2


def test_auto_compile_makes_the_nodes_when_the_block_is_left() -> None:
    with op.Pipeline("p", auto_compile=True) as pipeline:
        increment.pod(source())
    assert "increment" in dir(pipeline)
    assert pipeline.increment.as_table().num_rows == 0


@pytest.mark.parametrize("name", ["", (), ("a", ""), ("a", 3), None, 5, "_result", ("a", "_log")])
def test_a_pipeline_has_a_name_that_is_none_of_the_stores(name: Any) -> None:
    with pytest.raises((PipelineError, TypeError)):
        op.Pipeline(name)


# Labels


def test_default_labels_say_what_a_node_is() -> None:
    left, right = source("left"), source("right", column="q")
    with op.Pipeline("p") as pipeline:
        left.join(right)
        left.select_packet_columns(["x"])
        left.drop_nulls()
        op.FunctionPod(increment.pod.packet_function, label="pod_label")(left)
        increment.pod(left)
        increment.pod(left, label="call_label")
    assert list(pipeline.nodes) == [
        "left", "right", "join", "select_packet_columns", "drop_nulls", "pod_label", "increment", "call_label"
    ]  # fmt: skip


def test_labels_that_meet_are_numbered_in_the_order_of_the_graph() -> None:
    def built() -> op.Pipeline:
        with op.Pipeline("p") as pipeline:
            for rows in (2, 3, 4):
                increment.pod(source(f"s{rows}", rows))
        return pipeline

    first = built()
    assert [label for label in first.nodes if "increment" in label] == ["increment_1", "increment_2", "increment_3"]
    assert list(built().nodes) == list(first.nodes)
    first.run()
    assert [first[f"increment_{n}"].as_table().num_rows for n in (1, 2, 3)] == [2, 3, 4]
    with pytest.raises(LabelError, match=r"'increment'.*\['increment_1', 'increment_2', 'increment_3'\]"):
        _ = first.increment


def test_a_node_is_found_as_attribute_and_key_and_an_unknown_label_names_the_known() -> None:
    with op.Pipeline(("lab", "p")) as pipeline:
        increment.pod(source(), label="grade_final")
        double.pod(source("t", column="y"), label="what is it?")
    assert pipeline.grade_final is pipeline["grade_final"] is pipeline.nodes["grade_final"]
    assert pipeline["what is it?"].label == "what is it?"
    assert "grade_final" in dir(pipeline)
    with pytest.raises(LabelError, match=r"'lab/p' has no node 'grade'; found \['s', 'grade_final'"):
        _ = pipeline.grade
    with pytest.raises(LabelError, match="grade_final"):
        pipeline["nope"]
    assert not hasattr(pipeline, "nope")
    assert not hasattr(pipeline, "_nope")
    assert issubclass(LabelError, AttributeError)
    assert issubclass(LabelError, KeyError)
    assert "nope" not in pipeline
    assert pipeline.get("nope") is None


def test_a_pipeline_is_a_mapping_of_labels_to_nodes_and_equal_to_itself_alone() -> None:
    pipelines = []
    for _ in range(2):
        with op.Pipeline("p") as pipeline:
            increment.pod(source(), label="items")
        pipelines.append(pipeline)
    one, other = pipelines
    assert isinstance(one, Mapping)
    assert (list(one), len(one)) == (["s", "items"], 2)
    assert list(one.items()) == list(zip(one.keys(), one.values(), strict=True))
    assert list(one.values()) == [one["s"], one["items"]]
    assert one["items"] in one.values()
    assert one["items"] not in one
    assert "items" in one
    assert one != other
    assert len({one, other, one}) == 2
    with pytest.raises(KeyError) as raised:
        one["nope"]
    error: Any = raised.value
    assert str(error) == "pipeline 'p' has no node 'nope'; found ['s', 'items']"
    assert (error.node, error.found) == ("nope", "'nope'")


# Composition


def test_a_node_of_one_pipeline_is_an_input_of_another_and_keeps_its_provenance() -> None:
    one, two = op.Pipeline("one"), op.Pipeline("two")
    with one:
        increment.pod(source("roots"))
    with two:
        both = one.increment.join(source("others", column="q"), label="both")
        double.pod(one.increment)
    assert list(two.nodes) == ["increment", "others", "both", "double"]
    with pytest.warns(UserWarning, match="'increment' reads what pipeline 'one' has computed, and nothing is there"):
        assert two.run().counts("double") == {"computed": 0, "cached": 0, "failed": 0, "incomplete": 2}
    one.run()
    assert two.run().counts("double") == {"computed": 2, "cached": 0, "failed": 0}
    direct = double.pod(increment.pod(source("roots")))
    every = {"source": True, "system_tags": True}
    assert two.double.as_table(every).equals(direct.as_table(every))
    infos = [packet.source_info() for _, packet in two.both.iter_packets()]
    assert [info["q"] for info in infos] == ["others::row_0::q", "others::row_1::q"]
    assert [info["y"].split(":")[0] for info in infos] == ["increment", "increment"]
    assert both.pipeline_hash() == two.both.pipeline_hash()


def test_nodes_of_two_pipelines_are_two_inputs_even_if_they_say_the_same() -> None:
    one, two = op.Pipeline("one"), op.Pipeline("two")
    for pipeline in (one, two):
        with pipeline:
            increment.pod(source())
    two.run()
    with op.Pipeline("three") as three:
        one.increment.select_packet_columns(["y"], label="of_one")
        two.increment.select_packet_columns(["y"], label="of_two")
    with pytest.warns(UserWarning, match="pipeline 'one'"):
        three.run()
    assert three.of_one.as_table().num_rows == 0
    assert three.of_two.as_table().num_rows == 2


def test_as_source_gives_what_there_is_when_it_is_read_with_its_provenance() -> None:
    one = op.Pipeline(("lab", "one"))
    with one:
        increment.pod(source())
    live = one.increment.as_source()
    assert isinstance(live, Source)
    assert live.label == live.source_id == "lab/one/increment"
    assert live.as_table().num_rows == 0
    before = live.content_hash()
    two = op.Pipeline("two")
    with two:
        double.pod(live)
        live.join(source("t", column="q"), label="both")
    with pytest.warns(UserWarning, match="nothing is there yet of 'increment'"):
        two.run()
    one.run()
    every = {"source": True, "system_tags": True}
    assert live.as_table(every).equals(one.increment.as_table(every))
    assert live.content_hash() != before
    assert live.pipeline_hash() == one.increment.pipeline_hash()
    two.run()
    direct = increment.pod(source())
    assert two.double.as_table(every).equals(double.pod(direct).as_table(every))
    assert two.both.as_table(every).equals(direct.join(source("t", column="q")).as_table(every))


def test_as_source_with_a_source_id_starts_provenance_anew() -> None:
    one = op.Pipeline("one")
    with one:
        increment.pod(source(rows=70_000))
    fresh = one.increment.as_source(source_id="fresh")
    assert fresh.as_table().num_rows == 0
    one.run()
    assert fresh.as_table().equals(one.increment.as_table())
    assert fresh.output_schema({"system_tags": True, "source": True}) == source(column="y").output_schema(
        {"system_tags": True, "source": True}
    )
    infos = [packet.source_info()["y"] for _, packet in fresh]
    assert infos == [f"fresh::row_{row}::y" for row in range(70_000)]
    with pytest.raises(InputValidationError, match="a::b"):
        one.increment.as_source(source_id="a::b")
    database = MemoryDatabase()
    assert fresh.cached(database).as_table().num_rows == 70_000
    with pytest.raises(InputValidationError, match=r"name of its own.*as_source\(source_id='...'\)"):
        one.increment.as_source().cached(database)


# What is edited while the process lives


@pytest.fixture
def notebook() -> Iterator[Callable[[str], ModuleType]]:
    """Runs cells, as a notebook does."""
    module = ModuleType("notebook_of_a_test")
    module.__dict__["op"] = op
    sys.modules[module.__name__] = module
    cells: list[str] = []

    def run(code: str) -> ModuleType:
        name = f"<cell {len(cells)}>"
        cells.append(name)
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        exec(compile(code, name, "exec"), module.__dict__)
        return module

    yield run
    del sys.modules[module.__name__]
    for name in cells:
        linecache.cache.pop(name, None)


def test_a_helper_or_constant_edited_in_a_notebook_recomputes(notebook: Callable[[str], ModuleType]) -> None:
    notebook("def helper(x):\n    return x + 1\n")
    notebook("LIMIT = 10\n")
    cell = notebook("@op.function_pod('y')\ndef f(x: int) -> int:\n    return helper(x) + LIMIT\n")
    pod: FunctionPod = cell.__dict__["f"].pod
    with op.Pipeline("p") as pipeline:
        pod(source())
    expected = [
        ("", (2, 0), [11, 12]),
        ("def helper(x):\n    # a comment\n    return x + 1\n", (0, 2), [11, 12]),
        ("def helper(x):\n    return x + 100\n", (2, 0), [110, 111]),
        ("LIMIT = 20\n", (2, 0), [120, 121]),
        ("LIMIT = 10\ndef helper(x):\n    return x + 1\n", (0, 2), [11, 12]),
    ]
    for edit, counts, values in expected:
        notebook(edit)
        result = pipeline.run().counts("f")
        assert (result["computed"], result["cached"]) == counts, edit
        assert pipeline.f.as_table()["y"].to_pylist() == values


# Scopes


def test_two_pipelines_on_one_store_share_results_and_nothing_else() -> None:
    calls = []

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        calls.append(x)
        return x

    database = MemoryDatabase()
    names: list[str | tuple[str, ...]] = ["a", "b", ("a", "b"), ("a", "b", "c"), "a/b"]
    for name in names:
        with op.Pipeline(name, database) as pipeline:
            f.pod(source(rows=1))
        assert not pipeline.f.has_records()
        assert pipeline.run().counts("f")["failed"] == 0
        assert pipeline.log_database.get_records(("_runs",)).num_rows == 1
        assert pipeline.log_database.get_records(pipeline.f.path).num_rows == 1
    assert len(calls) == 1
    runs = [database.get_records(path) for path in database.list_paths() if path[-1] == "_runs"]
    assert sorted(name for table in runs for name in table["__pipeline"].to_pylist()) == [
        "a", "a/b", "a/b", "a/b/c", "b"
    ]  # fmt: skip


def test_a_source_behind_a_node_of_another_pipeline_is_one_of_this_one_too() -> None:
    with op.Pipeline("one") as one:
        increment.pod(source("s", rows=2))
    for made in (one.increment, one.increment.as_source()):
        with op.Pipeline("two") as two:
            double.pod(made.join(source("s", rows=3)))
        with pytest.raises(PipelineError, match="two different sources called 's'"):
            two.compile()
    with op.Pipeline("two", auto_compile=True):
        double.pod(one.increment.join(source("s", rows=2)))
        double.pod(one.increment.as_source("anew").join(source("s", rows=2)))


def test_equal_runs_share_one_environment() -> None:
    database = MemoryDatabase()
    for _ in range(2):
        with op.Pipeline("p", database) as pipeline:
            increment.pod(source())
        pipeline.run()
    runs = pipeline.log_database.get_records(("_runs",)).to_pylist()
    (environment,) = pipeline.log_database.get_records(("_environments",)).to_pylist()
    assert len(runs) == 2
    assert {run["__environment_id"] for run in runs} == {environment["__environment_id"]}
    assert re.match(r"\w+ 3\.\d+\.\d+", environment["__python"])
    assert '"pyarrow"' in environment["__packages"]
