"""Processes that are killed, interrupted, or run side by side on one SQLite file (promise 20).

Every test runs real processes. Seeds are printed, so that a failure can be repeated.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import json, os, random, sys, threading, time
import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource

what, file, *arguments = sys.argv[1:]
PAUSE = float(os.environ.get("PAUSE", "0"))

@op.function_pod(["y", "pid"], identity="version")
def work(x: int) -> tuple[int, int]:
    print(f"working on {x}")
    if PAUSE:
        time.sleep(PAUSE)
    if x == 13:
        raise ValueError("thirteen")
    return x * 10, os.getpid() if what == "race" else 0

@op.function_pod("z", identity="version")
def after(y: int, pid: int) -> str:
    return f"{y} by {pid}"

@op.function_pod("y", identity="version")
def uneven(x: int) -> int:
    if x == 3:
        # Told by another thread once this one sleeps: a signal in between would be seen by Python when it wakes.
        threading.Timer(0.1, lambda: open(file + ".slow", "w").close()).start()
        time.sleep(600)
    return x

class Ended(LoggingObserver):
    def on_run_end(self, run_id):
        super().on_run_end(run_id)
        open(file + ".ended", "w").close()

def source(rows):
    return DictSource(
        [{"i": i, "x": i % 40} for i in range(rows)], tag_columns=["i"], source_id="s", record_id_column="i"
    )

def main():
    database = SQLiteDatabase(file)
    with op.Pipeline("lab", database) as pipeline:
        if what == "uneven":
            uneven.pod(source(5))
        else:
            after.pod(work.pod(source(60)))
    records = pipeline.log_database
    observer = CompositeObserver(Ended(records), StatusObserver(records))
    open(file + f".ready{os.getpid()}", "w").close()
    if what == "race":
        while not os.path.exists(file + ".go"):
            time.sleep(0.001)
    if what != "read":
        result = pipeline.run(observer=observer, flush_interval=0.1)
        print(json.dumps({label: result.counts(label) for label in result.node_counts}), file=sys.stderr)
    last = pipeline.uneven if what == "uneven" else pipeline.after
    first = pipeline.uneven if what == "uneven" else pipeline.work
    every = {"source": True, "system_tags": True}
    sys.__stdout__.write(json.dumps([first.as_table(every).to_pylist(), last.as_table(every).to_pylist()]))

main()
"""


class Lab:
    """A program and its store."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lab.db"
        self.program = folder / "program.py"
        self.program.write_text(PROGRAM)

    def start(self, what: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(self.program), what, str(self.file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.program.parent,
            env={**os.environ, **environment},
        )

    def finish(self, what: str) -> tuple[Any, str]:
        process = self.start(what)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return json.loads(out), err

    def wait_for(self, suffix: str, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 60
        while not Path(f"{self.file}{suffix}").exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, f"{suffix} never came"
            time.sleep(0.002)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All committed rows, by table, as any other program sees them."""
        if not self.file.exists():
            return {}
        with closing(sqlite3.connect(self.file, timeout=30)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {
                name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall()
                for name in names
                if name.startswith(("lab/", "_result/"))
            }

    def named(self, *parts: str) -> list[tuple[Any, ...]]:
        found = [rows for name, rows in self.rows().items() if all(part in name for part in parts)]
        return found[0] if found else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def assert_nothing_doubled(lab: Lab) -> None:
    for name, rows in lab.rows().items():
        keys = Counter(row[1] for row in rows)  # the first column is SQLite's own number
        assert max(keys.values(), default=1) == 1, name
        if "schema:" in name and "/_log/" not in name and "/_status/" not in name:
            places = Counter(row[2:] for row in rows)
            assert max(places.values(), default=1) == 1, name


def assert_nothing_lost(before: dict[str, list[tuple[Any, ...]]], after: dict[str, list[tuple[Any, ...]]]) -> None:
    for name, rows in before.items():
        assert set(rows) <= set(after[name]), name


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_the_next_run_goes_on(seed: int, lab: Lab, tmp_path: Path) -> None:
    """Several processes die at random moments; then one runs to its end."""
    print(f"seed {seed}")  # shown when it fails
    chance = random.Random(seed)
    (tmp_path / "calm").mkdir()
    undisturbed, _ = Lab(tmp_path / "calm").finish("run")
    seen: dict[str, list[tuple[Any, ...]]] = {}
    for _ in range(4):
        process = lab.start("run", PAUSE="0.01")
        lab.wait_for(f".ready{process.pid}", process)
        time.sleep(chance.uniform(0, 0.5))
        seen_alive = lab.rows()
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert_nothing_lost(seen_alive, lab.rows())
        assert_nothing_lost(seen, lab.rows())
        seen = lab.rows()
        assert_nothing_doubled(lab)
    found, err = lab.finish("run")
    assert found == undisturbed
    assert_nothing_lost(seen, lab.rows())
    assert_nothing_doubled(lab)
    again, err = lab.finish("run")
    assert again == undisturbed
    counts = json.loads(err.splitlines()[-1])
    assert counts["work"] == {"computed": 0, "cached": 58, "failed": 2}
    assert counts["after"] == {"computed": 0, "cached": 58, "failed": 0, "incomplete": 2}
    assert lab.finish("read")[0] == undisturbed


def test_what_was_computed_an_interval_ago_survives_although_the_next_packet_takes_long(lab: Lab) -> None:
    process = lab.start("uneven")
    lab.wait_for(".slow", process)

    def seen() -> list[int]:
        states = Counter(value for row in lab.named("/_status/uneven/") for value in row)
        tables = [lab.named("_result/uneven/"), lab.named("/_log/uneven/")]
        return [*map(len, tables), states["SUCCESS"], min(states["RUNNING"], 1)]

    deadline = time.monotonic() + 60  # an interval, on a machine that has nothing else to do
    while seen() != [3, 3, 3, 1] and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert seen() == [3, 3, 3, 1], "results, logs and states of three packets, and that the slow one is running"


def test_an_interrupt_stops_within_a_second_and_leaves_a_store_to_go_on_from(lab: Lab) -> None:
    process = lab.start("uneven")
    lab.wait_for(".slow", process)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10, "a second, and the end of a program, on a machine with nothing else to do"
    assert process.returncode != 0
    assert "KeyboardInterrupt" in err
    assert Path(f"{lab.file}.ended").exists(), "on_run_end was called"
    assert len(lab.named("_result/uneven/")) == 3
    (run,) = lab.named("/_runs")
    assert "INTERRUPTED" in run
    assert_nothing_doubled(lab)
    lab.program.write_text(PROGRAM.replace("time.sleep(600)", "pass"))
    (_, found), err = lab.finish("uneven")
    assert [row["y"] for row in found] == [0, 1, 2, 3, 4]
    assert json.loads(err.splitlines()[-1])["uneven"] == {"computed": 2, "cached": 3, "failed": 0}
    assert sorted(
        outcome for run in lab.named("/_runs") for outcome in run if outcome in ("INTERRUPTED", "SUCCESS")
    ) == [
        "INTERRUPTED",
        "SUCCESS",
    ]


def test_two_processes_on_one_file_both_finish_with_the_same_answer_and_no_duplicate(lab: Lab) -> None:
    """The function gives another value in every process: both must read the one that came first."""
    both = [lab.start("race", PAUSE="0.004") for _ in range(2)]
    for process in both:
        lab.wait_for(f".ready{process.pid}", process)
    Path(f"{lab.file}.go").touch()
    answers = []
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        answers.append(json.loads(out))
    assert answers[0] == answers[1]
    work, after = answers[0]
    assert len(work) == len(after) == 58
    assert {row["pid"] for row in work} <= {process.pid for process in both}
    by_tag = {row["i"]: row for row in work}
    assert all(row["z"] == f"{by_tag[row['i']]['y']} by {by_tag[row['i']]['pid']}" for row in after)
    assert_nothing_doubled(lab)
    assert len(lab.named("_result/work/")) == 39
    assert len(lab.named("_result/after/")) == 39, "nobody went on with a value that lost"
    assert len(lab.named("/_runs")) == 2
    assert len(lab.named("/_environments")) == 1
