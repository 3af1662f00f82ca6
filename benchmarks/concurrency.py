"""Measure what runs at the same time: the asynchronous orchestrator, pools of processes, and memory.

Usage: concurrency.py [--repeat 5] [--only async pool cpu memory] [--packets 1000000]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from run import Table, in_turns, increment, incremented, numbers, seconds

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.executors import LocalExecutor
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import ArrowTableSource

TRIVIAL, HEAVY = 50_000, 40
MEGABYTE = 2**20


@op.function_pod(output_keys="total")
def burn(x: int) -> int:
    """Some 30 milliseconds of nothing but Python."""
    return sum((x * i) % 7 for i in range(300_000))


def run(pod: op.FunctionPod, table: pa.Table, **arguments: object) -> None:
    """All packets through one function, in memory."""
    pipeline = op.Pipeline("bench", MemoryDatabase())
    with pipeline:
        pod(ArrowTableSource(table, tag_columns=["i"], source_id="numbers"), label="made")
    result = pipeline.run(**arguments)  # type: ignore[arg-type]  # as for Pipeline.run
    assert result.counts("made")["computed"] == table.num_rows, result


def stream(packets: int) -> None:
    """A million packets through two functions, an operator between them; prints how much memory that took."""
    with tempfile.TemporaryDirectory() as folder, SQLiteDatabase(Path(folder) / "store.db") as database:
        pipeline = op.Pipeline("memory", database)
        with pipeline:
            source = ArrowTableSource(numbers(packets), tag_columns=["i"], source_id="numbers")
            first = incremented.pod(source.map_packets({"x": "w"}).map_packets({"w": "x"}), label="first")
            kept = first.filter(pc.field("y") >= 0).map_packets({"y": "x"})
            op.FunctionPod(op.PythonPacketFunction(increment, "y", name="second"))(kept, label="second")
        run(incremented.pod, numbers(100))  # what is loaded and made once
        most = before = resident()
        done = threading.Event()

        def watch() -> None:
            nonlocal most
            while not done.wait(0.05):
                most = max(most, resident())

        watching = threading.Thread(target=watch)
        watching.start()
        result = pipeline.run(AsyncPipelineOrchestrator())
        done.set()
        watching.join()
        assert result.counts("second")["computed"] == packets, result
    print((most - before) / MEGABYTE)


def resident() -> int:
    """Bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Take the measures asked for."""
    kinds = ["async", "pool", "cpu", "memory"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each measure is taken (default 5)")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--packets", type=int, default=1_000_000, help="of the measure of memory")
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stream:
        stream(options.packets)
        return
    table, few, many = Table(), numbers(HEAVY), numbers(TRIVIAL)
    table.head()
    if "async" in options.only:
        orchestrators = AsyncPipelineOrchestrator(), SyncPipelineOrchestrator()
        figures = in_turns(
            options.repeat,
            *(
                lambda each=each: seconds(lambda: run(incremented.pod, many, orchestrator=each))
                for each in orchestrators
            ),
        )
        table.line(f"async against sync, {TRIVIAL:,} packets, ms", *figures, at_most=1.5, unit=1e3)
    if "pool" in options.only:
        with LocalExecutor(2, "process") as pool:
            (ours,) = in_turns(
                options.repeat, lambda: seconds(lambda: run(incremented.pod, many, execution_engine=pool))
            )
        table.rate("trivial packets on two processes", ours, TRIVIAL, at_least=20_000)
    if "cpu" in options.only:
        with LocalExecutor(2, "process") as two, LocalExecutor(1, "process") as one:
            figures = in_turns(
                options.repeat,
                *(lambda pool=pool: seconds(lambda: run(burn.pod, few, execution_engine=pool)) for pool in (two, one)),
            )
        table.line(f"two processes against one, {HEAVY} calls, ms", *figures, at_most=1 / 1.7, unit=1e3)
    if "memory" in options.only:
        started = time.perf_counter()
        command = [sys.executable, __file__, "--stream", "--packets", str(options.packets)]
        grown = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        took = time.perf_counter() - started
        print(f"{options.packets:,} packets through two functions: {grown:.0f} MB over the start, {took:.0f} s in all")


if __name__ == "__main__":
    main()
