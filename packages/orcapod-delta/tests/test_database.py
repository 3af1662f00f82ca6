"""``DeltaDatabase`` passes the suite of all stores, buffered and unbuffered."""

from __future__ import annotations

from pathlib import Path

from orcapod.protocols import Database
from orcapod.testing.database import DatabaseSuite
from orcapod_delta import DeltaDatabase


class TestDeltaDatabase(DatabaseSuite):
    def make_database(self, folder: Path) -> Database:
        return DeltaDatabase(folder)


class TestUnbufferedDeltaDatabase(DatabaseSuite):
    """Every row is committed when it is added, so that what is read was in a Delta table."""

    def make_database(self, folder: Path) -> Database:
        return DeltaDatabase(folder, buffer_bytes=0)
