"""Promise 7: whatever drives a pipeline, and wherever its functions run, the answer and the records are the same."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod.testing import PipelineSuite


class TestInMemory(PipelineSuite):
    """The calling thread, records in memory."""


class TestOnSQLite(PipelineSuite):
    def make_database(self, folder: Path) -> SQLiteDatabase:
        return SQLiteDatabase(folder / "lab.db")


@pytest.fixture(scope="module")
def threads() -> Iterator[LocalExecutor]:
    with LocalExecutor(2, "thread") as pool:
        yield pool


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalExecutor]:
    with LocalExecutor(2, "process") as pool:
        yield pool


class TestThreads(TestOnSQLite):
    @pytest.fixture
    def executor(self, threads: LocalExecutor) -> LocalExecutor:
        return threads


class TestProcesses(TestOnSQLite):
    @pytest.fixture
    def executor(self, processes: LocalExecutor) -> LocalExecutor:
        return processes


class TestProcessesInMemory(TestProcesses):
    def make_database(self, folder: Path) -> MemoryDatabase:
        return MemoryDatabase()


@pytest.mark.parametrize("size", [1, 64])
def test_rows_that_are_collected_come_in_the_same_order(size: int) -> None:
    """Batches of a join of a branch that is fast and one that is slow, with more rows than a channel holds."""

    @op.function_pod(output_keys="y", max_concurrency=8, identity="version")
    async def late(x: int) -> int:
        await asyncio.sleep(0.001 * (x % 7))
        return x

    @op.function_pod(output_keys="z", identity="version")
    def numbered(x: list[int], y: list[int]) -> list[int]:
        return [*x, *y]

    def rows(orchestrator: Any) -> list[dict[str, Any]]:
        source = DictSource([{"i": i % 97, "x": i} for i in range(500)], ["i"], source_id="s")
        pipeline = op.Pipeline("p", MemoryDatabase())
        with pipeline:
            numbered.pod(late.pod(source).join(source.filter(pc.field("x") > 3)).batch(7))
        assert pipeline.run(orchestrator).ok
        return pipeline["numbered"].as_table(columns={"system_tags": True, "source": True}).to_pylist()

    expected = rows(SyncPipelineOrchestrator())
    assert rows(AsyncPipelineOrchestrator(buffer_size=size)) == expected
