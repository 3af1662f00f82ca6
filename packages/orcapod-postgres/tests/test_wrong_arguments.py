"""Every wrong argument is refused in our own words, or accepted; nothing hangs, crashes or raises a bare error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from orcapod.errors import DatabaseError
from orcapod.testing import argument_faults
from orcapod_postgres import PostgresDatabase, PostgresQuerySource, PostgresTableSource

pytestmark = pytest.mark.postgres

RECORDS = pa.table({"k": ["2"], "v": [1]})


def right(value: object) -> Callable[[], object]:
    return lambda: value


def opened(**given: Any) -> None:
    PostgresDatabase(**given).close()


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (opened, {"schema": "a", "pool_size": 1, "statement_timeout": None}),
        (lambda **config: PostgresDatabase.from_config(config).close(), {"schema": "a", "prefix": []}),
        (lambda **given: PostgresTableSource(**given).as_table(), {"table": "t", "schema": None, "tag_columns": ["k"]}),
        (
            lambda **given: PostgresTableSource(table="t", tag_columns=["k"], **given).as_table(),
            {"source_id": None, "record_id_column": None, "data_schema": None, "bad_rows": "raise", "label": None},
        ),
        (
            lambda **given: PostgresTableSource(table="t", tag_columns=["k"], **given).as_table(),
            {"columns": None, "where": None},
        ),
        (
            lambda **given: PostgresQuerySource(**given).as_table(),
            {
                "query": "SELECT 1 AS k",
                "tag_columns": ["k"],
                "source_id": None,
                "record_id_column": None,
                "label": None,
            },
        ),
        (lambda **given: PostgresTableSource(tag_columns=["k"], **given).as_table(), {"query": "SELECT 1 AS k"}),
    ],
    ids=["PostgresDatabase", "configuration", "table", "options of a table", "parts of a table", "answer", "query"],
)
def test_a_wrong_argument_is_refused_in_our_words(
    call: Callable[..., object], arguments: dict[str, Any], own_conninfo: str
) -> None:
    with psycopg.connect(own_conninfo) as connection:
        connection.execute("CREATE TABLE t (k bigint, v bigint)")
    there = {"conninfo": right(own_conninfo)}
    given = {name: right(value) for name, value in arguments.items()}
    call(conninfo=own_conninfo, **arguments)

    def connected(**options: object) -> object:
        return call(conninfo=there["conninfo"](), **options)

    assert list(argument_faults(connected, given)) == []


def test_a_wrong_argument_of_a_method_is_refused_in_our_words(own_conninfo: str) -> None:
    with PostgresDatabase(own_conninfo) as database:
        database.add_records(("a",), RECORDS)
        methods: dict[str, dict[str, object]] = {
            "add_records": {"path": ("a",), "table": RECORDS, "on_conflict": "skip"},
            "get_records": {"path": ("a",), "columns": None, "where": None},
            "get_records_by_ids": {"path": ("a",), "ids": ["2"], "columns": None},
            "delete_records": {"path": ("a",), "ids": ["1"]},
        }
        for name, arguments in methods.items():
            given = {each: right(value) for each, value in arguments.items()}
            assert list(argument_faults(getattr(database, name), given)) == []


@pytest.mark.parametrize("conninfo", [5, b"host=a password=hunter2", {"password": "hunter2"}, "password=hunter2\ud800"])
def test_what_is_no_connection_string_is_not_shown(conninfo: Any) -> None:
    for call in (PostgresDatabase, PostgresDatabase.from_url):
        with pytest.raises(DatabaseError, match="expected a connection string .*not shown") as raised:
            call(conninfo)
        assert "hunter2" not in str(raised.value)
