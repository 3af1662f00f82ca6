"""Rows to tell observers of."""

from datetime import date

import pyarrow as pa
import pytest

from orcapod.databases import MemoryDatabase
from orcapod.sources import ArrowTableSource


@pytest.fixture
def database():
    return MemoryDatabase()


@pytest.fixture
def rows():
    """Three rows as pairs of a tag and a packet; tags of several types, one of them with a null."""
    table = pa.table(
        {
            "idx": [0, 1, 2],
            "key": ["a", None, "c"],
            "day": [date(2024, 1, number) for number in (1, 2, 3)],
            "weight": [0.5, 1.0, None],
            "x": [10, 11, 12],
        }
    )
    source = ArrowTableSource(table, tag_columns=["idx", "key", "day", "weight"], source_id="s")
    return list(source.iter_packets())
