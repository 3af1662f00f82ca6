"""Interrupts at random moments: what was finished is kept, and nothing is doubled (promise 20).

A child process runs a pipeline again and again, each time until it is interrupted. Its function notes when a
call begins and when it has ended, its last act, so that what is computed again is seen whoever lost it.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from contextvars import copy_context
from pathlib import Path

import pytest

import orcapod as op
from orcapod import interrupts
from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError
from orcapod.executors import LocalExecutor
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

ROWS = 1500
INTERRUPTS = 13

PROGRAM = """
import asyncio, os, signal, sys, threading, time
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

FILE, SETTING, ROWS, ENDLESS = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == "endless"

def note(kind, x):
    descriptor = os.open(FILE + ".notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    thread = threading.current_thread()
    thread.mark = getattr(thread, "mark", os.urandom(8).hex())
    try:
        os.write(descriptor, f"{kind} {thread.mark} {x}\\n".encode())
    finally:
        os.close(descriptor)

def work(x: int) -> int:
    try:
        note("begun", x)
        if ENDLESS:
            time.sleep(0.01 * (x % 3))
        note("ended", x)
    except KeyboardInterrupt:
        note("interrupted", x)
        raise
    return x * 10

async def work_async(x: int) -> int:
    note("begun", x)
    if ENDLESS:
        await asyncio.sleep(0.01 * (x % 3))
    note("ended", x)
    return x * 10

def pipeline():
    made = op.Pipeline("lab", FILE)
    function = work_async if SETTING == "tasks" else work
    pod = op.function_pod("y", identity="version", name="work", max_concurrency=4)(function).pod
    with made:
        pod(DictSource([{"i": i, "x": i} for i in range(ROWS)], ["i"], source_id="s"), label="work")
    return made

ENGINES = {"processes": LocalExecutor(2, "process"), "threads": LocalExecutor(3, "thread")}
ORCHESTRATORS = {"threads": AsyncPipelineOrchestrator(), "tasks": AsyncPipelineOrchestrator()}

def run():
    orchestrator = ORCHESTRATORS.get(SETTING, SyncPipelineOrchestrator())
    result = pipeline().run(orchestrator, execution_engine=ENGINES.get(SETTING))
    assert result.ok, result.errors
    return result.counts("work")

def main():
    if not ENDLESS:
        print(run(), flush=True)
        return
    while True:
        try:
            print("running", flush=True)
            run()
            signal.pause()
        except KeyboardInterrupt:
            print("interrupted", flush=True)

main()
"""


class Lab:
    """A program, its store, and what its function has noted."""

    def __init__(self, folder: Path, setting: str) -> None:
        self.file = folder / "lab.db"
        self.setting = setting
        self.program = folder / "program.py"
        self.program.write_text(PROGRAM)

    def start(self, how: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.program), str(self.file), self.setting, str(ROWS), how]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_for_a_call(self, process: subprocess.Popen[str]) -> None:
        """Return once a call more than before was begun, or all are made."""
        before, until = self._noted(), time.monotonic() + 5
        while self._noted() == before and time.monotonic() < until:
            assert process.poll() is None
            time.sleep(0.001)

    def _noted(self) -> int:
        notes = Path(f"{self.file}.notes")
        return notes.stat().st_size if notes.exists() else 0

    def finished_calls(self) -> Counter[int]:
        """How often each packet was computed for sure.

        A call may be given up between its last act and its return, which nobody can see from inside. In the main
        thread it is told of it. Elsewhere it has returned once its thread has begun the next.
        """
        finished: Counter[int] = Counter()
        last: dict[str, int] = {}
        for line in Path(f"{self.file}.notes").read_text().splitlines():
            kind, thread, packet = line.split()[0], line.split()[1], int(line.split()[2])
            match kind, self.setting:
                case "begun", "processes" | "threads":
                    finished.update([last.pop(thread)] if thread in last else [])
                case "ended", "processes" | "threads":
                    last[thread] = packet
                case "ended", _:
                    finished[packet] += 1
                case "interrupted", "sync":
                    finished[packet] -= finished[packet] > 0 and packet == last.get(thread)
            if self.setting == "sync":
                last[thread] = packet if kind == "ended" else -1
        return finished


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["sync", "processes", "threads", "tasks"])
def test_what_was_finished_is_never_computed_again(setting: str, tmp_path: Path) -> None:
    """Whenever it is interrupted, in whatever way the calls are made; and every interrupt ends the run soon."""
    lab, chance = Lab(tmp_path, setting), random.Random(setting)
    process = lab.start("endless")
    assert process.stdout is not None
    times = []
    try:
        for _ in range(INTERRUPTS):
            assert process.stdout.readline() == "running\n"
            if chance.random() < 0.8:
                lab.wait_for_a_call(process)
            time.sleep(chance.uniform(0, 0.2))
            asked = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "interrupted\n"
            times.append(time.monotonic() - asked)
    except AssertionError:
        process.kill()
        pytest.fail(f"the program ended with {process.communicate()}")
    process.kill()
    process.communicate()
    # A second, on a machine that has nothing else to do.
    assert max(times) < 10, f"seconds until each interrupt was over: {times}"
    before = lab.finished_calls()
    last = lab.start("once")
    out, err = last.communicate(timeout=60)
    assert last.returncode == 0, err
    again = {packet: count for packet, count in lab.finished_calls().items() if count > 1}
    assert not again, f"of {before.total()} packets that were finished, those that were computed again: {again}"
    assert lab.finished_calls().keys() <= set(range(ROWS))
    with SQLiteDatabase(lab.file) as database:
        for path in database.list_paths():
            keys = database.get_records(path).column(0).to_pylist()
            assert len(keys) == len(set(keys)), path
    assert "'failed': 0" in out
    assert sum(before.values()) > INTERRUPTS, "hardly anything was computed; nothing was tried"
    _assert_complete(lab)


def _assert_complete(lab: Lab) -> None:
    """A reader of the store finds every row once, with its own value."""
    code = PROGRAM.replace("\nmain()\n", "\nprint(pipeline().work.as_table().to_pydict())\n")
    reader = lab.program.with_name("reader.py")
    reader.write_text(code)
    done = subprocess.run(
        [sys.executable, str(reader), str(lab.file), lab.setting, str(ROWS), "once"],
        capture_output=True, text=True, timeout=60, check=True, env=os.environ,
    )  # fmt: skip
    numbers = list(range(ROWS))
    assert done.stdout == f"{ {'i': numbers, 'y': [number * 10 for number in numbers]} }\n"


@pytest.mark.parametrize("executor", [None, LocalExecutor(), LocalExecutor(capture="fd")], ids=["none", "sys", "fd"])
def test_in_the_users_function_it_is_raised_at_once(
    executor: LocalExecutor | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not only when orcapod has waited in vain for its own code to go on, which would be long here."""
    monkeypatch.setattr(interrupts, "_REMINDER_SECONDS", 600.0)

    def sleeps(x: int) -> int:
        threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
        time.sleep(600)
        return x

    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y", identity="version")(sleeps).pod(DictSource([{"i": 0, "x": 0}], ["i"], source_id="s"))
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(execution_engine=executor, observer=LoggingObserver(pipeline.log_database))
    assert time.monotonic() - started < 60


def test_what_fails_on_the_way_out_becomes_a_note() -> None:
    """The interrupt is what is raised; what failed is told once, and its causes with it."""

    def fail(message: str) -> None:
        try:
            raise OSError("refused")
        except OSError as error:
            raise DatabaseError(message) from error

    def fail_twice() -> None:
        raise ExceptionGroup("all", [DatabaseError("results are not stored"), DatabaseError("logs are not stored")])

    def run() -> None:
        with ExitStack() as steps:
            steps.callback(fail, "the run is not stored")
            steps.callback(fail_twice)
            steps.callback(fail, "results are not stored")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught, interrupts.deferred():
        run()
    assert caught.value.__notes__ == [
        "when the run ended, this failed: DatabaseError: results are not stored",
        "when the run ended, this failed: DatabaseError: logs are not stored",
        "when the run ended, this failed: DatabaseError: the run is not stored",
    ]


def test_an_interrupt_that_nobody_has_raised_takes_the_place_of_what_failed() -> None:
    def run() -> None:
        with interrupts.deferred():
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(60)
            raise DatabaseError("away")

    with pytest.raises(KeyboardInterrupt) as caught:
        run()
    assert caught.value.__notes__ == ["when the run ended, this failed: DatabaseError: away"]


def test_an_interrupt_of_before_takes_no_error_s_place() -> None:
    def run() -> None:
        with interrupts.deferred():
            raise DatabaseError("away")

    def run_again() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            run()

    with pytest.raises(DatabaseError, match="away"):
        run_again()


def test_all_steps_and_threads_of_a_run_share_the_patience_of_its_end() -> None:
    """A thread that waits when the run is asked to end, and one after the other that wait then."""
    stop, waited = interrupts.Stop(), []

    def wait() -> None:
        patience = interrupts.Patience(600)
        while not patience.is_over:
            patience.pause(600)
        waited.append(time.monotonic())

    with interrupts.deferred(stop):
        thread = threading.Thread(target=copy_context().run, args=(wait,))
        thread.start()
        stop.set()
        for _ in range(50):
            wait()
        thread.join()
    assert max(waited) - min(waited) < 10
    assert not interrupts.Patience(600).is_over  # what comes after the run is patient again


def test_an_interrupt_while_something_is_away_is_raised_at_once() -> None:
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        interrupts.Patience(600).pause(600)
