"""Few rows of a node are those that all of its rows begin with, and portions are all of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.ledger.node_rows import first_entries, in_portions, values_of, with_results
from orcapod.protocols import Database
from orcapod.sources import DictSource


@op.function_pod(output_keys="y", identity="version")
def doubled(x: int) -> int:
    return 2 * x


def run(database: Database, rows: list[int]) -> str:
    data = [{"i": i, "x": x} for i, x in enumerate(rows)]
    with op.Pipeline("p", database) as pipeline:
        doubled.pod(DictSource(data, ["i"], source_id="s", data_schema={"i": int, "x": int}), label="n")
    return pipeline.run(progress=False).run_id


def first(database: Database, run_id: str, count: int) -> pa.Table:
    begun, node = op.open_store(database).node("p", "n", run_id)
    return with_results(database, node, first_entries(database, begun, node, count))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(nights=st.lists(st.lists(st.integers(0, 3), max_size=9), min_size=1, max_size=3), count=st.integers(1, 10))
def test_the_first_rows_of_any_run_are_those_that_its_rows_begin_with(
    kind: str, tmp_path_factory: pytest.TempPathFactory, nights: list[list[int]], count: int
) -> None:
    sqlite = tmp_path_factory.mktemp("lab") / "lab.db"
    with MemoryDatabase() if kind == "memory" else SQLiteDatabase(sqlite) as database:
        for run_id in [run(database, rows) for rows in nights]:
            every = op.open_store(database).rows("p", "n", run_id)
            assert first(database, run_id, count).to_pylist() == every.to_pylist()[:count]


def test_of_many_rows_few_are_read(tmp_path: Path) -> None:
    """What is read of a table of records ends where enough was found."""
    with SQLiteDatabase(tmp_path / "lab.db") as database:
        run_id, read = run(database, [*range(1000)]), []

        class InSmallPortions(SQLiteDatabase):
            def scan_records(self, path: Any) -> Any:
                for table in super().scan_records(path):
                    for start in range(0, table.num_rows, 100):
                        read.append(100)
                        yield table.slice(start, 100)

        with InSmallPortions(tmp_path / "lab.db") as portions:
            assert first(portions, run_id, 3).column("y").to_pylist() == [0, 2, 4]
    assert read == [100]


def test_a_row_is_found_by_its_tags_unless_there_are_several_or_none() -> None:
    with MemoryDatabase() as database:
        run_id = run(database, [5, 6])
        begun, node = op.open_store(database).node("p", "n", run_id)
        found = values_of(database, begun, node, {"i": 1})
        assert found is not None
        assert found["y"] == 12
        assert [values_of(database, begun, node, tags) for tags in ({"i": 7}, {"k": 1}, {})] == [None] * 3


@given(rows=st.integers(0, 300_000), width=st.integers(1, 10_000))
@settings(max_examples=30)
def test_portions_are_all_rows_in_their_order_and_of_a_few_megabytes(rows: int, width: int) -> None:
    asked: list[tuple[int, int]] = []

    def read(start: int, count: int) -> Any:
        asked.append((start, min(count, max(0, rows - start))))
        table: Any = type("Table", (), {"nbytes": width * asked[-1][1]})()
        return table

    assert len([*in_portions(rows, read)]) == len(asked) >= 1
    assert asked[0][0] == 0
    assert all(one[0] + one[1] == other[0] for one, other in pairwise(asked))
    assert sum(count for _, count in asked) == rows
    assert max(width * count for _, count in asked) <= 32 << 20
