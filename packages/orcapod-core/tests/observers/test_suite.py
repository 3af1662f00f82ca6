"""Our own observers keep the suite, and keep a row of everything that they say they do."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from orcapod.databases import MemoryDatabase
from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver, ProgressObserver, StatusObserver
from orcapod.testing import ObserverSuite
from orcapod.testing.observer import KeptEvents

STATES = {"SUCCESS": "computed", "CACHED": "cached", "FAILED": "failed"}


@pytest.fixture
def database() -> MemoryDatabase:
    return MemoryDatabase()


class TestNoOp(ObserverSuite):
    @pytest.fixture
    def observer(self) -> NoOpObserver:
        return NoOpObserver()


class TestProgress(ObserverSuite):
    @pytest.fixture
    def observer(self) -> ProgressObserver:
        return ProgressObserver()


class KeepingSuite(ObserverSuite):
    @pytest.fixture(autouse=True)
    def _database(self, database: MemoryDatabase) -> None:
        self.database = database


class TestLogging(KeepingSuite):
    states = ("logged",)

    @pytest.fixture
    def observer(self, database: MemoryDatabase) -> LoggingObserver:
        return LoggingObserver(database)

    def kept(self) -> KeptEvents:
        return logged(LoggingObserver(self.database).get_logs())


class TestStatus(KeepingSuite):
    states = ("computed", "cached", "failed")

    @pytest.fixture
    def observer(self, database: MemoryDatabase) -> StatusObserver:
        return StatusObserver(database, cached=True)

    def kept(self) -> KeptEvents:
        return ended(StatusObserver(self.database).get_status())


class TestComposite(KeepingSuite):
    states = ("logged", "computed", "cached", "failed")

    @pytest.fixture
    def observer(self, database: MemoryDatabase) -> CompositeObserver:
        return CompositeObserver(LoggingObserver(database), ProgressObserver(), StatusObserver(database, cached=True))

    def kept(self) -> KeptEvents:
        logs, states = LoggingObserver(self.database).get_logs(), StatusObserver(self.database).get_status()
        return logged(logs) + ended(states)


def logged(logs: pa.Table) -> KeptEvents:
    return Counter((row["__run_id"], row["__node_label"], number(row), "logged") for row in logs.to_pylist())


def ended(states: pa.Table) -> KeptEvents:
    return Counter(
        (row["__run_id"], row["__node_label"], number(row), STATES[row["__state"]])
        for row in states.to_pylist()
        if row["__state"] != "RUNNING"
    )


def number(row: dict[str, str]) -> int:
    """The tag of a packet, or the first one of a batch."""
    return int(row["i"].strip("[]").split(",")[0])
