"""Measure the executor for Ray beside bare Ray tasks, on a local cluster of two CPUs.

Usage: ray_tasks.py [--repeat 5] [--only trivial cpu arrays]

Bare tasks make 100 calls each, which is the best that Ray alone does with small calls. The workers are warm.
"""

import argparse
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from run import Table, in_turns, increment, incremented, numbers, seconds

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.sources import ArrowTableSource
from orcapod_ray import RayExecutor

TRIVIAL, SHARED, HEAVY = 5_000, 100, 60


@op.function_pod(output_keys="total")
def burn(x: int) -> int:
    """Some 30 milliseconds of nothing but Python."""
    return sum((x * i) % 7 for i in range(300_000))


@ray.remote
def calls(xs: list[int]) -> list[int]:
    """What there is to do for 100 packets, and nothing else."""
    return [increment(x) for x in xs]


def bare() -> None:
    """All trivial calls in bare tasks."""
    parts = [list(range(at, at + SHARED)) for at in range(0, TRIVIAL, SHARED)]
    assert sum(map(len, ray.get([calls.remote(part) for part in parts]))) == TRIVIAL


def run(pod: op.FunctionPod, table: pa.Table, executor: RayExecutor) -> None:
    """All packets through one function, records in memory."""
    pipeline = op.Pipeline("bench", MemoryDatabase())
    with pipeline:
        pod(ArrowTableSource(table, tag_columns=["i"], source_id="numbers"), label="made")
    result = pipeline.run(execution_engine=executor)
    assert result.counts("made")["computed"] == table.num_rows, result


def total(values: np.ndarray) -> float:
    """Reads all of a large array."""
    return float(values.sum())


def look(values: Any) -> int:
    """Look at the end of something large."""
    return int(values[-1])


def another(values: Any) -> Any:
    """Make something as large, of the same kind."""
    return values + 1 if isinstance(values, np.ndarray) else values[:-1] + b"b"


def transfers(table: Table, executor: RayExecutor, repeat: int, megabytes: int) -> None:
    """What large values cost on their way to a task, and back, beside bare tasks that are given the same."""
    kinds = {"array": np.ones(megabytes * 2**20 // 8), "bytes": b"a" * (megabytes * 2**20)}
    for kind, values in kinds.items():
        for what, function in (("there", look), ("there and back", another)):
            task = ray.remote(function)
            figures = in_turns(
                repeat,
                lambda function=function, values=values: seconds(
                    lambda: executor.execute_callable(function, {"values": values})
                ),
                lambda task=task, values=values: seconds(lambda: ray.get(task.remote(ray.put(values)))),
            )
            table.line(f"{kind} of {megabytes} MB {what}, ms", *figures, at_most=1.5, unit=1e3)


def resident() -> int:
    """Bytes of this process that are in memory now and are its own, not shared."""
    fields = Path("/proc/self/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


def arrays(executor: RayExecutor, megabytes: int) -> None:
    """What sending one large array costs the driver: time and memory of its own, beside ``ray.put``."""
    values = np.ones(megabytes * 2**20 // 8)
    executor.execute_callable(total, {"values": values[:10]})
    before, done, most = resident(), threading.Event(), 0

    def watch() -> None:
        nonlocal most
        while not done.wait(0.002):
            most = max(most, resident() - before)

    watching = threading.Thread(target=watch)
    watching.start()
    started = time.perf_counter()
    assert executor.execute_callable(total, {"values": values}) == values.size
    ours = time.perf_counter() - started
    done.set()
    watching.join()
    started = time.perf_counter()
    ray.get(ray.put(values))
    bare = time.perf_counter() - started
    print(f"an array of {megabytes} MB there: {ours / bare:.1f} x ray.put, {most / 2**20:.0f} MB beside it")


def main() -> None:
    """Take the measures asked for."""
    kinds = ["trivial", "cpu", "arrays"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each measure is taken (default 5)")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    options = parser.parse_args()
    executor = RayExecutor(ray_init={"num_cpus": 2})
    few, many = numbers(HEAVY), numbers(TRIVIAL)
    run(incremented.pod, many, executor)
    table = Table()
    table.head()
    if "trivial" in options.only:
        figures = in_turns(
            options.repeat, lambda: seconds(lambda: run(incremented.pod, many, executor)), lambda: seconds(bare)
        )
        table.line(f"{TRIVIAL:,} trivial packets, ms", *figures, at_most=2, unit=1e3)
    if "cpu" in options.only:
        one = executor.with_options(num_cpus=2)  # a task that takes both CPUs: one at a time
        figures = in_turns(
            options.repeat,
            *(lambda each=each: seconds(lambda: run(burn.pod, few, each)) for each in (executor, one)),
        )
        table.line(f"two CPUs against one, {HEAVY} calls, ms", *figures, at_most=1 / 1.6, unit=1e3)
    if "arrays" in options.only:
        transfers(table, executor, options.repeat, 100)
        arrays(executor, 100)
    executor.shutdown()


if __name__ == "__main__":
    main()
