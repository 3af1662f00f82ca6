"""``SQLiteDatabase`` is a store; its file is readable by other tools, and refuses files that are not its own."""

from __future__ import annotations

import gc
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import STORE_FORMAT, SQLiteDatabase
from orcapod.errors import DatabaseError, RecordSchemaError, RecordTooLargeError, StoreVersionError
from orcapod.sources import DictSource
from orcapod.testing.database import DatabaseSuite


class TestSQLiteDatabase(DatabaseSuite):
    def make_database(self, folder: Path) -> SQLiteDatabase:
        return SQLiteDatabase(folder / "run.db")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def shell(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(query).fetchall()
        connection.commit()
        return rows


def test_other_tools_read_it(file: Path) -> None:
    """One table per path, native columns, in the order added."""
    with SQLiteDatabase(file) as database:
        table = pa.table(
            {
                "id": ["b", "a"],
                "n": pa.array([2, None], pa.int16()),
                "x": [0.5, float("nan")],
                "ok": [True, False],
                "when": pa.array([1, 2], pa.timestamp("us", "UTC")),
                "name": pa.array(["u", None]).dictionary_encode(),
                "raw": [b"\x01", None],
            }
        )
        database.at("_result").add_records(("double", "v1"), table)
    rows = shell(file, 'SELECT * FROM "_result/double/v1" ORDER BY _row')
    assert rows == [(1, "b", 2, 0.5, 1, 1, "u", b"\x01"), (2, "a", None, "NaN", 0, 2, None, None)]
    assert shell(file, "SELECT path, table_name FROM _orcapod_paths") == [
        ('["_result", "double", "v1"]', "_result/double/v1")
    ]


def test_the_order_survives_a_vacuum(file: Path) -> None:
    with SQLiteDatabase(file) as database:
        database.add_records(("p",), pa.table({"key": ["c", "b", "a", "d"]}))
        database.delete_records(("p",), ["c"])
    shell(file, "VACUUM")
    with SQLiteDatabase(file) as database:
        assert database.get_records(("p",))["key"].to_pylist() == ["b", "a", "d"]


def test_what_is_declared(file: Path) -> None:
    """Write-ahead log, explicit order, a key in every row; one of text is unique by SQLite's own constraint."""
    with SQLiteDatabase(file) as database:
        database.add_records(("p",), pa.table({"Key": ["a"], "key": [1], "_row": [2], "x": [0.5]}))
        (sql,) = shell(file, "SELECT sql FROM sqlite_master WHERE name = 'p'")[0]
        assert shell(file, "PRAGMA journal_mode") == [("wal",)]
        database.add_records(("hashed",), pa.table({"key": [b"a"]}))
        (hashed,) = shell(file, "SELECT sql FROM sqlite_master WHERE name = 'hashed'")[0]
    assert hashed == 'CREATE TABLE "hashed" (_row INTEGER PRIMARY KEY, "key" BLOB NOT NULL)'
    assert sql == (
        'CREATE TABLE "p" (_row INTEGER PRIMARY KEY, "Key" TEXT NOT NULL UNIQUE,'
        ' "key~2" INTEGER, "_row~2" INTEGER, "x")'
    )


@pytest.mark.parametrize(("version", "advice"), [(99, "upgrade"), (1, "give another store")])
def test_another_format_is_refused(file: Path, version: int, advice: str) -> None:
    with SQLiteDatabase(file) as database:
        database.check_writable()
    shell(file, f"UPDATE _orcapod_format SET version = {version}")
    before = file.read_bytes()
    with pytest.raises(StoreVersionError, match=f"format {version}.*reads format {STORE_FORMAT}.*{advice}"):
        SQLiteDatabase(file)
    assert file.read_bytes() == before


def test_a_file_of_another_kind_is_refused(file: Path) -> None:
    file.write_text("these are notes of mine, by no means a database\n" * 100)
    before = file.read_bytes()
    with pytest.raises(DatabaseError, match="not a database"):
        SQLiteDatabase(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["_orcapod_paths", "_orcapod_format"])
def test_tables_of_our_names_that_are_not_ours_are_refused(file: Path, name: str) -> None:
    shell(file, f"CREATE TABLE {name} (something TEXT)")
    with pytest.raises(DatabaseError, match="did not make"):
        SQLiteDatabase(file)


def test_tables_of_another_application_are_left_alone(file: Path) -> None:
    shell(file, "CREATE TABLE samples (name TEXT)")
    shell(file, "INSERT INTO samples VALUES ('mine')")
    with SQLiteDatabase(file) as database:
        assert database.list_paths() == []
        database.add_records(("Samples",), pa.table({"key": ["k"]}))
        assert database.list_paths() == [("Samples",)]
    assert shell(file, "SELECT * FROM samples") == [("mine",)]
    assert shell(file, 'SELECT key FROM "Samples~2"') == [("k",)]


def test_a_place_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "run.db"):
        with pytest.raises(DatabaseError, match="cannot open"):
            SQLiteDatabase(path)


def test_too_many_columns(file: Path) -> None:
    """1,999 fit; one more is refused before anything is written, also when it comes later."""
    with SQLiteDatabase(file) as database:
        wide = pa.table({"key": ["k"], **{f"c{i}": [i] for i in range(1998)}})
        database.add_records(("p",), wide)
        assert database.get_records(("p",)).equals(wide)
        for path, table in ((("q",), wide.append_column("d", [[1]])), (("p",), pa.table({"key": ["l"], "d": [1]}))):
            with pytest.raises(RecordSchemaError, match="at most 1999.*found 2000"):
                database.add_records(path, table)
        assert database.get_records(("p",)).num_rows == 1


def test_more_keys_than_a_statement_takes(file: Path) -> None:
    """Most builds of SQLite take 32,766 variables; this one may take more, so it is told to be like them."""
    keys = [f"k{row}" for row in range(70_000)]
    with SQLiteDatabase(file) as database:
        database.check_writable()  # which makes the file
        database._shared._connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
        database.add_records(("p",), pa.table({"key": keys}))
        assert database.get_records_by_ids(("p",), keys).num_rows == 70_000
        assert database.delete_records(("p",), keys) == 70_000


LARGE = {
    "bytes": (pa.array([b"", b"\0" * 100_001]), "x"),
    "large bytes": (pa.array([None, b"\0" * 100_001], pa.large_binary()), "x"),
    "text that is long only as bytes": (pa.array(["", "ü" * 50_001]), "x"),
    "a value in its canonical bytes": (pa.array([[], [0.5] * 20_000]), "x"),
    "a category": (pa.array(["", "a" * 100_001]).dictionary_encode(), "x"),
    "two values, large together": (pa.array([b"", b"\0" * 60_000]), "x"),
}


@pytest.mark.parametrize("case", LARGE)
def test_the_largest_record_is_what_sqlite_was_told(file: Path, case: str) -> None:
    """And whatever has more is refused by name, with all that came with it."""
    values, column = LARGE[case]
    with SQLiteDatabase(file) as database:
        database.check_writable()  # which makes the file
        database._shared._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
        assert database.max_record_bytes == 100_000
        table = pa.table({"key": ["a", "b"], "y": [b"y" * 50_000] * 2, "x": values})
        with pytest.raises(RecordTooLargeError, match=r"an SQLite store takes 100.0\d* kB") as caught:
            database.at("lab").add_records(("p",), table)
        assert (caught.value.path, caught.value.column) == (("lab", "p"), column)
        assert caught.value.size > caught.value.limit == 100_000
        assert database.list_paths() == []
        many = pa.table({"key": [f"k{row}" for row in range(20)], "x": [b"x" * 90_000] * 20})
        assert database.add_records(("p",), many) == 20
        assert database.get_records(("p",)).equals(many)


def test_unions_are_refused_by_name(file: Path) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with SQLiteDatabase(file) as database:
        with pytest.raises(RecordSchemaError, match="p: column 'u'.*union"):
            database.add_records(("p",), pa.table({"key": ["a"], "u": union}))
        assert database.list_paths() == []


def test_a_write_that_fails_is_an_error_and_leaves_nothing(file: Path) -> None:
    with SQLiteDatabase(file) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
        shell(
            file,
            "CREATE TRIGGER full BEFORE INSERT ON p WHEN new.key = 'c' BEGIN SELECT RAISE(ABORT, 'disk full'); END",
        )
        with pytest.raises(DatabaseError, match="disk full"):
            database.add_records(("p",), pa.table({"key": ["b", "c"], "new": [1, 2]}))
        assert database.get_records(("p",)).to_pylist() == [{"key": "a"}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_may_not_use_it(file: Path) -> None:
    with SQLiteDatabase(file) as database:
        child = os.fork()
        if child == 0:
            try:
                database.list_paths()
            except DatabaseError as error:
                os._exit(0 if "forked" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert database.list_paths() == []


@pytest.mark.filterwarnings("error")
def test_a_forgotten_store_is_closed(file: Path) -> None:
    database = SQLiteDatabase(file)
    database.add_records(("p",), pa.table({"key": ["a"]}))
    del database
    gc.collect()
    assert not file.with_name("run.db-wal").exists()
    assert shell(file, "SELECT key FROM p") == [("a",)]


def test_home_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with SQLiteDatabase("~/lab.db") as database:
        assert database.to_config()["path"] == str(tmp_path / "lab.db")
    assert repr(database.at("a", "b")) == f"SQLiteDatabase('{tmp_path}/lab.db', at a/b)"


def removed(file: Path) -> None:
    shutil.rmtree(file.parent)


def replaced(file: Path) -> None:
    """By a copy, as tools do that synchronise folders."""
    shutil.copy(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


def without_log(file: Path) -> None:
    """What was written last is in the log, and nowhere else."""
    file.with_name("run.db-wal").unlink()


@pytest.mark.parametrize("happens", [removed, replaced, without_log])
@pytest.mark.parametrize("then", ["flush", "add_records", "check_writable", "close"])
def test_a_file_that_is_gone_or_another_is_noticed(happens: Callable[[Path], None], then: str, tmp_path: Path) -> None:
    """By whatever is next: nothing is written into a file that nobody will ever open again."""
    file = tmp_path / "lab" / "run.db"
    database = SQLiteDatabase(file)
    table = pa.table({"key": ["a"]})
    database.add_records(("p",), table)
    database.flush()
    happens(file)
    arguments = (("p",), table) if then == "add_records" else ()
    with pytest.raises(DatabaseError, match=rf"{re.escape(str(file))}.*open it again") as caught:
        getattr(database.at("q"), then)(*arguments)
    assert caught.value.found
    if then != "close":
        assert database.get_records(("p",)).num_rows == 1, "what is still open can be read"
        with pytest.raises(DatabaseError, match="open it again"):
            database.close()
    database.close()


def test_a_file_that_others_open_close_and_clean_up_is_the_same(file: Path) -> None:
    with SQLiteDatabase(file) as database:
        for number in range(3):
            with SQLiteDatabase(file) as other:
                other.add_records(("p",), pa.table({"key": [f"{number}"]}))
            shell(file, "PRAGMA wal_checkpoint(TRUNCATE)")
            shell(file, "VACUUM")
            database.flush()
            assert database.add_records(("q",), pa.table({"key": [f"{number}"]})) == 1
        assert database.get_records(("p",)).num_rows == 3


@pytest.mark.parametrize("happens", [removed, replaced])
@pytest.mark.parametrize("is_async", [False, True])
def test_a_run_into_a_file_that_is_gone_or_another_fails(
    happens: Callable[[Path], None], is_async: bool, tmp_path: Path
) -> None:
    """Not at once, maybe, but it never says that all is well; and the next program has a store to begin anew."""
    file = tmp_path / "lab" / "run.db"
    pipeline = op.Pipeline("p", file)

    def disturbed(x: int) -> int:
        if x == 1:
            happens(file)
        return x

    with pipeline:
        op.function_pod("y", identity="version")(disturbed).pod(
            DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="n"
        )
    with pytest.raises(DatabaseError, match=re.escape(str(file))):
        pipeline.run(op.orchestrators.AsyncPipelineOrchestrator() if is_async else None)
    with pytest.raises(DatabaseError, match=re.escape(str(file))):
        pipeline.run()
    with pytest.raises(DatabaseError, match=re.escape(str(file))):
        pipeline.result_database.close()
    with SQLiteDatabase(file) as database:
        assert database.add_records(("q",), pa.table({"key": ["a"]})) == 1


# A store that is not there yet


def test_what_is_not_there_is_read_as_empty_and_made_by_the_first_write(tmp_path: Path) -> None:
    file = tmp_path / "lab" / "run.db"
    rows = pa.table({"key": ["k"], "n": [1]})
    with SQLiteDatabase(file) as database, SQLiteDatabase(file) as other:
        view = database.at("lab")
        assert view.list_paths() == []
        assert view.get_records(("p",)).num_rows == 0
        assert view.get_records_by_ids(("p",), ["k"]).num_rows == 0
        assert view.query("SELECT 1 AS n", []).to_pylist() == [{"n": 1}]
        assert list(database.find_damage()) == []
        assert view.max_record_bytes > 0
        database.flush()
        assert not file.parent.exists()
        assert other.at("lab").add_records(("p",), rows) == 1
        assert view.get_records(("p",)).equals(rows)
        assert view.add_records(("p",), rows) == 0
        assert database.at("lab").query('SELECT n FROM "lab/p"', []).to_pylist() == [{"n": 1}]


def test_a_folder_that_cannot_be_made_is_told_and_the_same_store_takes_the_rows_later(tmp_path: Path) -> None:
    database = SQLiteDatabase(tmp_path / "lab" / "run.db")
    (tmp_path / "lab").write_text("in the way")
    for _ in range(2):
        with pytest.raises(DatabaseError, match=r"cannot open .*run\.db: .*lab"):
            database.add_records(("p",), pa.table({"key": ["k"]}))
        assert database.list_paths() == []
    (tmp_path / "lab").unlink()
    assert database.add_records(("p",), pa.table({"key": ["k"]})) == 1
    database.close()
    with SQLiteDatabase(tmp_path / "lab" / "run.db") as again:
        assert again.list_paths() == [("p",)]


def test_a_pipeline_that_is_only_asked_leaves_no_file(tmp_path: Path) -> None:
    @op.function_pod("y")
    def double(x: int) -> int:
        return 2 * x

    pipeline = op.Pipeline("p", tmp_path / "wrong" / "lab.db")
    with pipeline:
        double.pod(DictSource([{"i": 0, "x": 1}], ["i"]), label="f")
    assert "f: 1 (i=0): new" in str(pipeline.explain())
    assert list(pipeline.f.iter_packets()) == []
    assert not list(tmp_path.iterdir())
    assert pipeline.run().ok
    assert (tmp_path / "wrong" / "lab.db").is_file()


# Asks a store that is not there, and makes its first write just when the store is opened once more to answer.
_WRITTEN_MEANWHILE = """
import sys
import pyarrow as pa
from orcapod.databases import SQLiteDatabase

database = SQLiteDatabase(sys.argv[1])
steps = [lambda: database.add_records(("p",), pa.table({"key": ["k"]}))]
sys.addaudithook(lambda event, _: steps.pop()() if event == "sqlite3.connect" and steps else None)
print(eval(sys.argv[2]), database.get_records(("p",)).num_rows)
"""


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("list(database.find_damage())", "[]"),
        ("database.query('SELECT count(*) AS n FROM _orcapod_paths', []).to_pylist()", "[{'n': 0}]"),
    ],
)
def test_the_first_write_of_one_thread_takes_nothing_from_another_that_reads(
    asked: str, answer: str, tmp_path: Path
) -> None:
    program = [sys.executable, "-c", _WRITTEN_MEANWHILE, str(tmp_path / "run.db"), asked]
    assert subprocess.run(program, check=True, capture_output=True, text=True).stdout == f"{answer} 1\n"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for folder in (tmp_path, Path("/")):
        with pytest.raises(DatabaseError, match=f"cannot open {folder}: it is a folder; expected .*lab.db"):
            SQLiteDatabase(folder)


def test_an_empty_file_is_read_as_what_is_not_there(file: Path) -> None:
    """Another program may be about to make a store of it; who only looks changes nothing."""
    file.touch()
    with SQLiteDatabase(file) as database:
        assert database.list_paths() == []
        assert database.query("SELECT 1 AS n", []).to_pylist() == [{"n": 1}]
        assert file.stat().st_size == 0
        file.unlink()
        database.flush()
        assert database.add_records(("p",), pa.table({"key": ["k"]})) == 1


# Makes its first write while no file may grow, and then again.
_NO_ROOM = """
import resource, sys, time
import pyarrow as pa
from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError

database = SQLiteDatabase(sys.argv[1])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
started = time.monotonic()
try:
    database.add_records(("p",), pa.table({"key": ["k"]}))
except DatabaseError as error:
    print(error.is_transient, time.monotonic() - started < 20, database.list_paths())
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
print(database.add_records(("p",), pa.table({"key": ["k"]})), database.list_paths())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits as Unix has them")
def test_a_first_write_without_room_is_told_at_once_and_can_be_tried_again(file: Path) -> None:
    program = [sys.executable, "-c", _NO_ROOM, str(file)]
    done = subprocess.run(program, check=True, capture_output=True, text=True)
    assert done.stdout == "True True []\n1 [('p',)]\n"
