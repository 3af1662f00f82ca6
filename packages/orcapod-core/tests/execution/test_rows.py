"""Every function is given its own row, whatever fails, is retried or is equal beside it."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.functions import NodeConfig, PythonPacketFunction
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource

ORCHESTRATORS = {"sync": SyncPipelineOrchestrator, "async": AsyncPipelineOrchestrator}
EXECUTORS = {
    "here": lambda: LocalExecutor(),
    "threads": lambda: LocalExecutor(workers=3),
    "processes": lambda: LocalExecutor(workers=2, kind="process"),
}


def run(function: Any, values: list[Any], *, config: NodeConfig | None = None, **how: Any) -> tuple[Any, op.Pipeline]:
    pipeline = op.Pipeline("p")
    with pipeline:
        rows = [{"i": i, "x": x} for i, x in enumerate(values)]
        source = DictSource(rows, ["i"], source_id="s", data_schema={"i": int, "x": int | None})
        FunctionPod(PythonPacketFunction(function, "y"), node_config=config)(source, label="n")
    return pipeline.run(**how), pipeline


def given_of(pipeline: op.Pipeline) -> dict[int, int]:
    return {row["i"]: row["y"] for row in pipeline["n"].as_table().to_pylist()}


def tenfold(x: int | None) -> int:
    if x == 0 or x is None:
        raise ValueError("no value")
    return 10 * x


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("retries", [0, 1])
def test_twins_of_failed_rows_do_not_change_what_others_are_given(
    orchestrator: str, executor: str, retries: int
) -> None:
    """The twin of a failed row comes last, and a row that is tried again first."""
    with EXECUTORS[executor]() as where:
        result, pipeline = run(
            tenfold,
            [0, 1, 1, 0, 2],
            config=NodeConfig(retries=retries),
            orchestrator=ORCHESTRATORS[orchestrator](),
            execution_engine=where,
        )
    assert given_of(pipeline) == {1: 10, 2: 10, 4: 20}
    assert result.counts("n") == {"computed": 2, "cached": 1, "failed": 2}


VALUES = st.lists(st.sampled_from([None, *range(41)]), min_size=30, max_size=200)


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
@pytest.mark.parametrize("executor", ["here", "threads"])
@settings(deadline=None, max_examples=10)
@given(values=VALUES, concurrency=st.sampled_from([None, 1, 4]))
def test_each_value_is_that_of_its_own_row(
    orchestrator: str, executor: str, values: list[int | None], concurrency: int | None
) -> None:
    """With twins, failures, nulls, and failures that pass when they are tried again."""
    tries: Counter[int | None] = Counter()

    def picky(x: int | None) -> int:
        tries[x] += 1
        if x is None or x % 20 == 7:
            raise ValueError("no value")
        if x == 20 and tries[x] == 1:
            raise OSError("passes")
        if x % 3 == 0:
            time.sleep(0.0005)  # later than what comes after it
        return 10 * x

    pod = op.function_pod("y", identity="version", retries=1, max_concurrency=concurrency)(picky).pod
    pipeline = op.Pipeline("p")
    with pipeline:
        rows = [{"i": i, "x": x} for i, x in enumerate(values)]
        pod(DictSource(rows, ["i"], source_id="s", data_schema={"i": int, "x": int | None}), label="n")
    with EXECUTORS[executor]() as where:
        result = pipeline.run(ORCHESTRATORS[orchestrator](), execution_engine=where)
    assert given_of(pipeline) == {i: 10 * x for i, x in enumerate(values) if x is not None and x % 20 != 7}
    assert result.counts("n")["failed"] == sum(x is None or x % 20 == 7 for x in values)
    for error in result.errors:
        assert values[error.tag["i"]] == error.packet["x"]
