"""How large records of ``PostgresDatabase`` may be, and what happens to larger ones."""

from __future__ import annotations

from random import Random

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from orcapod.errors import RecordSchemaError, RecordTooLargeError
from orcapod.testing.database import blobs
from orcapod_postgres import PostgresDatabase

pytestmark = pytest.mark.postgres


def test_two_values_that_are_too_large_together(postgres_conninfo: str) -> None:
    """A row travels in one message: what counts is the sum. The connection stays, and nothing is tried again."""
    with PostgresDatabase(postgres_conninfo, pool_size=1) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
        backend = database._pool.read(lambda connection: connection.info.backend_pid)
        half = database.max_record_bytes // 2
        large = pa.table({"key": ["b", "c"], "x": blobs(1, half), "y": blobs(1, half + 1)})
        with pytest.raises(
            RecordTooLargeError, match=r"column 'y' .* GB, a PostgreSQL store takes 1.07\d* GB"
        ) as caught:
            database.add_records(("p",), large)
        assert caught.value.size == database.max_record_bytes + 2  # the key has one
        assert database.get_records(("p",)).to_pylist() == [{"key": "a"}]
        assert database._pool.read(lambda connection: connection.info.backend_pid) == backend


def test_rows_of_very_different_sizes_travel_in_several_messages(postgres_conninfo: str) -> None:
    """Every kind of column is cut at the same rows, nulls, text and numbers among them."""
    sizes = [*[100] * 50, 6 << 20, 0, 5 << 20, 7 << 20, *[100] * 50]
    rows = len(sizes)
    table = pa.table(
        {
            "key": [f"{row:03}" for row in range(rows)],
            "big": blobs(*sizes),
            "n": pa.array([None if row % 3 == 0 else row for row in range(rows)]),
            "text": pa.array([None if row % 5 == 0 else f"ü\0{row}" for row in range(rows)]),
            "word": pa.array([None if row % 7 == 0 else f"w{row % 2}" for row in range(rows)]).dictionary_encode(),
            "list": pa.array([None if row % 4 == 0 else [row, None] for row in range(rows)]),
        }
    )
    table = pa.concat_tables([table[:20], table[20:52], table[52:]])
    with PostgresDatabase(postgres_conninfo) as database:
        assert database.add_records(("p",), table) == rows
        found = database.get_records(("p",))
        assert found.equals(table)
        assert pc.binary_length(found["big"]).to_pylist() == sizes
        assert database.add_records(("p",), table) == 0


def test_more_keys_than_travel_at_once(postgres_conninfo: str) -> None:
    keys = [f"k{row}" for row in range(1_000_100)]
    with PostgresDatabase(postgres_conninfo) as database:
        database.add_records(("p",), pa.table({"key": [keys[0], keys[-1], "other"]}))
        assert sorted(database.get_records_by_ids(("p",), keys)["key"].to_pylist()) == [keys[0], keys[-1]]
        assert database.delete_records(("p",), keys) == 2
        assert database.get_records(("p",))["key"].to_pylist() == ["other"]


def test_more_text_columns_than_a_row_has_room_for(postgres_conninfo: str) -> None:
    """A row has 8 kB for what is not put aside, and what is put aside takes some of them as well: that is said."""
    wide = {f"c{at}": ["a" * 20] for at in range(500)}
    long = {"key": [Random(0).randbytes(20_000)]}
    with PostgresDatabase(postgres_conninfo) as database:
        for table in (pa.table({"key": ["a"], **wide}), pa.table(long)):
            with pytest.raises(
                RecordSchemaError, match=r"p: expected rows .*put some columns together.*keep keys short"
            ):
                database.add_records(("p",), table)
        assert database.list_paths() == []
