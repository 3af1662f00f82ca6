"""What is damaged in an SQLite file is named with file, path, column and key, as an error of the store."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orcapod.databases import SQLiteDatabase
from orcapod.errors import DatabaseError, ValueTypeError
from orcapod.sources import DictSource

PATH = ("lab", "x")
PAIR = pa.struct([("text", pa.large_string()), ("raw", pa.large_binary())])
TABLE = pa.table(
    {
        "k": ["one", "two"],
        "whole": pa.array([1, 2], pa.int64()),
        "small": pa.array([1, 2], pa.int8()),
        "real": [0.5, 1.5],
        "flag": [True, False],
        "text": ["a", "b"],
        "raw": [b"a", b"b"],
        "day": pa.array([1, 2], pa.date32()),
        "nested": pa.array([["a"], ["b", "c"]], pa.large_list(pa.large_string())),
        "packed": pa.array([[("a", b"")], [("b", b""), ("c", b"")]], pa.large_list(PAIR)),
    }
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lab.db"
    with SQLiteDatabase(path) as database:
        database.add_records(PATH, TABLE)
    return path


def damage(file: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(file)
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


READERS: dict[str, Callable[[SQLiteDatabase], object]] = {
    "all": lambda database: database.get_records(PATH),
    "by key": lambda database: database.get_records_by_ids(PATH, ["two"]),
    "written to": lambda database: database.add_records(PATH, TABLE),
    "deleted from": lambda database: database.delete_records(PATH, ["two"]),
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("table_name", b"\xff"),
        ("arrow_schema", b""),
        ("arrow_schema", b"\xff" * 40),
        ("arrow_schema", TABLE.schema.serialize().to_pybytes()[:-40]),
        ("arrow_schema", "text"),
        ("arrow_schema", pa.schema({"k": pa.string()}).serialize().to_pybytes()),
        ("columns", ""),
        ("columns", "["),
        ("columns", "[" * 5000),
        ("columns", "5"),
        ("columns", "[1, 2]"),
        ("columns", '["k"]'),
        ("columns", b"\xff\xfe"),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_a_damaged_row_of_the_catalog_is_named(file: Path, column: str, value: object, read: str) -> None:
    damage(file, f"UPDATE _orcapod_paths SET {column} = ?", value)
    with SQLiteDatabase(file) as database, pytest.raises(DatabaseError) as raised:
        READERS[read](database)
    assert str(file) in str(raised.value)
    assert "lab/x: its row in _orcapod_paths is damaged" in str(raised.value)


@pytest.mark.parametrize("text", ["", "[", "5", "[1]", "[]", '["a", 1]', b"\xff", "[" * 5000])
def test_a_damaged_path_in_the_catalog_is_named(file: Path, text: object) -> None:
    damage(file, "UPDATE _orcapod_paths SET path = ?", text)
    with SQLiteDatabase(file) as database, pytest.raises(DatabaseError, match="_orcapod_paths.* is damaged") as raised:
        database.list_paths()
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("whole", "text"),
        ("whole", b"\x01"),
        ("whole", 1.5),
        ("small", 1000),
        ("real", "text"),
        ("real", b"\x01"),
        ("flag", 7),
        ("flag", "yes"),
        ("text", b"\xff"),
        ("text", b"text"),
        ("raw", "text"),
        ("raw", 5),
        ("day", "today"),
        ("day", 2**40),
        ("nested", "text"),
        ("nested", 5),
        ("nested", b""),
        ("nested", b"\xff" * 9),
        ("nested", b"\x7f" + b"\xff" * 30),
    ],
)
def test_a_value_of_another_type_is_named(file: Path, column: str, value: object) -> None:
    damage(file, f'UPDATE "lab/x" SET "{column}" = ? WHERE k = \'two\'', value)
    with SQLiteDatabase(file) as database:
        for read in ("all", "by key"):
            with pytest.raises(DatabaseError) as raised:
                READERS[read](database)
            assert str(file) in str(raised.value)
            assert f"lab/x: column {column!r} of the record 'two' is damaged: " in str(raised.value)
            assert (raised.value.column, raised.value.row) == (column, None)
        assert database.get_records_by_ids(PATH, ["one"]).num_rows == 1
        undamaged = [name for name in TABLE.column_names if name != column]
        assert database.get_records(PATH, undamaged).equals(TABLE.select(undamaged))


@pytest.mark.parametrize("length", range(0, 60, 3))
@pytest.mark.parametrize("column", ["nested", "packed"])
def test_a_nested_value_that_was_cut_is_named(file: Path, column: str, length: int) -> None:
    connection = sqlite3.connect(file)
    ((whole,),) = connection.execute(f"SELECT {column} FROM \"lab/x\" WHERE k = 'two'")
    connection.close()
    if length >= len(whole):
        return
    damage(file, f"UPDATE \"lab/x\" SET {column} = ? WHERE k = 'two'", whole[:length])
    with (
        SQLiteDatabase(file) as database,
        pytest.raises(DatabaseError, match=f"'{column}' of the record 'two' is damaged"),
    ):
        database.get_records(PATH)


@pytest.mark.parametrize(
    "text",
    ["[1]", '{"a": 1}', "3", '["b"', '["b"], ["c"]', "[" * 100_000, '[["b"]]', "[NaN]", "", "nonsense", "[true]"],
)
def test_json_of_another_value_is_named(file: Path, text: str) -> None:
    damage(file, "UPDATE \"lab/x\" SET nested = ? WHERE k = 'two'", text)
    with (
        SQLiteDatabase(file) as database,
        pytest.raises(DatabaseError, match="'nested' of the record 'two' is damaged"),
    ):
        database.get_records(PATH)


def test_a_text_in_a_nested_value_that_is_none_is_named(file: Path) -> None:
    connection = sqlite3.connect(file)
    ((whole,),) = connection.execute("SELECT packed FROM \"lab/x\" WHERE k = 'two'")
    connection.close()
    damage(file, "UPDATE \"lab/x\" SET packed = ? WHERE k = 'two'", whole.replace(b"c", b"\xff"))
    with (
        SQLiteDatabase(file) as database,
        pytest.raises(DatabaseError, match="'packed' of the record 'two' is damaged"),
    ):
        database.get_records(PATH)


def test_a_day_that_python_does_not_know_is_an_error_of_ours() -> None:
    column = pa.array([0, 2_000_000_000], pa.int32()).view(pa.date32())
    days: Any = DictSource([{"k": 1, "day": date(2020, 1, 1)}], ["k"]).schema.packets.types["day"]
    with pytest.raises(ValueTypeError, match="expected date, found a stored value that is none"):
        days.to_python(column)


def test_damage_that_sqlite_has_no_text_for_is_an_error_of_ours(file: Path) -> None:
    whole = file.read_bytes()
    assert b"tablelab/xlab/x" in whole
    file.write_bytes(whole.replace(b"tablelab/xlab/x", b"table\xb7\xff\xfe/xlab/x"))
    with pytest.raises(DatabaseError, match=re.escape(f"cannot open {file}: ")):
        SQLiteDatabase(file)
