"""Promise 7 where packages meet: the same random pipelines over Delta Lake and PostgreSQL, here and on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orcapod.testing import PipelineSuite
from orcapod_delta import DeltaDatabase
from orcapod_postgres import PostgresDatabase
from orcapod_ray import RayExecutor


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayExecutor]:
    executor = RayExecutor(ray_init={"num_cpus": 2, "object_store_memory": 100 * 2**20})
    yield executor
    executor.shutdown()


class TestDelta(PipelineSuite):
    def make_database(self, folder: Path) -> DeltaDatabase:
        return DeltaDatabase(folder / "lab")


@pytest.mark.postgres
class TestPostgres(PipelineSuite):
    @pytest.fixture(autouse=True)
    def _conninfo(self, postgres_conninfo: str, tmp_path: Path) -> None:
        self.conninfo, self.test = postgres_conninfo, tmp_path.name

    def make_database(self, folder: Path) -> Any:
        return PostgresDatabase(self.conninfo).at(self.test, folder.name)


@pytest.mark.ray
class TestRayOverDelta(TestDelta):
    @pytest.fixture
    def executor(self, cluster: RayExecutor) -> RayExecutor:
        return cluster


@pytest.mark.ray
class TestRayOverPostgres(TestPostgres):
    @pytest.fixture
    def executor(self, cluster: RayExecutor) -> RayExecutor:
        return cluster
