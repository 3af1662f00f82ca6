"""Several processes running the same pipeline on one database at the same time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orcapod_postgres import PostgresDatabase

pytestmark = pytest.mark.postgres

PROGRAM = """
import sys
import orcapod as op
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase

@op.function_pod(output_keys="y")
def double(x: int) -> int:
    return 2 * x

@op.function_pod(output_keys="z")
def shown(y: int) -> str:
    return f"{y}"

with PostgresDatabase(sys.argv[1]) as database:
    pipeline = op.Pipeline("together", database)
    with pipeline:
        shown.pod(double.pod(DictSource([{"i": i, "x": i} for i in range(100)], ["i"], source_id="s"), label="double"),
                  label="shown")
    print("ready", flush=True)
    sys.stdin.readline()
    logs = pipeline.log_database
    pipeline.run(observer=CompositeObserver(LoggingObserver(logs), StatusObserver(logs))).raise_for_errors()
    print(sum(int(z) for z in pipeline.shown.as_table()["z"].to_pylist()), flush=True)
"""


@pytest.mark.parametrize("number", [2, 8])
def test_all_finish_with_one_row_per_key(postgres_conninfo: str, number: int) -> None:
    """From an empty database on: tables are made, extended and filled by all of them at once."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, postgres_conninfo],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(number)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.communicate()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=90) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert answers == [(f"{sum(range(0, 200, 2))}\n", "")] * number
    with PostgresDatabase(postgres_conninfo) as database:
        sizes = {path: database.get_records(path).num_rows for path in database.list_paths()}
    assert [rows for path, rows in sizes.items() if path[0] == "_result"] == [100, 100]
    assert [rows for path, rows in sizes.items() if path[0] == "together" and not path[1].startswith("_")] == [100, 100]
    assert sizes["together", "_runs"] == number
