"""Promise 12: every store runs every pipeline, and all give equal tables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import ArrowTableSource, DictSource
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase

STORES = ["memory", "sqlite", "delta", pytest.param("postgres", marks=pytest.mark.postgres)]
ROWS = [
    {
        "i": i,
        "x": i % 7,
        "name": None if i % 3 == 0 else f"ñ\x00{i}",
        "nested": [{"a": [i, i + 1]}, {}],
        "ratio": [float("nan"), -0.0, float("inf"), 0.1][i % 4],
        "seen": datetime(2026, 1, 1 + i % 28, tzinfo=UTC),
        "span": timedelta(hours=-i, microseconds=1),
        "marks": frozenset({UUID(int=i), UUID(int=1)}),
    }
    for i in range(50)
]
TYPES = {"nested": list[dict[str, list[int]]], "name": str | None}
REFERENCE = [{"i": i, "day": date(2026, 1, 1 + i % 28), "flag": i % 2 == 0} for i in range(0, 50, 2)]


class Parity(Enum):
    EVEN = 0
    ODD = 1


@op.function_pod(output_keys=["total", "text", "back", "kinds"])
def digest(
    x: int,
    name: str | None,
    nested: list[dict[str, list[int]]],
    ratio: float,
    span: timedelta,
    marks: frozenset[UUID],
) -> tuple[int, str | None, dict[str, tuple[float, bytes]], tuple[timedelta, Decimal, set[UUID], Parity, time]]:
    if x == 5:
        raise ValueError("five is not wanted")
    print(f"x is {x}")
    kinds = (span, Decimal(x).scaleb(-x), set(marks), Parity(x % 2), time(x))
    return sum(nested[0]["a"]), name, {"r": (ratio, bytes([x, 0]))}, kinds


@op.function_pod(output_keys="late")
async def late(total: int, day: date, flag: bool) -> bool | None:
    return None if flag else total > day.day


def run(database: Any, orchestrator: Any) -> tuple[Any, ...]:
    """What a first and a second run leave behind, in an order of its own."""
    counts = []
    for _ in range(2):
        pipeline = op.Pipeline("everywhere", database)
        with pipeline:
            rows = DictSource(ROWS, ["i"], source_id="rows", data_schema=TYPES)
            made = digest.pod(rows.cached(database))
            late.pod(made, DictSource(REFERENCE, ["i"], source_id="reference"))
        logs, statuses = LoggingObserver(pipeline.log_database), StatusObserver(pipeline.log_database)
        result = pipeline.run(orchestrator, observer=CompositeObserver(logs, statuses))
        counts.append([result.counts(label) for label in ("digest", "late")])
    tables = [
        sorted(map(repr, pipeline[label].as_table(columns={"system_tags": True, "source": True}).to_pylist()))
        for label in ("digest", "late")
    ]
    said = sorted((row["i"], row["__stdout"], row["__success"]) for row in logs.get_logs().to_pylist())
    told = [(row["i"], row["__state"]) for row in statuses.get_status().to_pylist()]
    states = sorted(each for each in told if each[1] != "RUNNING")  # written when a flush finds it running
    return counts, tables, said, states


@pytest.fixture
def opened(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[str], AbstractContextManager[Any]]:
    def opened(store: str) -> AbstractContextManager[Any]:
        match store:
            case "memory":
                return MemoryDatabase()
            case "sqlite":
                return SQLiteDatabase(tmp_path / "store.db")
            case "delta":
                return DeltaDatabase(tmp_path / "delta")
            case _:
                return PostgresDatabase(request.getfixturevalue("postgres_conninfo"))

    return opened


@pytest.mark.parametrize("orchestrator", [SyncPipelineOrchestrator(), AsyncPipelineOrchestrator()])
@pytest.mark.parametrize("store", STORES)
def test_every_store_gives_what_memory_gives(
    opened: Callable[[str], AbstractContextManager[Any]], store: str, orchestrator: Any
) -> None:
    expected = run(MemoryDatabase(), SyncPipelineOrchestrator())
    with opened(store) as database:
        found = run(database, orchestrator)
    for mine, others in zip(found, expected, strict=True):
        assert mine == others
    failed = sum(row["x"] == 5 for row in ROWS)
    assert expected[0][0][0] == {"computed": 50 - failed, "cached": 0, "failed": failed}
    assert expected[0][1][0] == {"computed": 0, "cached": 50 - failed, "failed": failed}


@op.function_pod(output_keys="doubled")
def double(gene_0: float) -> float:
    return 2 * gene_0


@pytest.mark.parametrize("store", STORES)
def test_a_source_of_thousands_of_columns_of_which_one_is_taken(
    opened: Callable[[str], AbstractContextManager[Any]], store: str
) -> None:
    """Expression tables are that wide, and no store has to be: records say who made what the function takes."""
    genes = {f"gene_{at}": [float(at), float(at + 1)] for at in range(2_500)}
    source = ArrowTableSource(pa.table({"sample": ["a", "b"], **genes}), ["sample"], source_id="expression")
    with opened(store) as database:
        pipeline = op.Pipeline("wide", database)
        with pipeline:
            double.pod(source)
        assert pipeline.run().counts("double") == {"computed": 2, "cached": 0, "failed": 0}
        assert pipeline.run().counts("double") == {"computed": 0, "cached": 2, "failed": 0}
        assert pipeline.double.as_table()["doubled"].to_pylist() == [0.0, 2.0]
        entries = database.get_records(("wide", *pipeline.double.path))
        made = [name for name in entries.column_names if name.startswith("_source_")]
        assert made == ["_source_gene_0"]
        assert sorted(entries[made[0]].to_pylist()) == ["expression::row_0::gene_0", "expression::row_1::gene_0"]
