"""``DeltaTableSource`` reads one version of a table, whoever wrote it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

import orcapod as op
from orcapod.errors import InputValidationError
from orcapod.hashing import versioned_content
from orcapod.sources import ArrowTableSource
from orcapod_delta import DeltaDatabase, DeltaTableSource

_THEN = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three versions: two rows, three rows, and the same three in one file."""
    folder = tmp_path / "subjects"
    write_deltalake(folder, pa.table({"id": ["b", "a"], "x": [1, 2], "y": [0.5, 1.5]}))
    write_deltalake(folder, pa.table({"id": ["c"], "x": [3], "y": [2.5]}), mode="append")
    DeltaTable(folder).optimize.compact()
    return folder


def test_it_reads_the_newest_version(table: Path) -> None:
    source = DeltaTableSource(table, ["id"])
    assert (source.version, source.label) == (2, "subjects@v2")
    assert source.source_id == f"{table}@v2", "which no other table has, whatever it is called"
    assert sorted(source.as_table().to_pylist(), key=lambda row: row["x"]) == [
        {"id": "b", "x": 1, "y": 0.5},
        {"id": "a", "x": 2, "y": 1.5},
        {"id": "c", "x": 3, "y": 2.5},
    ]


def test_it_reads_an_older_one(table: Path) -> None:
    assert DeltaTableSource(table, ["id"], version=0).as_table()["id"].to_pylist() == ["b", "a"]
    assert DeltaTableSource(table, ["id"], version=1).as_table()["id"].to_pylist() == ["b", "a", "c"]


def test_it_reads_what_was_current_at_a_time(tmp_path: Path) -> None:
    write_deltalake(tmp_path, pa.table({"id": [1]}))
    time.sleep(0.01)  # versions are told apart by the millisecond
    then = datetime.now(UTC)
    time.sleep(0.01)
    write_deltalake(tmp_path, pa.table({"id": [2]}), mode="append")
    assert DeltaTableSource(tmp_path, ["id"], version=then).version == 0
    assert DeltaTableSource(tmp_path, ["id"], version=datetime.now(UTC)).version == 1
    with pytest.raises(InputValidationError, match="version 2020"):
        DeltaTableSource(tmp_path, ["id"], version=datetime(2020, 1, 1, tzinfo=UTC))


def test_the_version_is_part_of_its_identity(table: Path) -> None:
    """Even when rows and name are the same; the tags alone decide the pipeline hash."""
    one, two = (DeltaTableSource(table, ["id"], version=number, source_id="s") for number in (1, 2))
    assert one.content_hash() != two.content_hash()
    assert one.pipeline_hash() == two.pipeline_hash()
    assert one.content_hash() == DeltaTableSource(table, ["id"], version=1, source_id="s").content_hash()
    plain = ArrowTableSource(one, ["id"], source_id="s")
    assert one.content_hash() == versioned_content(1, plain.content_hash())


def test_two_tables_are_never_called_by_one_name(tmp_path: Path) -> None:
    places = [tmp_path / "a" / "t", tmp_path / "b" / "t", tmp_path / "b" / "t.delta"]
    for place in places:
        write_deltalake(place, pa.table({"id": [1]}))
    sources = [DeltaTableSource(place, ["id"]) for place in places]
    assert [source.source_id for source in sources] == [f"{place}@v0" for place in places]
    assert {source.label for source in sources} == {"t@v0"}


def test_only_the_columns_asked_for_are_read(table: Path) -> None:
    """A column that could not become part of a stream does no harm when it is not asked for."""
    write_deltalake(
        table, pa.table({"id": ["d"], "x": [4], "y": [0.0], "_odd": [1]}), mode="append", schema_mode="merge"
    )
    source = DeltaTableSource(table, ["id"], columns=["id", "y"])
    assert source.as_table().column_names == ["id", "y"]
    with pytest.raises(InputValidationError, match=r"id, x, y, _odd.*'q'"):
        DeltaTableSource(table, ["id"], columns=["id", "q"])


def test_types_are_those_of_the_definition_and_not_of_the_rows_of_tonight(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("x", pa.int64()), ("y", pa.float64())])
    write_deltalake(tmp_path, pa.table({"id": [1], "x": [1], "y": [0.5]}, schema))
    source = DeltaTableSource(tmp_path, ["id"])
    assert source.schema.tags["id"] is int
    assert dict(source.schema.packets) == {"x": int | None, "y": float | None}
    declared = DeltaTableSource(tmp_path, ["id"], data_schema={"x": int}, columns=["id", "x"])
    assert dict(declared.schema.packets) == {"x": int}
    assert (declared.source_id, source.source_id) == (f"{tmp_path}@v0", f"{tmp_path}@v0")


def test_a_null_upstream_fails_one_row(tmp_path: Path) -> None:
    @op.function_pod("half", identity="version")
    def half(x: float) -> float:
        return x / 2

    write_deltalake(tmp_path, pa.table({"id": [1, 2, 3], "x": [1.0, None, 3.0]}))
    source = DeltaTableSource(tmp_path, ["id"], data_schema={"x": float}, bad_rows="fail", label="patients")
    with op.Pipeline("p") as pipeline:
        half.pod(source, label="half")
    result = pipeline.run()
    assert result.counts("half") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
    assert [(error.node_label, dict(error.tag)) for error in result.errors] == [("patients", {"id": 2})]


def test_partitions_are_columns(tmp_path: Path) -> None:
    rows = pa.table({"id": [1, 2, 3], "group": ["u", "v", "u"]})
    write_deltalake(tmp_path / "t", rows, partition_by="group")
    found = DeltaTableSource(tmp_path / "t", ["id"]).as_table()
    assert sorted(zip(*found.to_pydict().values(), strict=True)) == [(1, "u"), (2, "v"), (3, "u")]
    assert DeltaTableSource(tmp_path / "t", ["id"]).as_table().equals(found)


def test_records_of_a_store_come_as_they_went_in(tmp_path: Path) -> None:
    """Their columns under their own names, of their own types, in their own order."""
    rows = pa.table({"key": ["b", "a"], "a b": pa.array([2**64 - 1, 0], pa.uint64()), "n": [[1], []]})
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), rows[:1])
        database.flush()
        database.add_records(("p",), rows[1:])
    source = DeltaTableSource(tmp_path / "p.delta", ["key"], columns=["key", "n"])
    assert source.as_table().to_pylist() == rows.select(["key", "n"]).to_pylist()


@pytest.mark.parametrize("version", [9, _THEN.replace(tzinfo=None), _THEN])
def test_a_version_that_is_not_there_is_named(table: Path, version: int | datetime) -> None:
    with pytest.raises(InputValidationError, match=r"subjects.*version"):
        DeltaTableSource(table, ["id"], version=version)


def test_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputValidationError, match="nowhere.*expected a Delta table"):
        DeltaTableSource(tmp_path / "nowhere", ["id"])
    assert list(tmp_path.iterdir()) == []


def test_a_new_version_computes_only_what_is_new(table: Path, tmp_path: Path) -> None:
    @op.function_pod(output_keys="z")
    def double(x: int) -> int:
        return 2 * x

    counts = []
    for version in (0, 1, 2):
        pipeline = op.Pipeline("p", tmp_path / "runs.db")
        with pipeline:
            source = DeltaTableSource(table, ["id"], version=version, columns=["id", "x"], data_schema={"x": int})
            double.pod(source, label="double")
        found = pipeline.run().counts("double")
        counts.append((found["computed"], found["cached"]))
        pipeline.database.close()
    assert counts == [(2, 0), (1, 2), (0, 3)]


def test_a_table_without_rows_is_a_source(tmp_path: Path) -> None:
    """Its definition says what the columns are, lists and partitions among them; a daily pipeline has a first day."""
    rows = pa.table({"id": ["a"], "x": [1], "y": [[0.5]], "group": ["u"]})
    write_deltalake(tmp_path / "t", rows, partition_by=["group"])
    DeltaTable(tmp_path / "t").delete()
    empty, full = (
        DeltaTableSource(tmp_path / "t", ["id"], source_id="s"),
        DeltaTableSource(tmp_path / "t", ["id"], version=0, source_id="s"),
    )
    assert empty.as_table().num_rows == 0
    assert empty.output_schema() == full.output_schema()
    assert empty.pipeline_hash() == full.pipeline_hash()
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a"], "n": pa.array([7], pa.uint64())}))
        database.flush()
        assert database.delete_records(("p",), ["a"]) == 1
    stored = DeltaTableSource(tmp_path / "p.delta", ["key"])
    assert stored.output_schema() == DeltaTableSource(tmp_path / "p.delta", ["key"], version=0).output_schema()


def test_a_pipeline_of_a_table_without_rows_runs(tmp_path: Path) -> None:
    @op.function_pod(output_keys="z")
    def double(x: int) -> int:
        return 2 * x

    DeltaTable.create(tmp_path / "t", pa.schema([("id", pa.string()), ("x", pa.int64())]))
    pipeline = op.Pipeline("p")
    with pipeline:
        double.pod(DeltaTableSource(tmp_path / "t", ["id"], data_schema={"x": int}), label="double")
    assert pipeline.run().counts("double")["computed"] == 0
