"""What happens to records when the server or a connection fails: none is lost, none is doubled, and it is said."""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random
from typing import Any

import psycopg
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.datagrams import Chunk
from orcapod.errors import DatabaseError
from orcapod.observers import StatusObserver
from orcapod.sources import ArrowTableSource
from orcapod_postgres import PostgresDatabase
from orcapod_postgres.testing import Relay, Server

pytestmark = pytest.mark.postgres

ROWS = 1_000
PART = 50


@op.function_pod(output_keys="y")
def double(x: int) -> int:
    return 2 * x


@op.function_pod(output_keys="blob")
def noise(x: int) -> bytes:
    return Random(x).randbytes(1 << 20)


class Interrupted(ArrowTableSource):
    """Numbers, in small chunks; something happens before one of them."""

    def __init__(self, rows: int, at: int, happening: Callable[[], object]) -> None:
        super().__init__(pa.table({"i": range(rows), "x": range(rows)}), ["i"], source_id="numbers")
        self.at, self.happening = at, happening

    def chunks(self) -> Iterator[Chunk]:
        for chunk in super().chunks():
            for start in range(0, chunk.num_rows, PART):
                if start == self.at:
                    self.happening()
                yield chunk.slice(start, PART)


def asked(conninfo: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []


def waits(conninfo: str, event: str, writing: Future[int]) -> int | None:
    """The connection of a store that waits for an event, once there is one; None when it has written before that."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'orcapod' AND wait_event = %s"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if rows := asked(conninfo, query, event):
            return int(rows[0][0])
        if writing.done():
            return None
    raise AssertionError(f"nobody waits for {event}")


def break_off(conninfo: str) -> None:
    asked(conninfo, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orcapod'")


def all_are_there(database: PostgresDatabase, rows: int) -> None:
    """Every packet has one result, one record and a status that says so."""
    counts = {  # by what is the store's own, or by what the pipeline keeps
        path[0] if path[0].startswith("_") else path[1]: database.get_records(path).num_rows
        for path in database.list_paths()
    }
    for name in ("_run_starts", "_graphs", "_runs", "_states", "_environments", "_code"):
        del counts[name]
    statuses = counts.pop("_status")
    assert set(counts.values()) == {rows}
    assert statuses >= rows


def fail_writes(conninfo: str, table: str, code: str) -> None:
    """Have the server refuse rows of a table, until ``refused`` is dropped."""
    asked(
        conninfo,
        "CREATE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE 'refused' USING ERRCODE = '{code}'; END $$",
    )
    asked(conninfo, f'CREATE TRIGGER refused BEFORE INSERT ON orcapod."{table}" EXECUTE FUNCTION refused()')


@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_that_restarts_during_a_run(
    own_server: Server, own_conninfo: str, how: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Stopped in order or crashed: the run goes on where it was, everything is there once, and nobody talks of it."""

    def restart() -> None:
        own_server.stop(how)
        own_server.start()

    with PostgresDatabase(own_conninfo) as database:
        pipeline = op.Pipeline("restarted", database)
        with pipeline:
            double.pod(Interrupted(ROWS, 500, restart), label="double")
        result = pipeline.run(observer=StatusObserver(pipeline.log_database), flush_interval=0.05)
        assert result.counts("double") == {"computed": ROWS, "cached": 0, "failed": 0}
        all_are_there(database, ROWS)
    assert not caplog.records


def test_a_server_that_comes_back_is_found_soon(own_server: Server, own_conninfo: str) -> None:
    """Whoever waits for it tries again every now and then, and not after ever longer pauses."""
    with (
        Relay(own_server) as relay,
        ThreadPoolExecutor(2) as pool,
        PostgresDatabase(relay.conninfo(own_conninfo)) as database,
    ):
        database.add_records(("p",), pa.table({"key": ["a"]}))
        own_server.stop("immediate")
        adding = pool.submit(database.add_records, ("p",), pa.table({"key": ["b"]}))
        reading = pool.submit(database.get_records_by_ids, ("p",), ["a"])
        while relay.refused < 16:
            assert not adding.done()
            assert not reading.done()
            time.sleep(0.005)
        own_server.start()
        back = time.monotonic()
        assert adding.result() == 1
        assert reading.result()["key"].to_pylist() == ["a"]
        assert time.monotonic() - back < 20


def test_connections_that_are_broken_off_during_a_run(own_conninfo: str, caplog: pytest.LogCaptureFixture) -> None:
    with PostgresDatabase(own_conninfo) as database:
        pipeline = op.Pipeline("broken", database)
        with pipeline:
            double.pod(Interrupted(ROWS, 500, lambda: break_off(own_conninfo)), label="double")
        result = pipeline.run(observer=StatusObserver(pipeline.log_database), flush_interval=0.05)
        assert result.counts("double") == {"computed": ROWS, "cached": 0, "failed": 0}
        all_are_there(database, ROWS)
    assert not caplog.records


def test_a_connection_that_is_broken_off_while_it_reads(
    own_server: Server, own_conninfo: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In the middle of a large table: it is read again from its beginning."""
    table = pa.table({"key": [f"k{i:06}" for i in range(100_000)]})
    broken = iter([False, True])

    def on_message(said: bytes) -> None:
        if b"FETCH FORWARD" in said and next(broken, False):
            raise ConnectionResetError

    with Relay(own_server, on_message) as relay, PostgresDatabase(relay.conninfo(own_conninfo)) as database:
        database.add_records(("p",), table)
        assert database.get_records(("p",)).equals(table)
    assert next(broken, None) is None
    assert not caplog.records


def test_a_call_of_which_every_connection_dies_is_an_error_soon(own_server: Server, own_conninfo: str) -> None:
    """As where a page is so damaged that the server crashes on it: nobody waits for that to pass."""
    tries = []

    def on_message(said: bytes) -> None:
        if b"FETCH FORWARD" in said:
            tries.append(said)
            raise ConnectionResetError

    with Relay(own_server, on_message) as relay, PostgresDatabase(relay.conninfo(own_conninfo)) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
        with pytest.raises(DatabaseError, match="nothing was read"):
            database.get_records(("p",))
    assert len(tries) == 8


def test_a_connection_that_is_broken_off_while_it_writes(own_conninfo: str) -> None:
    """In the middle of a flush: the transaction is undone, and done again on another connection."""
    table = pa.table({"key": [f"k{i}" for i in range(100)]})
    with PostgresDatabase(own_conninfo) as database, ThreadPoolExecutor(1) as pool:
        database.add_records(("p",), table[:10])
        with psycopg.connect(own_conninfo) as blocker:
            blocker.execute("LOCK TABLE orcapod.p IN SHARE MODE")
            writing = pool.submit(database.add_records, ("p",), table)
            asked(own_conninfo, "SELECT pg_terminate_backend(%s)", waits(own_conninfo, "relation", writing))
            assert waits(own_conninfo, "relation", writing)
        assert writing.result() == 90
        assert database.get_records(("p",)).num_rows == 100


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process can be set on Linux only")
def test_a_disk_that_is_full(own_server: Server, own_conninfo: str) -> None:
    """The run fails and says why; with room again, the next run goes on with what is there."""
    room = 24 << 20

    def pipeline(database: PostgresDatabase) -> op.Pipeline:
        made = op.Pipeline("full", database)
        with made:
            noise.pod(ArrowTableSource(pa.table({"i": range(40), "x": range(40)}), ["i"]), label="noise")
        return made

    before = resource.prlimit(own_server.pid, resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    try:
        with PostgresDatabase(own_conninfo) as database, pytest.raises(DatabaseError, match="could not (extend|write)"):
            pipeline(database).run(flush_interval=0.01)
    finally:
        resource.prlimit(own_server.pid, resource.RLIMIT_FSIZE, before)
    with PostgresDatabase(own_conninfo) as database:
        again = pipeline(database)
        counts = again.run().counts("noise")
        assert counts["computed"] + counts["cached"] == 40
        assert again.noise.as_table()["blob"].to_pylist() == [Random(x).randbytes(1 << 20) for x in range(40)]


def test_a_disk_that_is_full_for_a_while_costs_nothing(postgres_conninfo: str) -> None:
    """What is to be written last is tried again, here until the user has been told."""
    told: list[str] = []

    def freed(message: Warning | str, *_: object) -> None:
        told.append(str(message))
        asked(postgres_conninfo, "DROP FUNCTION refused CASCADE")

    with PostgresDatabase(postgres_conninfo) as database:
        with op.Pipeline("full", database) as pipeline:
            double.pod(ArrowTableSource(pa.table({"i": range(ROWS), "x": range(ROWS)}), ["i"]), label="double")
        pipeline.run(where={"i": 0})
        fail_writes(postgres_conninfo, "/".join(("_result", *pipeline.double.uri)), "disk_full")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = freed
            counts = pipeline.run(flush_interval=60).counts("double")
        assert pipeline.double.as_table().num_rows == ROWS
    assert counts == {"computed": ROWS - 1, "cached": 1, "failed": 0}
    assert len(told) == 1
    assert "could not be stored, twice in a row" in told[0]


@pytest.mark.parametrize(("code", "passes"), [("out_of_memory", True), ("not_null_violation", False)])
def test_an_error_says_whether_time_may_mend_it(postgres_conninfo: str, code: str, passes: bool) -> None:
    with PostgresDatabase(postgres_conninfo) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
        fail_writes(postgres_conninfo, "p", code)
        with pytest.raises(DatabaseError, match="refused") as raised:
            database.add_records(("p",), pa.table({"key": ["b"]}))
    assert raised.value.is_transient is passes


def test_a_server_that_is_gone_is_named(own_conninfo: str) -> None:
    with pytest.raises(DatabaseError, match=r"(?s)cannot connect to .*dbname=postgres.*socket"):
        PostgresDatabase("host=/nowhere dbname=postgres user=postgres")


def test_a_statement_that_takes_too_long(own_conninfo: str) -> None:
    with PostgresDatabase(own_conninfo, statement_timeout=2.0) as database:
        database.add_records(("p",), pa.table({"key": ["a"]}))
        with psycopg.connect(own_conninfo) as blocker:
            blocker.execute("LOCK TABLE orcapod.p")
            with pytest.raises(DatabaseError, match=r"statement_timeout=2.0 allows; nothing of this call was written"):
                database.add_records(("p",), pa.table({"key": ["b"]}))
        assert database.add_records(("p",), pa.table({"key": ["b"]})) == 1
