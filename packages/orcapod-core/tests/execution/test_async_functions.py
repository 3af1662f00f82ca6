"""Async functions: they overlap, no run waits for itself, and one that blocks harms no other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

import orcapod as op
from orcapod.errors import PacketTimeoutError
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

ORCHESTRATORS = [SyncPipelineOrchestrator(await_together=True), AsyncPipelineOrchestrator()]
HANGS = 60


def pipeline_of(function: Any, count: int = 3, **config: Any) -> op.Pipeline:
    pipeline = op.Pipeline("p")
    pod = op.function_pod("y", identity="version", **config)(function).pod
    with pipeline:
        pod(DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s"), label="n")
    return pipeline


def within(seconds: float, call: Any) -> Any:
    """The result of a call that must not hang."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert results, "it hangs, or has failed"
    return results[0]


@pytest.mark.parametrize("concurrency", [None, 20])
def test_they_overlap_in_the_default_run_and_rows_stay_in_order(concurrency: int | None) -> None:
    together = asyncio.Barrier(10)

    async def waiting(x: int) -> int:
        await asyncio.wait_for(together.wait(), HANGS)  # passes when ten are here
        await asyncio.sleep(0.001 * (10 - x))
        return x

    pipeline = pipeline_of(waiting, 10, max_concurrency=concurrency)
    assert pipeline.run().counts("n") == {"computed": 10, "cached": 0, "failed": 0}
    assert pipeline["n"].as_table().column("y").to_pylist() == list(range(10))


@pytest.mark.parametrize(
    ("orchestrator", "concurrency"), [(None, 1), (SyncPipelineOrchestrator(), None), (SyncPipelineOrchestrator(), 20)]
)
def test_one_at_a_time_they_run_in_the_calling_thread(orchestrator: Any, concurrency: int | None) -> None:
    """A synchronous orchestrator of the user's own makes one call after the other, as it says."""
    threads = set()

    async def here(x: int) -> int:
        threads.add(threading.get_ident())
        return x

    assert pipeline_of(here, max_concurrency=concurrency).run(orchestrator).ok
    assert threads == {threading.get_ident()}


def test_what_belongs_to_a_loop_may_be_kept_between_functions_and_runs() -> None:
    """A client that keeps connections, a lock: all async functions of a run, and of the next, are in one loop.

    Also where a run has ended before its calls had.
    """
    loops = set()

    async def first(x: int) -> int:
        loops.add(asyncio.get_running_loop())
        return x

    async def sleeps_or_fails(x: int) -> int:
        loops.add(asyncio.get_running_loop())
        await asyncio.sleep(HANGS if x else 0)
        raise ValueError("no value")

    for orchestrator in ORCHESTRATORS:
        assert pipeline_of(first).run(orchestrator).ok
        with pytest.raises(ValueError, match="no value"):
            pipeline_of(sleeps_or_fails).run(orchestrator, error_policy="fail_fast")
    assert len(loops) == 1


INNER = {
    "run": lambda pipeline: pipeline.run(),
    "run, timeout": lambda pipeline: pipeline.run(),
    "run, async": lambda pipeline: pipeline.run(AsyncPipelineOrchestrator()),
    "run, async, timeout": lambda pipeline: pipeline.run(AsyncPipelineOrchestrator()),
}


def _in_a_notebook(pipeline: op.Pipeline) -> Any:
    async def cell() -> Any:
        return pipeline.run()

    return asyncio.run(cell())


OUTER = {
    "run": lambda pipeline: pipeline.run(),
    "run, async": lambda pipeline: pipeline.run(AsyncPipelineOrchestrator()),
    "run in a loop": _in_a_notebook,
    "run_async": lambda pipeline: asyncio.run(pipeline.run_async()),
    "threads": lambda pipeline: pipeline.run(execution_engine=LocalExecutor(workers=2)),
}


@pytest.mark.parametrize("outer", OUTER)
@pytest.mark.parametrize("inner", [*INNER, "run_async"])
def test_a_run_within_a_function_of_a_run_comes_to_its_end(outer: str, inner: str) -> None:
    async def squared(x: int) -> int:
        await asyncio.sleep(0.001)
        return x * x

    async def containing(x: int) -> int:
        pipeline = pipeline_of(squared, timeout=20.0 if inner.endswith("timeout") else None)
        if inner == "run_async":
            await pipeline.run_async()
        else:
            INNER[inner](pipeline)
        return sum(pipeline["n"].as_table().column("y").to_pylist())

    pipeline = pipeline_of(containing)
    result = within(HANGS, lambda: OUTER[outer](pipeline))
    assert result.counts("n") == {"computed": 3, "cached": 0, "failed": 0}
    assert pipeline["n"].as_table().column("y").to_pylist() == [5, 5, 5]


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_one_that_blocks_is_given_up_and_the_others_are_not(orchestrator: Any) -> None:
    release = threading.Event()

    async def blocking(x: int) -> int:
        if x == 1:
            release.wait(HANGS)
        await asyncio.sleep(0.01)
        return x

    pipeline = pipeline_of(blocking, 5, timeout=1.0)
    result = within(HANGS, lambda: pipeline.run(orchestrator))
    release.set()
    (error,) = result.errors
    assert error.tag["i"] == 1
    assert isinstance(error.exception, PacketTimeoutError)
    assert result.counts("n") == {"computed": 4, "cached": 0, "failed": 1}
    assert pipeline["n"].as_table().column("y").to_pylist() == [0, 2, 3, 4]


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_result_that_comes_too_late_is_not_accepted(orchestrator: Any) -> None:
    async def late(x: int) -> int:
        time.sleep(1.3 if x == 1 else 0)  # it blocks, which is the point
        return x

    result = within(HANGS, lambda: pipeline_of(late, timeout=1.0).run(orchestrator))
    assert [error.tag["i"] for error in result.errors] == [1]


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_one_that_goes_on_though_it_was_cancelled_is_given_up(orchestrator: Any) -> None:
    over = threading.Event()

    async def stubborn(x: int) -> int:
        while x == 1 and not over.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        return x

    result = within(HANGS, lambda: pipeline_of(stubborn, timeout=1.0).run(orchestrator))
    over.set()
    assert [error.tag["i"] for error in result.errors] == [1]


_INTERRUPTED = """
import asyncio, sys, time
import orcapod as op
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.sources import DictSource

@op.function_pod("y")
async def blocking(x: int) -> int:
    print("blocks", flush=True)
    time.sleep(1000)
    return x

@op.function_pod("y")
async def fine(x: int) -> int:
    await asyncio.sleep(0.01)
    return x

def run(pod):
    pipeline = op.Pipeline("p")
    with pipeline:
        pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="n")
    return pipeline.run(AsyncPipelineOrchestrator() if sys.argv[1] == "async" else None)

try:
    run(blocking.pod)
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(run(fine.pod).counts("n"), flush=True)
"""


@pytest.mark.parametrize("how", ["sync", "async"])
def test_ctrl_c_ends_a_run_whose_loop_is_blocked_and_the_next_one_works(how: str) -> None:
    program = subprocess.Popen([sys.executable, "-c", _INTERRUPTED, how], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    try:
        assert program.stdout.readline() == "blocks\n"
        sent = time.monotonic()
        os.kill(program.pid, signal.SIGINT)
        assert program.stdout.readline() == "interrupted\n"
        assert time.monotonic() - sent < 5  # a second, on a machine that has nothing else to do
        assert program.stdout.readline() == "{'computed': 3, 'cached': 0, 'failed': 0}\n"
        assert program.wait(HANGS) == 0
    finally:
        program.kill()
        program.stdout.close()
        program.wait()
