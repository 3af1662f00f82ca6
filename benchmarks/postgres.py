"""Measure the same pipeline on PostgreSQL and on SQLite, in one run on one machine.

Usage: postgres.py [--repeat 5] [--packets 10000] [--folder DISK]

Logs and statuses are on. A measure covers what a user waits for: the store is opened, the pipeline built, run and
closed within it. Both stores take turns; the ratio is the median over all turns. The server is that of the connection
variables, or one that is started for this, which does not wait for the disk; SQLite does not either (WAL, NORMAL).
"""

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pyarrow as pa

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.protocols import Database
from orcapod.sources import ArrowTableSource
from orcapod_postgres import PostgresDatabase
from orcapod_postgres.testing import find_server


@op.function_pod(output_keys="y")
def increment(x: int) -> int:
    """The trivial function: all that is measured is what surrounds it."""
    return x + 1


def run(store: Callable[[], Database], numbers: pa.Table, computed: int) -> float:
    """How long everything takes that a user's program does, from opening the store to closing it."""
    gc.collect()
    started = time.perf_counter()
    with store() as database:
        pipeline = op.Pipeline("bench", database)
        with pipeline:
            increment.pod(ArrowTableSource(numbers, tag_columns=["i"], source_id="numbers"), label="increment")
        logs = pipeline.log_database
        observer = CompositeObserver(LoggingObserver(logs), StatusObserver(logs))
        counts = pipeline.run(observer=observer).counts("increment")
    if (counts["computed"], counts["cached"]) != (computed, numbers.num_rows - computed):
        raise AssertionError(f"found {counts}, expected {computed} computed")
    return time.perf_counter() - started


def main() -> None:
    """Print both ratios; exit code 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each measure is taken (default 5)")
    parser.add_argument("--packets", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where SQLite's files are put (default: the temporary folder)")
    options = parser.parse_args()
    n, times = options.packets, {"cold": [], "warm": []}
    numbers = pa.table({"i": range(n), "x": range(n)})
    with tempfile.TemporaryDirectory(dir=options.folder) as folder, find_server() as server:
        for turn in range(options.repeat + 1):
            with ExitStack() as stack:
                conninfo = stack.enter_context(server.database())
                stores: list[Callable[[], Database]] = [
                    lambda conninfo=conninfo: PostgresDatabase(conninfo),
                    lambda turn=turn: SQLiteDatabase(Path(folder) / f"{turn}.db"),
                ]
                for kind, computed in (("cold", n), ("warm", 0)):
                    took = [run(store, numbers, computed) for store in stores]
                    if turn:  # the first one does not count
                        times[kind].append(took)
    print(f"{n:,} packets, logs and status on, ms    PostgreSQL    SQLite    ratio")
    missed = False
    for kind, at_most in (("cold", 2.0), ("warm", 1.5)):
        ratio = median(ours / beside for ours, beside in times[kind])
        ours, beside = (median(column) * 1e3 for column in zip(*times[kind], strict=True))
        missed |= ratio > at_most
        verdict = f"at most {at_most:g} x{'   MISSED' if ratio > at_most else ''}"
        print(f"{kind:38}{ours:13,.1f}{beside:10,.1f}{ratio:9.2f}  {verdict}", flush=True)
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
