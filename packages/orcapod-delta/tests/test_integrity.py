"""What becomes of a Delta store whose files are damaged or gone: it is told of, and nothing wrong is served."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

import orcapod as op
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod.testing import IntegritySuite
from orcapod_delta import DeltaDatabase


class TestDelta(IntegritySuite):
    def open(self, folder: Path) -> Database:
        return DeltaDatabase(folder)


def remove_log(table: Path) -> None:
    for file in (table / "_delta_log").iterdir():
        file.unlink()
    (table / "_delta_log").rmdir()
    for file in table.glob("*.parquet"):
        os.utime(file, (1, 1))  # so that no first commit of them is being made


def remove_beginning(table: Path) -> None:
    (table / "_delta_log" / f"{0:020}.json").unlink()


def remove_middle(table: Path) -> None:
    (table / "_delta_log" / f"{1:020}.json").unlink()


def remove_rows(table: Path) -> None:
    next(table.glob("*.parquet")).unlink()


def empty_rows(table: Path) -> None:
    next(table.glob("*.parquet")).write_bytes(b"")


def misname_rows(table: Path) -> None:
    log = table / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace("zstd.parquet", "{std.parquet"))


def miscount_rows(table: Path) -> None:
    for number in range(3):
        log = table / "_delta_log" / f"{number:020}.json"
        if log.exists():
            log.write_text(re.sub(r"(numRecords\W+)\d+", r"\g<1>0", log.read_text()))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_log, "its log is gone"),
        (remove_beginning, "its log begins with version 1, without a checkpoint"),
        (remove_middle, "its log has gaps"),
        (remove_rows, "that its log names is not there"),
        (empty_rows, "has 0 bytes, and"),
        (misname_rows, "std.parquet that its log names is not there"),
        (miscount_rows, "rows, and 0 by its log"),
    ],
)
def test_a_table_of_which_something_is_gone_is_named(damage: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        for key in ("a", "b", "c"):
            database.add_records(("lab", "rows"), pa.table({"key": [key]}))
            database.flush()
    (log,) = tmp_path.glob("lab/rows*/_delta_log")
    damage(log.parent)
    for file in log.parent.glob("*.parquet"):
        os.utime(file, (1, 1))
    found = [finding for finding in op.verify_store(f"delta:///{tmp_path}").damages if finding.kind == "storage"]
    assert {finding.path for finding in found} == {("lab", "rows")}
    assert said in found[0].why
    op.verify_store(f"delta:///{tmp_path}", repair=True)
    with DeltaDatabase(tmp_path) as database:
        assert op.verify_store(database).ok
        assert database.get_records(("lab", "rows")).num_rows in (0, 2)
        assert database.add_records(("lab", "rows"), pa.table({"key": ["a", "b", "c"]})) in (1, 3)


def test_files_that_no_table_needs_are_told_of_and_removed_by_a_vacuum(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("lab", "rows"), pa.table({"key": ["a"]}))
        database.flush()
        (file,) = tmp_path.glob("lab/rows*/*.parquet")
        orphans = [file.with_name(f"part-0000{number}.parquet") for number in (1, 2, 3)]
        orphans.append(file.with_name("part-00004.parquet#1"))  # a writer that was killed had yet to give it its name
        for orphan in orphans:
            orphan.write_bytes(file.read_bytes())
        for old in orphans[1:]:
            os.utime(old, (1, 1))
        report = op.verify_store(database)
        assert [(finding.kind, finding.path) for finding in report.findings] == [("orphan file", ("lab", "rows"))] * 3
        assert report.ok
        assert "3 files that no table needs" in repr(report)
        assert database.vacuum() == 3
        assert op.verify_store(database).findings == ()
    assert {*tmp_path.glob("lab/rows*/*.parquet*")} == {file, orphans[0]}, "a writer in progress may own what is new"


def test_a_file_of_another_size_than_its_log_says_is_named(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("lab", "rows"), pa.table({"key": ["a"], "x": [1]}))
        database.flush()
        (file,) = tmp_path.glob("lab/rows*/*.parquet")
        pq.write_table(pq.read_table(file), file, compression="none")
        (found,) = op.verify_store(database).damages
        assert f"the file {file.name} has" in found.why


@op.function_pod("y")
def double(x: int) -> int:
    return 2 * x


def built(database: Database) -> op.Pipeline:
    pipeline = op.Pipeline("lab", database)
    with pipeline:
        double.pod(DictSource([{"i": i, "x": i} for i in range(20)], ["i"], source_id="s"), label="double")
    return pipeline


@pytest.mark.parametrize("table", ["_result/*/*/*/python", "lab/*/*/*/*/schema"])
@pytest.mark.parametrize("damage", [remove_log, remove_rows, empty_rows, misname_rows, miscount_rows])
def test_what_is_lost_with_a_file_is_computed_again(table: str, damage: Callable[[Path], None], tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        built(database).run().raise_for_errors()
    (folder,) = tmp_path.glob(f"{table}*.delta")
    damage(folder)
    with DeltaDatabase(tmp_path) as database:
        assert not op.verify_store(database, repair=True).ok
        assert op.verify_store(database).ok
        is_result = table.startswith("_result")
        assert built(database).run().counts("double")["computed"] == (20 if is_result else 0)
        assert built(database).double.as_table().num_rows == 20
        assert op.verify_store(database).ok


def test_keys_that_are_there_twice_are_moved_aside(tmp_path: Path) -> None:
    """Another tool may add them; orcapod alone never does."""
    with DeltaDatabase(tmp_path) as database:
        built(database).run().raise_for_errors()
    (folder,) = tmp_path.glob("_result/*/*/*/python*.delta")
    results = DeltaTable(folder)
    write_deltalake(results, results.to_pyarrow_table().slice(5, 3), mode="append")
    with DeltaDatabase(tmp_path) as database:
        report = op.verify_store(database, repair=True)
        assert sorted(finding.kind for finding in report.damages) == ["doubled"] * 3 + ["lost result"] * 3
        assert op.verify_store(database).ok
        assert built(database).run().counts("double") == {"computed": 3, "cached": 17, "failed": 0}
        assert op.verify_store(database).ok


def test_a_table_whose_first_commit_is_being_made_is_no_damage(tmp_path: Path) -> None:
    """Nor one whose writer was killed before it."""
    with DeltaDatabase(tmp_path / "store") as database, DeltaDatabase(tmp_path / "store") as other:
        database.add_records(("lab", "rows"), pa.table({"key": ["a"]}))
        assert op.verify_store(other).ok
        database.flush()
        (log,) = (tmp_path / "store").glob("lab/rows*/_delta_log")
        log.rename(tmp_path / "log")  # what is there between writing the rows and naming them
        assert op.verify_store(f"delta:///{tmp_path / 'store'}").ok
        (tmp_path / "log").rename(log)
