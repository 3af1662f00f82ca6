"""Run random pipelines for a long time, interrupt and kill them, and look for a wrong value, a lost one, or a hang.

Usage: soak.py [--minutes 30] [--seed N] [--executors here threads processes ray] [--keep FOLDER]

Every round is a program of its own: a plan of 200 rows with twins, failures, failures that pass when they are tried
again and, where there are workers, deaths of workers; on an SQLite store; by a random orchestrator and executor. In
two rounds of three it is ended at a random moment, by SIGINT or SIGKILL, and then run to its end. Every value that is
there in the end is held against plain Python; what had finished before an interrupt must not have been computed again.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

ROWS = 200
HANGS = 120.0
LATEST_INTERRUPT = 2.5


def marked(name: str) -> str:
    """Where marks of this name are kept; asked for in every call, or it would be part of what identifies functions."""
    return f"{os.environ['SOAK_MARKS']}/{name}"


def mark(name: str, x: int) -> None:
    """Write down, as the last act of a call, that it has finished."""
    file = os.open(marked(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{x}\n".encode())
    os.close(file)


def is_first(name: str, x: int) -> bool:
    """Say whether this is the first time that somebody asks."""
    try:
        os.close(os.open(marked(f"{name}-{x}.first"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def tenfold(x: int) -> int:
    if x % 7 == 0:
        raise ValueError(f"seven of {x}")
    if x % 10 == 1 and is_first("tenfold", x):
        if x % 20 == 1 and os.environ["SOAK_EXECUTOR"] in ("processes", "ray"):
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("passes when it is tried again")
    time.sleep(0.002 if x % 3 == 0 else 0)
    print(x)
    mark("tenfold", x)
    return 10 * x


async def less(y: int) -> int:
    await asyncio.sleep(0.005 if y % 20 == 0 else 0)
    if y % 110 == 0:
        raise asyncio.CancelledError(f"eleven of {y}")
    mark("less", y)
    return y - 1


def both(y: int, z: int) -> int:
    mark("both", y)
    return y + z


def expected(values: list[int]) -> dict[str, dict[int, int]]:
    """What every node has in the end, by row."""
    y = {i: 10 * x for i, x in enumerate(values) if x % 7}
    z = {i: value - 1 for i, value in y.items() if value % 110}
    return {"tenfold": y, "less": z, "both": {i: y[i] + value for i, value in z.items()}}


def values_of(seed: int) -> list[int]:
    chances = random.Random(seed)
    return [chances.randrange(90) for _ in range(ROWS)]


def pipeline_of(seed: int, store: Path) -> op.Pipeline:
    chances = random.Random(seed)
    pods = {
        function: op.function_pod(key, retries=1, max_concurrency=chances.choice([None, 1, 5]), timeout=limit)(function)
        for function, key, limit in ((tenfold, "y", chances.choice([None, 60.0])), (less, "z", None), (both, "w", None))
    }
    pipeline = op.Pipeline("soak", store)
    with pipeline:
        rows = [{"i": i, "x": x} for i, x in enumerate(values_of(seed))]
        y = pods[tenfold].pod(DictSource(rows, ["i"], source_id="s"), label="tenfold")
        z = pods[less].pod(y, label="less")
        pods[both].pod(y.join(z), label="both")
    return pipeline


def executor_of(name: str) -> LocalExecutor:
    if name == "ray":
        from orcapod_ray import RayExecutor  # noqa: PLC0415  # only where it is asked for

        return RayExecutor(ray_init={"num_cpus": 2}, max_retries=0)
    return {
        "here": LocalExecutor,
        "threads": lambda: LocalExecutor(workers=4),
        "processes": lambda: LocalExecutor(workers=2, kind="process"),
    }[name]()


def run_round(seed: int, executor: str, orchestrator: str, store: Path) -> None:
    """What each program does."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    pipeline = pipeline_of(seed, store)
    observer = CompositeObserver(LoggingObserver(pipeline.log_database), StatusObserver(pipeline.log_database))
    driver = AsyncPipelineOrchestrator(buffer_size=3) if orchestrator == "async" else SyncPipelineOrchestrator()
    print("begins", flush=True)
    result = pipeline.run(driver, execution_engine=executor_of(executor), observer=observer)
    print(result, flush=True)


class WrongError(Exception):
    """Something that must never be."""


def check(seed: int, store: Path) -> None:
    """Hold every value that is stored against plain Python."""
    pipeline = pipeline_of(seed, store)
    for label, values in expected(values_of(seed)).items():
        table = pipeline[label].as_table()
        name = table.column_names[-1]
        found = list(zip(table.column("i").to_pylist(), table.column(name).to_pylist(), strict=True))
        if len(found) != len(dict(found)):
            raise WrongError(f"{label}: doubled rows")
        if dict(found) != values:
            wrong = {i: (value, values.get(i)) for i, value in found if values.get(i) != value}
            raise WrongError(
                f"{label}: (found, expected) {wrong}, missing {sorted(values.keys() - dict(found).keys())}"
            )


def marks(folder: Path) -> dict[str, Counter[str]]:
    """How often each call has finished."""
    return {
        name: Counter((folder / name).read_text().split() if (folder / name).exists() else ())
        for name in ("tenfold", "less", "both")
    }


def program(seed: int, executor: str, orchestrator: str, folder: Path, *, end_by: signal.Signals | None) -> str:
    """Run a round as a program, and end it at a random moment, if it is to be."""
    command = [sys.executable, __file__, "--round", str(seed), executor, orchestrator, str(folder / "soak.db")]
    environment = os.environ | {"SOAK_MARKS": str(folder), "SOAK_EXECUTOR": executor}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as made:
        assert made.stdout is not None
        while made.stdout.readline().strip() != "begins":
            if made.poll() is not None:
                raise WrongError(f"it ended before it began, with {made.returncode}")
        if end_by is not None:
            time.sleep(random.uniform(0, LATEST_INTERRUPT))
            made.send_signal(end_by)
        try:
            output, _ = made.communicate(timeout=HANGS)
        except subprocess.TimeoutExpired:
            made.send_signal(signal.SIGUSR1)
            time.sleep(2)
            made.kill()
            raise WrongError(f"it hangs: {made.communicate()[0]}") from None
        if made.returncode not in ({0} if end_by is None else {0, -signal.SIGINT, 130, 1, -signal.SIGKILL}):
            raise WrongError(f"it ended with {made.returncode}: {output}")
        return output


def one(seed: int, executor: str, orchestrator: str, folder: Path) -> str:
    """A round: ended before its time or not, then run to its end, and checked."""
    end_by = random.choice([None, signal.SIGINT, signal.SIGKILL])
    before = {}
    if end_by is not None:
        output = program(seed, executor, orchestrator, folder, end_by=end_by)
        if end_by is signal.SIGINT and "RunResult" not in output and "KeyboardInterrupt" not in output:
            raise WrongError(f"an interrupt became something else: {output}")
        before = marks(folder)
    program(seed, executor, orchestrator, folder, end_by=None)
    check(seed, folder / "soak.db")
    again = program(seed, executor, orchestrator, folder, end_by=None)
    check(seed, folder / "soak.db")
    after = marks(folder)
    if end_by is not signal.SIGKILL:
        # A signal may strike between the mark and the return: one call for every place where calls are made.
        doubled = {name: [x for x in counts if after[name][x] > counts[x] > 0] for name, counts in before.items()}
        if sum(map(len, doubled.values())) > (1 if executor == "here" else 8):
            raise WrongError(f"finished before the interrupt, and computed again: {doubled}")
    if any(" computed, " in line and ": 0 computed" not in line for line in again.splitlines()):
        raise WrongError(f"the last run computed something again: {again}")
    return end_by.name if end_by else "whole"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--executors", nargs="+", default=["here", "threads", "processes"])
    parser.add_argument("--round", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.round:
        seed, executor, orchestrator, store = options.round
        run_round(int(seed), executor, orchestrator, Path(store))
        return 0
    random.seed(options.seed)
    until, rounds, failed = time.monotonic() + 60 * options.minutes, Counter[str](), 0
    while time.monotonic() < until:
        seed, executor = random.randrange(10**9), random.choice(options.executors)
        orchestrator = random.choice(["sync", "async"])
        with tempfile.TemporaryDirectory() as folder:
            try:
                rounds[f"{executor}, {orchestrator}, {one(seed, executor, orchestrator, Path(folder))}"] += 1
            except WrongError as error:
                failed += 1
                print(f"seed {seed}, {executor}, {orchestrator}: {error}", flush=True)
    for what, count in sorted(rounds.items()):
        print(f"{count:6} {what}")
    print(f"{rounds.total()} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
