"""A SQLite store that may only be read is read, whatever keeps one from writing; and a run on it is refused at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import SQLiteDatabase, sqlite_file, sqlite_locks
from orcapod.errors import DatabaseError, ReadOnlyStoreError, StoreLockedError
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="mounts and capabilities as Linux has them")

# Writes or reads a store, as the arguments say; the reader would have something to compute.
SCRIPT = """
import json, os, signal, sys
import orcapod as op
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

calls = []

@op.function_pod("y", identity="version")
def double(x: int) -> int:
    calls.append(x)
    print("x is", x)
    return 2 * x

def pipeline(rows):
    made = op.Pipeline("lab", sys.argv[2])
    with made:
        source = DictSource([{"i": i, "x": i} for i in range(rows)], ["i"], source_id="s", record_id_column="i")
        double.pod(source.cached(made.database) if "cached" in sys.argv else source)
    return made

made = pipeline(3 if "write" in sys.argv or "cached" in sys.argv else 4)
logs = LoggingObserver(made.log_database)
if "write" in sys.argv:
    made.run(observer=logs)
    print(json.dumps(calls), flush=True)
    if "killed" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    if "waiting" in sys.argv:
        sys.stdin.read()
else:
    found = {"values": made.double.as_table()["y"].to_pylist(), "logs": logs.get_logs().num_rows}
    try:
        made.run(observer=logs)
    except Exception as error:
        found |= {"error": type(error).__name__, "why": str(error)}
    print(json.dumps({**found, "calls": calls, "paths": len(made.database.list_paths())}))
"""

# Without these, root is kept out by permissions like everybody else.
_KEPT_OUT = [
    "setpriv",
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
]
_MOUNTED = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def without_permission(*names: str) -> Callable[[Path], Any]:
    """Keep programs from writing to these: the folder of a store, or its files."""

    @contextmanager
    def kept(folder: Path) -> Iterator[list[str]]:
        places = [folder] if "folder" in names else []
        places += list(folder.iterdir()) if "files" in names else []
        for place in places:
            place.chmod(place.stat().st_mode & ~0o222)
        yield _KEPT_OUT if os.geteuid() == 0 else []
        for place in places:
            place.chmod(place.stat().st_mode | 0o200)

    return kept


@contextmanager
def on_a_read_only_mount(folder: Path) -> Iterator[list[str]]:
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("nobody may mount anything here")
    yield [*unshare, "sh", "-c", _MOUNTED, str(folder)]


@contextmanager
def immutable(folder: Path) -> Iterator[list[str]]:
    files = [str(folder), *map(str, folder.iterdir())]
    if (
        not shutil.which("chattr")
        or subprocess.run(["chattr", "+i", *files], capture_output=True, check=False).returncode
    ):
        pytest.skip("nobody may make a file immutable here")
    try:
        yield []
    finally:
        subprocess.run(["chattr", "-i", *files], check=True)


PLACES: dict[str, Callable[[Path], Any]] = {
    "a read-only mount": on_a_read_only_mount,
    "neither folder nor files": without_permission("folder", "files"),
    "not the folder": without_permission("folder"),
    "not the files": without_permission("files"),
    "immutable": immutable,
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Path], object]:
    """Puts a store where it is wanted, as a writer left it: one that closed it, or one that was killed."""
    folders = {state: tmp_path_factory.mktemp(state) for state in ("closed", "killed")}
    for state, folder in folders.items():
        assert run(folder / "lab.db", "write", state).stdout == "[0, 1, 2]\n"
    assert (folders["killed"] / "lab.db-wal").stat().st_size > 0
    return lambda state, file: shutil.copytree(folders[state], file.parent, dirs_exist_ok=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "lab #1?"
    folder.mkdir()
    return folder / "lab.db"


def run(file: Path, *arguments: str, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    what, *options = arguments
    command = [*(prefix or []), sys.executable, "-c", SCRIPT, what, str(file), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def read(file: Path, prefix: list[str], *arguments: str) -> dict[str, Any]:
    done = run(file, "read", *arguments, prefix=prefix)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("state", ["closed", "killed"])
@pytest.mark.parametrize("place", PLACES)
def test_what_was_stored_is_read_and_a_run_is_refused(
    stored: Callable[[str, Path], object], file: Path, place: str, state: str
) -> None:
    """Also what a killed writer left in its log; and the refusal comes before anything was computed."""
    stored(state, file)
    with PLACES[place](file.parent) as prefix:
        before = sorted(file.parent.iterdir())
        found = read(file, prefix)
        assert (found["values"], found["logs"]) == ([0, 2, 4], 3)
        if not (place == "not the folder" and state == "killed"):  # its log is there: it may well be written to
            assert (found["error"], found["calls"]) == ("ReadOnlyStoreError", [])
            assert str(file) in found["why"]
            assert "copy it" in found["why"]
            assert sorted(file.parent.iterdir()) == before, "a reader leaves nothing behind"


@pytest.mark.parametrize("place", ["a read-only mount", "neither folder nor files"])
def test_records_in_a_log_that_cannot_be_read_are_never_left_out(
    stored: Callable[[str, Path], object], file: Path, place: str
) -> None:
    """SQLite needs a second file beside the log, and may not make it here: that is said."""
    stored("killed", file)
    file.with_name("lab.db-shm").unlink()
    with PLACES[place](file.parent) as prefix:
        done = run(file, "read", prefix=prefix)
        assert "DatabaseError" in done.stderr
        assert "lab.db-wal" in done.stderr
        assert "open it once where it may be written to" in done.stderr


@pytest.mark.parametrize("place", ["a read-only mount", "neither folder nor files", "not the files"])
def test_what_another_process_is_writing_is_read(file: Path, place: str) -> None:
    command = [sys.executable, "-c", SCRIPT, "write", str(file), "waiting"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "[0, 1, 2]\n"
        with PLACES[place](file.parent) as prefix:
            found = read(file, prefix)
        writer.communicate("")
    assert (found["values"], found["error"]) == ([0, 2, 4], "ReadOnlyStoreError")


def test_a_cached_source_of_which_everything_is_kept_is_read(file: Path) -> None:
    run(file, "write", "cached")
    with on_a_read_only_mount(file.parent) as prefix:
        assert read(file, prefix, "cached")["values"] == [0, 2, 4]


# In this process, by an immutable file


@pytest.fixture
def unwritable(file: Path) -> Callable[[], Any]:
    """Makes the files of a store immutable, for as long as the context lasts."""
    with SQLiteDatabase(file) as database:
        database.add_records(("p",), pa.table({"key": ["a"], "x": [1]}))
    return lambda: immutable(file.parent)


def test_every_write_is_refused_and_every_view_may_read(file: Path, unwritable: Callable[[], Any]) -> None:
    with unwritable(), SQLiteDatabase(file) as database:
        view = database.at("a")
        for write in (
            lambda: view.add_records(("q",), pa.table({"key": ["b"]})),
            lambda: view.delete_records(("q",), ["b"]),
            view.check_writable,
        ):
            with pytest.raises(ReadOnlyStoreError, match=r"lab.db may only be read: .*, copy it") as caught:
                write()
            assert isinstance(caught.value, PermissionError)
        assert view.add_records(("q",), pa.table({"key": pa.array([], pa.string())})) == 0
        assert database.get_records(("p",)).to_pylist() == [{"key": "a", "x": 1}]
        assert database.list_paths() == [("p",)]
        database.flush()
        database.close()
        with pytest.raises(DatabaseError, match="closed"):
            view.check_writable()


def test_its_size_can_be_told_and_nothing_of_it_can_go(file: Path, unwritable: Callable[[], Any]) -> None:
    @op.function_pod("y", identity="version")
    def double(x: int) -> int:
        return 2 * x

    with unwritable(), SQLiteDatabase(file) as database:
        pipeline = op.Pipeline("lab", database)
        with pipeline:
            double.pod(DictSource([{"i": 1, "x": 1}], ["i"]), label="double")
        store = op.open_store(database)
        assert store.size().column("rows").to_pylist() == [1]
        assert pipeline.prune().rows == 0
        for write in (store.compact, lambda: pipeline.prune(dry_run=False), pipeline.double.invalidate):
            with pytest.raises(ReadOnlyStoreError, match=r"lab.db may only be read"):
                write()


def test_what_is_written_after_a_reader_came_is_read(file: Path, unwritable: Callable[[], Any]) -> None:
    """Another user may write: a reader that found no log looks again whenever the files are other ones."""
    with unwritable():
        reader = SQLiteDatabase(file)
        assert reader.get_records(("p",))["key"].to_pylist() == ["a"]
    with reader:
        for key in "bc":
            with SQLiteDatabase(file) as writer:
                writer.add_records(("p",), pa.table({"key": [key], "x": [2]}))
                assert reader.get_records(("p",))["key"].to_pylist()[-1] == key
            assert reader.get_records(("p",))["key"].to_pylist()[-1] == key
        with pytest.raises(ReadOnlyStoreError):
            reader.add_records(("p",), pa.table({"key": ["d"]}))


def test_a_log_that_cannot_be_read_is_said_to_a_reader_that_is_there_already(
    stored: Callable[[str, Path], object], file: Path
) -> None:
    """As often as it asks; and once the log can be read, it is."""
    stored("closed", file)
    with immutable(file.parent):
        reader = SQLiteDatabase(file).at("lab")
        assert ("_runs",) in (paths := reader.list_paths())
    stored("killed", file)
    file.with_name("lab.db-shm").unlink()
    with reader:
        for _ in range(2):
            with immutable(file.parent), pytest.raises(DatabaseError, match=r"still in lab.db-wal.*open it once where"):
                reader.list_paths()
        SQLiteDatabase(file).close()
        assert reader.list_paths() == paths


def test_a_store_is_not_made_where_nothing_may_be(file: Path) -> None:
    with immutable(file.parent), pytest.raises(DatabaseError, match=r"cannot open .*not there.*its folder; choose"):
        SQLiteDatabase(file)


def test_an_empty_file_that_may_only_be_read_is_no_store(file: Path) -> None:
    file.write_bytes(b"")
    with immutable(file.parent), pytest.raises(DatabaseError, match="holds no records of orcapod"):
        SQLiteDatabase(file)


# Locks


# Opens stores that are not there, and uses them when somebody else has made them.
LATE = """
import sys
from pathlib import Path
from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError

file = Path(sys.argv[1])
database = SQLiteDatabase(file)
print("open", flush=True)
sys.stdin.readline()
print(database.list_paths(), flush=True)
try:
    database.check_writable()
except DatabaseError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("kept_from", ["files", "folder"])
def test_a_store_that_was_not_there_is_as_the_one_that_somebody_else_made(kept_from: str, file: Path) -> None:
    """Who may not write to it is told before anything is computed, as where it was there before."""
    wrapper = _KEPT_OUT if os.geteuid() == 0 else []
    program = [*wrapper, sys.executable, "-c", LATE, str(file)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as late:
        assert late.stdout is not None
        assert late.stdout.readline() == "open\n"
        if kept_from == "files":
            with SQLiteDatabase(file) as database:
                database.add_records(("p",), pa.table({"key": ["a"]}))
        with without_permission(kept_from)(file.parent):
            said, _ = late.communicate("\n")
    if kept_from == "files":
        assert re.fullmatch(r"\[\('p',\)\]\nReadOnlyStoreError .*this user may not write to it.*\n", said)
    else:
        assert re.fullmatch(r"\[\]\nDatabaseError cannot open .*it is not there, and .* its folder.*\n", said)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Another program that has begun to write and does not end."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_a_store_that_stays_locked_says_so_and_takes_the_same_rows_later(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_locks, "BUSY_SECONDS", 0.01)
    table = pa.table({"key": ["a", "b"]})
    with SQLiteDatabase(file) as database:
        database.add_records(("p",), table[:1])
        with held(file):
            for write in (
                lambda: database.add_records(("p",), table),
                lambda: database.delete_records(("p",), ["a"]),
            ):
                with pytest.raises(
                    StoreLockedError, match=r"(?s)lab.db .*locked.*another program.*nothing.*lost"
                ) as caught:
                    write()
                assert isinstance(caught.value, TimeoutError)
            assert database.get_records(("p",)).num_rows == 1, "reading needs no lock"
        database.flush()
        assert database.add_records(("p",), table) == 1
        assert database.get_records(("p",))["key"].to_pylist() == ["a", "b"]


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
def test_an_interrupt_ends_a_run_that_waits_for_a_lock(orchestrator: Any, file: Path) -> None:
    """All steps on the way out wait for it together, and not each for half a minute."""
    locks = ExitStack()

    def locked(x: int) -> int:
        if not x:
            locks.enter_context(held(file))
            threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
        return x

    pipeline = op.Pipeline("p", file)
    with pipeline:
        source = DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s")
        op.function_pod("y", identity="version")(locked).pod(source, label="n")
    started = time.monotonic()
    with locks, pytest.raises(KeyboardInterrupt) as caught:
        pipeline.run(orchestrator)
    assert time.monotonic() - started < 20
    assert all("lab.db was locked by another program" in note for note in caught.value.__notes__)
    assert pipeline.run(where={"i": [1, 2]}).ok
    assert pipeline["n"].as_table().column("y").to_pylist()[-2:] == [1, 2]


def test_a_change_while_a_file_is_only_read_is_named(file: Path) -> None:
    """Also where the file is asked, on the way, whether anybody has written to it."""
    with SQLiteDatabase(file) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
    opened = sqlite_file.ReadOnlyFile(file, "a reason")

    def read_while_it_is_changed() -> None:
        with opened.transaction(write=False):
            os.utime(file, ns=(0, 0))
            opened.note_absent(1, ["b"])

    with pytest.raises(DatabaseError, match="was changed by another program"):
        read_while_it_is_changed()
    with opened.transaction(write=False) as connection:
        assert connection.execute("SELECT count(*) FROM p").fetchone() == (1,)
    opened.close()
