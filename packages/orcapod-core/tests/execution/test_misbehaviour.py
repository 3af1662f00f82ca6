"""Functions that misbehave harm their own packet at the most."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.observers import NoOpObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

ORCHESTRATORS = [None, SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()]


def pipeline_of(function: Any, count: int = 12, **config: Any) -> op.Pipeline:
    pipeline = op.Pipeline("p")
    with pipeline:
        pod = op.function_pod("y", identity="version", **config)(function).pod
        pod(DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s"), label="n")
    return pipeline


def values(pipeline: op.Pipeline) -> list[Any]:
    rows = pipeline["n"].as_table().to_pylist()
    return [row["y"] for row in sorted(rows, key=lambda row: row["i"])]


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
@pytest.mark.parametrize("executor", [LocalExecutor(), LocalExecutor(workers=1)])
@pytest.mark.parametrize("is_async", [True, False])
def test_an_object_that_a_function_returns_and_goes_on_to_use_is_stored_as_it_was(
    orchestrator: Any, executor: LocalExecutor, is_async: bool
) -> None:
    buffer = [0, 0, 0]

    def plain(x: int) -> list[int]:
        for index in range(3):
            buffer[index] = x * (index + 1)
        return buffer

    async def awaited(x: int) -> list[int]:
        await asyncio.sleep(0)
        return plain(x)

    pipeline = pipeline_of(awaited if is_async else plain)
    assert pipeline.run(orchestrator, execution_engine=executor).ok
    assert values(pipeline) == [[x, 2 * x, 3 * x] for x in range(12)]


def ended(pipeline: op.Pipeline, orchestrator: Any) -> Any:
    """The result of a run that must not hang."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(pipeline.run(orchestrator)), daemon=True)
    thread.start()
    thread.join(60)
    assert results, "it hangs, or has failed"
    return results[0]


@pytest.mark.parametrize("orchestrator", [None, AsyncPipelineOrchestrator()])
@pytest.mark.parametrize("timeout", [None, 5.0])
def test_whoever_cancels_all_tasks_of_the_loop_fails_their_packets(orchestrator: Any, timeout: float | None) -> None:
    async def tidy(x: int) -> int:
        if x == 0:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
        await asyncio.sleep(0.01)
        return x

    result = ended(pipeline_of(tidy, 4, timeout=timeout), orchestrator)
    counts = result.counts("n")
    assert counts["computed"] + counts["failed"] == 4
    assert {type(error.exception) for error in result.errors} <= {asyncio.CancelledError}


@pytest.mark.parametrize("orchestrator", [None, AsyncPipelineOrchestrator()])
def test_a_loop_that_is_stopped_goes_on(orchestrator: Any) -> None:
    async def stopping(x: int) -> int:
        if x == 1:
            asyncio.get_running_loop().stop()
        await asyncio.sleep(0.01)
        return x

    assert ended(pipeline_of(stopping, 4), orchestrator).counts("n") == {"computed": 4, "cached": 0, "failed": 0}


def test_an_alarm_by_which_a_function_limits_its_time_is_a_failure() -> None:
    class AlarmError(Exception):
        pass

    def ring(*_: object) -> None:
        raise AlarmError("too slow")

    def limited(x: int) -> int:
        before = signal.signal(signal.SIGALRM, ring)
        try:
            if x == 1:
                signal.raise_signal(signal.SIGALRM)
        finally:
            signal.signal(signal.SIGALRM, before)
        return x

    result = pipeline_of(limited, 3).run()
    assert result.counts("n") == {"computed": 2, "cached": 0, "failed": 1}


_FORKING = """
import asyncio, os, sys
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

ENDS = [
    SystemExit(7), SystemExit(0), SystemExit(None), SystemExit("bye"), ValueError("child"), KeyboardInterrupt("child"),
    GeneratorExit(), StopIteration(), asyncio.CancelledError(), None,
]

def forked(x):
    child = os.fork()
    if not child:
        if x == len(ENDS):
            sys.stderr.close()
            os.close(1)
            print("to nobody")
            sys.exit("to nobody either")
        if ENDS[x] is not None:
            raise ENDS[x]
        return -1  # it comes out of the function like its parent
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)

@op.function_pod("y")
def forking(x: int) -> int:
    return forked(x)

@op.function_pod("z")
async def forking_task(x: int) -> int:
    await asyncio.sleep(0)
    return forked(x)

pipeline = op.Pipeline("p")
with pipeline:
    rows = DictSource([{"i": i, "x": i} for i in range(len(ENDS) + 1)], ["i"], source_id="s")
    forking.pod(rows, label="n")
    forking_task.pod(rows, label="m")
executors = {"here": LocalExecutor(), "threads": LocalExecutor(2), "processes": LocalExecutor(2, "process")}
drivers = {"sync": SyncPipelineOrchestrator(), "async": AsyncPipelineOrchestrator()}
result = pipeline.run(drivers[sys.argv[2]], execution_engine=executors[sys.argv[1]])
print([result.counts(label)["computed"] for label in "nm"])
for label, column in ("n", "y"), ("m", "z"):
    print([row[column] for row in sorted(pipeline[label].as_table().to_pylist(), key=lambda row: row["i"])])
"""


@pytest.mark.parametrize(
    ("executor", "driver"), [("here", "sync"), ("here", "async"), ("threads", "sync"), ("processes", "async")]
)
def test_a_process_that_a_function_forks_ends_where_the_function_does(
    executor: str, driver: str, tmp_path: Path
) -> None:
    """By whatever it is left, and though nothing can be printed any more; its parent goes on."""
    (tmp_path / "program.py").write_text(_FORKING)
    command = [sys.executable, str(tmp_path / "program.py"), executor, driver]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    codes = [7, 0, 0, 1, 1, 1, 1, 1, 1, 0, 1]
    assert done.stdout == f"[11, 11]\n{codes}\n{codes}\n", done.stderr
    assert executor == "processes" or done.stderr.count("bye") == 2
    assert executor == "processes" or done.stderr.count("ValueError: child") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_rows_that_are_half_read_may_be_read_on_in_a_fork() -> None:
    """Such a process was forked by nobody's function."""

    @op.function_pod("y")
    def same(x: int) -> int:
        return x

    rows = same.pod(DictSource([{"i": i, "x": i} for i in range(5000)], ["i"], source_id="s"))
    driven = iter(rows.iter_packets())
    next(driven)
    child = os.fork()
    if not child:
        try:
            os._exit(12 if len(list(driven)) == 4999 else 13)
        finally:
            os._exit(100)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 12


def test_retries_in_this_thread_do_not_wait_one_for_the_other() -> None:
    tried: list[int] = []

    def failing(x: int) -> int:
        tried.append(x)
        raise OSError("no connection")

    result = pipeline_of(failing, 5, retries=1).run()
    assert result.counts("n")["failed"] == 5
    assert tried == [*range(5), *range(5)]


def test_an_interrupt_while_packets_wait_for_another_try_is_told_of_each() -> None:
    told: list[tuple[str, int]] = []

    class Told(NoOpObserver):
        def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
            told.append(("start", tag["i"]))

        def on_packet_crash(self, node_label: str, tag: Any, packet: Any, error: BaseException) -> None:
            told.append((type(error).__name__, tag["i"]))

    def failing(x: int) -> int:
        if x == 1:
            threading.Timer(0.02, os.kill, [os.getpid(), signal.SIGINT]).start()
        raise OSError("no connection")

    with pytest.raises(KeyboardInterrupt):
        pipeline_of(failing, 2, retries=9).run(observer=Told())
    assert sorted(told) == [("PacketAbandonedError", 0), ("PacketAbandonedError", 1), ("start", 0), ("start", 1)]
