"""Files that no record needs are removed, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import ConfigError
from orcapod.sources import DictSource

_NOW = 1e-9  # hours


@op.function_pod(output_keys="made")
def make(x: int) -> list[op.File | None]:
    path = op.output_path("made.txt")
    path.write_text(str(x))
    return [None, op.File(path)]


def run(store: Path, files: Path, *values: int) -> op.Pipeline:
    pipeline = op.Pipeline("study", store, files=files)
    with pipeline:
        make.pod(DictSource([{"x": x} for x in values], [], source_id="s"), label="made")
    pipeline.run().raise_for_errors()
    return pipeline


def made(pipeline: op.Pipeline) -> list[str]:
    return [packet["made"][1].path.read_text() for _, packet in pipeline["made"].iter_packets()]


def test_what_no_record_needs_is_removed_and_all_else_stays(tmp_path: Path) -> None:
    folder = tmp_path / "lab.db.files"
    pipeline = run(tmp_path / "lab.db", folder, 1, 2)
    orphan, half = folder / "ab" / ("ab" * 32) / "made.txt", folder / ".orcapod-fresh" / "x" / "half.txt"
    for path in (orphan, half):
        path.parent.mkdir(parents=True)
        path.write_text("left")
    assert op.remove_orphans(tmp_path / "lab.db") == [], "they may be those of a run that is under way"
    assert set(op.remove_orphans(tmp_path / "lab.db", hours=_NOW)) == {orphan, half.parent}
    assert not orphan.parents[1].exists()
    assert made(pipeline) == ["1", "2"]
    assert op.remove_orphans(tmp_path / "lab.db", hours=_NOW) == []


def test_nothing_else_in_the_folder_is_listed_or_removed(tmp_path: Path) -> None:
    """It may be the folder of a study, with names like those that files have there."""
    study = tmp_path / "study"
    others = [
        study / name / "t1.nii"
        for name in ("01/ses-1", "01/ses-1/anat", f"ab/{'cd' * 32}", f"ab/{'ab' * 31}", f"ab/{'ab' * 33}", "ab/x")
    ]
    for path in others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("my only copy")
    pipeline = run(tmp_path / "lab.db", study, 1)
    assert op.verify_store(tmp_path / "lab.db", files=study).findings == ()
    assert op.remove_orphans(tmp_path / "lab.db", files=study, hours=_NOW) == []
    assert all(path.read_text() == "my only copy" for path in others)
    assert made(pipeline) == ["1"]


def test_several_stores_may_share_a_folder(tmp_path: Path) -> None:
    one = run(tmp_path / "one.db", tmp_path / "files", 1)
    other = run(tmp_path / "other.db", tmp_path / "files", 1, 2)
    stores = one.database, tmp_path / "other.db"
    assert op.remove_orphans(*stores, files=tmp_path / "files", hours=_NOW) == []
    assert (made(one), made(other)) == (["1"], ["1", "2"])
    assert len(op.remove_orphans(one.database, files=tmp_path / "files", hours=_NOW)) == 1
    assert made(one) == ["1"]


def test_stores_in_memory_have_no_files_in_common() -> None:
    one, other = MemoryDatabase(), MemoryDatabase()
    pipeline = op.Pipeline("study", one)
    with pipeline:
        make.pod(DictSource([{"x": 1}], [], source_id="s"), label="made")
    pipeline.run().raise_for_errors()
    assert op.verify_store(other).findings == ()
    assert op.remove_orphans(other, hours=_NOW) == []
    assert made(pipeline) == ["1"]


def test_no_store_is_no_reason_to_remove_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found no store"):
        op.remove_orphans(files=tmp_path)


def test_the_age_of_what_is_removed_is_more_than_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found hours 0, expected hours, more than 0"):
        op.remove_orphans(files=tmp_path, hours=0)
