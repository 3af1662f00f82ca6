"""Measure a run on Delta Lake beside the same run on SQLite, logs and status on.

Usage: delta.py [--repeat 5] [--packets 10000] [--folder DISK]

The runs take turns; the ratio is the median of the ratios of all turns. Then the files of a store are counted, which
are what slows down everybody who comes later.
"""

import argparse
import itertools
import sys
import tempfile
from pathlib import Path

from run import Table, in_turns, incremented, numbers, seconds

import orcapod as op
from orcapod.databases import open_database
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import ArrowTableSource

AT_MOST, MOST_FILES = 3, 60


def run_pipeline(url: str, packets: int, *, new: bool = True) -> None:
    """Everything a user's program does, from opening the store to closing it."""
    with open_database(url) as database:
        pipeline = op.Pipeline("bench", database)
        with pipeline:
            source = ArrowTableSource(numbers(packets), tag_columns=["i"], source_id="numbers")
            incremented.pod(source, label="increment")
        logs = pipeline.log_database
        counts = pipeline.run(observer=CompositeObserver(LoggingObserver(logs), StatusObserver(logs))).counts(
            "increment"
        )
        if counts["computed" if new else "cached"] != packets:
            raise AssertionError(f"found {counts}, expected {packets} {'computed' if new else 'cached'}")


def main() -> None:
    """Take the measures; exit code 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each measure is taken (default 5)")
    parser.add_argument("--packets", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the stores are put (default: the system's temporary folder)")
    options = parser.parse_args()
    repeat, packets, table, stores = options.repeat, options.packets, Table(), itertools.count()

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        last = Path(folder) / "last"
        table.head()

        def cold(scheme: str) -> float:
            return seconds(lambda: run_pipeline(f"{scheme}:///{folder}/{next(stores)}", packets)) / packets

        def warm(scheme: str) -> float:
            return seconds(lambda: run_pipeline(f"{scheme}:///{last}.{scheme}", packets, new=False)) / packets

        delta, sqlite = in_turns(repeat, lambda: cold("delta"), lambda: cold("sqlite"))
        table.line(f"cold run, Delta by SQLite, {packets:,}", delta, sqlite, at_most=AT_MOST)
        for scheme in ("delta", "sqlite"):
            run_pipeline(f"{scheme}:///{last}.{scheme}", packets)
        files = sum(file.is_file() for file in last.with_suffix(".delta").rglob("*"))
        verdict = "" if files <= MOST_FILES else "   MISSED"
        print(f"{'files of a Delta store':38}{files:12}{'':44}  at most {MOST_FILES}{verdict}")
        delta, sqlite = in_turns(repeat, lambda: warm("delta"), lambda: warm("sqlite"))
        table.line(f"warm run, Delta by SQLite, {packets:,}", delta, sqlite, at_most=AT_MOST)
    if table.missed or files > MOST_FILES:
        sys.exit(f"\nmissed: {', '.join(table.missed) or 'files'}")


if __name__ == "__main__":
    main()
