"""``MemoryDatabase`` is a store, and the model of all others."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from orcapod.databases import MemoryDatabase
from orcapod.errors import DatabaseError
from orcapod.testing.database import DatabaseSuite


class TestMemoryDatabase(DatabaseSuite):
    persistent = False

    def make_database(self, folder: Path) -> MemoryDatabase:
        return MemoryDatabase()


def test_two_stores_share_nothing() -> None:
    one, two = MemoryDatabase(), MemoryDatabase()
    one.add_records(("p",), pa.table({"key": ["a"]}))
    assert two.list_paths() == []


def test_from_config_is_an_empty_store_at_the_same_prefix() -> None:
    store = MemoryDatabase().at("a")
    store.add_records(("p",), pa.table({"key": ["a"]}))
    again = MemoryDatabase.from_config(store.to_config())
    assert again.list_paths() == []
    assert again.to_config() == store.to_config() == {"type": "memory", "prefix": ["a"]}


def test_memory_has_no_place() -> None:
    assert MemoryDatabase.from_url("memory://").list_paths() == []
    with pytest.raises(DatabaseError, match="expected memory://, found memory://place"):
        MemoryDatabase.from_url("memory://place")


def test_many_small_additions_stay_few_tables() -> None:
    """Each row is copied a logarithmic number of times, also with look-ups in between."""
    store = MemoryDatabase()
    for row in range(300):
        store.add_records(("p",), pa.table({"key": [f"k{row}"], "x": [row]}))
        assert store.get_records_by_ids(("p",), [f"k{row // 2}"])["x"].to_pylist() == [row // 2]
    assert store.get_records(("p",))["x"].num_chunks <= 12
