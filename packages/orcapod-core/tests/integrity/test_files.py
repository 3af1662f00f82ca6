"""``verify_store`` looks into files: what a result names is there, and is what it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import orcapod as op
from orcapod.sources import DictSource


@op.function_pod(output_keys=["figure", "tiles"])
def draw(x: int) -> tuple[op.File, dict[str, list[op.Directory]]]:
    figure, tiles = op.output_path("figure.txt"), op.output_path("tiles")
    figure.write_text(f"x = {x}")
    (tiles / "deep").mkdir(parents=True)
    (tiles / "deep" / "tile.txt").write_text(f"tile of {x}")
    return op.File(figure), {"all": [op.Directory(tiles)]}


def run(store: Path, **options: Path) -> op.Pipeline:
    pipeline = op.Pipeline("lab", store, **options)  # type: ignore[arg-type]  # only files=
    with pipeline:
        draw.pod(DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s"), label="drawn")
    return pipeline


def made(pipeline: op.Pipeline) -> list[Path]:
    rows = [packet for _, packet in pipeline["drawn"].iter_packets()]
    return [path for row in rows for path in (row["figure"].path, row["tiles"]["all"][0].path / "deep" / "tile.txt")]


def lose(file: Path) -> None:
    file.unlink()


def rot(file: Path) -> None:
    """Change a byte, and leave all that ``stat`` tells as it was."""
    before = file.stat()
    file.chmod(0o644)
    file.write_bytes(b"y" + file.read_bytes()[1:])
    file.chmod(before.st_mode)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("harm", [lose, rot])
@pytest.mark.parametrize("which", [0, 1], ids=["file", "folder"])
def test_a_file_that_is_lost_or_has_changed_is_named_and_its_result_made_again(
    tmp_path: Path, harm: object, which: int
) -> None:
    pipeline = run(tmp_path / "lab.db")
    pipeline.run().raise_for_errors()
    assert op.verify_store(pipeline.database).ok
    file = made(pipeline)[2 + which]
    content = file.read_text()
    harm(file)  # type: ignore[operator]
    (finding,) = op.verify_store(tmp_path / "lab.db").damages
    assert (finding.kind, finding.column) == ("damaged file", ["figure", "tiles"][which])
    assert str(file.relative_to(tmp_path)).split("/tiles/")[0] in finding.why
    report = op.verify_store(pipeline.database, repair=True)
    assert report.moved == 2, "the result, and the row that stands for it"
    again = run(tmp_path / "lab.db")
    assert again.run().counts("drawn")["computed"] == 1
    assert made(again)[2 + which].read_text() == content
    assert op.verify_store(tmp_path / "lab.db").ok


def test_a_lost_file_from_elsewhere_is_lost_whatever_is_in_the_folder_under_such_a_name(tmp_path: Path) -> None:
    """The folder may hold the files of a study, too."""
    for folder in ("here", "there"):
        (tmp_path / folder / "01" / "ses-1").mkdir(parents=True)
        (tmp_path / folder / "01" / "ses-1" / "t1.nii").write_text("x")

    @op.function_pod(output_keys="scan")
    def find(where: str) -> op.File:
        return op.File(f"{where}/t1.nii")

    def build() -> op.Pipeline:
        pipeline = op.Pipeline("lab", tmp_path / "lab.db", files=tmp_path / "there")
        with pipeline:
            find.pod(DictSource([{"where": str(tmp_path / "here" / "01" / "ses-1")}], []), label="found")
        return pipeline

    build().run().raise_for_errors()
    lost = tmp_path / "here" / "01" / "ses-1" / "t1.nii"
    lost.unlink()
    (finding,) = op.verify_store(tmp_path / "lab.db", files=tmp_path / "there").damages
    assert f"{lost} cannot be read" in finding.why
    pipeline = build()
    with pytest.warns(UserWarning, match="left out 1 rows that were computed"):
        assert list(pipeline["found"].iter_packets()) == []


def test_files_that_no_record_names_are_listed(tmp_path: Path) -> None:
    pipeline = run(tmp_path / "lab.db", files=tmp_path / "made")
    pipeline.run().raise_for_errors()
    orphan, half = tmp_path / "made" / "ab" / ("ab" * 32) / "o.txt", tmp_path / "made" / ".orcapod-fresh" / "x"
    for path in (orphan, half / "half.txt"):
        path.parent.mkdir(parents=True)
        path.write_text("left")
    report = op.verify_store(tmp_path / "lab.db", files=tmp_path / "made")
    assert report.ok
    assert {finding.why for finding in report.findings} == {str(orphan), str(half)}
    assert "2 files that functions made and no record names, which op.remove_orphans() removes" in repr(report)
    op.remove_orphans(tmp_path / "lab.db", files=tmp_path / "made", hours=1e-9)
    assert op.verify_store(tmp_path / "lab.db", files=tmp_path / "made").findings == ()


def test_a_store_that_was_moved_with_its_files_is_whole(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    pipeline = run(tmp_path / "here" / "lab.db")
    pipeline.run().raise_for_errors()
    pipeline.database.close()
    (tmp_path / "here").rename(tmp_path / "there")
    assert op.verify_store(tmp_path / "there" / "lab.db").findings == ()
