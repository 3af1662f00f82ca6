"""Measure how a store grows: nights that change a few rows of many, and one that changes nothing.

Usage: growth.py [--nights 30] [--rows 5000] [--changed 100] [--store sqlite|delta|memory|URL] [--statuses]

One function per row, one over the group of all. *New* is the values of results and of rows of nodes, each stored once
and never again; the store has indexes besides, says which rows came and went, and of which members groups were made.
A Delta folder is made a day older after every night, since it keeps what others may still read for a day.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase, open_database
from orcapod.observers import StatusObserver
from orcapod.protocols import Database
from orcapod.sources import DictSource
from orcapod_delta import DeltaDatabase


@op.function_pod("bmi", identity="version")
def bmi(weight: float, height: float) -> float:
    return weight / height**2


@op.function_pod("mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


def night(database: Database, weights: dict[int, float], *, statuses: bool) -> float:
    """Run the study on these rows; return the seconds of processor time that it took."""
    rows = [{"patient": each, "weight": weight, "height": 1.8} for each, weight in weights.items()]
    pipeline = op.Pipeline("study", database)
    started = time.process_time()
    with pipeline:
        source = DictSource(rows, ["patient"], source_id="patients", record_id_column="patient")
        mean.pod(bmi.pod(source, label="bmi").batch(), label="mean")
    observer = StatusObserver(pipeline.log_database) if statuses else None
    pipeline.run(observer=observer, progress=False).raise_for_errors()
    return time.process_time() - started


def next_day(database: Database, folder: Path) -> Database:
    """Return the store as the next night finds it: a Delta folder is a day older, and opened anew.

    It has lost what no table has needed all day, which the log tells the time of, not the file.
    """
    if not isinstance(database, DeltaDatabase):
        return database
    database.vacuum(timedelta(0))
    database.close()
    for file in folder.rglob("*"):
        os.utime(file, (time.time(), file.stat().st_mtime - 86_400))
    return DeltaDatabase.from_config(database.to_config())


def sizes(database: Database) -> tuple[Counter[str], Counter[str]]:
    """Return the rows and the bytes of a store by kind."""
    rows: Counter[str] = Counter()
    bytes_: Counter[str] = Counter()
    table: pa.Table = op.open_store(database).size()
    for row in table.to_pylist():
        rows[row["kind"]] += row["rows"]
        bytes_[row["kind"]] += row["bytes"]
    return rows, bytes_


def held(database: Database, folder: Path) -> int:
    """Return the bytes that a store takes on the disk, or those of its values where it has none of its own here."""
    if isinstance(database, SQLiteDatabase):
        op.open_store(database).compact()  # the log is no part of it
    on_disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return on_disk or sum(sizes(database)[1].values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("nights", 30), ("rows", 5000), ("changed", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--statuses", action="store_true", help="keep statuses, too")
    parser.add_argument("--store", default="sqlite", help="sqlite, delta, memory, or the URL of an empty store")
    options = parser.parse_args()
    chance = random.Random(0)
    weights = {patient: 60.0 + patient / 100 for patient in range(options.rows)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = opened(options.store, folder)
        first = night(database, weights, statuses=options.statuses)
        after_first, taken = held(database, folder), []
        for _ in range(options.nights - 1):
            for patient in chance.sample(sorted(weights), options.changed):
                weights[patient] += chance.random()
            database = next_day(database, folder)
            taken.append(night(database, weights, statuses=options.statuses))
        whole = held(database, folder)
        rows, kinds = sizes(database)
        idle = night(database, weights, statuses=options.statuses)
        rows_after, _ = sizes(database)
        new = kinds["results"] + kinds["rows"]
        print(f"{options.nights} nights of {options.rows:,} rows, {options.changed} changed, {options.store}")
        print(f"  after the first night {after_first:,} bytes, after the last {whole:,}")
        print(f"  new {new:,} bytes; the store is {whole / new:.2f} x that")
        for kind in sorted(kinds, key=lambda kind: -kinds[kind]):
            print(f"    {kind}: {rows[kind]:,} rows, {kinds[kind]:,} bytes")
        print(f"  a night: {(whole - after_first) / (options.nights - 1):,.0f} bytes")
        print(f"  a night with nothing new: {dict(rows_after - rows)} rows, {held(database, folder) - whole:,} bytes")
        print(f"  processor time: first {first:.2f} s, then {sum(taken) / len(taken):.2f} s, nothing new {idle:.2f} s")
        database.close()


def opened(store: str, folder: Path) -> Database:
    match store:
        case "memory":
            return MemoryDatabase()
        case "sqlite":
            return SQLiteDatabase(folder / "lab.db")
        case "delta":
            return open_database(f"delta:///{folder}/lab")
        case url:
            return open_database(url)


if __name__ == "__main__":
    main()
