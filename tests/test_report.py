"""Every store tells the same of a run that failed in part, and makes the same report of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.execution import failure_kinds
from orcapod.ledger.failures import failed_packets
from orcapod.ledger.packet_times import packet_times
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase


@op.function_pod("y", retries=1)
def inverse(x: int) -> float:
    print("given", x)
    return 1 / (x - 3)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "delta", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_every_store_tells_the_same(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> None:
    opened: Any = {
        "memory": MemoryDatabase,
        "sqlite": lambda: SQLiteDatabase(tmp_path / "lab.db"),
        "delta": lambda: DeltaDatabase(tmp_path / "lab"),
        "postgres": lambda: PostgresDatabase(request.getfixturevalue("postgres_conninfo")),
    }[kind]()
    with opened as database:
        for count in (4, 6):
            with op.Pipeline("study", database) as pipeline:
                rows = [{"who": f"w{x}", "x": x} for x in range(count)]
                inverse.pod(DictSource(rows, ["who"], source_id="s", record_id_column="who"), label="each")
            logs = pipeline.log_database
            pipeline.run(observer=CompositeObserver(LoggingObserver(logs), StatusObserver(logs)), progress=False)
        store = op.open_store(database)
        run = store.last_run()
        failures = failed_packets(store, run)
        assert failures.select(["node", "tag", "message", "stdout"]).to_pylist() == [
            {"node": "each", "tag": "who=w3", "message": "ZeroDivisionError: division by zero", "stdout": "given 3\n"}
        ]
        assert [(found.count, found.nodes) for found in failure_kinds(failures)] == [(1, ("each",))]
        times = packet_times(store, run)["each"]
        assert len(times.seconds) == 2
        assert times.first is not None
        assert times.told_by == "logs"
        page = op.write_report(database, tmp_path / "run.html").read_text()
        for expected in ("This cannot be told", "is not in this store", "There is nothing to compare"):
            assert expected not in page
        for expected in ("given 3", "def inverse(x: int)", "<td>new</td>", "who=w3"):
            assert expected in page
