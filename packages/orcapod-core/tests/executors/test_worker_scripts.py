"""Functions of users' scripts in worker processes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest


def script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "script.py"
    file.write_text(textwrap.dedent(text))
    command = [sys.executable, str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


HEAD = """
import os, sys, time
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

def run(pod, n=2, **options):
    p = op.Pipeline("p")
    with p:
        pod(DictSource([{"i": i, "x": i} for i in range(n)], ["i"], source_id="s"), label="n")
    return p, p.run(**options)
"""


def test_a_traceback_names_the_file_and_shows_the_line(tmp_path: Path) -> None:
    """Of functions of a script, of helpers, and of what is defined inside of them."""
    text = """
    def helper(x):
        divide = lambda y: [1 // each for each in [y]]
        return divide(x)

    @op.function_pod("y")
    def f(x: int) -> int:
        def inner():
            return helper(0)
        return inner()

    p, result = run(f.pod, 1, execution_engine=LocalExecutor(1, "process"))
    print(result.errors[0].exception.__notes__[0])
    """
    done = script(tmp_path, HEAD + textwrap.dedent(text))
    file = tmp_path / "script.py"
    for name, line in (
        ("f", "return inner()"),
        ("inner", "return helper(0)"),
        ("helper", "return divide(x)"),
        ("<lambda>", "divide = lambda y: [1 // each for each in [y]]"),
    ):
        assert f", in {name}\n    {line}\n" in done.stdout, done.stdout + done.stderr
    assert done.stdout.count(f'File "{file}", line ') >= 4
    assert "<dynamic-code>" not in done.stdout


@pytest.mark.parametrize("how", ["fork", "spawn", "executor"])
def test_helpers_of_a_script_can_be_sent_on_from_a_worker(tmp_path: Path, how: str) -> None:
    """To pools of processes inside the function."""
    text = f"""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    class Sample:
        def __init__(self, x):
            self.x = x

    FACTOR = 10

    def square(sample):
        return Sample(FACTOR * sample.x * sample.x)

    @op.function_pod("y")
    def f(x: int) -> int:
        if {how!r} == "executor":
            with ProcessPoolExecutor(2) as pool:
                return sum(each.x for each in pool.map(square, map(Sample, range(4))))
        with multiprocessing.get_context({how!r}).Pool(2) as pool:
            return sum(each.x for each in pool.map(square, map(Sample, range(4))))

    if __name__ == "__main__":
        p, result = run(f.pod, 1, execution_engine=LocalExecutor(1, "process"))
        print(*result.errors)
        print(p.n.as_table()["y"].to_pylist())
    """
    done = script(tmp_path, HEAD + textwrap.dedent(text))
    assert done.stdout == "\n[140]\n", done.stdout + done.stderr


def test_a_lock_among_the_globals_fails_the_packets_and_not_the_run(tmp_path: Path) -> None:
    text = """
    import threading
    LOCK = threading.Lock()

    @op.function_pod("y", identity="version")
    def f(x: int) -> int:
        with LOCK:
            return x

    p, result = run(f.pod, 2, execution_engine=LocalExecutor(2, "process"))
    print(result.counts("n"), result.errors[0].exception)
    """
    done = script(tmp_path, HEAD + textwrap.dedent(text))
    assert "{'computed': 0, 'cached': 0, 'failed': 2} f cannot be sent to worker processes" in done.stdout, done.stderr


SLOW_MODULE = """
import time
time.sleep(1.5)

def g(x):
    return x
"""


def test_the_time_that_a_functions_modules_take_to_load_is_not_the_packets(tmp_path: Path) -> None:
    """A large library may take longer to import than a call may take."""
    (tmp_path / "slow.py").write_text(SLOW_MODULE)
    program = tmp_path / "program.py"
    program.write_text(
        """
import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource
import slow

def f(x: int) -> int:
    return slow.g(x)

if __name__ == "__main__":
    p = op.Pipeline("p")
    with p:
        pod = op.function_pod("y", timeout=1.0, identity="version")(f).pod
        pod(DictSource([{"i": i, "x": i} for i in range(4)], ["i"], source_id="s"), label="n")
    with LocalExecutor(2, "process") as pool:
        print(p.run(execution_engine=pool).counts("n"))
"""
    )
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "{'computed': 4, 'cached': 0, 'failed': 0}\n"


CLASSES = """
import orcapod as op
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from orcapod.executors import LocalExecutor
from orcapod.sources import DictSource
from orcapod.testing.session import CollectedOutcomes

class Unit(Enum):
    VOLT = 1

@dataclass
class Sample:
    volts: float
    unit: Unit = Unit.VOLT
    seen = 0

@op.function_pod("sample")
def measured(x: int) -> Sample:
    Sample.seen += 1
    return Sample(x / 2)

def local(x: int):
    class Found:
        "Defined in a worker."
        def twice(self):
            return 2 * x
    return Found()

init = Sample.__init__
database = op.databases.MemoryDatabase()
with LocalExecutor(1, "process") as pool:
    for engine in (pool, None):
        pipeline = op.Pipeline("p", database)
        with pipeline:
            measured.pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"), label="n")
        print(pipeline.run(execution_engine=engine, progress=False).counts("n")["cached"])
    found = pool.execute_callable(local, {"x": 4})
    print(found.twice(), type(found).__doc__, Sample.__init__ is init, Sample.seen)
"""


def test_a_class_is_what_it_was_after_a_worker_has_sent_a_value_of_it() -> None:
    """Of a program that has no file, which is sent by value; so what is computed with it is found again."""
    done = subprocess.run([sys.executable, "-c", CLASSES], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "0\n1\n8 Defined in a worker. True 0\n", done.stdout + done.stderr
