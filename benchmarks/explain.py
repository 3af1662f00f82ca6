"""Measure ``pipeline.explain()`` over many packets in SQLite: all cached, all new, of edited code, of another input.

Usage: explain.py [--rows 1000000] [--folder DISK]

In processor time, which other programs on the machine hardly change. Beside each stands the loop of ``floor.py`` that
looks the same packets up: what it would cost to know no more than whether a result is there.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import floor
import pyarrow as pa

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.nodes import NodePlan
from orcapod.sources import ArrowTableSource

STEP = 1


@op.function_pod(output_keys="y")
def increment(x: int) -> int:
    return x + STEP


def seconds(action: Callable[[], object]) -> float:
    started = time.process_time()
    action()
    return time.process_time() - started


def pipeline(database: SQLiteDatabase, rows: int, shift: int = 0) -> op.Pipeline:
    made = op.Pipeline("bench", database)
    table = pa.table({"i": range(rows), "x": range(shift, rows + shift)})
    with made:
        increment.pod(ArrowTableSource(table, tag_columns=["i"], source_id="numbers"), label="increment")
    return made


def main() -> None:
    global STEP
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    rows: int = options.rows
    with tempfile.TemporaryDirectory(dir=options.folder) as name, SQLiteDatabase(Path(name) / "lab.db") as database:
        warm = Path(name) / "floor.db"
        floor.run(warm, abs, range(rows))
        beside = seconds(lambda: floor.run(warm, abs, range(rows)))
        print(f"{'the floor, looking up':28}{beside:8.1f} s")

        def line(what: str, of: op.Pipeline, expected: tuple[int, int, int]) -> None:
            plans: list[NodePlan] = []
            took = seconds(lambda: plans.append(of.explain("increment")))
            (plan,) = plans
            assert (plan.cached, plan.new, plan.stale) == expected, plan
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{what:28}{took:8.1f} s {took / beside:6.2f} x floor {memory:8,} MB", flush=True)

        line("all new", pipeline(database, rows), (0, rows, 0))
        ran = []
        run = seconds(lambda: ran.append(pipeline(database, rows).run(progress=False)))
        print(f"{'the run':28}{run:8.1f} s")
        print(f"{'its reasons':28}{seconds(lambda: ran[0].reasons):8.1f} s")
        line("all cached", pipeline(database, rows), (rows, 0, 0))
        STEP = 2
        line("another constant", pipeline(database, rows), (0, 0, rows))
        STEP = 1
        line("another input", pipeline(database, rows, shift=rows), (0, 0, rows))


if __name__ == "__main__":
    main()
