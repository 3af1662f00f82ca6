"""The table of ``LocalExecutor``: which ways of writing each executor captures, and where the rest goes."""

from __future__ import annotations

import asyncio
import logging
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from loguru import logger as loguru_logger

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError
from orcapod.executors import LocalExecutor
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod.testing import ExecutorSuite
from orcapod.testing.executor import RecordingLogger


def prints() -> None:
    print("written")


def writes_to_the_original() -> None:
    print("written", file=sys.__stdout__, flush=True)


def writes_to_the_descriptor() -> None:
    os.write(1, b"written\n")


def runs_a_program() -> None:
    subprocess.run(["echo", "written"], check=True)


def forks() -> None:
    if not os.fork():
        os.write(1, b"written\n")
        os._exit(0)
    os.wait()


def starts_a_thread() -> None:
    thread = threading.Thread(target=print, args=("written",))
    thread.start()
    thread.join()


class Printing(threading.Thread):
    def run(self) -> None:
        print("written")


def starts_a_thread_of_its_own_kind() -> None:
    thread = Printing()
    thread.start()
    thread.join()


def uses_a_pool_of_threads() -> None:
    with ThreadPoolExecutor(2) as pool:
        pool.submit(print, "written").result()


def speaks_to_loguru() -> None:
    loguru_logger.info("written")


def logs() -> None:
    logging.getLogger("lab").warning("written")


def logs_in_a_thread() -> None:
    thread = threading.Thread(target=logs)
    thread.start()
    thread.join()


WAYS = {
    prints: True,
    logs: True,
    logs_in_a_thread: True,
    speaks_to_loguru: True,
    starts_a_thread: True,
    starts_a_thread_of_its_own_kind: True,
    uses_a_pool_of_threads: True,
    writes_to_the_original: False,
    writes_to_the_descriptor: False,
    runs_a_program: False,
    forks: False,
}
"""Ways to write a word, and whether the executor that captures where Python writes takes it."""

SCRIPT = """
import sys
sys.path[:] = {path!r}
from loguru import logger
from orcapod.executors import LocalExecutor
from orcapod.testing.executor import RecordingLogger
sys.path.insert(0, {folder!r})
import test_ways

with {executor} as executor:
    for way in test_ways.WAYS:
        record = RecordingLogger()
        executor.execute_callable(way, {{}}, logger=record)
        sys.stderr.write(way.__name__ + ":" + str(sum("written" in str(text) for text in record.only.values())) + "\\n")
logger.info("after")
"""


@pytest.mark.parametrize(
    "executor",
    [
        "LocalExecutor()",
        "LocalExecutor(1)",
        "LocalExecutor(capture='fd')",
        "LocalExecutor(1, capture='fd')",
        "LocalExecutor(1, 'process')",
    ],
)
def test_each_executor_captures_what_the_table_says_and_the_rest_is_shown(executor: str) -> None:
    """In a program, whose streams are those of the process."""
    script = SCRIPT.format(path=sys.path, folder=str(Path(__file__).parent), executor=executor)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = dict(re.findall(r"^(\w+):(\d)$", done.stderr, re.MULTILINE))
    captures_all = "fd" in executor or "process" in executor
    expected = {way.__name__: "1" if is_taken or captures_all else "0" for way, is_taken in WAYS.items()}
    assert found == expected
    assert done.stdout.count("written") == list(expected.values()).count("0")
    assert done.stderr.count("written") == 0
    assert done.stderr.count("after") == 1, "loguru has its stream back"


class TestDescriptors(ExecutorSuite):
    @pytest.fixture
    def executor(self) -> LocalExecutor:
        return LocalExecutor(capture="fd")


def test_there_is_one_stdout_for_all_threads() -> None:
    with pytest.raises(ConfigError, match="'fd' with 2 threads"):
        LocalExecutor(2, capture="fd")
    with pytest.raises(ConfigError, match="capture 'pipe', expected one of"):
        LocalExecutor(capture="pipe")  # type: ignore[arg-type]
    assert LocalExecutor(2, "process", capture="fd").capture == "fd"
    assert LocalExecutor().with_options(capture="fd").capture == "fd"


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_nodes_that_run_at_once_do_not_mix_their_descriptors(orchestrator: Any) -> None:
    @op.function_pod("y", identity="version")
    def first(x: int) -> int:
        subprocess.run(["echo", f"first {x}"], check=True)
        return x

    @op.function_pod("z", identity="version")
    async def second(y: int) -> int:
        await asyncio.sleep(0)
        subprocess.run(["echo", f"second {y}"], check=True)
        return y

    pipeline = op.Pipeline("p")
    with pipeline:
        second.pod(first.pod(DictSource([{"i": i, "x": i} for i in range(10)], ["i"], source_id="s")))
    logs = LoggingObserver(MemoryDatabase())
    assert pipeline.run(orchestrator, execution_engine=LocalExecutor(capture="fd"), observer=logs).ok
    shown = sorted(row["__stdout"] for row in logs.get_logs().to_pylist())
    assert shown == sorted(f"{name} {x}\n" for name in ("first", "second") for x in range(10))


def test_a_call_inside_a_call_has_its_own_descriptors() -> None:
    executor, inner, outer = LocalExecutor(capture="fd"), RecordingLogger(), RecordingLogger()

    def calls() -> None:
        os.write(1, b"before ")
        executor.execute_callable(writes_to_the_descriptor, {}, logger=inner)
        os.write(1, b"after")

    executor.execute_callable(calls, {}, logger=outer)
    assert inner.only["stdout"] == "written\n"
    assert outer.only["stdout"] == "before after"


def test_loguru_is_as_it_was_after_a_block(capsys: pytest.CaptureFixture[str]) -> None:
    number = loguru_logger.add(sys.stderr, format="{message}")
    record = RecordingLogger()
    try:
        with LocalExecutor() as executor:
            executor.execute_callable(speaks_to_loguru, {}, logger=record)
            loguru_logger.info("between")
        loguru_logger.info("outside")
    finally:
        loguru_logger.remove(number)
    assert record.only["stderr"] == "written\n"
    assert capsys.readouterr().err == "between\noutside\n"


def test_a_thread_that_outlives_its_call_writes_as_if_there_had_been_none(capsys: pytest.CaptureFixture[str]) -> None:
    over, record = threading.Event(), RecordingLogger()
    started: list[threading.Thread] = []

    def late() -> None:
        print("in time")
        entered.set()
        over.wait(60)
        print("late")

    def leaves_a_thread() -> None:
        started.append(threading.Thread(target=late))
        started[0].start()
        entered.wait(60)

    entered = threading.Event()
    with LocalExecutor() as executor:
        executor.execute_callable(leaves_a_thread, {}, logger=record)
        over.set()
        started[0].join()
    assert record.only["stdout"] == "in time\n"
    assert capsys.readouterr().out == "late\n"


DEBUGGED = """
import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

@op.function_pod("y")
def f(x: int) -> int:
    z = 40 + x
    print("written before")
    {stop}
    print("written after")
    return z

p = op.Pipeline("p")
with p:
    f.pod(DictSource([{{"i": 0, "x": 2}}], ["i"], source_id="s"), label="n")
logs = LoggingObserver(MemoryDatabase())
assert p.run(observer=logs).ok
print("log:", logs.get_logs().to_pylist()[0]["__stdout"].split(chr(10)))
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Callable[[str, dict[str, str]], str]:
    """Runs a script on a terminal, answers its prompts, and gives what is shown."""

    def shown(script: str, answers: dict[str, str]) -> str:
        file = tmp_path / "script.py"
        file.write_text(script)
        ours, theirs = pty.openpty()
        process = subprocess.Popen([sys.executable, str(file)], stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen, text, waiting = b"", "", dict(answers)
        deadline = time.monotonic() + 60
        try:
            while time.monotonic() < deadline:
                if not select.select([ours], [], [], 1)[0]:
                    continue
                try:
                    seen += os.read(ours, 4096)
                except OSError:  # the other end is closed
                    break
                text = seen.decode(errors="replace").replace("\r\n", "\n")  # a reading may end between the two
                for prompt, answer in list(waiting.items()):
                    if prompt in text:
                        del waiting[prompt]
                        os.write(ours, answer.encode())
        finally:
            process.kill()
            process.wait()
            os.close(ours)
        return text

    return shown


@pytest.mark.parametrize("stop", ["breakpoint()", "import pdb; pdb.set_trace()"])
@pytest.mark.parametrize("options", ["observer=logs", "observer=logs, progress=False"])
def test_a_debugger_talks_to_the_terminal(
    terminal: Callable[[str, dict[str, str]], str], stop: str, options: str
) -> None:
    """Its prompts and answers are seen and not kept, with and without lines that are drawn meanwhile."""
    script = DEBUGGED.format(stop=stop).replace("observer=logs", options)
    text = terminal(script, {"(Pdb) ": "p z * 1000\n", "42000\n(Pdb) ": "!print(z + 1)\n", "43\n(Pdb) ": "c\n"})
    assert '-> print("written after")' in text
    assert "42000\n(Pdb) " in text
    assert "43\n(Pdb) " in text
    assert "log: ['written before', 'written after', '']" in text, text


def test_what_was_printed_before_the_call_is_not_taken_for_its_own(tmp_path: Path) -> None:
    """Python keeps it back where stdout is no terminal."""
    program = tmp_path / "program.py"
    program.write_text(
        """
import sys
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

def f(x: int) -> int:
    sys.__stdout__.write("within\\n")
    return x

p = op.Pipeline("p")
with p:
    op.function_pod("y")(f).pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
print("before")
logs = LoggingObserver(p.log_database)
p.run(execution_engine=LocalExecutor(capture="fd"), observer=logs)
print("after", logs.get_logs()["__stdout"].to_pylist())
"""
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    assert done.stdout == "before\nafter ['within\\n']\n"
