"""Reading a node never computes and gives the same order twice; empty input has a schema (promises 8 and 9)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.operators import Filter
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource


def counting_pod(calls: list[int], failing: frozenset[int] = frozenset()) -> FunctionPod:
    def f(x: int) -> int:
        calls.append(x)
        if x in failing:
            raise ValueError(x)
        return 10 * x

    return FunctionPod(op.PythonPacketFunction(f, "y", name="f", identity="version"))


def source(values: list[int]) -> DictSource:
    return DictSource(
        [{"i": i, "x": x} for i, x in enumerate(values)],
        tag_columns=["i"],
        source_id="s",
        data_schema={"i": int, "x": int},
    )


ALL = {"source": True, "system_tags": True}


def test_reading_before_any_run_gives_no_rows_and_the_schema() -> None:
    calls: list[int] = []
    pipeline = op.Pipeline("p")
    with pipeline:
        counting_pod(calls)(source([1, 2])).map_packets({"y": "z"})
    for node, column in [(pipeline.f, "y"), (pipeline.map_packets, "z")]:
        assert node.as_table().num_rows == 0
        assert node.as_table().column_names == ["i", column]
        assert list(node.iter_packets()) == []
        assert pa.table(node).num_rows == 0
    assert pipeline["s"].as_table().num_rows == 2
    assert not calls


@settings(max_examples=40)
@given(st.lists(st.integers(0, 9), max_size=12), st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_rows_come_in_input_order_whether_computed_cached_mixed_or_failed(
    values: list[int], before: set[int], failing: set[int]
) -> None:
    database, calls = MemoryDatabase(), list[int]()
    early = op.Pipeline("p", database)
    with early:
        counting_pod(calls)(source(sorted(before)))
    early.run()
    pipeline = op.Pipeline("p", database)
    seen: list[int] = []

    @op.function_pod("w", identity="version")
    def after(z: int) -> int:
        seen.append(z)
        return z

    with pipeline:
        after.pod(counting_pod(calls, frozenset(failing))(source(values)).map_packets({"y": "z"}))
    pipeline.run()
    done = len(calls)
    expected = [{"i": i, "y": 10 * x} for i, x in enumerate(values) if x in before or x not in failing]
    for _ in range(2):
        assert pipeline.f.as_table().to_pylist() == expected
        assert [row["i"] for row in pipeline.after.as_table().to_pylist()] == [row["i"] for row in expected]
        assert pipeline.map_packets.as_table()["z"].to_pylist() == [row["y"] for row in expected]
    assert seen == list(dict.fromkeys(row["y"] for row in expected)), "in order while it ran, too"
    assert len(calls) == done, "reading computed something"


def test_reading_gives_the_same_rows_after_a_partial_reading() -> None:
    calls: list[int] = []
    pipeline = op.Pipeline("p")
    with pipeline:
        counting_pod(calls)(source([1, 2, 3]))
    pipeline.run()
    iterator = pipeline.f.iter_packets()
    next(iterator)
    assert [packet["y"] for _, packet in pipeline.f.iter_packets()] == [10, 20, 30]
    assert [packet["y"] for _, packet in iterator] == [20, 30]


def test_reading_does_not_write() -> None:
    database = MemoryDatabase()
    pipeline = op.Pipeline("p", database)
    with pipeline:
        counting_pod([])(source([1, 2, 3]))
    pipeline.f.as_table(), list(pipeline.f.iter_packets()), pipeline.f.as_source().as_table()
    assert database.list_paths() == []
    pipeline.run()
    before = {path: database.get_records(path).num_rows for path in database.list_paths()}
    pipeline.f.as_table(), list(pipeline.f.iter_packets())
    assert {path: database.get_records(path).num_rows for path in database.list_paths()} == before


PROGRAM = """
import sys
import orcapod as op
from orcapod.sources import DictSource

@op.function_pod(["y", "names"])
def f(x: int) -> tuple[int, list[str]]:
    if sys.argv[2] == "read":
        raise SystemExit("reading computed")
    if x == 3:
        raise ValueError
    return 10 * x, [str(x)]

pipeline = op.Pipeline("p", sys.argv[1])
with pipeline:
    f.pod(DictSource([{"i": i, "x": x} for i, x in enumerate([5, 1, 3, 5, 2])], tag_columns=["i"], source_id="s"))
if sys.argv[2] == "run":
    pipeline.run()
print(pipeline.f.as_table({"source": True, "system_tags": True}).to_pylist())
"""


def test_a_node_reads_the_same_after_close_and_in_a_new_process(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def process(what: str) -> str:
        arguments = [sys.executable, str(program), str(tmp_path / "lab.db"), what]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True, env={**os.environ})
        return done.stdout

    written = process("run")
    assert [row["y"] for row in eval(written)] == [50, 10, 50, 20]
    assert process("read") == process("read") == written


# Nothing comes in


@op.function_pod("y")
def increment(x: int) -> int:
    return x + 1


@op.function_pod(["a", "b"])
def split(y: int) -> tuple[float, list[str | None]]:
    return float(y), [None]


def empty(**types: Any) -> DictSource:
    return DictSource([], tag_columns=["i"], source_id="e", data_schema={"i": int, **types})


def test_empty_input_flows_through_a_pipeline_with_the_right_schema() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        made = split.pod(increment.pod(empty(x=int)))
        made.join(source([1, 2]).map_packets({"x": "q"}), label="join")
        Filter(i=3)(made, label="filter")
        made.drop_nulls(label="drop_nulls")
        made.map_tags({"i": "j"}, label="map_tags")
        made.select_packet_columns(["a"], label="select")
    result = pipeline.run()
    assert result.ok
    assert result.counts("split") == {"computed": 0, "cached": 0, "failed": 0}
    for node in pipeline.values():
        tags, packets = node.output_schema(ALL)
        table = node.as_table(ALL)
        assert table.schema == (tags | packets).arrow
        assert table.num_rows == (2 if node.label in ("s", "map_packets") else 0)
    assert pipeline.split.as_table().schema == pa.schema(
        [
            pa.field("i", pa.int64(), nullable=False),
            pa.field("a", pa.float64(), nullable=False),
            pa.field("b", pa.large_list(pa.large_string()), nullable=False),
        ]
    )


def test_what_all_failed_gives_empty_input_to_what_follows() -> None:
    calls: list[int] = []
    pipeline = op.Pipeline("p")
    with pipeline:
        split.pod(counting_pod(calls, frozenset({1, 2}))(source([1, 2])))
    result = pipeline.run()
    assert result.counts("split") == {"computed": 0, "cached": 0, "failed": 0, "incomplete": 2}
    assert pipeline.split.as_table().column_names == ["i", "a", "b"]


@pytest.mark.filterwarnings("ignore:.* none agree")
@pytest.mark.parametrize("rows", [0, 1])
def test_a_null_tag_matches_nothing_in_a_join_and_is_kept_elsewhere(rows: int) -> None:
    left = DictSource(
        [{"i": None, "x": 1}, {"i": 1, "x": 2}], tag_columns=["i"], source_id="l", data_schema={"i": int | None}
    )
    right = DictSource(
        [{"i": None, "q": 1}, {"i": 1, "q": 2}][: 1 + rows],
        tag_columns=["i"],
        source_id="r",
        data_schema={"i": int | None},
    )
    pipeline = op.Pipeline("p")
    with pipeline:
        increment.pod(left, label="kept")
        increment.pod(left.join(right), label="joined")
    pipeline.run()
    assert pipeline.kept.as_table().to_pylist() == [{"i": None, "y": 2}, {"i": 1, "y": 3}]
    assert pipeline.joined.as_table().to_pylist() == [{"i": 1, "y": 3}][:rows]
