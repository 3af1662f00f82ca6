"""``PostgresTableSource``: rows of a table or query as a stream."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import DatabaseError, InputValidationError, SchemaError
from orcapod.sources import ArrowTableSource
from orcapod_postgres import PostgresQuerySource, PostgresTableSource

pytestmark = pytest.mark.postgres

_EVERY_TYPE = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN price AS numeric(10, 2);
CREATE TABLE every (
  id integer PRIMARY KEY, small smallint, big bigint, r real, d double precision, ok boolean, t text, v varchar(9),
  c char(3), raw bytea, day date, wall timestamp, instant timestamptz, clock time, u uuid, j jsonb, e mood,
  whole numeric(12, 0), cents price, exact numeric, wide numeric(30, 5), network inet,
  ints integer[], texts text[], moods mood[], days date[], instants timestamptz[], amounts numeric(8, 2)[],
  clocks time[], ids uuid[], exacts numeric[]
);
INSERT INTO every VALUES (
  1, 2, 3, 0.5, 0.25, true, 'täxt', 'v', 'c', '\\x00ff', '2020-02-29', '1999-12-31 23:59:59.999999',
  '2020-01-01 12:00+02', '12:30', '00000000-0000-0000-0000-000000000001', '{"a": [1, null]}', 'happy',
  123456789012, 12.34, 1.000000000000000000001, 12345678901234567890.12345, '10.0.0.1',
  '{1,2}', '{a,NULL}', '{sad}', '{2020-01-01}', '{2020-01-01 00:00+00}', '{1.50}',
  '{12:30:00.5,NULL}', '{00000000-0000-0000-0000-000000000001}', '{1.50,NaN}'
)
"""


def made(conninfo: str, script: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(script)


def rows(source: PostgresTableSource) -> list[dict[str, Any]]:
    return source.as_table().to_pylist()


def test_every_type_has_a_counterpart(postgres_conninfo: str) -> None:
    """What is exact stays what it is; what has no counterpart is its text."""
    made(postgres_conninfo, _EVERY_TYPE)
    source = PostgresTableSource(postgres_conninfo, "every")
    (row,) = rows(source)
    row["instant"], row["instants"] = row["instant"].isoformat(), [each.isoformat() for each in row["instants"]]
    assert row == {
        "id": 1,
        "small": 2,
        "big": 3,
        "r": 0.5,
        "d": 0.25,
        "ok": True,
        "t": "täxt",
        "v": "v",
        "c": "c",
        "raw": b"\x00\xff",
        "day": date(2020, 2, 29),
        "wall": datetime(1999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
        "instant": datetime(2020, 1, 1, 10, tzinfo=UTC).isoformat(),
        "clock": time(12, 30),
        "u": "00000000-0000-0000-0000-000000000001",
        "j": '{"a": [1, null]}',
        "e": "happy",
        "whole": 123456789012,
        "cents": 12.34,
        "exact": "1.000000000000000000001",
        "wide": "12345678901234567890.12345",
        "network": "10.0.0.1/32",
        "ints": [1, 2],
        "texts": ["a", None],
        "moods": ["sad"],
        "days": [date(2020, 1, 1)],
        "instants": ["2020-01-01T00:00:00+00:00"],
        "amounts": [1.5],
        "clocks": [time(12, 30, 0, 500_000), None],
        "ids": ["00000000-0000-0000-0000-000000000001"],
        "exacts": ["1.50", "NaN"],
    }
    packets = source.output_schema()[1]
    found = [packets[name] for name in ("u", "exact", "wide", "ids", "exacts", "clocks")]
    expected = [UUID, Decimal, Decimal, list[UUID], list[Decimal], list[time | None]]
    assert found == [dtype | None for dtype in expected], "nothing is NOT NULL but the key"
    assert source.keys()[0] == ("id",)
    wanted = {"exact": float, "cents": str, "whole": Decimal, "clock": str, "u": str}
    declared = rows(PostgresTableSource(postgres_conninfo, "every", data_schema=wanted))[0]
    assert {name: declared[name] for name in wanted} == {
        "exact": 1.0,
        "cents": "12.34",
        "whole": "123456789012",
        "clock": "12:30:00",
        "u": "00000000-0000-0000-0000-000000000001",
    }


def test_a_number_that_is_declared_int_is_never_rounded(postgres_conninfo: str) -> None:
    made(
        postgres_conninfo,
        "CREATE TABLE whole (id int PRIMARY KEY, n numeric(30, 2), ns numeric[]);"
        "INSERT INTO whole VALUES (1, 12, '{1.00, null, -9223372036854775808}'), (2, null, null)",
    )
    declared = {"n": int | None, "ns": list[int | None] | None}
    found = rows(PostgresTableSource(postgres_conninfo, "whole", data_schema=declared))
    assert found == [{"id": 1, "n": 12, "ns": [1, None, -(2**63)]}, {"id": 2, "n": None, "ns": None}]
    others = ("n", "12.5"), ("n", "'NaN'"), ("n", "9223372036854775808"), ("ns", "'{1, 2.5}'"), ("ns", "'{Infinity}'")
    for column, value in others:
        made(postgres_conninfo, f"UPDATE whole SET {column} = {value} WHERE id = 2")
        with pytest.raises(InputValidationError, match=f"column '{column}': expected .*int64.*, found another value"):
            PostgresTableSource(postgres_conninfo, "whole", data_schema=declared)
        made(postgres_conninfo, "UPDATE whole SET n = null, ns = null WHERE id = 2")


def test_an_empty_table_has_its_types(postgres_conninfo: str) -> None:
    made(postgres_conninfo, _EVERY_TYPE + "; DELETE FROM every")
    assert rows(PostgresTableSource(postgres_conninfo, "every")) == []


def test_types_are_those_of_the_definition_and_not_of_the_rows_of_tonight(postgres_conninfo: str) -> None:
    """A column is ``T`` where the table says that it is never null, and else ``T | None``, whatever it holds."""
    made(
        postgres_conninfo,
        "CREATE DOMAIN mass AS float8 NOT NULL;"
        "CREATE TABLE t (id int PRIMARY KEY, a float8 NOT NULL, b float8, c mass, d int[], e int[] NOT NULL)",
    )
    expected = {"a": float, "b": float | None, "c": float, "d": list[int] | None, "e": list[int]}
    for row in ("SELECT 1", "INSERT INTO t VALUES (1, 0.5, 0.5, 0.5, '{1}', '{1}')"):
        made(postgres_conninfo, row)
        assert dict(PostgresTableSource(postgres_conninfo, "t").output_schema()[1]) == expected
    query = PostgresTableSource(postgres_conninfo, query="SELECT * FROM t", tag_columns=["id"])
    assert query.output_schema()[1]["b"] is float, "of which nobody says more"
    assert PostgresTableSource(postgres_conninfo, "t", data_schema={"b": float}).output_schema()[1]["b"] is float


def test_a_null_upstream_fails_one_row_of_the_night(postgres_conninfo: str) -> None:
    @op.function_pod("bmi", identity="version")
    def bmi(weight: float) -> float:
        return weight / 4

    def night() -> op.RunResult:
        source = PostgresTableSource(
            postgres_conninfo, "patients", source_id="patients", data_schema={"weight": float}, bad_rows="fail"
        )
        with op.Pipeline("study", database) as pipeline:
            bmi.pod(source, label="bmi")
        return pipeline.run()

    database = MemoryDatabase()
    made(
        postgres_conninfo,
        "CREATE TABLE patients (id int PRIMARY KEY, weight float8);"
        "INSERT INTO patients VALUES (1, 80), (2, 60), (3, 70)",
    )
    with pytest.raises(SchemaError, match="parameter 'weight' is float, found a column of float | None; take float"):
        bmi.pod(PostgresTableSource(postgres_conninfo, "patients"))
    assert night().counts("bmi") == {"computed": 3, "cached": 0, "failed": 0}
    made(postgres_conninfo, "UPDATE patients SET weight = NULL WHERE id = 2; INSERT INTO patients VALUES (4, 90)")
    result = night()
    assert result.counts("bmi") == {"computed": 1, "cached": 2, "failed": 0, "incomplete": 1}
    assert [(error.node_label, dict(error.tag)) for error in result.errors] == [("patients", {"id": 2})]
    assert "row 1: column 'weight': expected float, found null" in str(result.errors[0])


def test_tags_are_the_primary_key(postgres_conninfo: str) -> None:
    """In its order, which is the order of the rows too; without one, tag_columns must be given."""
    made(
        postgres_conninfo,
        "CREATE TABLE t (x int, b text, a int, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 'u', 2), (2, 'v', 1);"
        "CREATE VIEW w AS SELECT * FROM t",
    )
    source = PostgresTableSource(postgres_conninfo, "t")
    assert source.keys() == (("a", "b"), ("x",))
    assert [row["x"] for row in rows(source)] == [2, 1]
    assert source.label == "t"
    with pytest.raises(InputValidationError, match="no primary key.*tag_columns"):
        PostgresTableSource(postgres_conninfo, "w")
    assert PostgresTableSource(postgres_conninfo, "w", ["a"]).keys() == (("a",), ("x", "b"))


def test_it_is_the_source_that_its_table_is(postgres_conninfo: str) -> None:
    """Equal rows under an equal name are equal, wherever they came from; a query too."""
    made(postgres_conninfo, "CREATE TABLE t (i bigint PRIMARY KEY, x float8); INSERT INTO t VALUES (1, 0.5), (2, NULL)")
    table = pa.table({"i": [1, 2], "x": [0.5, None]})
    arrow = ArrowTableSource(table, ["i"], source_id="t", record_id_column="i")
    source = PostgresTableSource(postgres_conninfo, "t", source_id="t")
    query = PostgresTableSource(
        postgres_conninfo,
        query="SELECT * FROM t ORDER BY i; ",
        tag_columns=["i"],
        source_id="t",
        record_id_column="i",
    )
    everything = {"source": True, "system_tags": True}
    for each in (source, query):
        assert each.content_hash() == arrow.content_hash()
        assert each.pipeline_hash() == arrow.pipeline_hash()
        assert each.as_table(everything).equals(arrow.as_table(everything))


def names(source: PostgresTableSource) -> dict[str, str]:
    """Return what provenance calls the values of x."""
    return {packet["x"]: packet.source_info()["x"] for _, packet in source.iter_packets()}


def test_a_record_is_called_by_its_primary_key(postgres_conninfo: str) -> None:
    """Whatever comes or goes beside it, and whatever the tags are."""
    made(
        postgres_conninfo,
        "CREATE TABLE t (s text, n int, x text, PRIMARY KEY (s, n));"
        "INSERT INTO t VALUES ('a', 1, 'x1'), ('a', 2, 'x2'), ('b', 1, 'x3')",
    )
    before = names(PostgresTableSource(postgres_conninfo, "t", source_id="t"))
    assert before == {"x1": "t::s=a,n=1::x", "x2": "t::s=a,n=2::x", "x3": "t::s=b,n=1::x"}
    made(postgres_conninfo, "DELETE FROM t WHERE x = 'x1'; INSERT INTO t VALUES ('a', 0, 'x0')")
    after = names(PostgresTableSource(postgres_conninfo, "t", ["s"], source_id="t"))
    assert {x: after[x] for x in ("x2", "x3")} == {x: before[x] for x in ("x2", "x3")}
    by_text = names(PostgresTableSource(postgres_conninfo, "t", source_id="t", record_id_column="x"))
    assert by_text["x2"] == "t::x=x2::x"


def test_columns_and_a_condition_choose_what_is_read(postgres_conninfo: str) -> None:
    made(
        postgres_conninfo,
        "CREATE TABLE t (i int PRIMARY KEY, x text, n int); CREATE TABLE w (a int, x text);"
        "INSERT INTO t VALUES (2, 'x%2', 5), (1, 'x1', 1), (3, 'y', 9); INSERT INTO w SELECT i, x FROM t",
    )
    some = PostgresTableSource(postgres_conninfo, "t", columns=["x", "i"], where="n > 1 AND x LIKE 'x%' -- not all")
    assert rows(some) == [{"i": 2, "x": "x%2"}]
    assert names(some) == {"x%2": f"{PostgresTableSource(postgres_conninfo, 't').source_id}::i=2::x"}
    again = PostgresTableSource.from_config(some.to_config())
    assert again.content_hash() == some.content_hash()
    place = PostgresTableSource(postgres_conninfo, "w", ["a"]).source_id
    counted = PostgresTableSource(postgres_conninfo, "w", ["a"], where="a > 1")
    assert names(counted)["y"] == f"{place} where a > 1::row_1::x", "it is counted from its own first row"
    keyless = PostgresTableSource(postgres_conninfo, "t", ["x"], columns=["x"])
    assert [row["x"] for row in rows(keyless)] == ["x1", "x%2", "y"], "in the order of the key"


def test_a_query_is_a_source_of_its_own(postgres_conninfo: str) -> None:
    query = "SELECT i, 'x' || i AS x FROM generate_series(1, 3) AS i WHERE i % 2 = 1 ORDER BY i;"
    source = PostgresQuerySource(postgres_conninfo, query, ["i"], source_id="odd", record_id_column="i")
    assert names(source) == {"x1": "odd::i=1::x", "x3": "odd::i=3::x"}
    assert source.content_hash() == PostgresQuerySource.from_config(source.to_config()).content_hash()
    nameless = PostgresQuerySource(postgres_conninfo, query, "i")
    assert nameless.source_id.startswith("source-")
    assert names(nameless)["x3"].endswith("::row_1::x")
    with pytest.raises(InputValidationError, match="PostgresQuerySource .of a query.: syntax error"):
        PostgresQuerySource(postgres_conninfo, "SELEC 1", [])


@op.function_pod("doubled")
def doubled(n: int) -> int:
    return 2 * n


def test_a_column_that_is_added_to_a_table_moves_nothing(postgres_conninfo: str) -> None:
    """Nor does a row that is inserted before the others compute them again, or record them under other names."""
    made(postgres_conninfo, "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL); INSERT INTO t VALUES (2, 2), (3, 3)")
    database, entries = MemoryDatabase(), []
    for change, computed in (
        ("SELECT 1", 2),
        ("ALTER TABLE t ADD COLUMN note text DEFAULT 'new'", 0),
        ("ALTER TABLE t RENAME COLUMN note TO remark", 0),
        ("INSERT INTO t VALUES (1, 10)", 1),
    ):
        made(postgres_conninfo, change)
        pipeline = op.Pipeline("p", database)
        with pipeline:
            doubled.pod(PostgresTableSource(postgres_conninfo, "t"))
        assert pipeline.run().counts("doubled")["computed"] == computed
        table = pipeline.log_database.get_records(pipeline.doubled.path)
        entries.append((pipeline.doubled.path, table.column_names, table.column(0).to_pylist()))
    assert entries[0] == entries[1] == entries[2]
    path, columns, keys = entries[3]
    assert (path, columns) == entries[0][:2]
    assert (len(keys), keys[:2]) == (3, entries[0][2])


def test_two_tables_are_never_called_by_one_name(postgres_conninfo: str) -> None:
    made(
        postgres_conninfo,
        'CREATE SCHEMA a; CREATE SCHEMA b; CREATE SCHEMA "a.b";'
        'CREATE TABLE a.t (x int PRIMARY KEY); CREATE TABLE b.t (x int PRIMARY KEY); CREATE TABLE "a.b".t (x int);'
        'CREATE TABLE a."b.t" (x int); CREATE TABLE t (x int PRIMARY KEY)',
    )
    tables = [("t", None), ("t", "a"), ("t", "b"), ("t", "a.b"), ("b.t", "a")]
    found = [PostgresTableSource(postgres_conninfo, table, ["x"], schema=schema) for table, schema in tables]
    assert len({source.source_id for source in found}) == len(found)
    assert found[0].source_id == PostgresTableSource(postgres_conninfo, "t", schema="public").source_id
    assert all("::" not in source.source_id and "password" not in source.source_id for source in found)


def test_it_keeps_the_rows_it_found(postgres_conninfo: str) -> None:
    """Many batches, and the table gone: the stream still gives all rows, as often as it is read."""
    made(
        postgres_conninfo,
        "CREATE TABLE t (i int PRIMARY KEY, x text); INSERT INTO t SELECT i, i::text FROM generate_series(1, 30000) i",
    )
    source = PostgresTableSource(postgres_conninfo, "t", record_id_column="i")
    made(postgres_conninfo, "DROP TABLE t")
    for _ in range(2):
        assert source.as_table()["x"].to_pylist() == [str(i) for i in range(1, 30_001)]


@pytest.mark.parametrize("name", ['a"; DROP TABLE t; --', "Capital", "a.b", "%s %%", "ü"])
def test_a_name_is_a_name(postgres_conninfo: str, name: str) -> None:
    """Whatever is in it: tables, columns and schemas."""
    quoted = '"' + name.replace('"', '""') + '"'
    made(
        postgres_conninfo,
        f"CREATE TABLE t (i int); CREATE SCHEMA {quoted};"
        f"CREATE TABLE {quoted}.{quoted} ({quoted} int PRIMARY KEY, x int);"
        f"INSERT INTO {quoted}.{quoted} VALUES (1, 2)",
    )
    source = PostgresTableSource(postgres_conninfo, name, schema=name)
    assert rows(source) == [{name: 1, "x": 2}]
    with pytest.raises(InputValidationError, match="no table of that name"):
        PostgresTableSource(postgres_conninfo, name)
    made(postgres_conninfo, "SELECT * FROM t")


def test_it_changes_nothing(postgres_conninfo: str) -> None:
    made(postgres_conninfo, "CREATE TABLE t (i int PRIMARY KEY); INSERT INTO t VALUES (1)")
    for query in ("DELETE FROM t RETURNING i", "SELECT 1) AS a; DELETE FROM t; SELECT * FROM (SELECT 1"):
        with pytest.raises(InputValidationError):
            PostgresTableSource(postgres_conninfo, query=query, tag_columns=["i"])
    assert len(rows(PostgresTableSource(postgres_conninfo, "t"))) == 1


def test_it_is_opened_again(postgres_conninfo: str) -> None:
    """From a configuration without a password, which no message shows either."""
    made(postgres_conninfo, "CREATE TABLE t (i int PRIMARY KEY, x numeric); INSERT INTO t VALUES (1, 2)")
    conninfo = postgres_conninfo
    if "PGPASSWORD" not in os.environ:
        conninfo = psycopg.conninfo.make_conninfo(postgres_conninfo, password="hunter2")
    source = PostgresTableSource(conninfo, "t")
    config = source.to_config()
    assert "hunter2" not in f"{source!r} {config}"
    assert PostgresTableSource.from_config(config).content_hash() == source.content_hash()
    with pytest.raises(DatabaseError) as caught:
        PostgresTableSource(f"{conninfo} port=1", "t")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "a table or a query"),
        ({"table": "t", "query": "SELECT 1"}, "a table or a query"),
        ({"table": "nowhere"}, "nowhere.*no table of that name"),
        ({"query": "SELECT 1 AS i", "columns": ["i"]}, "columns and where are of a table; write them into the query"),
        ({"query": "SELECT 1 AS i", "where": "true"}, "columns and where are of a table"),
        ({"table": "pg_class", "columns": ["q"]}, "no column 'q'; found .'oid', 'relname'"),
        ({"table": "pg_class", "tag_columns": ["oid"], "where": "true) OR (q"}, "q"),
        ({"query": "SELECT 1 AS i"}, "tag_columns"),
        ({"query": "SELECT 1 AS i, 2 AS i", "tag_columns": ["i"]}, "'i' is there twice"),
        ({"query": "SELECT nothing", "tag_columns": ["i"]}, "nothing"),
        ({"query": "SELECT 1 AS i, ARRAY[[1]] AS x", "tag_columns": ["i"]}, "'x'.*convert it in a query"),
        ({"query": "SELECT 1 AS i, '24:00'::time AS x", "tag_columns": ["i"]}, "24"),
        ({"query": "SELECT 1 AS i, 'infinity'::timestamptz AS x", "tag_columns": ["i"]}, "'x'.*9999"),
    ],
)
def test_what_cannot_be_read_is_said(postgres_conninfo: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputValidationError, match=f"(?s){message}"):
        PostgresTableSource(postgres_conninfo, **arguments)
