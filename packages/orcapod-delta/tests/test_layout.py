"""What a store looks like from outside: tables that other tools read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import STORE_FORMAT
from orcapod.errors import RecordSchemaError
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_delta.locations import _path_of, folder_of

_PART = st.text(st.characters(), min_size=1, max_size=90) | st.sampled_from(
    ["x" * 500, "~", "a~", ".", "..", "a.delta"]
)


@given(st.lists(_PART, min_size=1, max_size=4).map(tuple))
@settings(deadline=None, max_examples=100, suppress_health_check=list(HealthCheck))
def test_a_folder_tells_its_path(path: tuple[str, ...]) -> None:
    """And every name fits a file system that knows no capitals."""
    folder = folder_of(path)
    assert _path_of(folder) == path
    for name in folder.split("/"):
        assert name == name.lower()
        assert len(name) <= 210


def test_a_path_is_a_folder(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        database.at("_result").add_records(("double", "v1"), pa.table({"key": ["a"]}))
        database.add_records(("A b",), pa.table({"key": ["a"]}))
    assert sorted(str(log.parent.relative_to(tmp_path)) for log in tmp_path.rglob("_delta_log")) == [
        ".orcapod",
        "_result/double/v1.delta",
        "~41~20b.delta",
    ]
    assert json.loads(DeltaTable(tmp_path / ".orcapod").metadata().description) == {"format": STORE_FORMAT}


def test_polars_and_duckdb_read_results(tmp_path: Path) -> None:
    """The results of a pipeline, lists and structs and maps among them, as ordinary tables."""
    polars, duckdb = pytest.importorskip("polars"), pytest.importorskip("duckdb")

    @op.function_pod(output_keys=["half", "words", "pair", "counts", "raw"])
    def describe(x: int) -> tuple[float, list[str], tuple[int, str], dict[str, int], bytes]:
        return x / 2, ["a"] * x, (x, str(x)), {"n": x}, bytes([x])

    with DeltaDatabase(tmp_path) as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            describe.pod(DictSource([{"i": i, "x": i} for i in range(3)], tag_columns=["i"]), label="describe")
        assert pipeline.run().ok
    (results,) = (tmp_path / "_result").rglob("*.delta")
    expected = [{"half": i / 2, "words": ["a"] * i, "pair": {"0": i, "1": str(i)}, "raw": bytes([i])} for i in range(3)]
    frame = polars.read_delta(str(results)).sort("_row")
    assert frame.select("half", "words", "pair", "raw").to_dicts() == expected
    assert frame["counts"].len() == 3
    files = DeltaTable(results).file_uris()
    found = duckdb.sql(f"SELECT half, words, pair, raw FROM read_parquet({files}) ORDER BY _row")
    assert found.to_arrow_table().to_pylist() == expected
    dataset = DeltaTable(results).to_pyarrow_dataset()
    assert duckdb.sql("SELECT sum(half) FROM dataset").fetchall() == [(1.5,)]
    del dataset


_READABLE: list[tuple[pa.Array[Any], Any]] = [
    (pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
    (pa.array([200], pa.uint8()), 200),
    (pa.array([1.5], pa.float16()), 1.5),
    (pa.array([61], pa.time32("s")), 61),
    (pa.array([7], pa.duration("us")), 7),
    (pa.array([7], pa.timestamp("ns")), 7),
    (pa.array(["x"]).dictionary_encode(), "x"),
    (pa.array([None], pa.null()), None),
    (pa.array([b"ab"], pa.binary(2)), b"ab"),
    (pa.array([[["a"], None]]), [["a"], None]),
]


@pytest.mark.parametrize(("array", "seen"), _READABLE, ids=lambda value: str(getattr(value, "type", "")))
def test_what_delta_lacks_is_readable_and_comes_back(array: pa.Array[Any], seen: Any, tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path) as database:
        table = pa.table({"key": ["a"], "x": array})
        database.add_records(("p",), table)
        database.flush()
        assert database.get_records(("p",)).equals(table)
    stored = DeltaTable(tmp_path / "p.delta").to_pyarrow_table()
    assert stored["x"].to_pylist() == [seen]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([2**63 - 1, -(2**63)], pa.int64()).view(pa.timestamp("us", "UTC")),
        pa.array([2**31 - 1, -(2**31)], pa.int32()).view(pa.date32()),
        pa.array([[("a", 1), ("a", None)], None], pa.map_(pa.large_string(), pa.uint64())),
        pa.array([[(1.5, "x")], []], pa.map_(pa.float64(), pa.string())),
        pa.array([{"a": 1, "A": 2}, None], pa.struct([("a", pa.int8()), ("A", pa.int8())])),
        pa.array([{}, None], pa.struct([])),
        pa.array([[[{"a b": [1]}]], None], pa.list_(pa.large_list(pa.struct([("a b", pa.list_(pa.uint32()))])))),
    ],
    ids=lambda array: str(array.type),
)
def test_the_edges_come_back(array: pa.Array[Any], tmp_path: Path) -> None:
    """After compaction too, which writes them a second time."""
    table = pa.table({"key": ["a", "b"], "x": array})
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for row in range(2):
            database.add_records(("p",), table[row : row + 1])
        assert database.get_records(("p",)).equals(table)
        assert database.compact() == 1
        assert database.get_records(("p",)).equals(table)


def test_a_small_dictionary_holds_the_values_of_many_commits(tmp_path: Path) -> None:
    """Each commit may have its own; together they have more values than the index type counts."""
    kind = pa.dictionary(pa.int8(), pa.string())
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for start in (0, 100, 200):
            words = [f"w{i}" for i in range(start, start + 100)]
            database.add_records(("p",), pa.table({"key": words, "x": pa.array(words, kind)}))
        database.compact()
        found = database.get_records(("p",))
        assert found.schema.field("x").type == kind
        assert found["x"].to_pylist() == found["key"].to_pylist() == [f"w{i}" for i in range(300)]


def test_unions_are_refused_by_name(tmp_path: Path) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with DeltaDatabase(tmp_path) as database:
        with pytest.raises(RecordSchemaError, match="p: column 'u'.*union"):
            database.add_records(("p",), pa.table({"key": ["a"], "u": union}))
        assert database.list_paths() == []
