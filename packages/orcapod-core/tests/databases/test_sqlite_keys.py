"""Keys of an SQLite file are found however many there are, and whatever was done to them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from orcapod import verify_store
from orcapod.databases import SQLiteDatabase
from orcapod.databases.sqlite_keys import KeyIndex, checksums

PATH = ("p",)
MANY = 160_000
LEVELS = [f"_orcapod_keys_{level}" for level in range(3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


@pytest.fixture
def database(file: Path) -> Iterator[SQLiteDatabase]:
    with SQLiteDatabase(file) as database:
        yield database


def keys(count: int, seed: int = 0) -> list[bytes]:
    drawn = random.Random(seed)
    return [drawn.randbytes(16) for _ in range(count)]


def records(of: list[bytes]) -> pa.Table:
    return pa.table({"key": pa.array(of, pa.binary()), "x": range(len(of))})


def shell(file: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement).fetchall()


def test_each_key_is_found_among_many(file: Path, database: SQLiteDatabase) -> None:
    """The same before and after some were removed and added again, whichever level of the index they are in."""
    known, unknown = keys(MANY), keys(1000, seed=1)
    for start in range(0, MANY, 20_000):
        assert database.add_records(PATH, records(known[start : start + 20_000])) == 20_000
    held = [shell(file, f"SELECT count(*) FROM {level}")[0][0] for level in LEVELS]
    assert held == [20_000, 140_000, 0], "new keys are in the first level, the others went on together"
    sample = random.Random(2).sample(known, 2000)
    assert {*database.get_records_by_ids(PATH, [*sample, *unknown], [])["key"].to_pylist()} == {*sample}
    assert database.add_records(PATH, records([*unknown, *sample])) == len(unknown)
    assert database.delete_records(PATH, sample) == len(sample)
    assert database.get_records_by_ids(PATH, sample).num_rows == 0
    assert database.add_records(PATH, records(sample)) == len(sample)
    assert database.get_records(PATH, []).num_rows == MANY + len(unknown)
    assert verify_store(database).ok


def _key(row: int) -> bytes:
    return row.to_bytes(4, "big")


def test_many_keys_go_on_to_the_last_level(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "keys.db")) as connection:
        connection.execute("PRAGMA cache_size = -65536")
        KeyIndex.create(connection)
        index, size = KeyIndex(7), 65_536
        for first in range(1, 20 * size, size):
            index.add(connection, checksums(_key(row) for row in range(first, first + size)), first)
        condition, parameters = index.condition(connection, checksums(map(_key, [5, 1_000_000, 1_300_000])))
        rows = [5, 6, 1_000_000, 1_300_000]
        connection.execute("CREATE TABLE p (_row INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO p VALUES (?)", [(row,) for row in rows])
        found = connection.execute(f"SELECT _row FROM p WHERE {condition}", parameters).fetchall()
        assert found == [(5,), (1_000_000,), (1_300_000,)]
        held = [connection.execute(f"SELECT count(*) FROM {level}").fetchone()[0] for level in LEVELS]
        assert held == [0, 4 * size, 16 * size]


def test_keys_of_one_checksum_are_two(database: SQLiteDatabase) -> None:
    one, two = b"plumless", b"plainness"
    assert checksums([one]) == checksums([two])
    assert database.add_records(PATH, records([one])) == 1
    assert database.get_records_by_ids(PATH, [two]).num_rows == 0
    assert database.add_records(PATH, records([two, one])) == 1
    assert database.delete_records(PATH, [one]) == 1
    assert database.get_records_by_ids(PATH, [one, two])["key"].to_pylist() == [two]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM _orcapod_keys_0 WHERE _row = 3",
        "UPDATE _orcapod_keys_0 SET checksum = checksum || '0' WHERE _row = 3",
        "UPDATE _orcapod_keys_0 SET _row = 300 WHERE _row = 3",
        "UPDATE _orcapod_keys_0 SET table_number = 300 WHERE _row = 3",
    ],
)
def test_a_record_that_its_key_does_not_find_is_named_and_found_again(
    file: Path, database: SQLiteDatabase, damage: str
) -> None:
    known = keys(10)
    database.add_records(PATH, records(known))
    shell(file, damage)
    assert database.get_records_by_ids(PATH, known).num_rows == 9
    (finding,) = verify_store(database).damages
    assert (finding.kind, finding.path) == ("storage", PATH)
    assert f"1 of its records, {known[2].hex()} the first" in finding.why
    verify_store(database, repair=True)
    assert verify_store(database).ok
    assert database.get_records_by_ids(PATH, known).num_rows == 10


def test_rows_that_were_removed_by_hand_are_no_damage(file: Path, database: SQLiteDatabase) -> None:
    known = keys(10)
    database.add_records(PATH, records(known))
    shell(file, "DELETE FROM p WHERE _row > 5")
    assert verify_store(database).ok
    assert database.get_records_by_ids(PATH, known).num_rows == 5
    assert database.add_records(PATH, records(known)) == 5
    assert database.get_records_by_ids(PATH, known).num_rows == 10
    assert verify_store(database).ok


def test_a_column_that_the_catalog_does_not_know_is_named(file: Path, database: SQLiteDatabase) -> None:
    database.add_records(PATH, records(keys(1)))
    shell(file, "ALTER TABLE p RENAME COLUMN x TO z")
    (finding,) = verify_store(database).damages[:1]
    assert "['_row', 'key', 'z'], and by its catalog ['_row', 'key', 'x']" in finding.why


def test_what_was_not_there_may_be_there_now(file: Path, database: SQLiteDatabase) -> None:
    """Whoever else adds a key between a look-up and an addition is first."""
    known = keys(10)
    database.add_records(PATH, records(known[:1]))
    with SQLiteDatabase(file) as other:
        for key in known[1:4]:
            assert database.get_records_by_ids(PATH, [key]).num_rows == 0
            assert other.add_records(PATH, records([key])) == 1
            assert database.add_records(PATH, records([key])) == 0
    assert database.get_records_by_ids(PATH, known[4:]).num_rows == 0
    assert database.add_records(PATH, records(known[4:8])) == 4
    assert database.add_records(PATH, records(known[4:])) == 2
    assert database.get_records(PATH, [])["key"].to_pylist() == known


@pytest.mark.parametrize("order", ["as added", "reversed", "at random", "one in three", "with strangers"])
def test_records_are_found_in_whatever_order_they_are_asked_for(database: SQLiteDatabase, order: str) -> None:
    known, strangers = keys(3000), keys(500, seed=1)
    for start in range(0, 3000, 1000):
        database.add_records(PATH, records(known[start : start + 1000]))
    asked = {
        "as added": known[500:2500],
        "reversed": known[::-1],
        "at random": random.Random(2).sample(known, 2000),
        "one in three": known[::3],
        "with strangers": [*strangers[:250], *known[1000:2000], *strangers[250:]],
    }[order]
    found = database.get_records_by_ids(PATH, asked)
    assert {*found["key"].to_pylist()} == {*asked} - {*strangers}
    assert len(found) == len({*asked} - {*strangers})
    places = {key: number % 1000 for number, key in enumerate(known)}
    assert all(row["x"] == places[row["key"]] for row in found.to_pylist())


def test_what_is_known_of_absent_keys_stays_small(database: SQLiteDatabase) -> None:
    """However many tables are asked, and for however many keys."""
    asked = keys(20_000)
    for table in range(20):
        database.add_records((f"p{table}",), records(keys(1, seed=9)))
        assert database.get_records_by_ids((f"p{table}",), asked if table % 2 else asked[:100]).num_rows == 0
    assert sum(len(found) for _, found in database._shared._absent.values()) <= 8 * 10_000
    assert database.add_records(("p19",), records(asked)) == len(asked)
    assert database.add_records(("p18",), records(asked[:200])) == 200
