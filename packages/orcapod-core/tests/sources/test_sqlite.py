"""``SQLiteTableSource`` and ``SQLiteQuerySource``: what is in a SQLite file as a stream."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError
from orcapod.sources import DictSource, SQLiteQuerySource, SQLiteTableSource
from orcapod.testing.strategies import ALL_COLUMNS
from orcapod.types import AwareDatetime

PATIENTS = """
CREATE TABLE patients (id INTEGER PRIMARY KEY, weight REAL NOT NULL, note TEXT, visit INT);
INSERT INTO patients VALUES (2, 61, 'b', 1), (1, 60.5, NULL, NULL);
"""


def made(folder: Path, script: str = PATIENTS) -> Path:
    """A file of what a script makes, in which others are at work, too."""
    path = folder / "lab é.db"
    connection = sqlite3.connect(path)
    connection.executescript("PRAGMA journal_mode = WAL;" + script)
    connection.close()
    return path


def test_types_are_those_that_the_table_declares(tmp_path: Path) -> None:
    path = made(
        tmp_path,
        """
        CREATE TABLE t (
          a INTEGER, b BIGINT NOT NULL, c VARCHAR(9), d DOUBLE PRECISION, e BLOB, f BOOLEAN, g DATE, h TIME,
          i DATETIME, j TIMESTAMP, k NUMERIC(10, 2), l DECIMAL NOT NULL, m JSON, n UUID, o FLOAT, p NCHAR(2), q CLOB,
          PRIMARY KEY (b)
        );
        INSERT INTO t VALUES (1, 2, 'c', 3, x'00ff', 1, '2020-02-29', '12:30', '2020-01-01 12:00:00',
          '2020-01-01T12:00:00.5', 1.25, 2, '{}', 'u', 0.5, 'p', 'q');
        """,
    )
    source = SQLiteTableSource(path, "t")
    tags, packets = source.output_schema()
    assert tags == {"b": int}
    assert dict(packets) == {
        "a": int | None, "c": str | None, "d": float | None, "e": bytes | None, "f": bool | None, "g": date | None,
        "h": time | None, "i": datetime | None, "j": datetime | None, "k": float | None, "l": float, "m": str | None,
        "n": str | None, "o": float | None, "p": str | None, "q": str | None,
    }  # fmt: skip
    assert source.as_table().to_pylist() == [
        {
            "b": 2, "a": 1, "c": "c", "d": 3.0, "e": b"\x00\xff", "f": True, "g": date(2020, 2, 29), "h": time(12, 30),
            "i": datetime.fromisoformat("2020-01-01T12:00"), "j": datetime.fromisoformat("2020-01-01T12:00:00.5"),
            "k": 1.25, "l": 2.0,
            "m": "{}", "n": "u", "o": 0.5, "p": "p", "q": "q",
        }
    ]  # fmt: skip


def test_tonights_rows_change_no_type(tmp_path: Path) -> None:
    path = made(tmp_path)
    before = SQLiteTableSource(path, "patients").schema
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM patients")
    empty = SQLiteTableSource(path, "patients")
    assert empty.schema == before
    assert empty.as_table().num_rows == 0
    assert before.packets == {"weight": float, "note": str | None, "visit": int | None}


def test_it_is_the_source_that_its_table_is(tmp_path: Path) -> None:
    rows = [{"id": 1, "weight": 60.5, "note": None, "visit": None}, {"id": 2, "weight": 61.0, "note": "b", "visit": 1}]
    types = {"id": int, "weight": float, "note": str | None, "visit": int | None}
    expected = DictSource(rows, ["id"], source_id="s", record_id_column="id", data_schema=types)
    found = SQLiteTableSource(made(tmp_path), "patients", source_id="s")
    assert found.as_table(ALL_COLUMNS).to_pylist() == expected.as_table(ALL_COLUMNS).to_pylist()
    assert (found.content_hash(), found.pipeline_hash()) == (expected.content_hash(), expected.pipeline_hash())
    assert found.schema == expected.schema


def test_what_it_is_called(tmp_path: Path) -> None:
    path = made(tmp_path)
    source = SQLiteTableSource(path, "patients")
    assert (source.source_id, source.label) == (f"sqlite://{path}/patients", "patients")
    assert SQLiteTableSource(path, "patients", source_id="s").label == "s"
    assert SQLiteTableSource(path, "patients", label="l").label == "l"


def test_columns_and_a_condition_choose_what_is_read(tmp_path: Path) -> None:
    path = made(tmp_path)
    some = SQLiteTableSource(path, "patients", columns=["weight", "id"], where="weight > 60.7 -- not all")
    assert some.as_table().to_pylist() == [{"id": 2, "weight": 61.0}]
    assert some.source_id == f"sqlite://{path}/patients", "its records are those of the table"
    counted = SQLiteTableSource(path, "patients", ["note"], columns=["note"], where="weight > 60.7")
    assert counted.as_table(ALL_COLUMNS).column(2).to_pylist() == ["row_0"]
    assert counted.source_id == f"sqlite://{path}/patients where weight > 60.7"
    with pytest.raises(InputValidationError, match="there is no column 'q'; found .'id', 'weight'"):
        SQLiteTableSource(path, "patients", columns=["q"])


def test_keys_of_several_columns_name_records_and_order_them(tmp_path: Path) -> None:
    script = "CREATE TABLE v (x INT, b TEXT, a TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID; "
    path = made(tmp_path, script + "INSERT INTO v VALUES (1, 'z', 'a'), (2, 'a', 'b'), (3, 'a', 'a');")
    source = SQLiteTableSource(path, "v")
    assert source.output_schema() == ({"a": str, "b": str}, {"x": int | None})
    assert [packet.source_info()["x"].partition("::")[2] for _, packet in source.iter_packets()] == [
        "b=a,a=a::x", "b=a,a=b::x", "b=z,a=a::x",
    ]  # fmt: skip


def test_a_table_without_a_key_needs_tags_and_is_in_their_order(tmp_path: Path) -> None:
    path = made(tmp_path, "CREATE TABLE t (k INT, x INT); INSERT INTO t VALUES (2, 1), (1, 2);")
    with pytest.raises(InputValidationError, match="found no primary key to take as tags; give tag_columns"):
        SQLiteTableSource(path, "t")
    assert SQLiteTableSource(path, "t", ["k"]).as_table().column("x").to_pylist() == [2, 1]


def test_views_and_generated_columns_are_read(tmp_path: Path) -> None:
    script = "CREATE TABLE t (k INTEGER PRIMARY KEY, x REAL, y REAL AS (x * 2)); INSERT INTO t (x) VALUES (1.5);"
    path = made(tmp_path, script + 'CREATE VIEW "a ""view""" AS SELECT k, x + y AS z FROM t;')
    assert SQLiteTableSource(path, "t").as_table().to_pylist() == [{"k": 1, "x": 1.5, "y": 3.0}]
    assert SQLiteTableSource(path, 'a "view"', "k").as_table().to_pylist() == [{"k": 1, "z": 4.5}]


@pytest.mark.parametrize(
    ("sql_type", "value", "why"),
    [
        ("INTEGER", "'n/a'", "expected int, found 'n/a' of type str"),
        ("INTEGER", "1.5", "expected int, found 1.5 of type float"),
        ("REAL", "'n/a'", "expected float, found 'n/a' of type str"),
        ("REAL", "x'00'", "expected float, found b'.x00' of type bytes"),
        ("TEXT", "x'00'", "expected str, found b'.x00' of type bytes"),
        ("BLOB", "'a'", "expected bytes, found 'a' of type str"),
        ("BOOLEAN", "2", "expected bool, found 2 of type int"),
        ("DATE", "'soon'", "expected date, found 'soon' of type str"),
        ("DATE", "5", "expected date, found 5 of type int"),
        ("DATETIME", "'2020-01-01 12:00+02'", "expected datetime, .* it has a time zone"),
    ],
)
def test_a_value_that_is_not_of_its_declared_type_is_named(tmp_path: Path, sql_type: str, value: str, why: str) -> None:
    """By row and column, also behind the rows that are read at once."""
    many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300) "
    fill = f"INSERT INTO t {many} SELECT i, NULL FROM n; UPDATE t SET x = {value} WHERE k = 200;"
    path = made(tmp_path, f"CREATE TABLE t (k INTEGER PRIMARY KEY, x {sql_type}); {fill}")
    with pytest.raises(InputValidationError, match=f"'t': column 'x', row 199: {why}.*; mend it, or declare") as raised:
        SQLiteTableSource(path, "t")
    assert (raised.value.column, raised.value.row) == ("x", 199)


def test_null_in_a_key_is_named(tmp_path: Path) -> None:
    """SQLite takes one in a key that is no rowid."""
    path = made(tmp_path, "CREATE TABLE t (k TEXT PRIMARY KEY, x INT); INSERT INTO t VALUES ('a', 1), (NULL, 2);")
    with pytest.raises(InputValidationError, match="column 'k': row 0: expected str, found null"):
        SQLiteTableSource(path, "t")


def test_declared_types_stand_in_place_of_the_tables(tmp_path: Path) -> None:
    script = "CREATE TABLE t (k INTEGER PRIMARY KEY, p NUMERIC, u TEXT, i DATETIME, f REAL, n INT); "
    uuid = UUID(int=1)
    path = made(tmp_path, script + f"INSERT INTO t VALUES (1, 1.25, '{uuid}', '2020-01-01T12:00:00+02:00', 1, 1);")
    types = {"p": Decimal, "u": UUID, "i": AwareDatetime, "f": float, "n": float | None}
    source = SQLiteTableSource(path, "t", data_schema=types)
    assert dict(source.output_schema()[1]) == types
    ((_, packet),) = source.iter_packets()
    assert packet.as_dict() == {
        "p": Decimal("1.25"), "u": uuid, "i": datetime(2020, 1, 1, 10, tzinfo=UTC), "f": 1.0, "n": 1.0
    }  # fmt: skip
    with pytest.raises(InputValidationError, match="data_schema declares 'q'"):
        SQLiteTableSource(path, "t", data_schema={"q": int})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE t SET f = NULL")
    with pytest.raises(InputValidationError, match="column 'f': row 0: expected float, found null"):
        SQLiteTableSource(path, "t", data_schema=types)


def test_columns_without_a_type_have_that_of_their_values(tmp_path: Path) -> None:
    path = made(
        tmp_path,
        "CREATE TABLE t (k INTEGER PRIMARY KEY, i, f, s, b, mixed, empty); INSERT INTO t VALUES"
        " (1, 1, 1, 'a', x'00', 1, NULL), (2, NULL, 1.5, 'b', x'01', 'a', NULL);",
    )
    names = ["k", "i", "f", "s", "b"]
    source = SQLiteTableSource(path, "t", columns=names)
    assert source.output_schema()[1] == {"i": int | None, "f": float | None, "s": str | None, "b": bytes | None}
    assert source.as_table().column("f").to_pylist() == [1.0, 1.5]
    for name, kinds in (("mixed", "integer,text"), ("empty", "null")):
        with pytest.raises(InputValidationError, match=f"'{name}' declares no type and holds values of {kinds}; decl"):
            SQLiteTableSource(path, "t", columns=["k", name])


def test_a_query_is_a_source(tmp_path: Path) -> None:
    path = made(tmp_path)
    query = "SELECT id, weight, weight / 4 AS w, note, count(*) OVER () AS n FROM patients ORDER BY id; "
    source = SQLiteQuerySource(path, query, ["id"], label="rows")
    assert source.output_schema() == ({"id": int}, {"weight": float, "w": float, "note": str | None, "n": int})
    assert source.as_table().column("w").to_pylist() == [60.5 / 4, 61 / 4]
    assert source.label == "rows"
    assert source.source_id.startswith("source-")
    named = SQLiteQuerySource(path, query, ["id"], record_id_column="id", source_id="s")
    assert [packet.source_info()["w"] for _, packet in named.iter_packets()] == ["s::id=1::w", "s::id=2::w"]


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT q FROM patients", "no such column: q"),
        ("DELETE FROM patients", "syntax error"),
        ("SELECT 1 AS id; DELETE FROM patients", "You can only execute one statement at a time"),
        ("", "incomplete input"),
        ("SELECT 1 AS id, 2 AS id", "column 'id' is there twice; rename one with AS"),
    ],
)
def test_what_is_no_query_is_refused_and_changes_nothing(tmp_path: Path, query: str, why: str) -> None:
    path = made(tmp_path)
    with pytest.raises(InputValidationError, match=why):
        SQLiteQuerySource(path, query, ["id"])
    assert SQLiteTableSource(path, "patients").as_table().num_rows == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.unlink(), "found nothing at .*, expected a SQLite file"),
        (lambda path: (path.unlink(), path.mkdir()), "found a folder at"),
        (lambda path: path.write_text("k,x\n1,2\n" * 99), "file is not a database"),
    ],
)
def test_what_is_no_file_of_sqlite_is_refused(tmp_path: Path, change: Any, why: str) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"")
    change(path)
    with pytest.raises(InputValidationError, match=f"SQLiteTableSource 't': .*{why}"):
        SQLiteTableSource(path, "t")


def test_a_table_that_is_not_there_is_told_from_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputValidationError, match=r"found no table of that name; there are \['patients'\]"):
        SQLiteTableSource(made(tmp_path), "patient")


def test_it_keeps_the_rows_it_found_and_a_pipeline_runs_over_it(tmp_path: Path) -> None:
    path = made(tmp_path)
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        op.function_pod(output_keys="bmi", identity="version")(bmi).pod(SQLiteTableSource(path, "patients"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM patients")
    assert pipeline.run().counts("bmi")["computed"] == 2


def bmi(weight: float) -> float:
    return weight / 4


@given(values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False), max_size=20))
def test_numbers_come_back_as_what_they_were(values: list[Any]) -> None:
    """NaN is null to SQLite; an int in a column of REAL is a float."""
    import tempfile  # noqa: PLC0415  # a folder for each example

    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder), "CREATE TABLE t (k INTEGER PRIMARY KEY, i INT, f REAL);")
        connection = sqlite3.connect(path)
        whole = [value if isinstance(value, int) else None for value in values]
        connection.executemany("INSERT INTO t (i, f) VALUES (?, ?)", list(zip(whole, values, strict=True)))
        connection.commit()
        connection.close()
        found = SQLiteTableSource(path, "t").as_table()
    assert found.column("i").to_pylist() == whole
    assert found.column("f").to_pylist() == [None if value is None else float(value) for value in values]
