"""``node.errors()``: what failed in the last run, as the store tells it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.errors import PipelineError
from orcapod.executors import LocalExecutor
from orcapod.observers import LoggingObserver, StatusObserver
from orcapod.sources import DictSource


class OddError(ValueError):
    pass


@op.function_pod("y", identity="version")
def f(x: int) -> int:
    if x % 2:
        raise OddError(f"{x} is odd\n  and so on")
    return 10 // x


LINE = inspect.getsourcelines(f)[1] + 3


def built(*values: int, database: Any = None, retries: int = 0) -> op.Pipeline:
    rows = [{"i": i, "kind": "k", "x": x} for i, x in enumerate(values)]
    config = op.PipelineConfig(node=op.NodeConfig(retries=retries))
    with op.Pipeline("p", database, config=config) as pipeline:
        f.pod(DictSource(rows, ["i", "kind"], source_id="s"))
    return pipeline


@pytest.mark.parametrize("executor", [LocalExecutor(), LocalExecutor(workers=2, kind="process")])
def test_the_store_tells_of_failures_what_the_result_tells(tmp_path: Path, executor: LocalExecutor) -> None:
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        pipeline = built(0, 1, 2, 3, database=database)
        result = pipeline.run(observer=LoggingObserver(pipeline.log_database), execution_engine=executor)
        expected = result.errors.to_table().to_pylist()
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        table = built(0, 1, 2, 3, database=database).f.errors()
    found = table.drop_columns("traceback").to_pylist()
    expected.sort(key=lambda row: row["i"])  # calls in processes end in whatever order
    assert sorted(found, key=lambda row: row["i"]) == expected
    assert len(expected) == 3
    assert expected[1]["error"] == "OddError"
    assert (expected[1]["file"], expected[1]["line"]) == (__file__, LINE)
    assert all("Traceback" in text for text in table["traceback"].to_pylist())
    assert list(table.to_pandas()["node"]) == ["f"] * 3


def test_statuses_alone_tell_what_failed_and_why() -> None:
    pipeline = built(1, 2)
    pipeline.run(observer=StatusObserver(pipeline.log_database))
    (row,) = pipeline.f.errors().to_pylist()
    assert (row["node"], row["i"], row["kind"], row["error"]) == ("f", "0", "k", "OddError")
    assert row["message"].endswith("OddError: 1 is odd\n  and so on")
    assert row["file"] is row["line"] is row["traceback"] is None


def test_only_the_last_run_counts() -> None:
    database = op.databases.MemoryDatabase()
    first = built(1, 2, database=database)
    first.run(observer=LoggingObserver(first.log_database))
    assert first.f.errors().num_rows == 1
    second = built(2, 4, database=database)
    second.run()
    assert second.f.errors().num_rows == 0
    assert "message" in second.f.errors().column_names


def test_a_packet_that_was_tried_again_has_failed_once_or_not_at_all() -> None:
    pipeline = built(1, 2, retries=2)
    pipeline.run(observer=LoggingObserver(pipeline.log_database))
    assert pipeline.f.errors()["i"].to_pylist() == ["0"]


def test_failures_of_which_nothing_was_kept_are_not_passed_over() -> None:
    pipeline = built(1, 2)
    with pytest.raises(PipelineError, match="'f' has not run yet"):
        pipeline.f.errors()
    result = pipeline.run()
    with pytest.raises(PipelineError, match=rf"1 packets failed in run {result.run_id}.*LoggingObserver") as raised:
        pipeline.f.errors()
    assert raised.value.node == "f"
