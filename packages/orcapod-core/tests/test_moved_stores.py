"""Stores that were copied, moved or renamed, with their files and without them, within one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.sources import DictSource, StoredSource
from orcapod.types import LARGE_BYTES

_LENGTH = LARGE_BYTES // 8
_SUMS = [0.0, float(_LENGTH)]
_TEXTS = ["x = 0", "x = 1"]


@op.function_pod(output_keys=["array", "data", "figure"])
def make(x: int) -> tuple[NDArray[np.float64], bytes, op.File]:
    figure = op.output_path("figure.txt")
    figure.write_text(f"x = {x}")
    return np.full(_LENGTH, float(x)), bytes([x]) * LARGE_BYTES, op.File(figure)


def study(store: Path) -> op.Pipeline:
    pipeline = op.Pipeline("study", store)
    with pipeline:
        make.pod(DictSource([{"i": i, "x": i} for i in range(2)], ["i"], source_id="s"), label="made")
    return pipeline


def computed(store: Path) -> int:
    """Run the study in a store, and read what it gave; return how many packets it has computed."""
    pipeline = study(store)
    result = pipeline.run()
    result.raise_for_errors()
    packets = [packet for _, packet in pipeline["made"].iter_packets()]
    assert [float(packet["array"].sum()) for packet in packets] == _SUMS
    assert [packet["data"][0] for packet in packets] == [0, 1]
    assert [packet["figure"].path.read_text() for packet in packets] == _TEXTS
    pipeline.database.close()
    return result.counts("made")["computed"]


def first(folder: Path) -> Path:
    """Make a store in a new folder."""
    folder.mkdir()
    assert computed(folder / "lab.db") == 2
    return folder / "lab.db"


def spoil(files: Path) -> None:
    """Write to every file of a store."""
    found = [path for path in files.rglob("*") if path.is_file()]
    assert found
    for path in found:
        path.chmod(0o644)
        path.write_bytes(b"spoilt")


def test_a_store_without_its_files_has_none_though_another_store_has_the_same(tmp_path: Path) -> None:
    store = first(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "other")
    (tmp_path / "b").mkdir()
    alone = Path(shutil.copy(store, tmp_path / "b" / "lab.db"))
    shutil.rmtree(tmp_path / "a")
    assert computed(tmp_path / "other" / "lab.db") == 0
    damages = op.verify_store(alone).damages
    assert {(finding.kind, finding.column) for finding in damages} == {
        ("damaged file", name) for name in ("array", "__large", "figure")
    }
    assert computed(alone) == 2
    assert op.verify_store(alone).ok


def test_a_store_has_its_own_files_though_those_of_its_copy_are_damaged(tmp_path: Path) -> None:
    store = first(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    spoil(tmp_path / "a" / "lab.db.files")
    study(store)
    assert computed(tmp_path / "b" / "lab.db") == 0
    assert op.verify_store(tmp_path / "b" / "lab.db").ok
    assert not op.verify_store(store).ok


def test_a_store_that_was_moved_and_renamed_finds_the_files_that_have_kept_their_name(tmp_path: Path) -> None:
    store = first(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    study(store)
    spoil(tmp_path / "a" / "lab.db.files")
    for there in ("a", "b"):
        shutil.move(tmp_path / there, tmp_path / f"moved {there}")
    renamed = (tmp_path / "moved b" / "lab.db").rename(tmp_path / "moved b" / "other.db")
    assert computed(renamed) == 0
    assert op.verify_store(renamed).ok


def test_the_ledger_of_a_store_that_was_moved_reads_its_files(tmp_path: Path) -> None:
    first(tmp_path / "a")
    moved = tmp_path / "b" / "lab.db"
    (tmp_path / "a").rename(tmp_path / "b")
    with op.open_store(moved) as store:
        rows = store.rows("study", "made").to_pylist()
    assert [row["data"][0] for row in rows] == [0, 1]
    assert [Path(row["figure"]["path"]).read_text() for row in rows] == _TEXTS


def test_a_source_that_was_stored_has_the_files_of_its_store(tmp_path: Path) -> None:
    store = first(tmp_path / "a")
    figures = [packet["figure"] for _, packet in study(store)["made"].iter_packets()]
    with SQLiteDatabase(store) as database:
        rows = [{"i": i, "figure": figure} for i, figure in enumerate(figures)]
        list(DictSource(rows, ["i"], source_id="figures").cached(database).iter_packets())
    (tmp_path / "a").rename(tmp_path / "b")
    with SQLiteDatabase(tmp_path / "b" / "lab.db") as database:
        source = StoredSource.open(database, "figures", data_schema={"figure": op.File})
        assert [packet["figure"].path.read_text() for _, packet in source.iter_packets()] == _TEXTS
