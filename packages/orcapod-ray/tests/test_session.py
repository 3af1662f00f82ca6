"""``RaySession``: when answers come, what closing leaves, and what runs inside of what."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orcapod.errors import PacketTimeoutError
from orcapod.protocols import Call, CallSession, Outcome
from orcapod_ray import RayExecutor
from orcapod_ray import session as session_module

pytestmark = pytest.mark.ray


def soon(condition: Callable[[], object], seconds: float = 300) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextmanager
def session_of(
    executor: RayExecutor, fn: Callable[..., Any], timeout: float | None = None
) -> Iterator[tuple[CallSession, list[Outcome]]]:
    outcomes: list[Outcome] = []
    session = executor.open_session(fn, outcomes.append, concurrency=None, timeout=timeout)
    try:
        yield session, outcomes
    finally:
        session.close()


def waits_at(x: int, marks: str) -> int:
    """Return at once; of the third call on, when somebody has left a mark."""
    if x >= 2:
        Path(marks, f"began {x}").touch()
        while not Path(marks, "go on").exists():
            time.sleep(0.01)
    return x


def calls(count: int, **kwargs: Any) -> list[Call]:
    return [Call(x, {"x": x, **kwargs}, False) for x in range(count)]


@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_answers_come_while_the_next_call_of_their_batch_goes_on(
    cluster: RayExecutor, timeout: float | None, tmp_path: Path
) -> None:
    with session_of(cluster, waits_at, timeout) as (session, outcomes):
        session.submit(calls(4, marks=str(tmp_path)))
        assert soon(lambda: len(outcomes) == 2)
        assert (tmp_path / "began 2").exists()
        (tmp_path / "go on").touch()
        assert soon(lambda: len(outcomes) == 4)
    assert sorted((outcome.key, outcome.value) for outcome in outcomes) == [(x, x) for x in range(4)]


def test_a_call_that_ends_its_worker_takes_no_answer_with_it_that_had_come(
    cluster: RayExecutor, tmp_path: Path
) -> None:
    """What was called before it is not called again."""

    def dies_late(x: int) -> int:
        with (tmp_path / "calls").open("a") as file:
            file.write(f"{x} ")
        if x == 2:
            while not (tmp_path / "die").exists():
                time.sleep(0.01)
            os.kill(os.getpid(), 9)
        return x

    with session_of(cluster.with_options(max_retries=0), dies_late) as (session, outcomes):
        session.submit(calls(4))
        assert soon(lambda: len(outcomes) >= 2)
        (tmp_path / "die").touch()
        assert soon(lambda: len(outcomes) == 4)
    assert sorted((tmp_path / "calls").read_text().split()) == ["0", "1", "2", "2", "3"]


def notes(x: int, marks: str) -> int:
    """Note that it was called; of the third, return when somebody has left a mark."""
    with Path(marks, "calls").open("a") as file:
        file.write(f"{x} ")
    while x == 3 and not Path(marks, "go on").exists():
        time.sleep(0.01)
    return x


def test_calls_behind_one_that_takes_long_are_made_elsewhere(cluster: RayExecutor, tmp_path: Path) -> None:
    """Each is made once."""
    with session_of(cluster, notes) as (session, outcomes):
        session.submit(calls(9, marks=str(tmp_path))[1:])
        assert soon(lambda: len(outcomes) == 7)
        assert {outcome.key for outcome in outcomes} == {1, 2, 4, 5, 6, 7, 8}
        (tmp_path / "go on").touch()
        assert soon(lambda: len(outcomes) == 8)
    assert sorted((tmp_path / "calls").read_text().split()) == [str(x) for x in range(1, 9)]


ROOM: list[int] = []


def in_one_place(x: int) -> list[int]:
    ROOM[:] = [x] * 3
    return ROOM


def in_one_array(x: int) -> Any:
    import numpy as np  # noqa: PLC0415  # a guest of this test

    if "array" not in globals():
        globals()["array"] = np.zeros(50_000)
    globals()["array"][:] = x
    return globals()["array"]


@pytest.mark.parametrize("fn", [in_one_place, in_one_array])
def test_a_result_is_what_was_returned_whatever_later_calls_do_to_it(
    cluster: RayExecutor, fn: Callable[..., Any]
) -> None:
    with session_of(cluster, fn) as (session, outcomes):
        session.submit(calls(5))
        assert soon(lambda: len(outcomes) == 5)
    assert {each.key: set(each.value) for each in outcomes} == {x: {x} for x in range(5)}


@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_closing_hands_over_what_has_ended_and_nothing_after(
    cluster: RayExecutor, timeout: float | None, tmp_path: Path
) -> None:
    with session_of(cluster, waits_at, timeout) as (session, outcomes):
        session.submit(calls(4, marks=str(tmp_path)))
        assert soon((tmp_path / "began 2").exists)
        began = time.monotonic()
        session.close()
        assert time.monotonic() - began < 5  # a second, on a machine that has nothing else to do
        assert sorted(outcome.key for outcome in outcomes) == [0, 1]
        (tmp_path / "go on").touch()
    assert cluster.execute_callable(inner, {"x": 1}) == 2  # time enough for what is closed to go on
    assert len(outcomes) == 2


def test_closing_waits_longer_for_several_calls_of_a_batch(
    cluster: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are short, on a machine that has nothing else to do; the last one may be any call."""
    monkeypatch.setattr(session_module, "_SEVERAL_SECONDS", 60.0)
    monkeypatch.setattr(session_module, "_CLOSING_SECONDS", 120.0)
    with session_of(cluster, waits_at, 3600.0) as (session, outcomes):
        session.submit(calls(5, marks=str(tmp_path))[2:])
        assert soon((tmp_path / "began 2").exists)
        threading.Timer(0.5, (tmp_path / "go on").touch).start()
        session.close()
        assert {2, 3} <= {outcome.key for outcome in outcomes}


def test_no_task_of_a_closed_session_goes_on(cluster: RayExecutor, tmp_path: Path) -> None:
    """Neither those that run nor those that wait for a worker."""
    with session_of(cluster, waits_at) as (session, _):
        for x in range(2, 12):
            session.submit([Call(x, {"x": x, "marks": str(tmp_path)}, False)])
        assert soon(lambda: len(list(tmp_path.glob("began *"))) == 2)
    began = set(tmp_path.glob("began *"))
    with session_of(cluster, waits_at) as (session, outcomes):  # it would stand behind them
        session.submit([Call(x, {"x": 0, "marks": str(tmp_path)}, False) for x in range(2)])
        assert soon(lambda: len(outcomes) == 2)
    assert set(tmp_path.glob("began *")) == began


def starts_a_program(x: int, mark: str) -> None:
    program = subprocess.Popen(["sleep", "3000"])
    Path(mark + ".new").write_text(str(program.pid))
    Path(mark + ".new").rename(mark)
    program.wait()


def is_running(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("timeout", [3.0, None])
def test_programs_end_with_the_worker_that_started_them(
    cluster: RayExecutor, timeout: float | None, tmp_path: Path
) -> None:
    """One whose time is up, and one whose session is closed."""
    mark = tmp_path / "pid"
    with session_of(cluster, starts_a_program, timeout) as (session, outcomes):
        session.submit([Call(0, {"x": 0, "mark": str(mark)}, False)])
        assert soon(mark.exists)
        pid = mark.read_text()
        assert is_running(pid)
        if timeout is not None:
            assert soon(lambda: outcomes)
            assert isinstance(outcomes[0].error, PacketTimeoutError)
    assert soon(lambda: not is_running(pid))


def overruns(x: int) -> int:
    deadline = time.monotonic() + 0.25
    while time.monotonic() < deadline:
        pass
    return x


def test_a_result_that_came_too_late_is_none(cluster: RayExecutor) -> None:
    with session_of(cluster, overruns, 0.2) as (session, outcomes):
        session.submit(calls(1))
        assert soon(lambda: outcomes)
    assert isinstance(outcomes[0].error, PacketTimeoutError)


def inner(x: int) -> int:
    return x + 1


def outer(x: int) -> int:
    """Run a pipeline of ten packets on the cluster that this very call runs on."""
    import orcapod as op  # noqa: PLC0415  # in the worker
    from orcapod.sources import DictSource  # noqa: PLC0415
    from orcapod_ray import RayExecutor  # noqa: PLC0415

    pipeline = op.Pipeline("inner")
    with pipeline:
        op.function_pod("y", identity="version")(inner).pod(
            DictSource([{"i": i, "x": 10 * x + i} for i in range(10)], ["i"], source_id="s")
        )
    pipeline.run(execution_engine=RayExecutor()).raise_for_errors()
    return int(sum(pipeline.inner.as_table()["y"].to_pylist()))


def test_runs_inside_of_calls_end_though_these_have_all_cpus(cluster: RayExecutor) -> None:
    with session_of(cluster, outer) as (session, outcomes):
        for x in range(4):
            session.submit([Call(x, {"x": x}, False)])
        assert soon(lambda: len(outcomes) == 4)
    assert {outcome.key: (outcome.value, outcome.error) for outcome in outcomes} == {
        x: (sum(10 * x + i + 1 for i in range(10)), None) for x in range(4)
    }


def holds_cpus(x: int) -> list[float]:
    """Return when each of four slow calls of a session inside of this call began and ended."""

    def sleeps(x: int) -> tuple[float, float]:
        began = time.time()
        time.sleep(0.5)
        return began, time.time()

    with session_of(RayExecutor(), sleeps) as (session, outcomes):
        for key in range(4):
            session.submit([Call(key, {"x": key}, False)])
        assert soon(lambda: len(outcomes) == 4)
    return [outcome.value for outcome in outcomes]


def test_calls_inside_of_calls_take_their_cpus_and_no_more(cluster: RayExecutor) -> None:
    """On two CPUs, no more than two of what two such calls call run at a time."""
    with session_of(cluster, holds_cpus) as (session, outcomes):
        session.submit([Call(0, {"x": 0}, False)])
        session.submit([Call(1, {"x": 1}, False)])
        assert soon(lambda: len(outcomes) == 2)
    assert [outcome.error for outcome in outcomes] == [None, None]
    spans = [span for outcome in outcomes for span in outcome.value]
    assert max(sum(began <= at < ended for began, ended in spans) for at, _ in spans) <= 2


def gets(x: int) -> int:
    import ray  # noqa: PLC0415  # in the worker

    return int(ray.get(ray.remote(inner).remote(x)))


def test_tasks_inside_of_calls_have_their_cpus(cluster: RayExecutor) -> None:
    with session_of(cluster, gets) as (session, outcomes):
        for x in range(4):
            session.submit([Call(x, {"x": x}, False)])
        assert soon(lambda: len(outcomes) == 4)
    assert sorted(outcome.value for outcome in outcomes) == [1, 2, 3, 4]


def forks_and_ends_by(x: int, way: str) -> int:
    """Return the exit code of a fork, which ends in one of the ways in which functions end."""
    child = os.fork()
    if not child:
        if way == "exit":
            sys.exit(3)
        if way == "raise":
            raise ValueError(x)
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("way", "code"), [("exit", 3), ("raise", 1), ("return", 0)])
def test_a_fork_of_a_function_ends_where_the_function_does(cluster: RayExecutor, way: str, code: int) -> None:
    """Its parent answers, once, and goes on to the next call."""
    with session_of(cluster, forks_and_ends_by) as (session, outcomes):
        session.submit(calls(3, way=way))
        assert soon(lambda: len(outcomes) >= 3)
    assert sorted((outcome.key, outcome.value) for outcome in outcomes) == [(x, code) for x in range(3)]
