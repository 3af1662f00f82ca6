"""Paths, files and folders as values."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import strategies as st

import orcapod as op
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.files import content_of
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing import TypeSuite
from orcapod.types import column_of, paths_in, registry


@pytest.fixture(autouse=True, scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder with files and folders, and others of the same content."""
    root = _FileSuite.root = tmp_path_factory.mktemp("values")
    for which in "ab":
        (root / f"file-{which}").write_text(which)
        (root / f"folder-{which}").mkdir()
        (root / f"folder-{which}" / which).write_text("x")


class _FileSuite(TypeSuite):
    kinds: ClassVar[tuple[str, ...]]

    root: ClassVar[Path]

    def make_values(self) -> st.SearchStrategy[Any]:
        names = [f"{kind}-{which}" for kind in self.kinds for which in "ab"]
        return st.sampled_from(names).map(lambda name: self.annotation(self.root / name))

    def make_equal(self, value: Any) -> Iterable[Any]:
        place = self.root / f"copy-of-{Path(value).name}"
        if not place.exists():
            (shutil.copytree if Path(value).is_dir() else shutil.copy)(value, place)
        return [self.annotation(place)]

    def is_same(self, one: Any, other: Any) -> bool:
        same: bool = isinstance(one, type(other)) and content_of(Path(one)) == content_of(Path(other))
        return same


class TestPath(_FileSuite):
    annotation = Path
    kinds = ("file", "folder")


class TestFile(_FileSuite):
    annotation = op.File
    kinds = ("file",)


class TestDirectory(_FileSuite):
    annotation = op.Directory
    kinds = ("folder",)


def test_a_missing_file_is_refused_as_it_enters_by_row_and_column(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    rows = [{"i": 0, "scan": tmp_path / "a"}, {"i": 1, "scan": tmp_path / "b"}]
    with pytest.raises(InputValidationError, match=r"column 'scan': row 1: expected Path, .*nothing is there") as found:
        DictSource(rows, ["i"])
    assert (found.value.row, found.value.column) == (1, "scan")


def test_paths_that_are_texts_become_files_where_that_is_declared(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    table = pa.table({"i": [0, 1], "scan": [str(tmp_path / "a"), None]})
    source = ArrowTableSource(table, ["i"], data_schema={"scan": Path | None})
    assert [packet["scan"] for _, packet in source.iter_packets()] == [tmp_path / "a", None]
    missing = pa.table({"i": [0], "scan": [str(tmp_path / "b")]})
    with pytest.raises(InputValidationError, match=r"column 'scan': row 0: .*nothing is there") as found:
        ArrowTableSource(missing, ["i"], data_schema={"scan": op.File})
    assert (found.value.row, found.value.column) == (0, "scan")


def test_a_relative_path_is_stored_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert registry.resolve(Path).to_storage(Path("a"))["path"] == str(tmp_path / "a")


def test_a_folder_is_no_file_and_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(ValueTypeError, match="it is a folder; declare it as Directory"):
        registry.resolve(op.File).to_storage(op.File(tmp_path))
    with pytest.raises(ValueTypeError, match="it is a file; declare it as File"):
        registry.resolve(op.Directory).to_storage(op.Directory(tmp_path / "a"))


@pytest.mark.parametrize("change", ["write", "remove"])
def test_a_file_that_has_changed_or_is_lost_is_noticed_on_reading(tmp_path: Path, change: str) -> None:
    (tmp_path / "a").write_text("x")
    source = DictSource([{"i": 0, "scan": tmp_path / "a"}], ["i"])
    (_, packet), *_ = source.iter_packets()
    if change == "write":
        (tmp_path / "a").write_text("more")
    else:
        (tmp_path / "a").unlink()
    with pytest.raises(ValueTypeError, match="it has changed" if change == "write" else "cannot be read any more"):
        packet["scan"]
    assert repr(packet).startswith("Packet(scan=<expected Path, found "), "it is shown all the same"


def test_a_packet_that_failed_as_its_file_has_changed_is_shown(tmp_path: Path) -> None:
    @op.function_pod(output_keys="length")
    def length(scan: Path) -> int:
        return len(scan.read_text())

    (tmp_path / "a").write_text("x")
    pipeline = op.Pipeline("study")
    with pipeline:
        length.pod(DictSource([{"i": 0, "scan": tmp_path / "a"}], ["i"]), label="lengths")
    (tmp_path / "a").write_text("more")
    assert "it has changed" in repr(pipeline.run().errors)


def test_files_in_records_are_identified_by_content_too(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Scan:
        image: op.File
        gain: float

    for name in "ab":
        (tmp_path / name).write_text("x")
    one, other = (
        DictSource([{"scan": Scan(op.File(tmp_path / name), 1.0)}], [], source_id="s").content_hash() for name in "ab"
    )
    assert one == other


def test_a_frame_shows_paths(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    frame = DictSource([{"i": 0, "scan": tmp_path / "a"}], ["i"]).to_pandas()
    assert frame["scan"].iloc[0] == tmp_path / "a"


def test_files_are_tags_by_what_is_in_them(tmp_path: Path) -> None:
    """Joins, groups and caches know a file by its content, whatever it is called and wherever it lies."""
    for name, text in [("a", "x"), ("b", "y"), ("c", "x")]:
        (tmp_path / name).write_text(text)

    def files(*names: str, **columns: list[int]) -> DictSource:
        rows = [
            {"f": op.File(tmp_path / name), **{c: v[i] for c, v in columns.items()}} for i, name in enumerate(names)
        ]
        return DictSource(rows, ["f"], source_id="s")

    one, other = files("a", "b", x=[1, 2]), files("c", y=[3])
    assert [dict(packet) for _, packet in one.join(other)] == [{"x": 1, "y": 3}]
    grouped = files("a", "b", "c", x=[1, 2, 3]).group_by("f")
    assert [packet["x"] for _, packet in grouped.iter_packets()] == [[1, 3], [2]]

    @op.function_pod("y")
    def doubled(x: int) -> int:
        return 2 * x

    for computed in (2, 0):
        pipeline = op.Pipeline("p", tmp_path / "lab.db")
        with pipeline:
            doubled.pod(one, label="doubled")
        assert pipeline.run().counts("doubled")["computed"] == computed
        assert [tag["f"].name for tag, _ in pipeline["doubled"].iter_packets()] == ["a", "b"]


@pytest.mark.parametrize("annotation", [set[op.File], frozenset[Path], dict[op.Directory, int]])
def test_a_file_is_no_member_of_a_set_and_no_key(annotation: Any) -> None:
    """Two files of one content are one value, and two members to Python."""
    with pytest.raises(SchemaError, match="two files of the same content are not.*a list"):
        registry.resolve(annotation)


def test_the_paths_of_a_slice_are_those_of_its_rows(tmp_path: Path) -> None:
    """However deep they lie; or one lost file would count for its neighbours, too."""
    for name in "abc":
        (tmp_path / name).touch()
    dtype = registry.resolve(dict[str, list[Path | None]] | None)
    values = [{"x": [tmp_path / "a", None]}, None, {"y": [tmp_path / "b"], "z": []}, {"y": [tmp_path / "c"]}]
    column = column_of(values, dtype)
    found = [[path.name for path in paths_in(column[row : row + 1])] for row in range(len(values))]
    assert found == [["a"], [], ["b"], ["c"]]
    assert [path.name for path in paths_in(column[1:3])] == ["b"]
