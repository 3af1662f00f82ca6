"""Worker processes: who ends them, what goes with them, and that they are kept."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.executors import LocalExecutor, processes
from orcapod.executors.pool import Worker, WorkerPool
from orcapod.executors.processes import ProcessSession
from orcapod.protocols import Call, Outcome
from orcapod.sources import DictSource

SECONDS = 60.0  # that a busy machine may take


@pytest.fixture
def pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(2, "process") as executor:
        yield executor


def until(holds: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What it gives as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


class Session:
    """A session, and what it has handed over."""

    def __init__(
        self, executor: LocalExecutor, fn: Callable[..., Any], *, timeout: float | None = None, held: float = 0.0
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._held = held
        session = executor.open_session(fn, self._take, concurrency=None, timeout=timeout)
        assert session is not None
        self._session = session

    def _take(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        time.sleep(self._held)

    def submit(self, *batches: list[Any]) -> None:
        keys = iter(range(1000))
        for batch in batches:
            self._session.submit([Call(next(keys), {"x": x}, False) for x in batch])

    def close(self) -> None:
        self._session.close()

    def all(self, count: int) -> list[Outcome]:
        until(lambda: len(self.outcomes) == count)
        return sorted(self.outcomes, key=lambda outcome: outcome.key)


def sent(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is sent by value, so that workers load nothing of this file and are there soon."""
    function.__module__ = "__main__"
    return function


@sent
def worker(x: Any = None) -> int:
    return os.getpid()


@sent
def marks(x: str | None) -> None:
    if x is not None:
        Path(x).touch()


@sent
def naps(x: float) -> int:
    time.sleep(x)
    return os.getpid()


class TestClosing:
    def test_a_worker_that_has_answered_is_there_for_the_next_session(self, pool: LocalExecutor) -> None:
        """Whoever closes is quick, and whoever takes the answers is held up; threads change places all the time."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            pids = set()
            for number in range(300):
                session = Session(pool, worker, held=0.001 if number % 3 == 0 else 0.0)
                session.submit([0, 1], [2])
                until(lambda: len(session.outcomes) == 3)  # noqa: B023  # it ends in this round
                session.close()
                assert [outcome.error for outcome in session.outcomes] == [None] * 3
                pids |= {outcome.value for outcome in session.outcomes}
        finally:
            sys.setswitchinterval(before)
        assert len(pids) <= 2

    def test_answers_that_wait_are_handed_over_and_nothing_afterwards(
        self, pool: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also where the first of them is still being taken."""
        monkeypatch.setattr(processes, "_CLOSING_SECONDS", SECONDS)
        taken: list[Outcome] = []
        free, entered = threading.Event(), threading.Event()

        def take(outcome: Outcome) -> None:
            taken.append(outcome)
            entered.set()
            free.wait(SECONDS)

        session = pool.open_session(marks, take, concurrency=1, timeout=None)
        assert session is not None
        last = str(tmp_path / "20")
        session.submit([Call(key, {"x": last if key == 20 else None}, False) for key in range(21)])
        assert entered.wait(SECONDS)
        until(Path(last).exists)  # those before it are answered
        threading.Timer(0.2, free.set).start()
        session.close()
        assert [outcome.key for outcome in taken][:20] == list(range(20))

    def test_it_takes_a_second_at_the_most(self, pool: LocalExecutor) -> None:
        """Whatever a call does, or who is told of it; one that owes an answer is ended, and none comes later."""
        taken: list[Outcome] = []
        entered, free = threading.Event(), threading.Event()

        def take(outcome: Outcome) -> None:
            taken.append(outcome)
            entered.set()
            free.wait(SECONDS)

        session = pool.open_session(naps, take, concurrency=2, timeout=None)
        assert session is not None
        session.submit([Call(0, {"x": 0}, False), Call(1, {"x": 0}, False)])
        session.submit([Call(2, {"x": 1000}, False)])
        assert entered.wait(SECONDS)
        started = time.monotonic()
        session.close()
        assert time.monotonic() - started < 5  # a second, on a machine that has nothing else to do
        free.set()
        until(lambda: not any(thread.name == "orcapod-worker" for thread in threading.enumerate()))
        assert [outcome.key for outcome in taken] == [0]

    def test_what_is_being_computed_is_given_up_with_its_worker(self, pool: LocalExecutor, tmp_path: Path) -> None:
        session = Session(pool, writes_its_pid)
        session.submit([str(tmp_path / "pid")])
        pid = until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        session.close()
        assert session.outcomes == []
        until(lambda: not is_alive(int(pid)))

    def test_a_session_may_be_closed_while_its_workers_are_being_started(self) -> None:
        """At any moment; no process is left over."""
        for number in range(10):
            with LocalExecutor(2, "process") as pool:
                session = Session(pool, worker)
                session.submit([0], [1])
                time.sleep(number * 0.01)
                session.close()
        until(lambda: not _children_called("orcapod.executors.worker"))


@sent
def writes_its_pid(x: str) -> None:
    Path(x + "~").write_text(str(os.getpid()))
    Path(x + "~").rename(x)
    time.sleep(1000)


def _children_called(name: str) -> list[int]:
    """Processes of this one that run such a program."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and name in (folder / "cmdline").read_text() and is_alive(int(folder.name)):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


class TestKept:
    def test_workers_are_kept_from_one_run_to_the_next(self, tmp_path: Path) -> None:
        executor = LocalExecutor(2, "process")
        first, second = pids_of_a_run(executor, tmp_path), pids_of_a_run(executor, tmp_path)
        assert second == first
        (pid,) = list(first)[:1]
        assert is_alive(pid)
        executor.close()
        assert not any(map(is_alive, first))
        third = pids_of_a_run(executor, tmp_path)
        assert not third & first
        executor.close()

    def test_a_node_may_have_a_pool_of_its_own(self, tmp_path: Path) -> None:
        executor = LocalExecutor(2, "process")
        assert pids_of_a_run(executor, tmp_path, own=True) == pids_of_a_run(executor, tmp_path, own=True)
        executor.close()

    def test_they_end_with_the_block_and_with_the_executor(self, tmp_path: Path) -> None:
        with LocalExecutor(2, "process") as executor:
            pids = pids_of_a_run(executor, tmp_path)
            assert any(map(is_alive, pids))
        until(lambda: not any(map(is_alive, pids)))
        executor = LocalExecutor(2, "process")
        pids = pids_of_a_run(executor, tmp_path)
        del executor
        gc.collect()
        until(lambda: not any(map(is_alive, pids)))

    def test_one_that_comes_back_when_they_are_no_longer_wanted_is_ended(self) -> None:
        pool = WorkerPool(2)
        late = Worker()
        pool.close()
        pool.release(late)
        assert not late.is_alive()
        assert pool.acquire() is None

    def test_one_that_has_died_meanwhile_is_replaced_and_fails_nothing(self, pool: LocalExecutor) -> None:
        for _ in range(5):
            pid = pool.execute_callable(worker, {})
            os.kill(pid, signal.SIGKILL)
            assert pool.execute_callable(worker, {}) != pid

    def test_one_that_has_loaded_code_which_has_changed_is_replaced(self, pool: LocalExecutor, tmp_path: Path) -> None:
        module = tmp_path / "edited.py"
        module.write_text("def number():\n    return 1\n")
        sys.path.insert(0, str(tmp_path))
        try:
            assert pool.execute_callable(imports, {}) == 1
            module.write_text("def number():\n    return 22\n")
            assert pool.execute_callable(imports, {}) == 22
        finally:
            sys.path.remove(str(tmp_path))

    def test_they_are_where_the_program_is_now(
        self, pool: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Folder and environment, also what a function has made of them before."""
        before = pool.execute_callable(moves, {})
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LAB", "north")
        assert pool.execute_callable(moves, {}) == (str(tmp_path), "north", before[2])

    def test_they_work_for_a_program_whose_folder_is_gone(
        self, pool: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "gone"
        folder.mkdir()
        monkeypatch.chdir(folder)
        folder.rmdir()
        session = Session(pool, worker)
        session.submit([0])
        (outcome,) = session.all(1)
        session.close()
        assert outcome.error is None

    def test_a_fork_has_workers_of_its_own(self, pool: LocalExecutor) -> None:
        pid = pool.execute_callable(worker, {})
        child = os.fork()
        if not child:
            try:
                os._exit(0 if pool.execute_callable(worker, {}) != pid else 3)
            finally:
                os._exit(4)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.execute_callable(worker, {}) == pid


@sent
def imports() -> int:
    return int(importlib.import_module("edited").number())


@sent
def moves() -> tuple[str, str | None, int]:
    found = str(Path.cwd()), os.environ.get("LAB"), os.getpid()
    os.chdir("/")
    os.environ["LAB"] = "south"
    return found


def pids_of_a_run(executor: LocalExecutor, folder: Path, *, own: bool = False) -> set[int]:
    """The two workers of a run; none ends a call before both have begun one."""
    marks = folder / str(time.monotonic_ns())
    marks.mkdir()

    @sent
    def meets(x: int) -> int:
        (marks / str(os.getpid())).touch()
        deadline = time.monotonic() + SECONDS
        while len(list(marks.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return os.getpid()

    pipeline = op.Pipeline("p")
    with pipeline:
        rows = DictSource([{"i": i, "x": i} for i in range(4)], ["i"], source_id="s")
        op.function_pod("y", identity="version")(meets).pod(rows, label="node")
    if own:
        pipeline.compile()
        pipeline.node.executor = executor
    result = pipeline.run(execution_engine=None if own else executor)
    assert result.ok
    found = set(pipeline.node.as_table()["y"].to_pylist())
    assert len(found) == 2
    return found


# Programs that functions start, and what becomes of them.

PROGRAM = """
import os, subprocess, sys, time
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.functions import NodeConfig
from orcapod.sources import DictSource

FOLDER = sys.argv[1]

def children(x):
    # A program, one that a shell starts, and one that a fork starts.
    started = subprocess.Popen(["sleep", "3000"])
    shell = subprocess.Popen(["sh", "-c", "sleep 3000 & echo $!; wait"], stdout=subprocess.PIPE, text=True)
    fork = os.fork()
    if not fork:
        time.sleep(3000)
    pids = [os.getpid(), started.pid, shell.pid, int(shell.stdout.readline()), fork]
    if x not in (7, 8):  # a program in a session of its own, and one that nobody waits for
        apart = subprocess.Popen("sleep 3000; true", shell=True, start_new_session=True)
        command = "sleep 3000 > /dev/null & echo $!"
        daemon = subprocess.check_output(command, shell=True, start_new_session=True, text=True)
        pids += [apart.pid, int(daemon)]
    name = f"{FOLDER}/{x}.{os.getpid()}"
    open(name + "~", "w").write(" ".join(map(str, pids)))
    os.rename(name + "~", name + ".pids")

@op.function_pod("y", TRIED)
def f(x: int) -> int:
    if x == 9:
        while len([name for name in os.listdir(FOLDER) if name.endswith(".pids")]) < 2:
            time.sleep(0.01)
        raise ValueError("bad input")
    children(x)
    if x in (7, 8):
        os._exit(3)
    time.sleep(3000)
    return x

p = op.Pipeline("p")
with p:
    f.pod(DictSource([{"i": i, "x": x} for i, x in enumerate(XS)], ["i"], source_id="s"), label="n")
p.run(execution_engine=LocalExecutor(3, "process"), error_policy=POLICY)
"""


@contextmanager
def program(
    folder: Path, xs: list[int], *, tried: str = "", policy: str = "continue"
) -> Iterator[subprocess.Popen[str]]:
    """A program whose packets start programs."""
    script = folder / "program.py"
    script.write_text(PROGRAM.replace("XS", str(xs)).replace("TRIED", tried).replace("POLICY", repr(policy)))
    with subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup has it ignored
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def started(folder: Path, count: int) -> list[int]:
    """The processes of so many calls, once they are all there."""
    files = until(lambda: len(found := list(folder.glob("*.pids"))) >= count and found)
    pids = [int(pid) for file in files for pid in file.read_text().split()]
    assert len(pids) >= 5 * count
    return pids


@pytest.mark.parametrize(
    ("xs", "tried", "policy", "count"),
    [
        ([0, 1], "timeout=2.0", "continue", 2),
        ([0, 1], "timeout=2.0, retries=1", "continue", 4),
        ([0, 1, 9], "", "fail_fast", 2),
        ([7, 8], "", "continue", 2),
    ],
    ids=["timeout", "retries", "fail_fast", "exit"],
)
def test_what_a_call_has_started_ends_with_its_worker(
    tmp_path: Path, xs: list[int], tried: str, policy: str, count: int
) -> None:
    with program(tmp_path, xs, tried=tried, policy=policy) as process:
        shown, _ = process.communicate(timeout=60)
        pids = started(tmp_path, count)
        until(lambda: not any(map(is_alive, pids)))
    assert ("bad input" in shown) == (policy == "fail_fast")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGHUP])
def test_what_a_call_has_started_ends_with_the_program(tmp_path: Path, number: signal.Signals) -> None:
    """However that is ended, alone; and nothing but its own traceback is on the terminal."""
    with program(tmp_path, [0, 1]) as process:
        pids = started(tmp_path, 2)
        process.send_signal(number)
        shown, _ = process.communicate(timeout=60)
        until(lambda: not any(map(is_alive, pids)))
    assert "Error" not in shown
    assert ("KeyboardInterrupt" in shown) == (number == signal.SIGINT)


def test_a_call_has_all_the_time_of_its_timeout(pool: LocalExecutor) -> None:
    """However often its worker is looked at meanwhile."""
    session = Session(pool, naps, timeout=SECONDS)
    session.submit([1.3])
    (outcome,) = session.all(1)
    session.close()
    assert outcome.error is None


def test_no_thread_is_left_and_no_descriptor() -> None:
    def descriptors() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    for _ in range(5):
        pool = WorkerPool(2)
        outcomes: list[Outcome] = []
        session = ProcessSession(pool, worker, outcomes.append, concurrency=2, timeout=None)
        session.submit([Call(0, {}, False)])
        until(lambda: outcomes)  # noqa: B023  # it ends in this round
        session.close()
        pool.close()
        del session
    until(lambda: descriptors() <= before)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "orcapod-worker"])


KEEPS = """
import os
from orcapod.executors import LocalExecutor

pool = LocalExecutor(2, "process")
print(pool.execute_callable(os.getpid, {}))
"""


def test_a_program_that_keeps_its_workers_ends_without_a_word() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", KEEPS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    until(lambda: not is_alive(int(done.stdout)))
