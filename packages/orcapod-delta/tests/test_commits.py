"""Commits, crashes, and several writers at once."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from orcapod.errors import DatabaseError
from orcapod_delta import DeltaDatabase

_WRITER = """
import sys, pyarrow as pa
from orcapod_delta import DeltaDatabase
database = DeltaDatabase(sys.argv[1])
print("ready", flush=True)
for batch in range(10_000):
    database.add_records(("p",), pa.table({"key": [f"{batch} {row}" for row in range(2_000)]}))
    database.flush()
    print(batch, flush=True)
"""


def _rows(*keys: str) -> pa.Table:
    return pa.table({"key": list(keys), "x": list(range(len(keys)))})


def _files(folder: Path) -> int:
    return sum(file.is_file() for file in folder.rglob("*"))


def test_one_commit_per_flush(tmp_path: Path) -> None:
    """Rows wait in memory, where every view reads them, and leave no file before the flush."""
    with DeltaDatabase(tmp_path) as database:
        for number in range(50):
            assert database.at("a").add_records(("p",), _rows(str(number))) == 1
        assert database.get_records(("a", "p")).num_rows == 50
        assert _files(tmp_path / "a") == 0
        database.flush()
        database.flush()
        assert DeltaTable(tmp_path / "a" / "p.delta").version() == 0


def test_many_bytes_do_not_wait(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path, buffer_bytes=1000) as database:
        database.add_records(("p",), _rows("a"))
        database.add_records(("p",), _rows(*map(str, range(1000))))
        assert DeltaTable(tmp_path / "p.delta").version() == 0


@pytest.mark.parametrize("claims", [True, False])
def test_two_stores_never_add_a_key_twice(claims: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nobody can wait for the other: the second to commit sees the first one's rows, and drops its own."""
    if not claims:
        monkeypatch.setattr("orcapod_delta.advisory_lock.fcntl", None)
    else:
        monkeypatch.setattr("orcapod_delta.advisory_lock._TIMEOUT", 0.0)
    one, two = DeltaDatabase(tmp_path), DeltaDatabase(tmp_path)
    assert one.add_records(("p",), _rows("a", "b")) == 2
    assert two.add_records(("p",), _rows("b", "c")) == 2
    two.flush()
    assert one.get_records(("p",))["key"].to_pylist() == ["b", "c", "a"]
    one.flush()
    for database in (one, two):
        assert database.get_records(("p",))["key"].to_pylist() == ["b", "c", "a"]
        assert database.get_records_by_ids(("p",), ["b"])["x"].to_pylist() == [0]
        database.close()


def test_columns_of_two_stores_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orcapod_delta.advisory_lock.fcntl", None)
    one, two = DeltaDatabase(tmp_path), DeltaDatabase(tmp_path)
    one.add_records(("p",), pa.table({"key": ["a"], "x": [1]}))
    two.add_records(("p",), pa.table({"key": ["b"], "y": ["u"]}))
    one.flush()
    two.flush()
    expected = [{"key": "a", "x": 1, "y": None}, {"key": "b", "x": None, "y": "u"}]
    assert one.get_records(("p",)).to_pylist() == two.get_records(("p",)).to_pylist() == expected


def test_a_kill_at_any_moment_loses_nothing(tmp_path: Path) -> None:
    """Every batch that was flushed is there whole, none is there by half, and the next writer goes on."""
    for delay in (0.0, 0.013, 0.031, 0.057, 0.1):
        folder = tmp_path / str(delay)
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert [writer.stdout.readline() for _ in range(3)] == ["ready\n", "0\n", "1\n"]
            time.sleep(delay)
            os.kill(writer.pid, signal.SIGKILL)
            flushed = 2 + len(writer.stdout.readlines())
        with DeltaDatabase(folder) as database:
            rows = database.get_records(("p",)).num_rows
            assert rows % 2000 == 0
            assert flushed <= rows // 2000 <= flushed + 1
            again = [f"{flushed - 1} {row}" for row in range(2000)]
            assert database.add_records(("p",), pa.table({"key": [*again, "new"]})) == 1
        with DeltaDatabase(folder) as database:
            assert database.get_records(("p",)).num_rows == rows + 1


def test_what_a_killed_writer_left_is_removed_once_old(tmp_path: Path) -> None:
    """By the next commit; what is younger may be somebody's who is still writing."""
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), _rows("a"))
    table = tmp_path / "p.delta"
    left = [
        table / "part-00000-dead-c000.zstd.parquet",
        table / "part-00000-dead-c000.zstd.parquet#1",
        table / "_delta_log" / "_commit_dead.json.tmp",
    ]
    for age, expected in ((23, [True] * 3), (25, [False] * 3)):
        for file in left:
            file.write_bytes(b"x")
            then = time.time() - age * 3600
            os.utime(file, (then, then))
        with DeltaDatabase(tmp_path) as database:
            database.add_records(("p",), _rows(f"b{age}"))
        assert [file.exists() for file in left] == expected
    with DeltaDatabase(tmp_path) as database:
        assert database.get_records(("p",)).num_rows == 3


def test_normal_use_keeps_tables_compact(tmp_path: Path) -> None:
    """After two hundred and fifty commits few files count, the log has checkpoints, and the order is the same."""
    keys = [f"{(7 * number) % 250:03}" for number in range(250)]
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for key in keys:
            database.add_records(("p",), _rows(key))
        assert database.get_records(("p",))["key"].to_pylist() == keys
    table = tmp_path / "p.delta"
    files, log = len(DeltaTable(table).file_uris()), table / "_delta_log"
    assert files < 10
    version, checkpoint = DeltaTable(table).version(), json.loads((log / "_last_checkpoint").read_text())["version"]
    assert version - checkpoint < 10
    with DeltaDatabase(tmp_path) as database:
        assert database.compact() == files - 1
        database.checkpoint()
        assert database.vacuum() == 0
        assert database.vacuum(timedelta(0)) > 100
        assert database.at("elsewhere").compact() == 0
        assert database.get_records(("p",))["key"].to_pylist() == keys
        assert database.get_records_by_ids(("p",), ["007"]).num_rows == 1
    assert len(list(table.glob("*.parquet"))) == 1


def test_a_reader_goes_on_while_another_keeps_house(tmp_path: Path) -> None:
    """A store that was opened before a compaction, a vacuum and a deletion reads what is there now."""
    with DeltaDatabase(tmp_path, buffer_bytes=0) as writer, DeltaDatabase(tmp_path) as reader:
        for key in "cab":
            writer.add_records(("p",), _rows(key))
        assert reader.get_records(("p",))["key"].to_pylist() == ["c", "a", "b"]
        writer.compact()
        writer.vacuum(timedelta(0))
        assert reader.get_records(("p",))["key"].to_pylist() == ["c", "a", "b"]
        assert writer.delete_records(("p",), ["a"]) == 1
        assert reader.get_records_by_ids(("p",), ["a", "b"])["key"].to_pylist() == ["b"]
        assert reader.add_records(("p",), _rows("a")) == 1


def test_a_table_that_deltalake_does_not_write_to_is_refused_with_the_reason(tmp_path: Path) -> None:
    """At once, and not as if others had been first; the record stays where it waits."""
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), _rows("a"))
        database.flush()
        needs = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["clustering"]}
        log = tmp_path / "p.delta" / "_delta_log" / f"{1:020}.json"
        log.write_text(json.dumps({"protocol": needs}))
        database.add_records(("p",), _rows("b"))
        with pytest.raises(DatabaseError, match=r"(?i)cluster"):
            database.flush()
        assert database.get_records(("p",))["key"].to_pylist() == ["a", "b"]
        log.with_name(f"{2:020}.json").write_text(json.dumps({"protocol": {**needs, "writerFeatures": []}}))
    with DeltaDatabase(tmp_path) as database:
        assert database.get_records(("p",))["key"].to_pylist() == ["a", "b"]


def _pass_a_day(folder: Path) -> None:
    for file in folder.rglob("*"):
        os.utime(file, (time.time(), file.stat().st_mtime - 86_400))


def test_the_log_is_as_short_as_its_last_day_however_many_there_were(tmp_path: Path) -> None:
    """A reader who has had the store open all the time goes on; what it was based on is long gone."""
    log = tmp_path / "p.delta" / "_delta_log"
    with DeltaDatabase(tmp_path) as first:
        first.add_records(("p",), _rows("0"))
    with DeltaDatabase(tmp_path) as reader:
        assert reader.get_records(("p",)).num_rows == 1
        for day in range(1, 30):
            _pass_a_day(tmp_path)
            with DeltaDatabase(tmp_path) as database:
                database.add_records(("p",), _rows(str(day)))
            if day > 9:
                assert len(list(log.glob("*.checkpoint.parquet"))) <= 2
                assert len(list(log.glob("*.json"))) <= 6
        assert reader.get_records(("p",))["key"].to_pylist() == [str(day) for day in range(30)]


def _said(checkpoint: Path) -> list[Any]:
    """Return what a checkpoint says, without what is null."""

    def told(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: told(each) for name, each in value.items() if each is not None}
        return value

    return [told(row) for row in pq.read_table(checkpoint).to_pylist()]


def test_a_checkpoint_is_as_small_as_what_it_says_and_says_all(tmp_path: Path) -> None:
    """A table of a few rows is smaller than the empty columns of deltalake's own; that one says the same."""
    table, copy = tmp_path / "store" / "p.delta", tmp_path / "copy"
    with DeltaDatabase(tmp_path / "store", buffer_bytes=0) as database:
        for key in "abc":
            database.add_records(("p",), _rows(key))
        assert database.compact() == 2
        shutil.copytree(table, copy)
        database.checkpoint()
    last = json.loads((table / "_delta_log" / "_last_checkpoint").read_text())
    small = table / "_delta_log" / f"{last['version']:020}.checkpoint.parquet"
    assert last["sizeInBytes"] == small.stat().st_size < 7_000
    assert not list(table.glob("_delta_log/*.tmp"))
    DeltaTable(copy).create_checkpoint()
    own = copy / "_delta_log" / small.name
    assert own.stat().st_size > 15_000, "where it is as small, ours is of no use any more"
    assert sorted(map(repr, _said(small))) == sorted(map(repr, _said(own)))
    for commit in (table / "_delta_log").glob("*.json"):
        if int(commit.stem) < last["version"]:
            commit.unlink()
    assert DeltaTable(table).version() == last["version"]
    assert sorted(DeltaTable(table).to_pyarrow_table()["key"].to_pylist()) == ["a", "b", "c"]
    with DeltaDatabase(tmp_path / "store") as database:
        assert database.add_records(("p",), _rows("a", "new")) == 1


def test_a_checkpoint_that_is_there_stays_as_whoever_reads_it_found_it(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), _rows("a"))
        database.flush()
        table = tmp_path / "p.delta"
        DeltaTable(table).create_checkpoint()
        before = (table / "_delta_log" / f"{0:020}.checkpoint.parquet").stat()
        database.checkpoint()
        after = (table / "_delta_log" / f"{0:020}.checkpoint.parquet").stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)


def test_small_files_are_put_together_without_writing_a_large_one_anew(tmp_path: Path) -> None:
    """What was put together is kept for a day: a table that grows a little every night would be there twice."""
    large = pa.table({"key": [os.urandom(32).hex() for _ in range(15_000)]})
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        database.add_records(("p",), large)
        (file,) = (tmp_path / "p.delta").glob("*.parquet")
        assert 400_000 < file.stat().st_size < 900_000
        for number in range(24):
            database.add_records(("p",), pa.table({"key": [str(number)]}))
        assert file.name in {Path(uri).name for uri in DeltaTable(tmp_path / "p.delta").file_uris()}
        assert len(DeltaTable(tmp_path / "p.delta").file_uris()) < 8
        assert database.get_records(("p",)).num_rows == 15_024


def test_rows_are_written_anew_as_often_as_their_table_doubles(tmp_path: Path) -> None:
    """So few files count at any time, and little is kept that only a reader of before may need."""
    nights = 64
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for _ in range(nights):
            database.add_records(("p",), pa.table({"key": [os.urandom(32).hex() for _ in range(100)]}))
            assert len(DeltaTable(tmp_path / "p.delta").file_uris()) < 12
        assert database.get_records(("p",)).num_rows == 100 * nights
    table = tmp_path / "p.delta"
    needed = sum(Path(uri).stat().st_size for uri in DeltaTable(table).file_uris())
    written = sum(file.stat().st_size for file in table.glob("*.parquet"))
    assert written < (1 + math.log2(nights)) * needed


def test_a_vacuum_leaves_no_commit(tmp_path: Path) -> None:
    """Those that it left made tables miss their maintenance, which every fourth commit brings."""
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for key in "abc":
            database.add_records(("p",), _rows(key))
        assert database.compact() == 2
        version = DeltaTable(tmp_path / "p.delta").version()
        assert database.vacuum(timedelta(0)) == 3
        assert DeltaTable(tmp_path / "p.delta").version() == version
        assert database.get_records(("p",))["key"].to_pylist() == ["a", "b", "c"]


def test_files_do_not_repeat_what_the_log_tells_of_columns(tmp_path: Path) -> None:
    """A small file would be mostly that; where columns come later, it is told anew."""
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        database.add_records(("p",), _rows("a"))
        database.add_records(("p",), _rows("b"))
        database.add_records(("p",), pa.table({"key": ["c"], "x": [2], "n": pa.array([1], pa.uint64())}))
        database.add_records(("p",), _rows("d"))
        expected = [("a", 0, None), ("b", 0, None), ("c", 2, 1), ("d", 0, None)]
        assert [tuple(row.values()) for row in database.get_records(("p",)).to_pylist()] == expected
    types = [pq.read_schema(file).field("x").metadata for file in (tmp_path / "p.delta").glob("*.parquet")]
    assert sorted(bool(each and b"orcapod.type" in each) for each in types) == [False, False, True, True]
