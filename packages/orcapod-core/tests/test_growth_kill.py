"""Processes that are killed while they prune or make a store smaller, or do so while others run (promise 20)."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase

PROGRAM = """
import json, os, signal, sys
import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.records import prune
from orcapod.sources import DictSource

what, file, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.modules["orcapod.records.prune"]._AT_ONCE = 4
calls = []

class Mortal(SQLiteDatabase):
    \"\"\"A store whose process dies before, or right after, the write of this number.\"\"\"

    def _counted(self, write, *arguments, **options):
        calls.append(write)
        if len(calls) == abs(number) and number > 0:
            os.kill(os.getpid(), signal.SIGKILL)
        done = write(*arguments, **options)
        if len(calls) == abs(number):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    def add_records(self, *arguments, **options):
        return self._counted(super().add_records, *arguments, **options)

    def delete_records(self, *arguments, **options):
        return self._counted(super().delete_records, *arguments, **options)

@op.function_pod("y", identity="version")
def work(x: int) -> str:
    return str(x) * 1000

@op.function_pod("total", identity="version")
def total(y: list[str]) -> int:
    return len(y)

def study(night, database):
    pipeline = op.Pipeline("lab", database)
    with pipeline:
        rows = [{"i": i, "x": i + night % 3} for i in range(0, 90, 3)]
        source = DictSource(rows, ["i"], source_id="s", record_id_column="i")
        total.pod(work.pod(source, label="work").batch(), label="total")
    return pipeline

if what == "prune":
    study(0, Mortal(file)).prune(older_than="0d", dry_run=False)
elif what == "compact":
    print("compacting", flush=True)
    while True:
        op.open_store(file).compact()
else:
    for night in range(number):
        result = study(night, SQLiteDatabase(file)).run(progress=False)
        result.raise_for_errors()
    print(json.dumps(study(night, file).work.as_table().to_pylist()))
"""


class Lab:
    """A program and its store."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "lab.db"
        self.program = folder / "program.py"
        self.program.write_text(PROGRAM)

    def start(self, what: str, number: int) -> subprocess.Popen[str]:
        command = [sys.executable, str(self.program), what, str(self.file), str(number)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, what: str, number: int) -> tuple[int, list[Any]]:
        """Have it done; return how the process ended, and what it printed."""
        process = self.start(what, number)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGKILL), err
        return process.returncode, [json.loads(line) for line in out.splitlines()]

    def known(self) -> tuple[set[bytes], set[bytes]]:
        """Return the records whose results are there, and of those whose stubs are."""
        with SQLiteDatabase(self.file) as database:
            assert op.verify_store(database).ok
            found: list[set[bytes]] = [set(), set()]
            for path in database.list_paths():
                if path[0] in ("_result", "_pruned"):
                    keys: list[Any] = database.get_records(path, []).column(0).to_pylist()
                    found[path[0] == "_pruned"].update(keys)
            return found[0], found[1]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after three nights, of which the last needs 31 of 93 results."""
    lab = Lab(tmp_path_factory.mktemp("ran"))
    lab.finish("run", 3)
    return lab.file


@pytest.fixture
def lab(ran: Path, tmp_path: Path) -> Lab:
    shutil.copy(ran, tmp_path)
    return Lab(tmp_path)


def test_a_prune_that_is_killed_leaves_each_result_or_its_stub(lab: Lab) -> None:
    """Between stubs and their results, or after a portion of them. The next one goes on."""
    every, _ = lab.known()
    assert len(every) == 93
    for number, left in ((2, 93), (-2, 91), (3, 87)):
        assert lab.finish("prune", number)[0] == -signal.SIGKILL
        results, stubs = lab.known()
        assert results | stubs == every
        assert len(results) == left
    assert lab.finish("prune", 1000)[0] == 0
    results, stubs = lab.known()
    assert (len(results), len(stubs)) == (31, 62)
    with op.open_store(lab.file) as store:
        assert store.rows("lab", "work").num_rows == 30


def test_a_store_that_was_being_made_smaller_is_whole(lab: Lab) -> None:
    before = lab.known()
    process = lab.start("compact", 0)
    assert process.stdout is not None
    assert process.stdout.readline() == "compacting\n"
    process.kill()
    process.communicate()
    assert lab.known() == before


def test_runs_go_on_while_another_process_prunes(lab: Lab) -> None:
    """Values change and come back every night, so that what is pruned is what the next run looks up."""
    running = lab.start("run", 6)
    while running.poll() is None:
        with SQLiteDatabase(lab.file) as database:
            op.Pipeline("other", database).prune(older_than="0d", dry_run=False)
            op.open_store(database).compact()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    expected = [{"i": i, "y": str(i + 2) * 1000} for i in range(0, 90, 3)]
    assert json.loads(out) == expected
    lab.known()
    assert lab.finish("run", 3)[1] == [expected]
    with op.open_store(lab.file) as store:
        assert store.rows("lab", "work").select(["i", "y"]).to_pylist() == expected
