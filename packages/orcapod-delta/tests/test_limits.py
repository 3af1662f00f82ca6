"""How large values may be, and what happens to larger ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from mmap import mmap
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

import orcapod as op
from orcapod.errors import DatabaseError, RecordTooLargeError
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_delta.limits import check_sizes

_LARGE = 130_000_000
"""More than what readers take for one string of a parquet file's footer."""


@op.function_pod(output_keys="blob")
def blob(size: int) -> bytes:
    return bytes(size)


def _zeros(*sizes: int) -> pa.Array[Any]:
    """Return values of these sizes, which need no memory as long as nobody copies them."""
    ends = pa.array([0, *accumulate(sizes)], pa.int64()).buffers()[1]
    return pa.Array.from_buffers(pa.large_binary(), len(sizes), [None, ends, pa.py_buffer(mmap(-1, sum(sizes)))])


def _statistics(table: Path) -> Iterator[tuple[str, bool]]:
    for uri in DeltaTable(table).file_uris():
        metadata = pq.ParquetFile(uri, thrift_string_size_limit=2**31 - 1).metadata
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                found = metadata.row_group(group).column(column)
                yield found.path_in_schema, found.is_stats_set


def test_a_large_value_is_stored_and_found_again(tmp_path: Path) -> None:
    """The packets after it go on, in this run and in the next."""
    for sizes, computed in (([1, _LARGE, 2], 3), ([1, _LARGE, 2, 3], 1)):
        with DeltaDatabase(tmp_path) as database:
            pipeline = op.Pipeline("p", database)
            with pipeline:
                blob.pod(DictSource([{"i": i, "size": size} for i, size in enumerate(sizes)], ["i"]), label="blob")
            result = pipeline.run(flush_interval=0.01)
            assert result.ok
            assert result.counts("blob")["computed"] == computed
            found = pipeline["blob"].as_table()
            assert sorted(pc.binary_length(found["blob"]).to_pylist()) == sorted(sizes)


def test_large_values_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    """Also those of one commit; small ones are read together."""
    with DeltaDatabase(tmp_path) as database:
        keys = [f"k{row}" for row in range(20)]
        database.add_records(("large",), pa.table({"key": keys, "x": [bytes(1 << 20)] * 20}))
        database.add_records(("small",), pa.table({"key": keys, "x": keys}))
        database.flush()
        groups = {}
        for name in ("large", "small"):
            (uri,) = DeltaTable(tmp_path / f"{name}.delta").file_uris()
            metadata = pq.ParquetFile(uri).metadata
            groups[name] = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        assert groups["small"] == [20]
        assert sum(groups["large"]) == 20
        assert max(groups["large"]) <= 8
        assert database.get_records_by_ids(("large",), ["k19", "k3"]).num_rows == 2


def test_no_file_holds_a_value_once_more_as_a_statistic(tmp_path: Path) -> None:
    """Whoever wrote it: a commit, a compaction, a deletion. Nor does the log."""
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for key in "abc":
            database.add_records(("p",), pa.table({"key": [key * 1000], "x": [b"y" * 1000], "l": [["z" * 1000]]}))
        table = tmp_path / "p.delta"
        assert {name for name, is_set in _statistics(table) if is_set} == {"_row"}
        assert database.compact() == 2
        assert {name for name, is_set in _statistics(table) if is_set} == {"_row"}
        assert database.delete_records(("p",), ["a" * 1000]) == 1
        assert {name for name, is_set in _statistics(table) if is_set} == {"_row"}
        assert database.get_records(("p",)).num_rows == 2
    for log in (table / "_delta_log").glob("*.json"):
        assert not any(letter * 9 in log.read_text() for letter in "yza")


def test_large_values_survive_compaction_and_deletion(tmp_path: Path) -> None:
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for key in "abc":
            database.add_records(("p",), pa.table({"key": [key], "x": _zeros(_LARGE)}))
        assert database.compact() == 2
        assert database.delete_records(("p",), ["a"]) == 1
        assert pc.binary_length(database.get_records(("p",))["x"]).to_pylist() == [_LARGE] * 2


def test_a_table_whose_footers_hold_large_values_is_read(tmp_path: Path) -> None:
    """Other tools put them there, and earlier versions did."""
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a"], "x": _zeros(1)}))
        database.flush()
        table = tmp_path / "p.delta"
        rows = pa.table({"_row": [1], "key": ["b"], "x": _zeros(_LARGE)})
        write_deltalake(table, rows, mode="append")
        assert ("x", True) in set(_statistics(table))
        assert database.add_records(("p",), pa.table({"key": ["b", "c"], "x": _zeros(1, 1)})) == 1
        assert pc.binary_length(database.get_records(("p",))["x"]).to_pylist() == [1, _LARGE, 1]


def test_a_record_that_is_too_large_is_refused_by_name(tmp_path: Path) -> None:
    """At once, and nothing of its table is written; what two columns have together counts."""
    with DeltaDatabase(tmp_path) as database:
        view, limit = database.at("v"), database.max_record_bytes
        assert limit == view.max_record_bytes == 1_800_000_000
        size = limit // 2
        rows = pa.table({"key": ["a", "b", "c"], "x": _zeros(1, size, 1), "y": _zeros(1, size + 1, 1)})
        with pytest.raises(RecordTooLargeError, match=r"v/p: column 'y'.*a Delta store takes") as caught:
            view.add_records(("p",), rows)
        assert (caught.value.path, caught.value.column, caught.value.limit) == (("v", "p"), "y", limit)
        assert caught.value.size > limit
        assert database.list_paths() == []
        assert view.add_records(("p",), pa.concat_tables([rows[:1], rows[2:]])) == 2
    assert database.max_record_bytes == limit


def test_what_counts_is_the_size_in_the_table() -> None:
    """Where a type is kept as canonical bytes, these count; half as many rows may be small enough."""
    bits = pa.list_(pa.field("item", pa.bool_(), nullable=False))
    rows = pa.table({"key": ["a", "b"], "x": pa.array([[True], [True] * 8000], bits)})
    assert rows.nbytes < 2000
    with pytest.raises(RecordTooLargeError) as caught:
        check_sizes(("p",), rows, limit=4000)
    assert caught.value.size > 8000
    check_sizes(("p",), rows[:1], limit=4000)


def test_a_commit_that_was_made_is_not_made_again(tmp_path: Path) -> None:
    """Though what comes after it fails: here the checkpoint, for which there is something in the way."""
    with DeltaDatabase(tmp_path, buffer_bytes=0) as database:
        for number in range(49):
            database.add_records(("p",), pa.table({"key": [f"{number:02}"]}))
        checkpoint = tmp_path / "p.delta" / "_delta_log" / "_last_checkpoint"
        checkpoint.unlink()
        checkpoint.mkdir()
        (checkpoint / "in the way").touch()
        for number in range(49, 52):
            assert database.add_records(("p",), pa.table({"key": [f"{number:02}"]})) == 1
        assert database.get_records(("p",))["key"].to_pylist() == [f"{number:02}" for number in range(52)]
        assert DeltaTable(tmp_path / "p.delta").count() == 52


def test_nothing_is_committed_before_the_table_was_looked_at(tmp_path: Path) -> None:
    """However often it is tried while a file cannot be read; then once."""
    with DeltaDatabase(tmp_path) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
        database.flush()
        table = tmp_path / "p.delta"
        there = set(table.glob("*.parquet"))
        database.add_records(("p",), pa.table({"key": ["c"]}))
        write_deltalake(table, pa.table({"_row": [1], "key": ["b"]}), mode="append")
        (file,) = {*table.glob("*.parquet")} - there
        file.rename(tmp_path / "away")
        for _ in range(3):
            with pytest.raises(DatabaseError, match=file.name):
                database.flush()
            assert DeltaTable(table).version() == 1
        (tmp_path / "away").rename(file)
        database.flush()
        assert database.get_records(("p",))["key"].to_pylist() == ["a", "b", "c"]
        assert DeltaTable(table).count() == 3
