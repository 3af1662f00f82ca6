"""Measure how long it takes to follow a value up to its source rows, and a source row down to what it has touched.

Usage: trace.py [--rows 50000] [--repeat 5] [--folder DISK]

A pipeline of 20 function nodes: 18 of so many rows each, one of a group for each of 20 sites, and one of all sites. A
trace is held against one of the same pipeline of a hundredth of the rows, and an impact against what SQLite takes to
look through the same tables. Times are those of the processor.
"""

import argparse
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import pyarrow as pa

import orcapod as op
from orcapod.ledger import Origin, RowGroup, SourceRow, Store
from orcapod.sources import ArrowTableSource

STEPS, SITES = 18, 20


@op.function_pod(output_keys="x", identity="version")
def step(x: float) -> float:
    return x + 1


@op.function_pod(output_keys="mean", identity="version")
def mean(x: list[float]) -> float:
    return sum(x) / len(x)


def fill(path: Path, rows: int) -> None:
    """Run the pipeline once."""
    numbers = range(rows)
    columns = {"i": [*numbers], "site": [i % SITES for i in numbers], "x": [float(i) for i in numbers]}
    pipeline = op.Pipeline("bench", path)
    with pipeline:
        stream = ArrowTableSource(pa.table(columns), ["i", "site"], source_id="numbers")
        for at in range(STEPS):
            stream = step.pod(stream, label=f"step {at}")
        sites = mean.pod(stream.group_by("site", tags="drop"), label="mean")
        mean.pod(sites.batch().map_packets({"mean": "x"}), label="all")
    pipeline.run(progress=False).raise_for_errors()


def walked(store: Store, member: int) -> None:
    """Follow the one value of all to a source row: by a member of each group, through all nodes."""
    origin: Origin = store.trace("bench", "all", {}, "mean")
    nodes = 0
    while not isinstance(origin, SourceRow):
        if isinstance(origin, RowGroup):
            (origin,) = origin.members(member % len(origin), member % len(origin) + 1)
        else:
            nodes, origin = nodes + bool(origin.seconds), origin.inputs[0]  # type: ignore[attr-defined]
    if nodes != STEPS + 2:
        raise AssertionError(f"found {nodes} nodes, expected {STEPS + 2}")


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes the processor."""
    before = process_time()
    call()
    return process_time() - before


def scan(path: Path, row: int) -> int:
    """Look through the tables of all nodes for a source row, with nothing but SQLite."""
    connection, found = sqlite3.connect(path), 0
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        columns = [name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")')]
        for column in columns if table.startswith("bench/") else ():
            if column.startswith("_tag_record_id"):
                query = f'SELECT count(*) FROM "{table}" WHERE "{column}" IN (?)'
                found += connection.execute(query, [f"row_{row}"]).fetchone()[0]
    connection.close()
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        large, small = Path(folder) / "large.db", Path(folder) / "small.db"
        fill(large, options.rows)
        fill(small, options.rows // 100)
        with op.open_store(large) as store, op.open_store(small) as other:
            times: dict[str, list[float]] = {}
            for turn in range(options.repeat):
                row = (7 + turn * options.rows // options.repeat) % options.rows
                measured: dict[str, Callable[[], object]] = {
                    "trace": lambda row=row: walked(store, row),
                    "trace of a hundredth": lambda row=row: walked(other, row // 100),
                    "all members of a group": lambda: store.trace("bench", "mean", {"site": 3}).inputs[0].members(),
                    "source rows": lambda row=row: store.trace("bench", "all", {}).sources(),
                    "impact": lambda row=row: store.impact("numbers", f"row_{row}"),
                    "scan by SQLite": lambda row=row: scan(large, row),
                }
                for name, call in measured.items():
                    times.setdefault(name, []).append(seconds(call))
    print(f"{STEPS} nodes of {options.rows:,} rows each, and groups of them")
    for name, taken in times.items():
        print(f"{name:24}{median(taken):10.3f} s")
    for one, beside in (("trace", "trace of a hundredth"), ("impact", "scan by SQLite")):
        ratio = median(mine / theirs for mine, theirs in zip(times[one], times[beside], strict=True))
        print(f"{one} beside {beside}: {ratio:.2f} x")


if __name__ == "__main__":
    main()
