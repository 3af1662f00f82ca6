"""Promise 25: why something is computed again is told alike by every store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.observers import StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase

STORES = ["memory", "sqlite", "delta", pytest.param("postgres", marks=pytest.mark.postgres)]


@contextmanager
def opened(store: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    match store:
        case "memory":
            database: Any = MemoryDatabase()
        case "sqlite":
            database = SQLiteDatabase(folder / "lab.db")
        case "delta":
            database = DeltaDatabase(folder / "lab")
        case _:
            database = PostgresDatabase(request.getfixturevalue("postgres_conninfo"))
    with database:
        yield database


def night(database: Any, factor: int, rows: list[tuple[int, str, int]], orchestrator: Any) -> str:
    """What is told before a run, by it, and of every row."""

    def scale(x: int) -> int:
        if x == 9:
            raise ValueError("nine")
        return factor * x

    def count(y: list[int]) -> int:
        return len(y)

    pipeline = op.Pipeline("study", database)
    source = DictSource(
        [{"who": who, "site": site, "x": x} for who, site, x in rows],
        ["who", "site"],
        source_id="s",
        record_id_column="who",
    )
    with pipeline:
        scaled = op.function_pod("y")(scale).pod(source, label="scale")
        op.function_pod("n", identity="version")(count).pod(scaled.group_by("site"), label="count")
    before = str(pipeline.explain())
    alone = [str(pipeline.explain("scale", {"who": who})) for who, _, _ in rows]
    result = pipeline.run(orchestrator, observer=StatusObserver(pipeline.log_database), progress=False)
    return "\n".join([before, *alone, str(result.reasons)]).replace(result.run_id, "this run")


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
@pytest.mark.parametrize("store", STORES)
def test_every_store_explains_the_same(
    store: str, orchestrator: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    nights = [
        (2, [(1, "a", 1), (2, "a", 2), (3, "b", 9)]),
        (2, [(1, "a", 1), (2, "a", 5), (3, "b", 3), (4, "b", 4)]),
        (3, [(1, "a", 1), (2, "a", 6), (4, "b", 4)]),
    ]
    with opened(store, tmp_path, request) as database:
        told = [night(database, factor, rows, orchestrator) for factor, rows in nights]
    assert "scale       1    1      1       1        0" in told[1]
    assert "scale       0    0      3       0        0" in told[2]
    assert "factor: 2 -> 3" in told[2]
    expected = MemoryDatabase()
    names = [night(expected, factor, rows, SyncPipelineOrchestrator()) for factor, rows in nights]
    assert [_without_runs(each) for each in told] == [_without_runs(each) for each in names]


def _without_runs(told: str) -> list[str]:
    return [line for line in told.splitlines() if "failed in run" not in line]
