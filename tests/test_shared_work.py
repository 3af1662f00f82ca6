"""Processes that run one pipeline on one store at the same time, each computing a part of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

import orcapod as op
from orcapod.databases import open_database

PROGRAM = """
import os, sys, time
import orcapod as op
import orcapod.nodes.function
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

url, folder, rows, driver, mode = sys.argv[1:]
# Who is not heard of for so long is taken for dead: whoever is to be killed soon, the others hardly.
orcapod.nodes.function._LEASE = 1.0 if mode == "hangs" else 60.0

@op.function_pod("y", identity="version")
def slow(x: int) -> int:
    with open(os.path.join(folder, "calls"), "a") as calls:
        calls.write(f"{x}\\n")
    if mode == "hangs":
        time.sleep(600)
    time.sleep(0.01)
    if mode in ("fails", "twins") and x % 10 == 3:
        raise ValueError("no value")
    return 2 * x

@op.function_pod("total", identity="version")
def total(y: list[int]) -> int:
    return sum(y)

pipeline = op.Pipeline("shared", op.databases.open_database(url))
with pipeline:
    values = [i | 1 if mode == "twins" and i % 20 == 2 else i for i in range(int(rows))]
    numbers = [{"i": i, "side": "lr"[i % 2], "x": x} for i, x in enumerate(values)]
    numbers = DictSource(numbers, ["i", "side"], source_id="s")
    total.pod(slow.pod(numbers, label="slow").group_by("side"), label="total")
open(os.path.join(folder, f"ready-{os.getpid()}"), "w").close()
while not os.path.exists(os.path.join(folder, "go")):
    time.sleep(0.01)
drivers = {"sync": SyncPipelineOrchestrator, "async": AsyncPipelineOrchestrator}
engine = op.executors.LocalExecutor(workers=2) if driver == "pool" else None
orchestrator = drivers.get(driver, SyncPipelineOrchestrator)()
result = pipeline.run(orchestrator, execution_engine=engine, share_work=True, flush_interval=0.2)
print(result.counts("slow")["computed"], result.counts("slow")["failed"], pipeline.slow.as_table().num_rows)
"""


@pytest.fixture(params=["sqlite", "delta", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    match request.param:
        case "sqlite":
            return f"sqlite:///{tmp_path / 'store.db'}"
        case "delta":
            return f"delta:///{tmp_path / 'store'}"
        case _:
            parameters = conninfo_to_dict(request.getfixturevalue("postgres_conninfo"))
            return f"postgresql://?{urlencode(parameters)}"


class Crowd:
    """Processes that run the program, started together."""

    def __init__(self, url: str, folder: Path) -> None:
        self.folder = folder
        self._url = url
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, count: int, *, rows: int = 60, driver: str = "sync", mode: str = "works") -> None:
        program = self.folder / "program.py"
        program.write_text(PROGRAM)
        for _ in range(count):
            command = [sys.executable, str(program), self._url, str(self.folder), str(rows), driver, mode]
            self.processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))

    def go(self) -> None:
        """Let them begin, once all are ready."""
        until = time.monotonic() + 60
        while len(list(self.folder.glob("ready-*"))) < len(self.processes):
            assert time.monotonic() < until
            time.sleep(0.01)
        (self.folder / "go").touch()

    def results(self) -> list[list[int]]:
        """Return what each prints: how many it computed, how many failed, how many rows it reads."""
        found = [process.communicate(timeout=120)[0].split() for process in self.processes]
        assert [process.returncode for process in self.processes] == [0] * len(self.processes)
        return [[int(word) for word in words] for words in found]

    def calls(self) -> list[str]:
        file = self.folder / "calls"
        return file.read_text().split() if file.exists() else []


@pytest.fixture
def crowd(url: str, tmp_path: Path) -> Iterator[Crowd]:
    crowd = Crowd(url, tmp_path)
    yield crowd
    for process in crowd.processes:
        process.kill()
        process.communicate()


def check_shared(crowd: Crowd, url: str, *, driver: str) -> None:
    crowd.start(3, driver=driver)
    crowd.go()
    results = crowd.results()
    assert [rows for _, _, rows in results] == [60] * 3
    assert sum(computed for computed, _, _ in results) == len(crowd.calls()) <= 63
    assert {*crowd.calls()} == {str(x) for x in range(60)}
    with open_database(url) as database:
        assert op.verify_store(database).ok
        assert {("_claims",), ("_holders",)}.isdisjoint(database.list_paths()), "nothing of it stays"


def test_each_packet_is_computed_once_by_whoever_comes_first(crowd: Crowd, url: str) -> None:
    check_shared(crowd, url, driver="sync")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("driver", ["async", "pool"])
def test_work_is_shared_by_whatever_makes_the_calls(crowd: Crowd, url: str, driver: str) -> None:
    check_shared(crowd, url, driver=driver)


def test_what_a_killed_process_had_is_computed_by_others(crowd: Crowd) -> None:
    crowd.start(1, mode="hangs")
    crowd.go()
    until = time.monotonic() + 60
    while not crowd.calls():
        assert time.monotonic() < until
        time.sleep(0.01)
    victim = crowd.processes.pop()
    os.kill(victim.pid, signal.SIGKILL)
    victim.communicate()
    crowd.start(2)
    results = crowd.results()
    assert [rows for _, _, rows in results] == [60] * 2
    assert len(crowd.calls()) <= 61 + 3


def test_a_packet_that_fails_fails_for_everyone_and_holds_nobody_up(crowd: Crowd) -> None:
    crowd.start(2, mode="fails")
    crowd.go()
    assert [(failed, rows) for _, failed, rows in crowd.results()] == [(6, 54)] * 2
    assert len(crowd.calls()) <= 54 + 2 * 6 + 3


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("driver", ["sync", "async"])
def test_equal_packets_that_fail_hold_nobody_up(crowd: Crowd, driver: str) -> None:
    """Whoever has claimed one of them tries each."""
    crowd.start(2, driver=driver, mode="twins")
    crowd.go()
    assert [(failed, rows) for _, failed, rows in crowd.results()] == [(9, 51)] * 2
