"""Measure what a packet costs in a large store, beside what it costs in a small one.

Usage: large.py [--packets 10000000] [--stores sqlite delta postgresql]

A store is filled by runs of a million packets each; each is a cold run, and what it costs is compared with a cold run
of the first 100,000. Then the first million, one of the middle and the last are run again, warm. PostgreSQL is
the server that ``postgres.py`` takes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

import pyarrow as pa

import orcapod as op
from orcapod.databases import open_database
from orcapod.protocols import Database
from orcapod.sources import ArrowTableSource
from orcapod_postgres import PostgresDatabase
from orcapod_postgres.testing import find_server

SMALL, PART = 100_000, 1_000_000


@op.function_pod("y")
def increment(x: int) -> int:
    return x + 1


def microseconds(database: Database, first: int, count: int, *, known: bool = False) -> float:
    """What each of these packets costs, in a program that opens its pipeline for them."""
    numbers = range(first, first + count)
    started = time.perf_counter()
    pipeline = op.Pipeline("bench", database)
    with pipeline:
        table = pa.table({"i": pa.array(numbers, pa.int64()), "x": pa.array(numbers, pa.int64())})
        increment.pod(ArrowTableSource(table, tag_columns=["i"], source_id="numbers"), label="increment")
    found = pipeline.run().counts("increment")
    if found["cached" if known else "computed"] != count:
        raise AssertionError(f"found {found}, expected all {'cached' if known else 'computed'}")
    return (time.perf_counter() - started) / count * 1e6


@contextmanager
def opened(kind: str, folder: Path) -> Iterator[Database]:
    """A new store."""
    if kind == "postgresql":
        with find_server() as server, server.database() as conninfo, PostgresDatabase(conninfo) as database:
            yield database
    else:
        url = f"sqlite:///{folder / 'large.db'}" if kind == "sqlite" else f"delta:///{folder / 'large'}"
        with open_database(url) as database:
            yield database


def megabytes() -> float:
    """The most memory that this program has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Take all measures; exit code 1 if SQLite misses its target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=10_000_000)
    parser.add_argument("--stores", nargs="+", default=["sqlite"], choices=["sqlite", "delta", "postgresql"])
    options = parser.parse_args()
    missed = []
    for kind in options.stores:
        with tempfile.TemporaryDirectory() as name, opened(kind, Path(name)) as database:
            small = microseconds(database, 0, SMALL)
            small_again = mean(microseconds(database, 0, SMALL, known=True) for _ in range(3))
            print(f"{kind}: {SMALL:,} packets: {small:.1f} µs each, again {small_again:.1f} µs", flush=True)
            starts = range(SMALL, options.packets, PART)
            for start in starts:
                cold = microseconds(database, start, PART)
                print(
                    f"  up to {start + PART:,}: {cold:.1f} µs, {cold / small:.2f} x; {megabytes():.0f} MB", flush=True
                )
            for start in {starts[0], starts[len(starts) // 2], starts[-1]}:
                warm = microseconds(database, start, PART, known=True)
                print(
                    f"  again from {start:,}: {warm:.1f} µs, {warm / small_again:.2f} x; {megabytes():.0f} MB",
                    flush=True,
                )
                if kind == "sqlite" and max(cold / small, warm / small_again) > 1.5:
                    missed.append(f"{kind} from {start:,}")
    if missed:
        sys.exit(f"\nmissed 1.5 x: {', '.join(missed)}")


if __name__ == "__main__":
    main()
