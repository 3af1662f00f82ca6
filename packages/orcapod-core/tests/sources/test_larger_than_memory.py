"""A source larger than the memory flows through where nothing behind it needs all of it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("resource", reason="no figures of a process here")

ROWS, WIDTH = 3_000, 100_000
PROGRAM = """
import json, resource, sys
import pyarrow as pa
import pyarrow.compute as pc
from orcapod.sources import DatasetSource, SQLiteTableSource

def peak():
    try:  # of this process alone, and not of the one that it comes from
        (line,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

before = peak()
source = eval(sys.argv[1])
built = peak() - before
rows = sum(chunk.num_rows for chunk in source.filter(pc.field("k") >= 0).map_packets({"text": "t"}).chunks())
if "SQLite" in sys.argv[1]:  # and so it is with all that are in a file
    source.content_hash()
print(json.dumps([rows, built, pa.default_memory_pool().max_memory()]))
"""


def texts() -> Iterator[tuple[int, str]]:
    for k in range(ROWS):
        yield k, f"{k:010}" * (WIDTH // 10)


def write_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, text TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", texts())


def write_parquet(path: Path) -> None:
    """All in one row group, of pages of some rows: a page is what is read at once."""
    schema = pa.schema({"k": pa.int64(), "text": pa.large_string()})
    with pq.ParquetWriter(path, schema, write_batch_size=16) as parquet:
        parquet.write_table(pa.Table.from_batches([pa.record_batch(list(zip(*texts(), strict=True)), schema)]))


def write_lines(path: Path) -> None:
    with path.open("w") as lines:
        for k, text in texts():
            lines.write(json.dumps({"k": k, "text": text}) + "\n")


@pytest.mark.parametrize(
    ("write", "source"),
    [
        (write_sqlite, "SQLiteTableSource('data', 't')"),
        (write_parquet, "DatasetSource('data', ['k'], format='parquet')"),
        (write_lines, "DatasetSource('data', ['k'], format='jsonl')"),
    ],
)
def test_it_takes_a_part_of_what_it_reads(tmp_path: Path, write: Callable[[Path], None], source: str) -> None:
    """What is mapped from a file is no part of Arrow's memory, and whoever needs that of the machine gets it."""
    write(tmp_path / "data")
    command = [sys.executable, "-c", PROGRAM, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows, built, held = json.loads(done.stdout)
    assert rows == ROWS
    assert built < ROWS * WIDTH * 0.7, done.stdout
    assert held < ROWS * WIDTH * 0.7, done.stdout
