"""What becomes of a Delta store whose files are damaged or gone: it is told of, and nothing wrong is served."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.protocols import Database
from orcapod.testing import IntegritySuite
from orcapod_delta import DeltaDatabase


class TestDelta(IntegritySuite):
    def open(self, folder: Path) -> Database:
        return DeltaDatabase(folder)


def remove_log(table: Path) -> None:
    for file in (table / "_delta_log").iterdir():
        file.unlink()
    (table / "_delta_log").rmdir()


def remove_beginning(table: Path) -> None:
    (table / "_delta_log" / f"{0:020}.json").unlink()


def remove_middle(table: Path) -> None:
    (table / "_delta_log" / f"{1:020}.json").unlink()


def remove_rows(table: Path) -> None:
    next(table.glob("*.parquet")).unlink()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (remove_log, "its log is gone"),
        (remove_beginning, "its log begins with version 1, without a checkpoint"),
        (remove_middle, "its log has gaps"),
        (remove_rows, "that its log names is not there"),
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
    assert [finding.path for finding in found] == [("lab", "rows")]
    assert said in found[0].why


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
