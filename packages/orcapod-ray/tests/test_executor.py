"""``RayExecutor``: the suite, and what may happen to a task."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import ray

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError, ExecutionError, PacketTimeoutError, WorkerDiedError
from orcapod.executors import executor_registry
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Call, ConcurrentExecutorProtocol, Outcome
from orcapod.sources import DictSource
from orcapod.testing import ExecutorSuite
from orcapod_ray import RayExecutor

pytestmark = pytest.mark.ray

ORCHESTRATORS = [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()]


class TestRay(ExecutorSuite):
    @pytest.fixture
    def executor(self, cluster: RayExecutor) -> RayExecutor:
        return cluster.with_options()


def run(pod: Any, executor: Any, count: int = 10, **options: Any) -> tuple[op.RunResult, list[Any], list[Any]]:
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        pod(DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s"), label="node")
    logs = LoggingObserver(MemoryDatabase())
    result = pipeline.run(execution_engine=executor, observer=logs, **options)
    return result, logs.get_logs().to_pylist(), pipeline.node.as_table().to_pylist()


def test_it_is_registered_and_concurrent(cluster: RayExecutor) -> None:
    assert executor_registry.load("ray") is RayExecutor
    assert isinstance(cluster, ConcurrentExecutorProtocol)
    assert cluster.executor_type_id == "ray"


@op.function_pod("y", identity="version")
def dies(x: int) -> int:
    if x == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_worker_that_dies_fails_its_packet_only(cluster: RayExecutor, orchestrator: Any) -> None:
    result, logs, rows = run(dies.pod, cluster.with_options(max_retries=1), orchestrator=orchestrator)
    assert result.counts("node") == {"computed": 9, "cached": 0, "failed": 1}
    assert isinstance(result.errors[0].exception, WorkerDiedError)
    assert "2 times" in str(result.errors[0].exception)
    assert sorted(row["y"] for row in rows) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert [row["__success"] for row in logs if row["i"] == "4"] == [False, False]
    assert len(logs) == 11


class FlakyError(Exception):
    def __init__(self, sample: int, reason: str) -> None:
        super().__init__(f"sample {sample}: {reason}")
        self.sample = sample


def flaky(folder: str, error: type[Exception]) -> Any:
    def at_the_third_try(x: int) -> int:
        print(f"try of {x}")
        marks = Path(folder) / str(x)
        with marks.open("a") as file:
            file.write("x")
        if marks.stat().st_size < 3:
            raise error(x, "broken")
        return x

    return op.function_pod("y", identity="version")(at_the_third_try)


@pytest.mark.parametrize("retried", [True, [FlakyError]])
def test_named_exceptions_are_tried_again_and_every_try_is_logged(
    cluster: RayExecutor, retried: Any, tmp_path: Path
) -> None:
    pod = flaky(str(tmp_path), FlakyError).pod
    result, logs, _ = run(pod, cluster.with_options(retry_exceptions=retried, max_retries=2), 4)
    assert result.counts("node") == {"computed": 4, "cached": 0, "failed": 0}
    assert [row["__success"] for row in logs if row["i"] == "2"] == [False, False, True]
    assert {row["__stdout"] for row in logs if row["i"] == "2"} == {"try of 2\n"}


@pytest.mark.parametrize(("retried", "retries"), [(False, 3), ([OSError], 3), (True, 1)])
def test_others_are_not(cluster: RayExecutor, retried: Any, retries: int, tmp_path: Path) -> None:
    executor = cluster.with_options(retry_exceptions=retried, max_retries=retries)
    result, logs, _ = run(flaky(str(tmp_path), FlakyError).pod, executor, 2)
    assert result.counts("node")["failed"] == 2
    assert isinstance(result.errors[0].exception, FlakyError)
    assert sorted(error.exception.sample for error in result.errors) == [0, 1]
    assert len(logs) == (4 if retried is True else 2)


@op.function_pod("y", timeout=5.0, identity="version")
def hangs(x: int) -> int:
    if x == 1:
        time.sleep(3600)
    return x


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_a_timeout_fails_its_packet_only(cluster: RayExecutor, orchestrator: Any) -> None:
    result, _, _ = run(hangs.pod, cluster, 30, orchestrator=orchestrator)
    assert result.counts("node") == {"computed": 29, "cached": 0, "failed": 1}
    assert isinstance(result.errors[0].exception, PacketTimeoutError)


def test_closing_ends_what_runs(cluster: RayExecutor, tmp_path: Path) -> None:
    mark = str(tmp_path / "pid")

    def stays() -> None:
        Path(mark + ".new").write_text(str(os.getpid()))
        Path(mark + ".new").rename(mark)
        time.sleep(60)

    outcomes: list[Outcome] = []
    session = cluster.open_session(stays, outcomes.append, concurrency=None, timeout=None)
    session.submit([Call(0, {}, False)])
    assert _soon(Path(mark).exists)
    session.close()
    pid = Path(mark).read_text()
    assert _soon(lambda: not Path(f"/proc/{pid}").exists())
    assert outcomes == []


def _soon(condition: Any) -> bool:
    deadline = time.monotonic() + 300  # a busy machine takes its time to start a cluster
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_modules_of_the_user_need_not_be_where_workers_are(
    cluster: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ray_lab_helpers.py").write_text("OFFSET = 10\ndef shifted(x):\n    return x + OFFSET\n")
    (tmp_path / "ray_lab.py").write_text(
        "from ray_lab_helpers import shifted\n"
        "class LabError(Exception):\n"
        "    def __init__(self, sample, reason):\n"
        "        super().__init__(reason)\n"
        "        self.sample = sample\n"
        "def f(x):\n"
        "    if x == 3:\n"
        "        raise LabError(x, 'three')\n"
        "    return shifted(x)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    lab = importlib.import_module("ray_lab")
    for file in tmp_path.glob("*.py"):
        file.unlink()
    assert cluster.execute_callable(lab.f, {"x": 1}) == 11
    with pytest.raises(lab.LabError) as caught:
        cluster.execute_callable(lab.f, {"x": 3})
    assert caught.value.sample == 3


def loaded_of_orcapod() -> list[str]:
    return sorted(name for name in sys.modules if name.partition(".")[0] in ("orcapod", "orcapod_ray"))


def test_workers_load_nothing_of_orcapod(cluster: RayExecutor) -> None:
    fresh = cluster.with_options(runtime_env={"env_vars": {"FRESH": "1"}})  # workers that have run nothing yet
    assert fresh.execute_callable(loaded_of_orcapod, {}) == []


def test_tasks_that_fit_nowhere_are_told_of(cluster: RayExecutor) -> None:
    """They wait, since a node may join."""
    executor = cluster.with_options(resources={"microscope": 2})
    with pytest.warns(UserWarning, match=r"no node .*'microscope': 2"):
        executor.open_session(abs, [].append, concurrency=None, timeout=None).close()


def unsendable(x: int) -> Any:
    return (each for each in [x])


def test_what_cannot_be_sent_says_so(cluster: RayExecutor) -> None:
    with pytest.raises(TypeError, match="generator cannot be sent between processes"):
        cluster.execute_callable(unsendable, {"x": 1})
    with pytest.raises(TypeError, match="generator"):
        cluster.execute_callable(abs, {"x": unsendable(1)})


def total(values: Any) -> Any:
    return values.sum(), values


def test_large_arrays_travel_whole(cluster: RayExecutor) -> None:
    import numpy as np  # noqa: PLC0415  # a guest of this test

    array = np.arange(2_000_000)
    found, back = cluster.execute_callable(total, {"values": array})
    assert found == array.sum()
    assert (back == array).all()


def test_an_environment_reaches_the_tasks(cluster: RayExecutor) -> None:
    executor = cluster.with_options(runtime_env={"env_vars": {"LAB": "north"}})
    assert executor.execute_callable(os.getenv, {"key": "LAB"}) == "north"
    assert cluster.execute_callable(os.getenv, {"key": "LAB"}) is None


def test_many_packets_share_tasks(cluster: RayExecutor) -> None:
    """A task has an id of its own."""

    def task_id(x: int) -> str:
        return ray.get_runtime_context().get_task_id()

    pod = op.function_pod("y", identity="version")(task_id).pod
    _, _, rows = run(pod, cluster, 2000)
    assert len(rows) == 2000
    assert len({row["y"] for row in rows}) < 200


@pytest.mark.parametrize(
    ("options", "said"),
    [({"num_returns": 2}, "num_returns"), ({"address": "auto"}, "connection"), ({"num_cpus": -1}, "num_cpus")],
)
def test_options_that_cannot_hold_are_refused(cluster: RayExecutor, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ExecutionError, match=said):
        cluster.with_options(**options)


def test_a_cluster_is_either_started_or_attached_to(cluster: RayExecutor) -> None:
    with pytest.raises(ConfigError, match="num_cpus"):
        RayExecutor("127.0.0.1:6379", ray_init={"num_cpus": 2})
    with pytest.raises(ConfigError, match="Ray Client"):
        RayExecutor("ray://127.0.0.1:10001")
    cluster.execute_callable(abs_of, {"x": -1})
    with pytest.raises(ExecutionError, match="connected to the Ray cluster"):
        RayExecutor(ray_init={"num_cpus": 7}).execute_callable(abs_of, {"x": -1})
    assert RayExecutor().execute_callable(abs_of, {"x": -1}) == 1


def test_a_cluster_that_does_not_start_in_time_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray raises a bare Exception then, after half a minute on a busy machine."""

    def init(**options: Any) -> None:
        raise Exception("The current node timed out during startup. This could happen because of the raylet")  # noqa: TRY002  # as Ray does

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    said = r"(?s)no connection to the Ray cluster 'local': .*timed out during startup.*; .*run again.*ray start --head"
    with pytest.raises(ExecutionError, match=said):
        RayExecutor(ray_init={"num_cpus": 3}).execute_callable(abs_of, {"x": -1})


def abs_of(x: int) -> int:
    return abs(x)


SCRIPT = """
import time
from pathlib import Path
import ray
import orcapod as op
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor
from locked import locked

class LabError(Exception):
    def __init__(self, sample, reason):
        super().__init__(reason)
        self.sample = sample

def helper(x):
    if x == 2:
        raise LabError(x, "two")
    return x + 10

@op.function_pod("y")
def f(x: int) -> int:
    return helper(x)

pipeline = op.Pipeline("p")
with pipeline:
    f.pod(DictSource([{"i": i, "x": i} for i in range(4)], ["i"], source_id="s"))
executor = RayExecutor(ray_init={"num_cpus": 1, "object_store_memory": 100 * 2**20})
assert not ray.is_initialized()
result = pipeline.run(execution_engine=executor)
assert isinstance(result.errors[0].exception, LabError) and result.errors[0].exception.sample == 2
print(sorted(pipeline.f.as_table()["y"].to_pylist()))
assert ray.is_initialized()

import threading
from orcapod.errors import ExecutionError

def slow(x):
    Path(x).touch()
    time.sleep(600)

def shut_down():
    while not Path("begun").exists():
        time.sleep(0.01)
    time.sleep(1)  # while a task is being handed over, Ray would end this process as it shuts down
    ray.shutdown()

threading.Thread(target=shut_down).start()
try:
    executor.execute_callable(slow, {"x": str(Path("begun").absolute())})
except ExecutionError as error:
    print(error)
assert executor.execute_callable(helper, {"x": 1}) == 11
assert executor.execute_callable(locked, {"x": 1}) == 2

from orcapod.protocols import Call
outcomes = []
session = executor.open_session(helper, outcomes.append, concurrency=None, timeout=None)
ray.shutdown()
session.submit([Call(0, {"x": 1}, True)])
while not outcomes:
    pass
print(outcomes[0].error)
assert outcomes[0].captured.success is False
assert not ray.is_initialized()
session.close()

again = RayExecutor(ray_init={"num_cpus": 1, "object_store_memory": 100 * 2**20})
assert again.execute_callable(helper, {"x": 1}) == 11
assert executor.execute_callable(helper, {"x": 1}) == 11
executor.shutdown()
assert not ray.is_initialized()
"""
LOCKED = """
import threading

LOCK = threading.Lock()

def locked(x):
    with LOCK:
        return x + 1
"""


def test_a_script_starts_its_cluster_loses_it_and_stops_it(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "locked.py").write_text(LOCKED)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    first, *others = done.stdout.splitlines()
    assert first == "[10, 11, 13]"
    assert len(others) == 2
    assert all("the connection to the Ray cluster was closed" in other for other in others)


INTERRUPTED = """
import time
from pathlib import Path
import orcapod as op
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor

@op.function_pod("y", identity="version", timeout=7200)
def f(x: int) -> int:
    if x >= 10 and not Path("again").exists():
        while len(list(Path().glob("ends *"))) < 10:
            time.sleep(0.01)
        Path(f"began {x}").touch()
        time.sleep(3600)
    Path(f"ends {x}").touch()
    return x

pipeline = op.Pipeline("p", "lab.db")
with pipeline:
    f.pod(DictSource([{"i": i, "x": i} for i in range(12)], ["i"], source_id="s"))
executor = RayExecutor(ray_init={"num_cpus": 2, "object_store_memory": 100 * 2**20})
try:
    print(pipeline.run(execution_engine=executor, progress=False).counts("f"))
except KeyboardInterrupt:
    ended = time.time()
    executor.shutdown()
    print(ended)
"""


def test_an_interrupt_ends_a_run_within_a_second_and_the_next_goes_on(tmp_path: Path) -> None:
    """Whatever the tasks are doing; what was computed before is there."""
    (tmp_path / "script.py").write_text(INTERRUPTED)
    command = [sys.executable, "script.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert _soon((tmp_path / "began 10").exists)
            interrupted = time.time()
            running.send_signal(signal.SIGINT)
            said, _ = running.communicate(timeout=60)
        finally:
            running.kill()  # or a failure would wait for it for ever
    assert running.returncode == 0
    assert float(said) - interrupted < 5  # a second, on a machine that has nothing else to do
    (tmp_path / "again").touch()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "{'computed': 2, 'cached': 10, 'failed': 0}\n"


BY_A_THREAD = """
import orcapod as op
from orcapod.orchestrators import AsyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor

def f(x: int) -> int:
    return x + 1

executor = RayExecutor(ray_init={"num_cpus": 1, "object_store_memory": 100 * 2**20})
for _ in range(2):
    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y")(f).pod(DictSource([{"i": i, "x": i} for i in range(4)], ["i"], source_id="s"))
    print(pipeline.run(AsyncPipelineOrchestrator(), execution_engine=executor).counts("f")["computed"])
print(executor.execute_callable(f, {"x": 1}))
"""


def test_a_cluster_outlives_the_thread_that_was_the_first_to_need_it(tmp_path: Path) -> None:
    """Under the asynchronous orchestrator that is the thread of a node, which ends with the node."""
    (tmp_path / "script.py").write_text(BY_A_THREAD)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.split() == ["4", "4", "2"], done.stderr
