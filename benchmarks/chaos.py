"""Run random pipelines, do them harm, and look for a value that is wrong, lost or doubled, and for a hang.

Usage: chaos.py [--minutes 30] [--seed N] [--stores sqlite delta postgresql] [--executors here threads processes ray]
                [--faults none interrupt kill crowd server disk]

Every round is a plan of 200 rows with twins, failures, failures that pass when they are tried again and, where there
are workers, deaths of workers; run as a program, by a random orchestrator and executor on a random store. At a random
moment something happens to it: the *faults*. Then it is run to its end, and once more. Every value that is there in the
end is held against plain Python, and the store is verified; what had finished before an interrupt, or long enough
before a kill to be stored, must not have been computed again. A table of all rounds is printed at the end.

| fault | what happens |
|---|---|
| none | nothing |
| interrupt | SIGINT |
| kill | SIGKILL |
| crowd | three programs share the work, and one of them is killed |
| server | the PostgreSQL server crashes and is started again |
| disk | the disk is full for a second (needs the right to mount one) |
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
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource
from orcapod_postgres.testing import Server

ROWS = 200
HANGS = 120.0
LATEST_FAULT = 2.5
FLUSHED = 2.0  # seconds after which what has finished is stored: the interval, and some for a busy machine
DISK_BYTES = 24 << 20
FAULTS = ("none", "interrupt", "kill", "crowd", "server", "disk")


def marked(name: str) -> str:
    """Where marks of this name are kept; asked for in every call, or it would be part of what identifies functions."""
    return f"{os.environ['CHAOS_MARKS']}/{name}"


def mark(name: str, x: int) -> None:
    """Write down, as the last act of a call, that it has finished."""
    file = os.open(marked(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{x} {time.time()}\n".encode())
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
        if x % 20 == 1 and os.environ["CHAOS_EXECUTOR"] in ("processes", "ray"):
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


def pipeline_of(seed: int, store: str) -> op.Pipeline:
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


def run_round(seed: int, executor: str, orchestrator: str, store: str, *, share_work: bool) -> None:
    """What each program does."""
    warnings.simplefilter("ignore")
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    pipeline = pipeline_of(seed, store)
    observer = CompositeObserver(LoggingObserver(pipeline.log_database), StatusObserver(pipeline.log_database))
    driver = AsyncPipelineOrchestrator(buffer_size=3) if orchestrator == "async" else SyncPipelineOrchestrator()
    print("begins", flush=True)
    result = pipeline.run(driver, execution_engine=executor_of(executor), observer=observer, share_work=share_work)
    print(result, flush=True)


class WrongError(Exception):
    """Something that must never be: wrong, lost, doubled, or a hang."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind


@dataclass(frozen=True)
class Place:
    """Place of one round: its folder and its store, and how to do them harm."""

    folder: Path
    store: str
    server: Server | None = None
    disk: Path | None = None


def check(seed: int, store: str) -> None:
    """Hold every value that is stored against plain Python, and verify the store."""
    pipeline = pipeline_of(seed, store)
    with pipeline.result_database as database:
        for label, values in expected(values_of(seed)).items():
            table = pipeline[label].as_table()
            name = table.column_names[-1]
            found = list(zip(table.column("i").to_pylist(), table.column(name).to_pylist(), strict=True))
            if len(found) != len(dict(found)):
                raise WrongError("doubled", f"{label}: doubled rows")
            wrong = {i: (value, values.get(i)) for i, value in found if values.get(i) != value}
            if wrong:
                raise WrongError("wrong", f"{label}: (found, expected) {wrong}")
            if missing := values.keys() - dict(found).keys():
                raise WrongError("lost", f"{label}: {sorted(missing)}")
        report = op.verify_store(database)
    if not report.ok:
        raise WrongError("doubled" if any(each.kind == "doubled" for each in report.damages) else "wrong", str(report))


def marks(folder: Path) -> dict[str, list[tuple[str, float]]]:
    """Which calls have finished, and when."""
    found = {}
    for name in ("tenfold", "less", "both"):
        lines = (folder / name).read_text().splitlines() if (folder / name).exists() else []
        found[name] = [(x, float(when)) for x, when in map(str.split, lines)]
    return found


def started(seed: int, executor: str, orchestrator: str, place: Place, *, share_work: bool) -> subprocess.Popen[str]:
    """Start a program, and return when its run begins."""
    command = [
        sys.executable,
        __file__,
        "--round",
        str(seed),
        executor,
        orchestrator,
        place.store,
        str(int(share_work)),
    ]
    environment = os.environ | {"CHAOS_MARKS": str(place.folder), "CHAOS_EXECUTOR": executor}
    made = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert made.stdout is not None
    while (line := made.stdout.readline()).strip() != "begins":
        if not line:
            raise WrongError("failed", f"it ended before it began, with {made.wait()}")
    return made


def output_of(made: subprocess.Popen[str], codes: Collection[int]) -> str:
    """Return what a program prints until its end, which is to be with one of these codes."""
    try:
        output, _ = made.communicate(timeout=HANGS)
    except subprocess.TimeoutExpired:
        made.send_signal(signal.SIGUSR1)
        time.sleep(2)
        made.kill()
        raise WrongError("hung", made.communicate()[0]) from None
    if made.returncode not in codes:
        raise WrongError("failed", f"it ended with {made.returncode}: {output}")
    return output


def harmed(fault: str, seed: int, executor: str, orchestrator: str, place: Place) -> None:
    """Run a round to which something happens at a random moment."""
    count = 3 if fault == "crowd" else 1
    made = [started(seed, executor, orchestrator, place, share_work=fault == "crowd") for _ in range(count)]
    try:
        time.sleep(random.uniform(0, LATEST_FAULT))
        match fault:
            case "interrupt":
                made[0].send_signal(signal.SIGINT)
                output = output_of(made[0], {0, -signal.SIGINT, 130, 1})
                if "RunResult" not in output and "KeyboardInterrupt" not in output:
                    raise WrongError("failed", f"an interrupt became something else: {output}")
            case "kill" | "crowd":
                made[0].kill()
                output_of(made[0], {0, -signal.SIGKILL})
                for other in made[1:]:
                    output_of(other, {0})
            case "server":
                assert place.server is not None
                place.server.stop("immediate")
                time.sleep(random.uniform(0, 1))
                place.server.start()
                output_of(made[0], {0})
            case "disk":
                assert place.disk is not None
                fill(place.disk)
                time.sleep(1)
                (place.disk / "filler").unlink(missing_ok=True)
                output_of(made[0], {0, 1})  # it may have given up
            case _:
                output_of(made[0], {0})
    finally:
        for each in made:
            each.kill()
            each.communicate()


def fill(disk: Path) -> None:
    """Leave no room on a disk."""
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def one(fault: str, seed: int, executor: str, orchestrator: str, place: Place) -> None:
    """Do a round: harmed, then run to its end twice, and checked.

    Raises:
        WrongError: something is as it must never be.
    """
    harmed(fault, seed, executor, orchestrator, place)
    before, harmed_at = marks(place.folder), time.time()
    output_of(started(seed, executor, orchestrator, place, share_work=False), {0})
    check(seed, place.store)
    again = output_of(started(seed, executor, orchestrator, place, share_work=False), {0})
    check(seed, place.store)
    after = marks(place.folder)
    if fault in ("none", "interrupt", "kill"):
        # A signal may strike between the mark and the return: one call for every place where calls are made.
        stored_by = harmed_at - (FLUSHED if fault == "kill" else 0)
        spared = (1 if executor == "here" else 8) if fault != "kill" else 0
        lost = {name: again_computed(calls, after[name], stored_by) for name, calls in before.items()}
        if sum(map(len, lost.values())) > spared:
            raise WrongError("lost", f"finished before the fault, and computed again: {lost}")
    if any(" computed, " in line and ": 0 computed" not in line for line in again.splitlines()):
        raise WrongError("lost", f"the last run computed something again: {again}")


def again_computed(before: list[tuple[str, float]], after: list[tuple[str, float]], stored_by: float) -> list[str]:
    """Return what had finished by then, and was computed once more later."""
    counts = Counter(x for x, _ in before)
    return [
        x for x, number in Counter(x for x, _ in after).items() if number > counts[x] and is_in(before, x, stored_by)
    ]


def is_in(calls: list[tuple[str, float]], x: str, until: float) -> bool:
    return any(each == x and when < until for each, when in calls)


@contextmanager
def places(kind: str, fault: str, server: Server | None) -> Iterator[Place]:
    """Give a place for one round."""
    with TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        folder, disk = Path(name), None
        if fault == "disk":
            disk = folder / "disk"
            disk.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", disk], check=True)
            stack.callback(subprocess.run, ["umount", "--lazy", disk], check=True)
        match kind:
            case "sqlite":
                store = f"sqlite:///{(disk or folder) / 'chaos.db'}"
            case "delta":
                store = f"delta:///{(disk or folder) / 'chaos'}"
            case _:
                assert server is not None
                database = server.create_database()
                stack.callback(server.drop_database, database)
                store = f"postgresql:///{database}?host={server.folder}&port=5432&user=postgres"
        yield Place(folder, store, server, disk)


def is_possible(fault: str, kind: str) -> bool:
    """Say whether a fault can happen to a store."""
    if fault == "disk":
        return kind != "postgresql" and hasattr(os, "geteuid") and os.geteuid() == 0
    return fault != "server" or kind == "postgresql"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "delta", "postgresql"])
    parser.add_argument("--executors", nargs="+", default=["here", "threads", "processes"])
    parser.add_argument("--faults", nargs="+", default=FAULTS, choices=FAULTS)
    parser.add_argument("--round", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.round:
        seed, executor, orchestrator, store, share_work = options.round
        run_round(int(seed), executor, orchestrator, store, share_work=bool(int(share_work)))
        return 0
    random.seed(options.seed)
    until = time.monotonic() + 60 * options.minutes
    rounds: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    pairs = [(fault, kind) for fault in options.faults for kind in options.stores if is_possible(fault, kind)]
    with ExitStack() as stack:
        server = stack.enter_context(Server()) if "postgresql" in options.stores else None
        while time.monotonic() < until:
            (fault, kind), seed = random.choice(pairs), random.randrange(10**9)
            executor, orchestrator = random.choice(options.executors), random.choice(["sync", "async"])
            outcome = "rounds"
            try:
                with places(kind, fault, server) as place:
                    one(fault, seed, executor, orchestrator, place)
            except WrongError as error:
                outcome = error.kind
                print(f"{fault}, {kind}, {executor}, {orchestrator}, seed {seed}: {error}", flush=True)
            rounds[fault, kind][outcome] += 1
    show(rounds)
    return 1 if any(set(counts) - {"rounds"} for counts in rounds.values()) else 0


def show(rounds: dict[tuple[str, str], Counter[str]]) -> None:
    """Print how many rounds there were, and how many of them found what."""
    bad = ("wrong", "lost", "doubled", "hung", "failed")
    print("| fault | store | rounds |" + "".join(f" {kind} |" for kind in bad))
    print("|---|---|---|" + "---|" * len(bad))
    for (fault, kind), counts in sorted(rounds.items()):
        print(f"| {fault} | {kind} | {counts.total()} |" + "".join(f" {counts[each]} |" for each in bad))


if __name__ == "__main__":
    sys.exit(main())
