"""``Stream.export``: one file per row, named after its tags, whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, SchemaError
from orcapod.sources import DictSource


def stream(*values: Any, **declared: Any) -> DictSource:
    rows = [{"subject": f"s{i}", "bin": i, "x": value} for i, value in enumerate(values)]
    return DictSource(rows, ["subject", "bin"], data_schema=declared)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_row_has_a_file_named_after_its_tags(tmp_path: Path) -> None:
    written = stream("é", "b\n").export(tmp_path / "{subject}" / "no_{bin:03}.txt")
    assert files(tmp_path) == {"s0/no_000.txt": "é".encode(), "s1/no_001.txt": b"b\n"}
    assert written == [tmp_path / "s0/no_000.txt", tmp_path / "s1/no_001.txt"]


def test_a_node_exports_what_it_computed(tmp_path: Path) -> None:
    @op.function_pod("y", identity="version")
    def doubled(x: str) -> str:
        return x * 2

    with op.Pipeline("p", MemoryDatabase()) as pipeline:
        doubled.pod(stream("a", "b"), label="doubled")
    pipeline.run().raise_for_errors()
    pipeline.doubled.export(f"{tmp_path}/{{subject}}.txt")
    assert files(tmp_path) == {"s0.txt": b"aa", "s1.txt": b"bb"}


def test_arrays_and_frames_are_written_for_others_to_read(tmp_path: Path) -> None:
    array, frame = np.arange(3.0), pd.DataFrame({"a": [1, 2]})
    stream(array).export(tmp_path / "{bin}.npy")
    assert np.load(tmp_path / "0.npy").tolist() == array.tolist()
    for value in (frame, pl.from_pandas(frame), pa.table({"a": [1, 2]})):
        stream(value).export(tmp_path / "{bin}.parquet")
        assert pq.read_table(tmp_path / "0.parquet").column("a").to_pylist() == [1, 2]
        stream(value).export(tmp_path / "{bin}.arrow")
        assert pa.ipc.open_file(tmp_path / "0.arrow").read_all().column("a").to_pylist() == [1, 2]
    for value in (frame, pl.from_pandas(frame), frame["a"], pl.Series("a", [1, 2])):
        stream(value).export(tmp_path / "{bin}.csv")
        assert pd.read_csv(tmp_path / "0.csv")["a"].tolist() == [1, 2]


def test_a_row_without_a_value_has_no_file(tmp_path: Path) -> None:
    words = r"1 of 2 rows have no value in column 'x', and so no file, .*1' the first"
    with pytest.warns(UserWarning, match=words) as told:
        stream(b"a", None).export(tmp_path / "{bin}")
    assert told[0].filename == __file__
    assert files(tmp_path) == {"0": b"a"}


def test_what_is_no_longer_there_is_removed_when_asked(tmp_path: Path) -> None:
    stream("a", "b").export(tmp_path / "{subject}" / "{bin}.txt")
    (tmp_path / "s1" / "notes.md").write_text("mine")
    stream("c").export(tmp_path / "{subject}" / "{bin}.txt")
    assert files(tmp_path).keys() == {"s0/0.txt", "s1/1.txt", "s1/notes.md"}
    stream("c").export(tmp_path / "{subject}" / "{bin}.txt", prune=True)
    assert files(tmp_path) == {"s0/0.txt": b"c", "s1/notes.md": b"mine"}


def test_no_tag_leads_out_of_the_folder(tmp_path: Path) -> None:
    rows = [{"t": text, "x": text} for text in ["../a", "..", "a/b", "a%2Fb", "", "c\\d"]]
    DictSource(rows, ["t"]).export(tmp_path / "in" / "{t}" / "x")
    assert {path.parent.parent for path in tmp_path.rglob("x")} <= {tmp_path / "in", tmp_path}
    assert files(tmp_path / "in").keys() == {"..%2Fa/x", "%2E%2E/x", "a%2Fb/x", "a%252Fb/x", "x", "c%5Cd/x"}


def test_two_rows_for_one_file_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputValidationError, match="rows 0 and 1, expected a place for each; name more of the tags"):
        stream("a", "b").export(tmp_path / "x.txt")
    assert files(tmp_path) == {}


@pytest.mark.parametrize(
    ("given", "pattern", "column", "words"),
    [
        (stream("a"), "{who}.txt", None, ["'who'", "expected tags"]),
        (stream("a"), "{x}.txt", None, ["'x'", "expected tags"]),
        (stream("a"), "{bin}", "y", ["column='y'", "['x']"]),
        (DictSource([{"i": 1, "a": "", "b": ""}], ["i"]), "{i}", None, ["no column=", "['a', 'b']"]),
        (stream(1), "{bin}.txt", None, ["column of int", "make such a column"]),
        (stream(np.zeros(1)), "{bin}.png", None, ["'.png'", "written to .npy"]),
        (stream(pd.DataFrame()), "{bin}.png", None, ["'.png'", ".csv or .parquet or .arrow"]),
    ],
    ids=range(7),
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, given: Any, pattern: str, column: str | None, words: list[str]
) -> None:
    with pytest.raises(SchemaError) as caught:
        given.export(tmp_path / pattern, column)
    for word in words:
        assert word in str(caught.value)
    assert files(tmp_path) == {}


def test_frames_hold_the_values_themselves() -> None:
    for value in (np.zeros(1), np.zeros((2, 2)), np.array(1.0), pd.DataFrame({"a": [1]}), 1j):
        source = stream(value, value)
        for cells in (source.to_pandas()["x"], source.to_polars()["x"]):
            assert [type(cell) for cell in cells] == [type(value)] * 2
    assert [cell.shape for cell in stream(np.zeros(1), np.zeros((2, 2)), np.array(1)).to_pandas()["x"]] == [
        (1,), (2, 2), (),
    ]  # fmt: skip
    assert stream([np.zeros(1)], x=list[np.ndarray]).to_pandas()["x"][0][0].tolist() == [0.0]


def test_a_page_shows_what_an_array_is() -> None:
    assert "float64 array of shape (2, 3)" in stream(np.zeros((2, 3)), None)._repr_html_()
    assert "pandas.DataFrame of 1 × 1" in stream(pd.DataFrame({"a": [1]}))._repr_html_()
