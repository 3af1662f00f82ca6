"""``PostgresDatabase`` is a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from orcapod.testing.database import DatabaseSuite
from orcapod_postgres import PostgresDatabase

pytestmark = pytest.mark.postgres


class TestPostgresDatabase(DatabaseSuite):
    @pytest.fixture(autouse=True)
    def _conninfo(self, postgres_conninfo: str) -> None:
        self.conninfo = postgres_conninfo

    def make_database(self, folder: Path) -> PostgresDatabase:
        return PostgresDatabase(self.conninfo)
