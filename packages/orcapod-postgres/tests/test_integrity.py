"""What becomes of a PostgreSQL store whose tables were changed by hand: it is told of, and nothing wrong is served."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest
from psycopg.sql import SQL, Identifier

import orcapod as op
from orcapod.errors import DamagedRecordError
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase

pytestmark = pytest.mark.postgres


@op.function_pod("y")
def double(x: int) -> int:
    return 2 * x


def built(database: PostgresDatabase) -> op.Pipeline:
    pipeline = op.Pipeline("lab", database)
    with pipeline:
        double.pod(DictSource([{"i": i, "x": i} for i in range(20)], ["i"], source_id="s"))
    return pipeline


@pytest.fixture
def database(postgres_conninfo: str) -> Iterator[PostgresDatabase]:
    with PostgresDatabase(postgres_conninfo) as database:
        built(database).run().raise_for_errors()
        assert op.verify_store(database).ok
        yield database


def edit(conninfo: str, statement: str) -> None:
    """Change the table of results by hand."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        tables = "SELECT schemaname, tablename FROM pg_tables WHERE tablename LIKE '\\_result/double%'"
        ((schema, table),) = connection.execute(tables).fetchall()
        connection.execute(SQL(statement).format(Identifier(schema, table)))  # type: ignore[arg-type]


def test_a_value_that_was_changed_is_never_served_and_moved_aside(
    database: PostgresDatabase, postgres_conninfo: str
) -> None:
    edit(postgres_conninfo, "UPDATE {} SET y = 77 WHERE y = 20")
    with pytest.raises(DamagedRecordError, match="a result of y that is not as it was stored"):
        built(database).run(error_policy="fail_fast")
    assert [each.kind for each in op.verify_store(database, repair=True).damages] == ["changed", "lost result"]
    assert op.verify_store(database).ok
    assert built(database).run().counts("double") == {"computed": 1, "cached": 19, "failed": 0}


def test_a_table_that_is_gone_is_named(database: PostgresDatabase, postgres_conninfo: str) -> None:
    edit(postgres_conninfo, "DROP TABLE {} CASCADE")
    found = op.verify_store(database).damages
    assert "which is not there" in found[0].why
    assert found[0].path[:2] == ("_result", "double")


def test_a_value_that_cannot_be_read_is_named_and_moved_aside(postgres_conninfo: str) -> None:
    path = ("lab", "rows")
    with PostgresDatabase(postgres_conninfo) as database:
        database.add_records(path, pa.table({"key": ["a", "b", "c"], "nested": [["x"], ["y"], ["z"]]}))
        with psycopg.connect(postgres_conninfo, autocommit=True) as connection:
            connection.execute("""UPDATE orcapod."lab/rows" SET nested = '"ill"' WHERE key = 'b'""")
        with pytest.raises(DamagedRecordError, match="table lab/rows: column 'nested' of the record 'b'") as raised:
            database.get_records(path)
        assert (raised.value.keys, raised.value.column) == (("b",), "nested")
        (damage,) = op.verify_store(database, repair=True).damages
        assert (damage.kind, damage.path, damage.key, damage.column) == ("unreadable", path, "b", "nested")
        assert database.get_records(path)["key"].to_pylist() == ["a", "c"]
        assert op.verify_store(database).ok
