"""``source.cached(database)``: the cumulative record of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.sources import DictSource, StoredSource
from orcapod.testing.strategies import ALL_COLUMNS


def source(*values: int, **options: Any) -> DictSource:
    rows = [{"k": f"k{value}", "x": value} for value in values]
    return DictSource(rows, ["k"], source_id="s", data_schema={"k": str, "x": int}, **options)


def names(stream: Any) -> dict[str, str]:
    return {tag["k"]: packet.source_info()["x"] for tag, packet in stream.iter_packets()}


def test_it_is_the_union_of_all_that_the_source_ever_gave_once_per_content(tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "s.db") as database:
        assert source(1, 2).cached(database).as_table()["x"].to_pylist() == [1, 2]
    with SQLiteDatabase(tmp_path / "s.db") as database:
        assert source(2, 3, 3).cached(database).as_table()["x"].to_pylist() == [1, 2, 3]
        assert source().cached(database).as_table()["x"].to_pylist() == [1, 2, 3]


def test_a_row_keeps_its_name_wherever_it_stands() -> None:
    database = MemoryDatabase()
    before = names(source(1, 2).cached(database))
    after = names(source(9, 2, 1).cached(database))
    assert {key: after[key] for key in before} == before
    assert all(name.startswith("s::content=") and name.endswith("::x") for name in after.values())


def test_a_column_that_names_the_records_names_them_here_too() -> None:
    assert names(source(1, record_id_column="k").cached(MemoryDatabase())) == {"k1": "s::k=k1::x"}


def test_only_rows_that_are_new_are_computed() -> None:
    database = MemoryDatabase()

    @op.function_pod("y", identity="version")
    def twice(x: int) -> int:
        return 2 * x

    counts = []
    for rows in (source(1, 2), source(5, 2)):
        pipeline = op.Pipeline("p", database)
        with pipeline:
            twice.pod(rows.cached(database))
        counts.append(pipeline.run().counts("twice"))
    assert [(each["computed"], each["cached"]) for each in counts] == [(2, 0), (1, 2)]


def test_its_content_hash_is_that_of_its_rows_in_any_order_and_its_pipeline_hash_that_of_the_source() -> None:
    one, other = source(1, 2).cached(MemoryDatabase()), source(2, 1).cached(MemoryDatabase())
    assert one.content_hash() == other.content_hash() != source(1).cached(MemoryDatabase()).content_hash()
    assert one.pipeline_hash() == source(1).pipeline_hash()


def test_what_is_kept_is_served_when_the_source_is_gone(tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "s.db") as database:
        before = source(1, 2).cached(database)
        rows, hashes = before.as_table(ALL_COLUMNS), (before.content_hash(), before.pipeline_hash())
    with SQLiteDatabase(tmp_path / "s.db") as database:
        stored = StoredSource.open(database, "s")
        assert stored.schema == before.schema
        assert stored.as_table(ALL_COLUMNS).equals(rows)
        assert (stored.content_hash(), stored.pipeline_hash()) == hashes


def test_a_column_that_ever_held_none_may_hold_none(tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "s.db") as database:
        optional = DictSource([{"k": "k0", "x": None}], ["k"], source_id="s", data_schema={"x": int | None})
        assert names(optional.cached(database)) == {
            "k0": optional.cached(database).as_table(ALL_COLUMNS).to_pylist()[0]["_source_x"]
        }
        after = source(1).cached(database)
        assert after.schema.packets["x"] == int | None
        assert after.as_table()["x"].to_pylist() == [None, 1]
        assert StoredSource.open(database, "s").schema == after.schema


def test_the_store_is_written_to_once_however_often_rows_are_asked_for() -> None:
    class Counting(MemoryDatabase):
        added = 0

        def add_records(self, *arguments: Any, **options: Any) -> int:
            self.added += 1
            return super().add_records(*arguments, **options)

    database = Counting()
    cached = source(1, 2).cached(database)
    for _ in range(3):
        assert cached.content_hash()
        assert len(list(cached.iter_packets())) == 2
    assert database.added == 2, "one catalog entry, one chunk"
