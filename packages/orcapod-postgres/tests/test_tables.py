"""What a person finds in the schema, who may look, and what is refused."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import open_database
from orcapod.errors import DatabaseError, ReadOnlyStoreError, RecordSchemaError, StoreVersionError
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource
from orcapod.testing.database import same
from orcapod_postgres import PostgresDatabase

pytestmark = pytest.mark.postgres


def asked(conninfo: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def test_other_tools_read_it(postgres_conninfo: str) -> None:
    """One table per path, native columns, in the order added."""
    table = pa.table(
        {
            "id": ["b", "a"],
            "n": pa.array([2, None], pa.int16()),
            "x": [0.5, float("nan")],
            "ok": [True, False],
            "when": pa.array([1, None], pa.timestamp("us", "UTC")),
            "wall": pa.array([-1, 0], pa.timestamp("us")),
            "day": pa.array([0, 20_000], pa.date32()),
            "name": pa.array(["u", None]).dictionary_encode(),
            "raw": [b"\x01", None],
        }
    )
    with PostgresDatabase(postgres_conninfo) as database:
        database.at("_result").add_records(("double", "v1"), table)
        same(database.get_records(("_result", "double", "v1")), table)
    rows = asked(postgres_conninfo, 'SELECT * FROM orcapod."_result/double/v1" ORDER BY _row')
    epoch = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    wall = epoch.replace(tzinfo=None) - timedelta(microseconds=2)
    assert rows[0] == (1, "b", 2, 0.5, True, epoch, wall, date(1970, 1, 1), "u", b"\x01")
    assert rows[1][1:3] == ("a", None)


def test_points_in_time_far_away(postgres_conninfo: str) -> None:
    """As far as PostgreSQL counts they come back; beyond, the error says so."""
    late, early = 2**63 - 1, -210_866_803_200_000_000
    table = pa.table({"key": ["a", "b"], "t": pa.array([late, early], pa.timestamp("us"))})
    with PostgresDatabase(postgres_conninfo) as database:
        database.add_records(("p",), table)
        assert database.get_records(("p",)).equals(table)
        for wrong in (pa.array([early - 1], pa.timestamp("us")), pa.array([2**31 - 1], pa.date32())):
            with pytest.raises(RecordSchemaError, match="4713 BC"):
                database.add_records(("q",), pa.table({"key": ["c"], "t": wrong}))


def test_the_mark_that_stands_for_nul(postgres_conninfo: str) -> None:
    texts = ["\0", "\ufdd0", "\ufdd00", "\ufdd01\0", "0", "\0\0\ufdd0\ufdd0"]
    table = pa.table({"key": texts, "word": pa.array(texts[::-1]).dictionary_encode()})
    with PostgresDatabase(postgres_conninfo) as database:
        database.add_records(("p",), table)
        assert database.get_records(("p",)).equals(table)
        assert database.get_records_by_ids(("p",), ["\0"]).num_rows == 1


def test_tables_say_what_they_keep(postgres_conninfo: str) -> None:
    """Node and pipeline are in the comment of every table."""

    @op.function_pod(output_keys="y")
    def double(x: int) -> int:
        return 2 * x

    with PostgresDatabase(postgres_conninfo) as database:
        pipeline = op.Pipeline("lab", database)
        with pipeline:
            double.pod(DictSource([{"i": 0, "x": 1}], ["i"]), label="double")
        logs = pipeline.log_database
        pipeline.run(observer=CompositeObserver(LoggingObserver(logs), StatusObserver(logs)))
    comments = asked(
        postgres_conninfo,
        "SELECT obj_description(c.oid) FROM pg_class c WHERE relnamespace = 'orcapod'::regnamespace AND relkind = 'r'",
    )
    found = sorted(comment.partition("; path [")[0] for (comment,) in comments if "path [" in comment)
    assert [comment for comment in found if "of function" in comment or "of node" in comment] == [
        "orcapod: changes of the rows of node double of pipeline lab",
        "orcapod: logs of node double of pipeline lab",
        "orcapod: results of function double",
        "orcapod: rows of node double of pipeline lab",
        "orcapod: statuses of node double of pipeline lab",
    ]


def test_long_names_stay_apart(postgres_conninfo: str) -> None:
    """63 bytes are all that PostgreSQL looks at: beyond, a name ends in a hash of the whole."""
    one, two = "ü" * 40 + "1", "ü" * 40 + "2"
    with PostgresDatabase(postgres_conninfo) as database:
        for path in (one, two):
            database.add_records((path,), pa.table({"key": ["a"], one: [path], two: [1]}))
        assert [database.get_records((path,))[one].to_pylist() for path in (one, two)] == [[one], [two]]
    names = asked(postgres_conninfo, "SELECT table_name FROM orcapod._orcapod_paths")
    assert len({name for (name,) in names}) == 2
    assert all(len(name.encode()) <= 63 for (name,) in names)


def test_schemas_are_stores_of_their_own(postgres_conninfo: str) -> None:
    names = ["orcapod", 'la"b', "50%s"]
    for name in names:
        with PostgresDatabase(postgres_conninfo, schema=name) as database:
            assert database.list_paths() == []
            database.add_records((name,), pa.table({"key": [name]}))
    parts = psycopg.conninfo.conninfo_to_dict(postgres_conninfo)
    url = f"postgres:///{parts['dbname']}?host={parts['host']}&port={parts['port']}&schema=50%25s&user={parts['user']}"
    with open_database(url) as found:
        assert found.list_paths() == [("50%s",)]
        assert found.to_config()["schema"] == "50%s"
        found.check_writable()


def test_a_schema_without_a_store_is_not_made_one_by_who_looks(postgres_conninfo: str) -> None:
    """Neither is one that is not there, nor one that holds something else."""
    asked(postgres_conninfo, "CREATE SCHEMA mine; CREATE TABLE mine.visits (id int)")
    for schema in ("typo", "mine"):
        config = {"type": "postgresql", "conninfo": postgres_conninfo, "schema": schema}
        for look in (op.open_store, op.verify_store, op.remove_orphans):
            with pytest.raises(DatabaseError, match=f"there is no store in .*schema={schema}; .*nothing was made"):
                look(config)
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    assert asked(postgres_conninfo, tables) == [("mine", "visits")]
    open_database(config).close()
    with op.open_store(config) as store:
        assert store.pipelines() == []


def test_a_role_that_may_only_read_reads(postgres_conninfo: str) -> None:
    """And its attempts to write are errors, not silence."""
    role = f"reader_{os.getpid()}"
    with PostgresDatabase(postgres_conninfo) as database:
        database.add_records(("p",), pa.table({"key": ["a"], "x": [1]}))
    asked(postgres_conninfo, f"CREATE ROLE {role} LOGIN PASSWORD 'postgres'")
    try:
        asked(postgres_conninfo, f"GRANT USAGE ON SCHEMA orcapod TO {role}")
        asked(postgres_conninfo, f"GRANT SELECT ON ALL TABLES IN SCHEMA orcapod TO {role}")
        with PostgresDatabase(psycopg.conninfo.make_conninfo(postgres_conninfo, user=role)) as reader:
            assert reader.get_records(("p",)).to_pylist() == [{"key": "a", "x": 1}]
            assert reader.get_records_by_ids(("p",), ["a"]).num_rows == 1
            assert reader.list_paths() == [("p",)]
            with pytest.raises(ReadOnlyStoreError, match="permission denied.*nothing of this call was written"):
                reader.add_records(("p",), pa.table({"key": ["b"]}))
            with pytest.raises(ReadOnlyStoreError, match="may only be read.*connect as a user who may write"):
                reader.at("lab").check_writable()
        with pytest.raises(DatabaseError, match="permission denied"):
            PostgresDatabase(psycopg.conninfo.make_conninfo(postgres_conninfo, user=role), schema="other")
    finally:
        asked(postgres_conninfo, f"DROP OWNED BY {role}")
        asked(postgres_conninfo, f"DROP ROLE {role}")


def test_a_run_that_may_not_replace_a_view_of_another_role_is_recorded_all_the_same(postgres_conninfo: str) -> None:
    """It is told what to do: of those who have a role in common, each replaces what the other has made."""

    def run(user: str, output: str, **options: str) -> op.RunResult:
        @op.function_pod(output, identity="version")
        def double(x: int) -> int:
            return 2 * x

        conninfo = psycopg.conninfo.make_conninfo(postgres_conninfo, user=user, **options)
        with PostgresDatabase(conninfo) as database:
            with op.Pipeline("study", database) as pipeline:
                double.pod(DictSource([{"i": 1, "x": 1}], ["i"], source_id="s"), label="double")
            return pipeline.run()

    lab, ada, bob = roles = [f"{name}_{os.getpid()}" for name in ("lab", "ada", "bob")]
    names = ", ".join(roles)
    asked(postgres_conninfo, "".join(f"CREATE ROLE {role} LOGIN PASSWORD 'postgres';" for role in roles))
    try:
        dbname = psycopg.conninfo.conninfo_to_dict(postgres_conninfo)["dbname"]
        asked(postgres_conninfo, f'GRANT CREATE ON DATABASE "{dbname}" TO {names}; GRANT {lab} TO {ada}, {bob}')
        assert run(ada, "y").ok
        rights = "ALL ON ALL {} IN SCHEMA orcapod TO {}"
        for what in ("TABLES", "SEQUENCES"):
            asked(postgres_conninfo, f"GRANT {rights.format(what, bob)}")
        asked(postgres_conninfo, f"GRANT ALL ON SCHEMA orcapod TO {bob}")
        with pytest.raises(ReadOnlyStoreError, match="owner of view .*; the view was not placed; .* role .* in common"):
            run(bob, "z")
        with PostgresDatabase(postgres_conninfo) as database:
            assert op.open_store(database).runs()["outcome"].to_pylist() == ["SUCCESS", "FAILED"]
            assert op.open_store(database).rows("study", "double").column_names[:2] == ["i", "z"]
        asked(postgres_conninfo, f"REASSIGN OWNED BY {ada}, {bob} TO {lab}")
        for user, output in ((bob, "z"), (ada, "y")):
            assert run(user, output, options=f"-c role={lab}").ok
            with PostgresDatabase(postgres_conninfo) as database:
                assert op.open_store(database).sql('SELECT * FROM "study.double"').column_names[1] == output
    finally:
        asked(postgres_conninfo, f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")


def test_a_run_on_a_server_that_takes_no_writes_is_refused_before_it_computes(postgres_conninfo: str) -> None:
    """A standby, or a database that was set to be read only."""
    calls = []

    @op.function_pod("y", identity="version")
    def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    with PostgresDatabase(postgres_conninfo) as database:
        database.check_writable()
    conninfo = psycopg.conninfo.make_conninfo(postgres_conninfo, options="-c default_transaction_read_only=on")
    with PostgresDatabase(conninfo) as database:
        pipeline = op.Pipeline("p", database)
        with pipeline:
            double.pod(DictSource([{"i": 1, "x": 1}], ["i"]), label="double")
        assert pipeline.double.as_table().num_rows == 0
        with pytest.raises(ReadOnlyStoreError, match="may only be read"):
            pipeline.run()
        with pytest.raises(ReadOnlyStoreError, match="read-only transaction; nothing of this call was written"):
            database.add_records(("p",), pa.table({"key": ["a"]}))
    assert calls == []


@pytest.mark.parametrize(("version", "advice"), [(99, "upgrade"), (1, "give another store")])
def test_another_format_is_refused(postgres_conninfo: str, version: int, advice: str) -> None:
    PostgresDatabase(postgres_conninfo).close()
    asked(postgres_conninfo, f"UPDATE orcapod._orcapod_format SET version = {version}")
    with pytest.raises(StoreVersionError, match=f"format {version}.*{advice}"):
        PostgresDatabase(postgres_conninfo)


@pytest.mark.parametrize("name", ["_orcapod_paths", "_orcapod_format"])
def test_tables_of_our_names_that_are_not_ours_are_refused(postgres_conninfo: str, name: str) -> None:
    asked(postgres_conninfo, "CREATE SCHEMA orcapod")
    asked(postgres_conninfo, f"CREATE TABLE orcapod.{name} (something text)")
    with pytest.raises(DatabaseError, match="did not make"):
        PostgresDatabase(postgres_conninfo)


def test_tables_of_another_application_are_left_alone(postgres_conninfo: str) -> None:
    asked(postgres_conninfo, "CREATE TABLE samples AS SELECT 'mine' AS name")
    with PostgresDatabase(postgres_conninfo, schema="public") as database:
        database.add_records(("samples",), pa.table({"key": ["k"]}))
        assert database.list_paths() == [("samples",)]
    assert asked(postgres_conninfo, "SELECT name FROM samples") == [("mine",)]


def test_too_many_columns(postgres_conninfo: str) -> None:
    with PostgresDatabase(postgres_conninfo) as database:
        wide = pa.table({"key": ["k"], **{f"c{i}": [None] for i in range(1599)}})
        with pytest.raises(RecordSchemaError, match="at most 1599.*found 1600"):
            database.add_records(("p",), wide)
        assert database.add_records(("p",), wide.select(range(1599))) == 1
        assert database.get_records(("p",)).equals(wide.select(range(1599)))


def test_unions_are_refused_by_name(postgres_conninfo: str) -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with PostgresDatabase(postgres_conninfo) as database:
        with pytest.raises(RecordSchemaError, match="p: column 'u'.*union"):
            database.add_records(("p",), pa.table({"key": ["a"], "u": union}))
        assert database.list_paths() == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_may_not_use_it(postgres_conninfo: str) -> None:
    with PostgresDatabase(postgres_conninfo) as database:
        child = os.fork()
        if child == 0:
            try:
                database.list_paths()
            except DatabaseError as error:
                os._exit(0 if "forked" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert database.list_paths() == []


def test_no_password_is_shown(postgres_conninfo: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not in the configuration, the repr, the log or any message."""
    caplog.set_level("DEBUG")
    conninfo = psycopg.conninfo.make_conninfo(postgres_conninfo, password="hunter2")
    seen = []
    if "PGPASSWORD" not in os.environ:
        with PostgresDatabase(conninfo) as database:
            seen += [repr(database), str(database.to_config())]
    for wrong in (f"{conninfo} connect_timeout=2 port=1", "postgresql://u:hunter2@h:x/y", "hunter2"):
        with pytest.raises(DatabaseError) as caught:
            PostgresDatabase(wrong)
        seen += [str(caught.value), str(caught.value.__cause__)]
    assert "hunter2" not in "".join([*seen, caplog.text])


def test_parameters_of_tls_pass_through(postgres_conninfo: str) -> None:
    """A server without TLS is refused where TLS is required; the parameters are kept, and checked by libpq."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        answering = pool.submit(_without_tls, listener)
        with pytest.raises(DatabaseError, match="does not support SSL"):
            PostgresDatabase(f"host=127.0.0.1 port={listener.getsockname()[1]} sslmode=require connect_timeout=60")
        assert answering.result() == struct.pack("!ii", 8, 80_877_103), "the first word is a request for TLS"
    with pytest.raises(DatabaseError, match="sslmode"):
        PostgresDatabase("sslmode=whatever")
    with PostgresDatabase(f"{postgres_conninfo} sslmode=prefer sslrootcert=ca.crt") as database:
        assert "sslmode=prefer sslrootcert=ca.crt" in str(database.to_config()["conninfo"])


def _without_tls(listener: socket.socket) -> bytes:
    connection, _ = listener.accept()
    with connection:
        asked_for = connection.recv(8)
        connection.sendall(b"N")
        connection.recv(1)
        return asked_for


def test_importing_orcapod_loads_no_psycopg() -> None:
    program = "import orcapod, sys; sys.exit('psycopg' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
