"""A disk that is full for a while costs nothing, and one that stays full is the run's error: on stores of files.

The programs forbid themselves to write to any file, which needs no rights and is to every store as a full disk is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource", reason="no limits of a process here")

PROGRAM = """
import json, os, resource, signal, sys, threading, time, traceback, warnings
import orcapod as op
from orcapod.databases import open_database
from orcapod.errors import DatabaseError
from orcapod.nodes import flusher
from orcapod.observers import LoggingObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

what, url, driver = sys.argv[1:]
calls, interrupted, told = [], [], threading.Event()
warnings.showwarning = lambda message, *more: told.set() if "could not be stored" in str(message) else print(message)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

def fill():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))

def free():
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

def interrupt():
    interrupted.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

def wait(done):
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)

def stored():
    with open_database(url) as database:
        return sum(database.get_records(path).num_rows for path in database.list_paths() if path[0] == "_result")

@op.function_pod("y", identity="version")
def work(x: int) -> int:
    print("working on", x)
    calls.append(x)
    if what == "freed" and x == 3:  # full and free again within a call
        fill()
        wait(told.is_set)
        free()
    if what == "freed" and x == 7:  # by now all goes on as before
        wait(lambda: stored() == 7)
    if what == "freed" and x == 9:  # full when the last rows are to be stored
        fill()
        threading.Timer(1.5, free).start()
    if what == "interrupted" and x == 9 and calls.count(9) == 1:
        fill()
        threading.Timer(1.0, interrupt).start()
    if what == "full" and x == 3 and calls.count(3) == 1:
        flusher._RETRY_SECONDS = 0.3
        fill()
    return 10 * x

database = open_database(url)
with op.Pipeline("p", database) as pipeline:
    work.pod(DictSource([{"i": i, "x": i} for i in range(10)], ["i"], source_id="s"), label="n")
run = lambda: pipeline.run(
    {"sync": SyncPipelineOrchestrator(), "async": AsyncPipelineOrchestrator()}[driver],
    flush_interval=0.05,
    observer=LoggingObserver(pipeline.log_database),
)
answer = {}
try:
    answer["counts"] = run().counts("n")
except (DatabaseError, ExceptionGroup, KeyboardInterrupt) as error:
    answer["error"] = "".join(traceback.format_exception(error))
    free()
    if interrupted:
        answer["seconds"] = time.monotonic() - interrupted[0]
    answer["before"] = len(calls)
    answer["again"] = run().counts("n")
database.close()
answer |= {"calls": sorted(calls), "stored": stored(), "told": told.is_set()}
with open_database(url) as database:
    (logs,) = [database.get_records(path) for path in database.list_paths() if "_log" in path]
    answer["logged"] = sorted(logs["__stdout"].to_pylist())
sys.__stdout__.write(json.dumps(answer))
"""


def ran(what: str, scheme: str, driver: str, folder: Path) -> dict[str, Any]:
    """Return what the program says."""
    (folder / "program.py").write_text(PROGRAM)
    url = f"{scheme}:///{folder / ('lab.db' if scheme == 'sqlite' else 'lab')}"
    done = subprocess.run(
        [sys.executable, str(folder / "program.py"), what, url, driver],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


stores = pytest.mark.parametrize("scheme", ["sqlite", "delta"])
drivers = pytest.mark.parametrize("driver", ["sync", "async"])


@stores
@drivers
def test_a_disk_that_is_full_for_a_while_costs_nothing(scheme: str, driver: str, tmp_path: Path) -> None:
    """What was kept meanwhile is stored as soon as there is room, not at the end; the user is told."""
    answer = ran("freed", scheme, driver, tmp_path)
    assert "error" not in answer, answer
    assert answer["counts"] == {"computed": 10, "cached": 0, "failed": 0}
    assert answer["told"]
    assert answer["stored"] == 10
    assert answer["logged"] == [f"working on {x}\n" for x in range(10)]


@stores
@drivers
def test_a_disk_that_stays_full_ends_the_run_with_its_error_and_the_next_goes_on(
    scheme: str, driver: str, tmp_path: Path
) -> None:
    """On the same handle, once there is room."""
    answer = ran("full", scheme, driver, tmp_path)
    assert "DatabaseError" in answer["error"]
    assert "lab" in answer["error"]
    assert answer["again"]["failed"] == 0
    assert answer["again"]["computed"] + answer["again"]["cached"] == 10
    assert len(answer["calls"]) == answer["before"] + answer["again"]["computed"]
    assert answer["stored"] == 10
    if scheme == "delta":  # what waits in memory outlives the run, if no table could be written
        assert answer["again"]["cached"] == answer["before"]


@pytest.mark.parametrize(("scheme", "driver"), [("sqlite", "sync"), ("delta", "async")])
def test_an_interrupt_does_not_wait_for_a_disk_that_is_full(scheme: str, driver: str, tmp_path: Path) -> None:
    """Ctrl-C while the run waits for room: long before the 30 seconds are over, and the next run goes on."""
    answer = ran("interrupted", scheme, driver, tmp_path)
    assert "KeyboardInterrupt" in answer["error"]
    assert answer["seconds"] < 10, "two seconds, and some more for a busy machine"
    assert answer["stored"] == 10
