"""One pipeline, any store: SQLite and Delta give equal tables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

import orcapod as op
from orcapod.databases import open_database
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource


@op.function_pod(output_keys=["doubled", "note"])
def double(x: int, name: str | None) -> tuple[int, list[str]]:
    return x * 2, [name or "nobody", "done"]


def _run(url: str) -> list[pa.Table]:
    """The tables that two runs give; the second computes nothing."""
    rows = [{"idx": i, "x": i, "name": None if i % 3 == 0 else f"n{i}"} for i in range(100)]
    tables = []
    for expected in ((100, 0), (0, 100)):
        with open_database(url) as database:
            pipeline = op.Pipeline("stores", database)
            with pipeline:
                double.pod(DictSource(rows, tag_columns=["idx"], source_id="numbers"), label="double")
            logs = pipeline.log_database
            observer = CompositeObserver(LoggingObserver(logs), StatusObserver(logs))
            counts = pipeline.run(observer=observer, flush_interval=3600).counts("double")  # none of them by the clock
            assert (counts["computed"], counts["cached"]) == expected
            tables.append(pipeline["double"].as_table(columns={"source": True, "system_tags": True}))
    return tables


def test_every_store_gives_equal_tables(tmp_path: Path) -> None:
    sqlite, delta = _run(f"sqlite:///{tmp_path}/run.db"), _run(f"delta:///{tmp_path}/delta")
    for table in (*sqlite, *delta):
        assert table.equals(sqlite[0])
    assert sum(file.is_file() for file in (tmp_path / "delta").rglob("*")) <= 60
