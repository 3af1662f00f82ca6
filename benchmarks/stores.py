"""Measure what large stores, long pipelines and several programs at once cost.

Usage: stores.py [--stores sqlite delta] [--programs 8]
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import orcapod as op
from orcapod.sources import DictSource

PACKETS, SLEEP = 300, 0.05
LARGE, SMALL, NODES = 200, 60_000, 1_000


@op.function_pod("y", identity="version")
def megabyte(x: int) -> bytes:
    return random.Random(x).randbytes(1_000_000)


@op.function_pod("y", identity="version")
def kilobyte(x: int) -> str:
    return f"{x:1000}"


@op.function_pod("x")
def increment(x: int) -> int:
    return x + 1


@op.function_pod("y", identity="version")
def sleeping(x: int) -> int:
    time.sleep(SLEEP)
    with Path(os.environ["BENCH_CALLS"]).open("a") as calls:
        calls.write(f"{x}\n")
    return x


def rows(count: int) -> DictSource:
    return DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s")


def seconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def url_of(kind: str, folder: Path) -> str:
    return f"sqlite:///{folder / 'bench.db'}" if kind == "sqlite" else f"delta:///{folder / 'bench'}"


def verified(kind: str, function: object, count: int) -> float:
    """How many megabytes of a store are verified in a second."""
    with tempfile.TemporaryDirectory() as name, op.databases.open_database(url_of(kind, Path(name))) as database:
        pipeline = op.Pipeline("bench", database)
        with pipeline:
            function.pod(rows(count))  # type: ignore[attr-defined]
        pipeline.run().raise_for_errors()
        started = time.perf_counter()
        report = op.verify_store(database)
        assert report.ok
        return report.bytes / 1e6 / (time.perf_counter() - started)


def long_pipeline() -> tuple[float, float, float]:
    """Seconds to compile a chain of many nodes, and milliseconds that each takes in a first run and in the next."""
    with tempfile.TemporaryDirectory() as name, op.databases.open_database(url_of("sqlite", Path(name))) as database:
        pipeline = op.Pipeline("bench", database)
        with pipeline:
            stream = rows(1)
            for number in range(NODES):
                stream = increment.pod(stream, label=f"n{number}")
        compiled = seconds(lambda: pipeline.nodes)
        return compiled, *(seconds(pipeline.run) / NODES * 1e3 for _ in range(2))


def run_program(url: str, go: Path) -> None:
    """What each of several programs does; prints how long its run took."""
    pipeline = op.Pipeline("bench", op.databases.open_database(url))
    with pipeline:
        sleeping.pod(rows(PACKETS))
    print("ready", flush=True)
    while not go.exists():
        time.sleep(0.005)
    print(seconds(lambda: pipeline.run(share_work=True)), flush=True)


def shared(kind: str, programs: int) -> tuple[float, float]:
    """How long several programs that share the work take, in times of one that is alone; and calls per packet."""
    took, calls = [], 0
    for count in (1, programs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            go, counted = folder / "go", folder / "calls"
            command = [sys.executable, __file__, "--program", url_of(kind, folder), str(go)]
            environment = os.environ | {"BENCH_CALLS": str(counted)}
            made = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(count)]
            for each in made:
                assert each.stdout is not None
                each.stdout.readline()
            go.touch()
            took.append(max(float(each.communicate()[0]) for each in made))
            calls = len(counted.read_text().split())
    return took[1] / took[0], calls / PACKETS


def main() -> None:
    """Take all measures; exit code 1 if a target was missed."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "delta"], choices=["sqlite", "delta"])
    parser.add_argument("--programs", type=int, default=8)
    parser.add_argument("--program", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.program:
        run_program(options.program[0], Path(options.program[1]))
        return
    missed = []

    def line(what: str, found: float, target: str, *, reached: bool) -> None:
        print(f"{what:60}{found:10.2f}  {target}{'' if reached else '   MISSED'}", flush=True)
        if not reached:
            missed.append(what)

    for kind in options.stores:
        for function, count, what in ((megabyte, LARGE, "values of 1 MB"), (kilobyte, SMALL, "values of 1 kB")):
            speed = verified(kind, function, count)
            line(f"{kind}: {what}, MB verified in a second", speed, "at least 200", reached=speed >= 200)
        ratio, calls = shared(kind, options.programs)
        what = f"{kind}: {options.programs} programs share {PACKETS} packets of {1e3 * SLEEP:.0f} ms"
        line(f"{what}, of one's time", ratio, "at most 0.25", reached=ratio <= 0.25)
        line(f"{what}, calls per packet", calls, "at most 1.05", reached=calls <= 1.05)
    compiled, first, second = long_pipeline()
    line(f"a chain of {NODES:,} nodes, s to compile", compiled, "at most 2", reached=compiled <= 2)
    line(f"a chain of {NODES:,} nodes, ms a node, first run", first, "at most 5", reached=first <= 5)
    line(f"a chain of {NODES:,} nodes, ms a node, next run", second, "at most 5", reached=second <= 5)
    if missed:
        sys.exit(f"\nmissed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
