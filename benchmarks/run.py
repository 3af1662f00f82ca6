"""Measure orcapod beside what the same would cost without it, in one run on one machine.

Usage: run.py [--repeat 5] [--only cold warm join ...] [--folder DISK]

Every measure is taken in turns with the one it is compared to, so that a slow moment meets both. The ratio is the
median of the ratios of all turns; the smallest of each is printed too, as what the machine can do when left alone.
"""

import argparse
import gc
import importlib.metadata
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from statistics import median

import floor
import pyarrow as pa

import orcapod as op
from orcapod.databases import SQLiteDatabase
from orcapod.hashing import hash_rows
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.sources import ArrowTableSource
from orcapod.streams import Stream

SMALL, LARGE, HASHED = 10_000, 100_000, 200_000


def increment(x: int) -> int:
    """The trivial function: all that is measured is what surrounds it."""
    return x + 1


incremented = op.function_pod(output_keys="y")(increment)


@dataclass
class Table:
    """Lines of figures, printed as they come."""

    missed: list[str] = field(default_factory=list)

    def head(self) -> None:
        """The names of the columns."""
        print(f"{'':38}{'orcapod':^24}{'beside it':^24}{'':>8}")
        print(f"{'':38}{'median':>12}{'min':>12}{'median':>12}{'min':>12}{'ratio':>8}  to reach")

    def line(self, what: str, ours: list[float], beside: list[float], at_most: float, unit: float = 1e6) -> None:
        """One comparison; times in units of ``1 / unit`` seconds."""
        ratio = median(mine / other for mine, other in zip(ours, beside, strict=True))
        figures = "".join(f"{each * unit:12,.2f}" for each in (median(ours), min(ours), median(beside), min(beside)))
        self._verdict(what, f"{figures}{ratio:8.2f}", f"at most {at_most:g} x", reached=ratio <= at_most)

    def rate(self, what: str, ours: list[float], rows: int, at_least: float) -> None:
        """Rows per second, which stand for themselves."""
        rates = [rows / seconds for seconds in ours]
        figures = f"{median(rates):12,.0f}{max(rates):12,.0f}{'':32}"
        self._verdict(what, figures, f"at least {at_least:,.0f} rows/s", reached=median(rates) >= at_least)

    def _verdict(self, what: str, figures: str, target: str, *, reached: bool) -> None:
        print(f"{what:38}{figures}  {target}{'' if reached else '   MISSED'}", flush=True)
        if not reached:
            self.missed.append(what)


def seconds(action: Callable[[], object]) -> float:
    """How long the action takes, not counting garbage of what came before."""
    gc.collect()
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turns(repeat: int, *actions: Callable[[], float]) -> list[list[float]]:
    """What each action gives, ``repeat`` times, after one turn that does not count."""
    turns = [[action() for action in actions] for _ in range(repeat + 1)][1:]
    return [list(column) for column in zip(*turns, strict=True)]


def run_pipeline(store: Path, numbers: pa.Table, expected: dict[str, int], *, observed: bool = False) -> None:
    """Everything a user's program does, from opening the store to closing it."""
    with SQLiteDatabase(store) as database:
        pipeline = op.Pipeline("bench", database)
        with pipeline:
            incremented.pod(ArrowTableSource(numbers, tag_columns=["i"], source_id="numbers"), label="increment")
        observer = None
        if observed:
            logs = pipeline.log_database
            observer = CompositeObserver(LoggingObserver(logs), StatusObserver(logs))
        counts = pipeline.run(observer=observer).counts("increment")
        if counts != expected:
            raise AssertionError(f"found {counts}, expected {expected}")


def numbers(n: int) -> pa.Table:
    """The packets: a tag and a number each."""
    return pa.table({"i": range(n), "x": range(n)})


class Runs:
    """Rows 1 to 4: the same packets through the floor and through a pipeline, seconds per packet."""

    def __init__(self, folder: Path, repeat: int) -> None:
        self._folder, self._repeat, self._stores = folder, repeat, 0

    def store(self) -> Path:
        """A store that nothing was ever written to."""
        self._stores += 1
        return self._folder / f"{self._stores}.db"

    def cold(self, n: int, *, observed: bool = False) -> list[list[float]]:
        """Pipeline and floor, each on a fresh store."""
        table, new = numbers(n), {"computed": n, "cached": 0, "failed": 0}
        return in_turns(
            self._repeat,
            lambda: seconds(lambda: run_pipeline(self.store(), table, new, observed=observed)) / n,
            lambda: seconds(lambda: floor.run(self.store(), increment, range(n))) / n,
        )

    def growth(self) -> list[list[float]]:
        """Two pipelines on fresh stores, one of ten times as many packets."""
        sizes = {n: (numbers(n), {"computed": n, "cached": 0, "failed": 0}) for n in (LARGE, SMALL)}
        return in_turns(
            self._repeat,
            *(lambda n=n: seconds(lambda: run_pipeline(self.store(), *sizes[n])) / n for n in (LARGE, SMALL)),
        )

    def warm(self, n: int) -> list[list[float]]:
        """Pipeline and floor, each on a store that has everything."""
        table, ours, plain = numbers(n), self.store(), self.store()
        run_pipeline(ours, table, {"computed": n, "cached": 0, "failed": 0})
        floor.run(plain, increment, range(n))
        known = {"computed": 0, "cached": n, "failed": 0}
        return in_turns(
            self._repeat,
            lambda: seconds(lambda: run_pipeline(ours, table, known)) / n,
            lambda: seconds(lambda: floor.run(plain, increment, range(n))) / n,
        )


def hashing(repeat: int) -> list[float]:
    """Seconds for ``HASHED`` rows of 6 columns, in chunks as the engine hashes them."""
    table = pa.table(
        {
            "subject": [f"subject-{i % 500}" for i in range(HASHED)],
            "session": range(HASHED),
            "voltage": [i / 7 for i in range(HASHED)],
            "valid": [i % 3 == 0 for i in range(HASHED)],
            "note": [None if i % 5 else f"note {i}" for i in range(HASHED)],
            "gain": [float(i % 11) for i in range(HASHED)],
        }
    )
    chunks = table.to_batches(max_chunksize=4096)
    (ours,) = in_turns(repeat, lambda: seconds(lambda: [hash_rows(chunk) for chunk in chunks]))
    return ours


def joining(repeat: int) -> list[list[float]]:
    """A join with the provenance of every value, and one without any."""
    left = pa.table({"key": range(LARGE), "a": [i * 0.5 for i in range(LARGE)]})
    right = pa.table({"key": range(LARGE - 1, -1, -1), "b": [f"b{i}" for i in range(LARGE)]})

    def with_provenance() -> None:
        sources = [ArrowTableSource(t, tag_columns=["key"], source_id=n) for t, n in ((left, "left"), (right, "right"))]
        joined = sources[0].join(sources[1]).as_table(columns={"source": True, "system_tags": True})
        assert joined.num_rows == LARGE

    def without() -> None:
        assert left.join(right, keys="key", join_type="inner").num_rows == LARGE

    return in_turns(repeat, lambda: seconds(with_provenance), lambda: seconds(without))


CACHING = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Whoever installs a package has it compiled once."""


def importing(module: str) -> float:
    """How long a fresh process takes to import a module, its own start not counted."""
    program = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", program]
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=CACHING).stdout)


def process(*arguments: str) -> float:
    """How long a fresh process takes from start to end, in processor time: others may use the machine too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    nothing = subprocess.DEVNULL
    subprocess.run([sys.executable, *arguments], check=True, stdin=nothing, stdout=nothing, env=CACHING)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(folder: Path, repeat: int) -> list[list[float]]:
    """What a process of the command takes: its help, the runs of a store, one run, and what a row was made of."""
    store = folder / "commands.db"
    run_pipeline(store, numbers(SMALL), {"computed": SMALL, "cached": 0, "failed": 0})
    calls = (["--help"], ["runs"], ["show", "last"], ["trace", "increment", "i=7"], ["head", "increment"])
    ours = [["-m", "orcapod.cli", *call, *(["--store", str(store)] if "--help" not in call else [])] for call in calls]
    return in_turns(repeat, *(partial(process, *call) for call in (*ours, ["-c", "import pyarrow"])))


def drawing(nodes: int) -> Callable[[], float]:
    """How long a picture takes of a pipeline of so many nodes: sources, and operators on any of the last 25."""
    random, pipeline, empty = Random(0), op.Pipeline("many"), pa.table({"i": [0], "x": [0]})
    with pipeline:
        streams: list[Stream] = [ArrowTableSource(empty, ["i"], source_id=f"s{n}") for n in range(nodes // 10)]
        while len(streams) < nodes:
            one, other = (random.choice(streams[-25:]) for _ in range(2))
            label = f"node_{len(streams)}"
            streams.append(one.sort("i", label=label) if random.random() < 0.6 else one.semi_join(other, label=label))
    pipeline.compile()
    return lambda: seconds(lambda: pipeline.graph().to_svg())


def brought_along(distribution: str) -> set[str]:
    """What an install without extras brings along, all the way down."""
    found: set[str] = set()
    todo = [distribution]
    while todo:
        for requirement in importlib.metadata.requires(todo.pop()) or []:
            name = re.match(r"[\w.-]+", requirement)
            if name and "extra ==" not in requirement and name.group() not in found:
                try:
                    importlib.metadata.version(name.group())
                except importlib.metadata.PackageNotFoundError:
                    continue  # for another platform or an older Python
                found.add(name.group())
                todo.append(name.group())
    return found


def main() -> None:
    """Take the measures asked for; exit code 1 if a target was missed."""
    kinds = ["cold", "logged", "warm", "growth", "hash", "join", "import", "install", "start", "command", "picture"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5, help="how often each measure is taken (default 5)")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--folder", type=Path, help="where the stores are put (default: the system's temporary folder)")
    options = parser.parse_args()
    repeat, wanted, table = options.repeat, set(options.only), Table()
    many = 4 * repeat  # a process is soon started, and its time varies

    print(f"Python {sys.version.split()[0]}, pyarrow {pa.__version__}, {repeat} times each\n")
    table.head()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        runs = Runs(Path(folder), repeat)
        if "cold" in wanted:
            table.line(f"cold run, {SMALL:,} packets, µs each", *runs.cold(SMALL), at_most=4)
            table.line(f"cold run, {LARGE:,} packets, µs each", *runs.cold(LARGE), at_most=4)
        if "logged" in wanted:
            table.line(f"the same, logs and status, {SMALL:,}", *runs.cold(SMALL, observed=True), at_most=6)
            table.line(f"the same, logs and status, {LARGE:,}", *runs.cold(LARGE, observed=True), at_most=6)
        if "warm" in wanted:
            table.line(f"warm run, {SMALL:,} packets, µs each", *runs.warm(SMALL), at_most=4)
            table.line(f"warm run, {LARGE:,} packets, µs each", *runs.warm(LARGE), at_most=4)
        if "growth" in wanted:
            table.line(f"cold, {LARGE:,} against {SMALL:,}, µs each", *runs.growth(), at_most=1.3)
        if "command" in wanted:
            *ours, beside = commands(Path(folder), many)
            for name, mine in zip(("--help", "runs", "show", "trace", "head"), ours, strict=True):
                table.line(f"orcapod {name}, ms", mine, beside, at_most=1.5 if name == "--help" else 3, unit=1e3)
    if "hash" in wanted:
        table.rate("hashing rows of 6 columns", hashing(repeat), HASHED, at_least=700_000)
    if "join" in wanted:
        table.line(f"Join of {LARGE:,} rows twice, ms", *joining(repeat), at_most=5, unit=1e3)
    if "import" in wanted:
        ours, beside = in_turns(many, lambda: importing("orcapod"), lambda: importing("pyarrow"))
        table.line("import orcapod, ms", ours, beside, at_most=1.3, unit=1e3)
    if "start" in wanted:
        one_packet = str(Path(__file__).with_name("one_packet.py"))
        ours, beside = in_turns(many, lambda: process(one_packet), lambda: process("-c", "import pyarrow"))
        table.line("process with a one-packet pipeline, ms", ours, beside, at_most=2, unit=1e3)
    if "picture" in wanted:
        ours, beside = in_turns(many, drawing(200), lambda: importing("pyarrow"))
        table.line("a picture of 200 nodes, ms", ours, beside, at_most=0.5, unit=1e3)
    if "install" in wanted:
        others = sorted(brought_along("orcapod-core") - {"pyarrow"})
        print(f"{'installing orcapod-core':38}pyarrow and {len(others)} more: {', '.join(others) or 'none'}")
    if table.missed:
        sys.exit(f"\nmissed: {', '.join(table.missed)}")


if __name__ == "__main__":
    main()
