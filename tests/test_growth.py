"""Every store keeps a group's members once, tells how large it is, prunes, and gives back the space: all alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import PrunedResultError
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase

STORES = ["sqlite", "delta", pytest.param("postgres", marks=pytest.mark.postgres)]


@op.function_pod(output_keys="bmi", identity="version")
def bmi(weight: float) -> float:
    return weight / 4


@op.function_pod(output_keys="mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


@op.function_pod(output_keys="most", identity="version")
def most(mean: list[float]) -> float:
    return max(mean)


def night(database: Database, changed: float) -> op.Pipeline:
    pipeline = op.Pipeline("study", database)
    rows = [{"id": i, "site": i % 2, "weight": 60.0 + i} for i in range(300)]
    rows[7]["weight"] = changed
    with pipeline:
        source = DictSource(rows, ["id", "site"], source_id="patients", record_id_column="id")
        means = mean.pod(bmi.pod(source, label="bmi").group_by("site"), label="mean")
        most.pod(means.batch(), label="most")
    return pipeline


def shown(store: op.Store, run: str) -> list[Any]:
    """All that is kept of what a run gave, but for times and the names of runs."""
    entries = [store.entries("study", node, run).drop_columns(["__run_id"]) for node in ("bmi", "mean", "most")]
    return [sorted(map(repr, table.to_pylist())) for table in entries]


def history(database: Database) -> list[Any]:
    """Whatever can be told after three nights, a prune, an invalidation and a fourth night."""
    runs, told = [], list[Any]()
    store = op.open_store(database)
    for changed in (900.5, 700.5, 900.5):
        pipeline = night(database, changed)
        runs.append(pipeline.run(progress=False).run_id)
    told.append([shown(store, run) for run in runs])
    would, did = (pipeline.prune(older_than="0d", dry_run=dry_run) for dry_run in (True, False))
    assert would.table.drop_columns(["bytes"]) == did.table.drop_columns(["bytes"])
    told.append(did.table.select(["function", "nodes", "rows"]).to_pylist())
    with pytest.raises(PrunedResultError, match="values of 1 results of bmi were pruned"):
        pipeline.bmi.at(runs[1])
    told.append([shown(store, run) for run in runs])
    told.append(pipeline.mean.invalidate(site=1))
    store.compact()
    result = night(database, 700.5).run(progress=False)
    told.append(result.node_counts)
    told.append(
        [
            sorted(map(repr, store.rows("study", node).drop_columns(HERE).to_pylist()))
            for node in pipeline
            if node in result.node_counts
        ]
    )
    told.append([(row["pipeline"], row["node"], row["kind"], row["rows"]) for row in store.size().to_pylist()])
    assert all(row["bytes"] > 0 for row in store.size().to_pylist())
    assert op.verify_store(database).ok
    return told


HERE = ["run_id", "timestamp", "seconds"]


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    match request.param:
        case "sqlite":
            made: Database = SQLiteDatabase(tmp_path / "lab.db")
        case "delta":
            made = DeltaDatabase(tmp_path / "lab")
        case _:
            made = PostgresDatabase(request.getfixturevalue("postgres_conninfo"))
    with made:
        yield made


@pytest.mark.parametrize("database", STORES, indirect=True)
def test_a_history_with_a_prune_is_the_same_on_every_store(database: Database) -> None:
    assert history(database) == history(MemoryDatabase())
