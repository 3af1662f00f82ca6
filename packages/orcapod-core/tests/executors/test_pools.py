"""Pools of threads and processes: the suite, and what may happen to a worker."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, PacketTimeoutError, WorkerDiedError
from orcapod.executors import LocalExecutor
from orcapod.executors.pickling import serialized
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Call, Outcome
from orcapod.sources import DictSource
from orcapod.testing import ExecutorSuite


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(2, "process") as executor:
        yield executor


class TestThreads(ExecutorSuite):
    @pytest.fixture
    def executor(self) -> LocalExecutor:
        return LocalExecutor(2, "thread")


@pytest.fixture(scope="module")
def large_pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(8, "process") as executor:  # as many as calls that the suite makes at once
        yield executor


class TestProcesses(ExecutorSuite):
    @pytest.fixture
    def executor(self, large_pool: LocalExecutor) -> LocalExecutor:
        return large_pool


def run(pod: Any, pool: LocalExecutor, count: int = 10, **options: Any) -> tuple[op.RunResult, list[Any]]:
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        pod(DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s"), label="node")
    logs = LoggingObserver(MemoryDatabase())
    result = pipeline.run(execution_engine=pool, observer=logs, **options)
    return result, [logs.get_logs().to_pylist(), pipeline.node.as_table().to_pylist()]


ORCHESTRATORS = [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()]


@op.function_pod("y", identity="version")
def dies(x: int) -> int:
    print(f"at {x}")
    if x == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if x == 6:
        os._exit(3)
    return x


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_worker_that_dies_fails_its_packet_only(pool: LocalExecutor, orchestrator: Any) -> None:
    result, (_, rows) = run(dies.pod, pool, orchestrator=orchestrator)
    assert result.counts("node") == {"computed": 8, "cached": 0, "failed": 2}
    errors = {error.tag["i"]: error.exception for error in result.errors}
    assert all(isinstance(error, WorkerDiedError) for error in errors.values())
    assert "SIGKILL" in str(errors[4])
    assert "code 3" in str(errors[6])
    assert sorted(row["y"] for row in rows) == [0, 1, 2, 3, 5, 7, 8, 9]


@op.function_pod("y", identity="version")
def speaks(x: int) -> int:
    print("python")
    os.write(1, b"descriptor\n")
    subprocess.run(["echo", "child"], check=True)
    sys.stderr.write("careful")
    return x


def test_output_is_captured_in_the_order_written(pool: LocalExecutor) -> None:
    _, (logs, _) = run(speaks.pod, pool, 3)
    assert [(row["__stdout"], row["__stderr"]) for row in logs] == [("python\ndescriptor\nchild\n", "careful")] * 3


@op.function_pod("y", timeout=1.0, identity="version")
def hangs(x: int) -> int:
    if x == 1:
        time.sleep(600)
    return x


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_timeout_ends_the_worker(pool: LocalExecutor, orchestrator: Any) -> None:
    started = time.monotonic()
    result, _ = run(hangs.pod, pool, 4, orchestrator=orchestrator)
    assert time.monotonic() - started < 60
    assert result.counts("node") == {"computed": 3, "cached": 0, "failed": 1}
    assert isinstance(result.errors[0].exception, PacketTimeoutError)


class LabError(Exception):
    def __init__(self, sample: int, reason: str) -> None:
        super().__init__(f"sample {sample}: {reason}")
        self.sample = sample


@op.function_pod("y", identity="version")
def fails(x: int) -> int:
    raise LabError(x, "broken")


def test_the_users_exception_comes_back_as_itself_and_says_where_it_was_raised(pool: LocalExecutor) -> None:
    result, (logs, _) = run(fails.pod, pool, 1)
    (error,) = result.errors
    assert isinstance(error.exception, LabError)
    assert error.exception.sample == 0
    assert "in fails" in "".join(error.exception.__notes__)
    assert "LabError: sample 0: broken" in logs[0]["__traceback"]


MAIN = """
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource

class Sample:
    def __init__(self, x):
        self.x = x

OFFSET = 10

def helper(x):
    return Sample(x + OFFSET)

@op.function_pod("y")
def f(x: int) -> int:
    return helper(x).x

pipeline = op.Pipeline("p")
with pipeline:
    f.pod(DictSource([{"i": i, "x": i} for i in range(4)], ["i"], source_id="s"))
assert pipeline.run(execution_engine=LocalExecutor(2, "process")).ok
print(pipeline.f.as_table()["y"].to_pylist())
"""


@pytest.mark.parametrize("how", ["script", "stdin"])
def test_functions_of_main_need_no_guard(how: str, tmp_path: Any) -> None:
    """Not in a script, and not where there is no file at all."""
    script = tmp_path / "script.py"
    script.write_text(MAIN)
    done = subprocess.run(
        [sys.executable, str(script) if how == "script" else "-"],
        input=MAIN,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "[10, 11, 12, 13]\n", done.stderr


def test_a_pool_ends_its_workers(pool: LocalExecutor) -> None:
    outcomes: list[Outcome] = []
    with LocalExecutor(1, "process") as executor:
        session = executor.open_session(os.getpid, outcomes.append, concurrency=None, timeout=None)
        assert session is not None
        session.submit([Call(0, {}, False)])
        while not outcomes:
            time.sleep(0.01)
        session.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(outcomes[0].value, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    raise AssertionError("the worker is still there")


@pytest.mark.parametrize("wrong", [0, -2, 1.5, True])
def test_a_pool_has_at_least_one_worker(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="workers"):
        LocalExecutor(wrong)
    with pytest.raises(ConfigError, match="kind"):
        LocalExecutor(1, "fiber")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["table", "batch", "column", "array"])
def test_a_slice_of_arrow_travels_alone(kind: str) -> None:
    """Not with all that it was cut from, which is what pickle would send."""
    table = pa.table({"x": range(100_000), "s": [str(number) for number in range(100_000)]})
    whole: Any = {"table": table, "batch": table.to_batches()[0], "column": table["s"], "array": table["x"].chunk(0)}
    part = whole[kind].slice(99_998, 2)
    content = serialized([part])
    assert len(content) < 10_000 < len(serialized([whole[kind]]))
    (back,) = pickle.loads(content)
    assert back.equals(part)
