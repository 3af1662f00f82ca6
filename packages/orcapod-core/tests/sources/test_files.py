"""Files of a folder as rows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import orcapod as op
from orcapod.errors import InputValidationError
from orcapod.sources import FileSource


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder like those of BIDS."""
    for name in (
        "sub-02/ses-1/sub-02_ses-1_bold.csv",
        "sub-01/ses-2/sub-01_ses-2_bold.csv",
        "sub-01/ses-1/sub-01_ses-1_bold.csv",
        "sub-01/ses-1/sub-01_ses-1_events.tsv",
        "sub-01/ses-1/.sub-01_ses-1_bold.csv",
        "participants.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def rows(source: FileSource) -> list[tuple[dict[str, object], str]]:
    return [(tag.as_dict(), packet["file"].name) for tag, packet in source.iter_packets()]


def test_there_is_one_row_per_file_in_the_order_of_names(study: Path) -> None:
    source = FileSource(study, "sub-*/ses-*/*.csv")
    assert source.schema.packets == op.Schema({"file": op.File})
    assert [tag["path"] for tag, _ in source.iter_packets()] == [
        "sub-01/ses-1/sub-01_ses-1_bold.csv",
        "sub-01/ses-2/sub-01_ses-2_bold.csv",
        "sub-02/ses-1/sub-02_ses-1_bold.csv",
    ]


def test_named_parts_of_the_pattern_become_tags(study: Path) -> None:
    assert rows(FileSource(study, "sub-{subject}/ses-{session}/*_bold.csv")) == [
        ({"subject": "01", "session": "1"}, "sub-01_ses-1_bold.csv"),
        ({"subject": "01", "session": "2"}, "sub-01_ses-2_bold.csv"),
        ({"subject": "02", "session": "1"}, "sub-02_ses-1_bold.csv"),
    ]


def test_a_part_that_is_named_twice_is_the_same_in_both_places(study: Path) -> None:
    (study / "sub-02" / "ses-1" / "sub-09_ses-1_bold.csv").write_text("strayed")
    assert len(rows(FileSource(study, "sub-{subject}/ses-{session}/sub-{subject}_ses-{session}_bold.csv"))) == 3


@pytest.mark.parametrize(
    ("pattern", "count"),
    [("**/*.csv", 4), ("**/*_bold.csv", 3), ("*.csv", 1), ("sub-0[!1]/*/*", 1), ("sub-0[1]/ses-?/*.tsv", 1)],
)
def test_wildcards_mean_what_they_mean_elsewhere(study: Path, pattern: str, count: int) -> None:
    assert len(rows(FileSource(study, pattern))) == count


def test_braces_and_brackets_may_be_parts_of_names(tmp_path: Path) -> None:
    (tmp_path / "a{1}.txt").write_text("x")
    assert rows(FileSource(tmp_path, "{letter}{{1}}.txt")) == [({"letter": "a"}, "a{1}.txt")]


def test_a_pattern_that_ends_in_a_slash_names_folders(study: Path) -> None:
    source = FileSource(study, "sub-{subject}/")
    assert source.schema.packets == op.Schema({"file": op.Directory})
    assert rows(source) == [({"subject": "01"}, "sub-01"), ({"subject": "02"}, "sub-02")]


def test_provenance_names_the_file(study: Path) -> None:
    source = FileSource(study, "sub-{subject}/*/*_bold.csv", source_id="scans")
    (_, packet), *_ = source.iter_packets()
    assert packet.source_info()["file"] == "scans::file=sub-01/ses-1/sub-01_ses-1_bold.csv::file"


def test_only_content_and_tags_count(study: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    pattern = "sub-{subject}/*/*_bold.csv"
    first = FileSource(study, pattern).content_hash()
    moved = tmp_path_factory.mktemp("moved") / "study"
    study.rename(moved)
    file = moved / "sub-01" / "ses-1" / "sub-01_ses-1_bold.csv"
    os.utime(file)
    assert FileSource(moved, pattern).content_hash() == first
    file.write_text("edited")
    assert FileSource(moved, pattern).content_hash() != first


def test_an_edited_file_is_computed_again_and_no_other(study: Path) -> None:
    @op.function_pod(output_keys="text")
    def read(file: Path) -> str:
        return file.read_text()

    def computed() -> int:
        pipeline = op.Pipeline("p", study / "lab.db")
        with pipeline:
            read.pod(FileSource(study, "sub-{subject}/*/*_bold.csv", source_id="s"), label="read")
        return pipeline.run().counts("read")["computed"]

    assert (computed(), computed()) == (3, 0)
    (study / "sub-02" / "ses-1" / "sub-02_ses-1_bold.csv").write_text("edited")
    assert computed() == 1


def test_a_pattern_that_names_nothing_is_told(study: Path) -> None:
    with pytest.warns(UserWarning, match=r"no file is called like 'subject-\*\.csv'"):
        source = FileSource(study, "subject-*.csv")
    assert list(source.iter_packets()) == []


@pytest.mark.parametrize("loops", [1, 3])
def test_a_link_to_a_folder_above_is_not_followed_in_a_circle(tmp_path: Path, loops: int) -> None:
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "y.csv").write_text("y")
    (tmp_path / "d" / "x.csv").write_text("x")
    for number in range(loops):
        (tmp_path / "d" / "deep" / f"loop-{number}").symlink_to(tmp_path)
    (tmp_path / "d" / "linked").symlink_to(tmp_path / "elsewhere")
    found = {tag["path"] for tag, _ in FileSource(tmp_path / "d", "**/*.csv").iter_packets()}
    assert found == {"linked/y.csv", "x.csv", *(f"deep/loop-{number}/elsewhere/y.csv" for number in range(loops))}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("[^a].csv", ["b.csv"]),
        ("[!a].csv", ["b.csv"]),
        ("[a-b].csv", ["a.csv", "b.csv"]),
        ("./*.csv", ["a.csv", "b.csv"]),
        ("deep//x/./*.csv", ["deep/x/z.csv"]),
        ("we[[]ird[]]/*", ["we[ird]/q"]),
        ("[&&~~||].csv", ["&.csv"]),
        ("[a&&b].csv", ["&.csv", "a.csv", "b.csv"]),
        ("deep/[!a]/*.csv", ["deep/x/z.csv"]),
        ("deep[!a]x/*.csv", []),
    ],
)
@pytest.mark.filterwarnings("ignore:.*no file is called like")
def test_sets_of_characters_and_needless_slashes_mean_what_they_mean_in_the_shell(
    tmp_path: Path, pattern: str, names: list[str]
) -> None:
    for name in ("a.csv", "b.csv", "&.csv", "deep/x/z.csv", "we[ird]/q"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    expected = [*(["&.csv"] if pattern in ("[^a].csv", "[!a].csv", "./*.csv") else []), *names]
    assert [tag["path"] for tag, _ in FileSource(tmp_path, pattern).iter_packets()] == expected


def test_a_home_folder_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a.csv").write_text("a")
    assert FileSource("~/study", "*.csv").content_hash() == FileSource(tmp_path / "study", "*.csv").content_hash()


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "found the pattern ''"),
        ("/sub/*.csv", "below the folder"),
        ("../*.csv", "below the folder"),
        ("{}.csv", "expected the name of a tag"),
        ("{file}.csv", "other than 'file'"),
        ("{a:d}.csv", "expected the name of a tag alone"),
        ("{a.csv", "expected '}'"),
        ("[b-a].csv", "found b-a in the pattern, expected the lower first; write a-b"),
        ("./", "expected one of paths below the folder"),
    ],
)
def test_a_pattern_that_is_none_is_refused(study: Path, pattern: str, why: str) -> None:
    with pytest.raises(InputValidationError, match=why):
        FileSource(study, pattern)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputValidationError, match="found nothing there, expected a folder"):
        FileSource(tmp_path / "data", "*.csv")


@pytest.mark.parametrize("pattern", ["*.txt", "{name}.txt", "**/*", "*/"])
def test_a_name_that_is_no_utf8_is_refused_by_name(tmp_path: Path, pattern: str) -> None:
    """As old disks have it, in Latin-1."""
    made = os.fsencode(tmp_path) + b"/caf\xe9" + (b"" if pattern == "*/" else b".txt")
    os.mkdir(made) if pattern == "*/" else Path(os.fsdecode(made)).write_text("x")  # noqa: PTH102  # it takes bytes
    with pytest.raises(InputValidationError, match=r"found the file 'caf\\udce9.*no UTF-8.*rename it"):
        FileSource(tmp_path, pattern)
