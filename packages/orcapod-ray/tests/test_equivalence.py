"""Promise 7 on a cluster: whatever drives a pipeline there, the answer and the records are those of one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from orcapod.databases import SQLiteDatabase
from orcapod.testing import PipelineSuite
from orcapod_ray import RayExecutor

pytestmark = pytest.mark.ray


class TestRay(PipelineSuite):
    @pytest.fixture
    def executor(self, cluster: RayExecutor) -> RayExecutor:
        return cluster

    def make_database(self, folder: Path) -> SQLiteDatabase:
        return SQLiteDatabase(folder / "lab.db")
