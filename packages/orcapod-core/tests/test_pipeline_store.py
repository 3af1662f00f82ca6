"""What a pipeline leaves in a store: seen by every view, readable with plain SQL, no pickle, no secret."""

from __future__ import annotations

import io
import json
import pickle
import pickletools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase, NoOpDatabase, SQLiteDatabase, open_database
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource


@op.function_pod(["total", "name"])
def summarize(x: int, values: list[float]) -> tuple[float, str]:
    print(f"row {x}")  # to be captured
    if x == 3:
        raise ValueError("three")
    return sum(values), f"n{x}"


def source(rows: int = 4) -> DictSource:
    data = [{"who": f"w{i}", "x": i, "values": [float(i)] * i} for i in range(rows)]
    return DictSource(data, tag_columns=["who"], source_id="s", data_schema={"values": list[float]})


def built(database: Any, name: str | tuple[str, ...] = "lab", rows: int = 4) -> op.Pipeline:
    with op.Pipeline(name, database) as pipeline:
        summarize.pod(source(rows))
    return pipeline


EVERY = {"source": True, "system_tags": True}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lab.db"


# Promise 13


def test_what_one_view_of_a_store_wrote_every_view_reads(file: Path) -> None:
    with SQLiteDatabase(file) as one, open_database(f"sqlite:///{file}") as two:
        first, second = built(one), built(two)
        by_path = built(file)
        assert first.run().counts("summarize") == {"computed": 3, "cached": 0, "failed": 1}
        for other in (second, by_path, built(one)):
            assert other.summarize.as_table(EVERY).equals(first.summarize.as_table(EVERY))
            assert other.run().counts("summarize") == {"computed": 0, "cached": 3, "failed": 1}
        longer = built(two, rows=6)
        assert longer.run().counts("summarize") == {"computed": 2, "cached": 3, "failed": 1}
        assert built(one, rows=6).summarize.as_table().num_rows == 5
        assert one.at("lab").get_records(("_runs",)).num_rows == 5
        by_path.database.close()


def test_observers_of_two_views_read_each_others_rows(file: Path) -> None:
    with SQLiteDatabase(file) as one, SQLiteDatabase(file) as two:
        first, second = built(one), built(two)
        first.run(observer=LoggingObserver(first.log_database))
        second.run(observer=LoggingObserver(second.log_database))
        for pipeline in (first, second):
            assert LoggingObserver(pipeline.log_database).get_logs().num_rows == 4 + 1


@pytest.mark.parametrize("apart", [False, True])
def test_an_sqlite_file_and_memory_give_equal_tables(file: Path, apart: bool) -> None:
    with MemoryDatabase() as memory, SQLiteDatabase(file) as database:
        expected, found = built(memory), op.Pipeline("lab", database, MemoryDatabase() if apart else None)
        with found:
            summarize.pod(source())
        assert expected.run().node_counts == found.run().node_counts
        assert found.summarize.as_table(EVERY).equals(expected.summarize.as_table(EVERY))
        assert any("_result" in path for path in database.list_paths()) is not apart


# Plain SQL


@pytest.fixture
def sql(file: Path) -> Iterator[sqlite3.Connection]:
    with SQLiteDatabase(file) as database:
        pipeline = built(database, ("lab", "grades"))
        records = pipeline.log_database
        observer = CompositeObserver(LoggingObserver(records), StatusObserver(records, cached=True))
        for _ in range(2):
            pipeline.run(observer=observer)
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection


def tables(sql: sqlite3.Connection) -> list[str]:
    return [name for (name,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]


def test_runs_are_readable_with_plain_sql(sql: sqlite3.Connection) -> None:
    rows = [dict(row) for row in sql.execute('SELECT * FROM "lab/grades/_runs" ORDER BY __started')]
    assert [(row["__outcome"], row["__computed"], row["__cached"], row["__failed"]) for row in rows] == [
        ("FAILED", 3, 0, 1),
        ("FAILED", 0, 3, 1),
    ]
    assert {row["__pipeline"] for row in rows} == {"lab/grades"}
    assert [json.loads(row["__nodes"])["summarize"]["counts"]["computed"] for row in rows] == [3, 0]
    assert len({row["__run_id"] for row in rows}) == 2
    joined = 'SELECT count(*) FROM "lab/grades/_runs" JOIN "lab/grades/_environments" USING (__environment_id)'
    assert sql.execute(joined).fetchone()[0] == 2


def test_results_and_rows_are_readable_with_plain_sql(sql: sqlite3.Connection) -> None:
    (results,) = [name for name in tables(sql) if name.startswith("_result/summarize/")]
    (entries,) = [name for name in tables(sql) if name.startswith("lab/grades/summarize/") and "schema:" in name]
    query = (
        f'SELECT e.who, r.total, r.name, r.__seconds, e._source_x FROM "{entries}" AS e '
        f'JOIN "{results}" AS r USING (__record_id) ORDER BY e.who'
    )
    rows = [tuple(row) for row in sql.execute(query)]
    assert [row[:3] for row in rows] == [("w0", 0.0, "n0"), ("w1", 1.0, "n1"), ("w2", 4.0, "n2")]
    assert all(row[3] >= 0 for row in rows)
    assert [row[4] for row in rows] == ["s::row_0::x", "s::row_1::x", "s::row_2::x"]


def test_logs_and_statuses_are_readable_with_plain_sql(sql: sqlite3.Connection) -> None:
    (logs,) = [name for name in tables(sql) if "/_log/" in name]
    (statuses,) = [name for name in tables(sql) if "/_status/" in name]
    failed = f'SELECT who, __stdout, __traceback FROM "{logs}" WHERE NOT __success'
    rows = [tuple(row) for row in sql.execute(failed)]
    assert [(row[0], row[1]) for row in rows] == [("w3", "row 3\n")] * 2
    assert all("ValueError: three" in row[2] for row in rows)
    states = f"SELECT __state, count(*) FROM \"{statuses}\" WHERE __state != 'RUNNING' GROUP BY 1 ORDER BY 1"
    assert [tuple(row) for row in sql.execute(states)] == [("CACHED", 3), ("FAILED", 2), ("SUCCESS", 3)]


def test_every_result_says_which_code_and_run_made_it(sql: sqlite3.Connection) -> None:
    (results,) = [name for name in tables(sql) if name.startswith("_result/summarize/")]
    rows = list(sql.execute(f'SELECT __code, __run_id, __timestamp FROM "{results}"'))
    first = sql.execute('SELECT __run_id FROM "lab/grades/_runs" ORDER BY __started').fetchone()[0]
    assert {row["__code"] for row in rows} == {str(summarize.pod.packet_function.fingerprint())}
    assert {row["__run_id"] for row in rows} == {first}


# Promise 19


@op.function_pod(["a", "b", "c", "d", "e", "f"])
def everything(
    x: int,
) -> tuple[list[str | None], dict[str, list[int]], datetime, date, bytes, tuple[int, str]]:
    return ["a", None], {"k": [x]}, datetime.fromisoformat("2026-01-01"), date(2026, 1, 1), b"\x80bytes", (x, "t")


def is_pickle(data: bytes) -> bool:
    """Whether ``pickle.load`` would take it for a program, from protocol 2 on."""
    if not data.startswith(b"\x80") or len(data) < 3 or data[1] > pickle.HIGHEST_PROTOCOL:
        return False
    try:
        pickletools.dis(data, io.StringIO())
    except Exception:  # noqa: BLE001  # whatever it finds wrong, it is none
        return False
    return True


def test_the_detector_knows_a_pickle() -> None:
    assert all(is_pickle(pickle.dumps({"a": [1]}, protocol)) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1))
    assert not is_pickle(b"\x80bytes")


def test_nothing_stored_is_a_pickle(file: Path) -> None:
    aware = DictSource([{"i": 0, "x": 1, "at": datetime(2026, 1, 1, tzinfo=UTC)}], tag_columns=["i"], source_id="t")
    with SQLiteDatabase(file) as database:
        with op.Pipeline("p", database) as pipeline:
            everything.pod(aware)
            summarize.pod(source())
        records = pipeline.log_database
        pipeline.run(observer=CompositeObserver(LoggingObserver(records), StatusObserver(records)))
        assert pipeline.everything.as_table().num_rows == 1
    blobs = 0
    with closing(sqlite3.connect(file)) as connection:
        for name in tables(connection):
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                for value in row:
                    if isinstance(value, bytes):
                        blobs += 1
                        assert not is_pickle(value), (name, value)
                    elif isinstance(value, str):
                        assert not value.startswith(("gAS", "gAN", "(dp", "(lp", "cos\n")), (name, value)
    assert blobs > 10


def test_no_secret_in_a_configuration(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    for database in (MemoryDatabase(), NoOpDatabase(), SQLiteDatabase(file), SQLiteDatabase(file).at("a", "b")):
        config = json.dumps(database.to_config())
        assert "hunter2" not in config
        again = type(database).from_config(json.loads(config))
        assert again.to_config() == database.to_config()
        again.close()
        database.close()


def test_environment_variables_are_not_stored(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "hunter2hunter2")
    with SQLiteDatabase(file) as database:
        pipeline = built(database)
        pipeline.run(observer=LoggingObserver(pipeline.log_database))
    content = b"".join(path.read_bytes() for path in file.parent.iterdir())
    assert b"hunter2hunter2" not in content


def test_columns_that_differ_by_case_alone_are_two(file: Path) -> None:
    @op.function_pod(["a", "A"])
    def f(x: int) -> tuple[int, int]:
        return x, -x

    with SQLiteDatabase(file) as database:
        with op.Pipeline("p", database) as pipeline:
            f.pod(DictSource([{"i": 0, "I": 1, "x": 5}], tag_columns=["i", "I"], source_id="s"))
        pipeline.run()
        assert pipeline.f.as_table().to_pylist() == [{"i": 0, "I": 1, "a": 5, "A": -5}]
