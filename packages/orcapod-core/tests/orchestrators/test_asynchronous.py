"""What the asynchronous orchestrator adds: overlap, streaming, backpressure, and an end at any time."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, PacketTimeoutError
from orcapod.observers import LoggingObserver, NoOpObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource


def numbers(count: int, name: str = "s") -> DictSource:
    return DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id=name)


def pipeline_of(pod: Any, count: int = 10) -> op.Pipeline:
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        pod(numbers(count), label="node")
    return pipeline


class Gauge:
    """How many calls are being made at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = time.monotonic() + 60
        self.now = self.most = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self.now -= 1

    def awaits(self, most: int) -> bool:
        """Whether there were not yet so many, and it is worth waiting for them."""
        return self.most < most and time.monotonic() < self._until

    def __deepcopy__(self, memo: object) -> Gauge:
        return self


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_max_concurrency_bounds_what_is_in_flight(kind: str, most: int) -> None:
    """Promise 14."""
    gauge = Gauge()

    async def waiting(x: int) -> int:
        with gauge:
            while gauge.awaits(most):
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.005)
        return x

    def working(x: int) -> int:
        with gauge:
            while gauge.awaits(most):
                time.sleep(0.001)
            time.sleep(0.005)
        return x

    function = waiting if kind == "async" else working
    pod = op.function_pod("y", max_concurrency=most, identity="version", name="f")(function).pod
    assert pipeline_of(pod, 20).run(AsyncPipelineOrchestrator()).ok
    assert gauge.most == most


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True])
def test_numbers_that_make_no_sense_are_refused(wrong: Any) -> None:
    """Promise 14."""
    with pytest.raises(ConfigError, match="max_concurrency"):
        op.NodeConfig(max_concurrency=wrong)
    with pytest.raises(ConfigError, match="buffer_size"):
        AsyncPipelineOrchestrator(buffer_size=wrong)


def test_results_reach_the_next_node_as_they_appear() -> None:
    """The second packet of the first node waits until the first packet is through the second node."""
    through = threading.Event()

    @op.function_pod("y", identity="version")
    def first(x: int) -> int:
        assert x == 0 or through.wait(60)
        return x

    @op.function_pod("z", identity="version")
    def second(y: int) -> int:
        through.set()
        return y

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        second.pod(first.pod(numbers(2)))
    assert pipeline.run(AsyncPipelineOrchestrator()).ok


def test_a_source_waits_for_a_slow_function() -> None:
    """What is between two nodes is bounded, whatever the first could give."""
    made: list[int] = []
    seen: list[int] = []

    class Endless(DictSource):
        def chunks(self) -> Iterator[Any]:
            (chunk,) = super().chunks()
            for row in range(chunk.num_rows):
                made.append(row)
                yield chunk.slice(row, 1)

    @op.function_pod("y", identity="version")
    def slow(x: int) -> int:
        seen.append(len(made))
        time.sleep(0.002)
        return x

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        slow.pod(Endless([{"i": i, "x": i} for i in range(60)], ["i"], source_id="e"))
    assert pipeline.run(AsyncPipelineOrchestrator(buffer_size=2)).counts("slow")["computed"] == 60
    assert seen[0] < 20


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_before_every_retry_there_is_a_pause_twice_as_long(orchestrator: Any) -> None:
    tries: list[float] = []

    @op.function_pod("y", retries=2, identity="version")
    def flaky(x: int) -> int:
        tries.append(time.monotonic())
        if len(tries) < 3:
            raise ValueError("not yet")
        return x

    assert pipeline_of(flaky.pod, 1).run(orchestrator).ok
    first, second, third = tries
    assert second - first >= 0.1
    assert third - second >= 0.2


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_retries_try_again_and_log_every_attempt(orchestrator: Any) -> None:
    tries: list[int] = []

    @op.function_pod("y", retries=2, identity="version")
    def flaky(x: int) -> int:
        tries.append(x)
        print(f"try {tries.count(x)}")
        if x == 1 and tries.count(1) < 3:
            raise ConnectionError("not yet")
        if x == 2:
            raise ConnectionError("never")
        return x

    logs = LoggingObserver(MemoryDatabase())
    result = pipeline_of(flaky.pod, 3).run(orchestrator, observer=logs)
    assert result.counts("node") == {"computed": 2, "cached": 0, "failed": 1}
    assert [tries.count(x) for x in range(3)] == [1, 3, 3]
    rows = logs.get_logs().to_pylist()
    assert [row["__stdout"] for row in rows if row["i"] == "1"] == ["try 1\n", "try 2\n", "try 3\n"]
    assert [row["__success"] for row in rows if row["i"] == "1"] == [False, False, True]
    assert [row["__success"] for row in rows if row["i"] == "2"] == [False, False, False]


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_timeout_fails_the_packet_and_says_what_became_of_the_call(orchestrator: Any, kind: str) -> None:
    over = threading.Event()

    def stuck(x: int) -> int:
        if x == 1:
            over.wait(600)
        return x

    async def waiting(x: int) -> int:
        await asyncio.sleep(600 if x == 1 else 0)
        return x

    function = waiting if kind == "async" else stuck
    pod = op.function_pod("y", timeout=1.0, identity="version", name="f")(function).pod
    started = time.monotonic()
    result = pipeline_of(pod, 3).run(orchestrator)
    assert time.monotonic() - started < 60
    over.set()
    assert result.counts("node") == {"computed": 2, "cached": 0, "failed": 1}
    (error,) = result.errors
    assert error.tag["i"] == 1
    assert isinstance(error.exception, PacketTimeoutError)
    assert isinstance(error.exception, TimeoutError)
    assert ("cancelled" if kind == "async" else "dropped") in str(error.exception)


def test_the_same_packet_in_two_nodes_at_once_is_computed_once() -> None:
    calls: list[int] = []

    @op.function_pod("y", identity="version")
    def once(x: int) -> int:
        calls.append(x)
        time.sleep(0.01)
        return x

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        once.pod(numbers(5, "one"), label="one")
        once.pod(numbers(5, "other"), label="other")
    result = pipeline.run(AsyncPipelineOrchestrator())
    assert sorted(calls) == list(range(5))
    counts = [result.counts(label) for label in ("one", "other")]
    assert sum(count["computed"] for count in counts) == sum(count["cached"] for count in counts) == 5


def test_fail_fast_ends_all_nodes_with_the_users_exception() -> None:
    """Promise 15."""

    @op.function_pod("y", identity="version")
    def broken(x: int) -> int:
        raise ZeroDivisionError("as it is")

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        broken.pod(numbers(1000))
    with pytest.raises(ZeroDivisionError, match="as it is"):
        pipeline.run(AsyncPipelineOrchestrator(error_policy="fail_fast"))


class Ended(NoOpObserver):
    def __init__(self) -> None:
        self.runs: list[str] = []

    def on_run_end(self, run_id: str) -> None:
        self.runs.append(run_id)


def test_cancelling_the_awaiting_task_ends_the_run_within_a_second_and_keeps_what_was_finished() -> None:
    ended: list[int] = []

    @op.function_pod("y", identity="version")
    async def waiting(x: int) -> int:
        if x >= 3:
            await asyncio.sleep(600)
        ended.append(x)
        return x

    pipeline = pipeline_of(waiting.pod, 5)
    observer = Ended()

    async def main() -> float:
        task = asyncio.create_task(pipeline.run_async(observer=observer))
        while len(ended) < 3:
            await asyncio.sleep(0.01)
        started = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - started

    assert asyncio.run(main()) < 5  # a second, on a machine that has nothing else to do
    assert len(observer.runs) == 1
    assert pipeline.node.as_table()["i"].to_pylist() == [0, 1, 2]


def test_async_functions_run_in_the_loop_of_whoever_awaits() -> None:
    loops: list[object] = []

    @op.function_pod("y", identity="version")
    async def where(x: int) -> int:
        loops.append(asyncio.get_running_loop())
        return x

    async def main() -> bool:
        await pipeline_of(where.pod, 2).run_async()
        return loops == [asyncio.get_running_loop()] * 2

    assert asyncio.run(main())


INTERRUPTED = """
import sys, time
import orcapod as op
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.sources import DictSource

@op.function_pod("y", identity="version")
def stuck(x: int) -> int:
    if x == 3:
        print("stuck", flush=True)
        time.sleep(60)
    return x

class Told(op.observers.NoOpObserver):
    def on_run_end(self, run_id):
        print("ended", flush=True)

pipeline = op.Pipeline("p", sys.argv[1])
with pipeline:
    stuck.pod(DictSource([{"i": i, "x": i} for i in range(5)], ["i"], source_id="s"))
pipeline.run(AsyncPipelineOrchestrator(), observer=Told())
"""


def test_an_interrupt_ends_the_run_within_a_second_and_keeps_what_was_finished(tmp_path: Path) -> None:
    store = tmp_path / "s.db"
    program = [sys.executable, "-c", INTERRUPTED, str(store)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "stuck\n"
        started = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "ended\n"
        process.wait(60)
    assert time.monotonic() - started < 10  # a second, and the end of a program, on a machine with nothing else to do
    with op.databases.SQLiteDatabase(store) as database:
        (path,) = [path for path in database.list_paths() if path[0] == "_result"]
        assert sorted(database.get_records(path)["y"].to_pylist()) == [0, 1, 2]
        assert database.get_records(("p", "_runs"))["__outcome"].to_pylist() == ["INTERRUPTED"]


def test_a_run_in_a_running_loop_works() -> None:
    """As in a notebook."""

    @op.function_pod("y", identity="version")
    async def later(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> op.RunResult:
        return pipeline_of(later.pod).run(AsyncPipelineOrchestrator())

    assert asyncio.run(main()).ok
