"""Measure what it takes to say which code a function is: in proportion to the objects that it refers to, once per run.

Usage: fingerprints.py [--repeat 3]
"""

import argparse
import random
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import pyarrow as pa
from run import seconds

import orcapod as op
from orcapod.sources import DictSource

STATIONS, ENTRIES = 10_000, 1_000_000


class Station:
    """An object that knows others of its kind."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.near: list[Station] | set[Station] = []


def network(kind: Callable[[list[Station]], Any]) -> list[Station]:
    """Stations that each know six others."""
    stations = [Station(f"s{number}") for number in range(STATIONS)]
    chosen = random.Random(1)
    for station in stations:
        station.near = kind(chosen.sample(stations, 6))
    return stations


def nested(depth: int) -> list[Any]:
    """A list in a list in a list."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def holding(value: Any) -> Any:
    """A pod with a value in its closure."""

    @op.function_pod("y")
    def f(x: int) -> int:
        return x + len(value)

    return f


def main() -> None:
    """Take all measures; exit code 1 if a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="how often each measure is taken (default 3)")
    repeat = parser.parse_args().repeat
    table = {f"k{number}": number for number in range(ENTRIES)}
    values: dict[str, tuple[Any, float]] = {
        f"{STATIONS:,} objects, lists of others": (network(list), 1.0),
        f"{STATIONS:,} objects, sets of others": (network(set), 1.0),
        "lists, 100,000 deep": (nested(100_000), 1.0),
        f"a dict of {ENTRIES:,} entries": (table, 2.0),
        f"a list of {ENTRIES:,} pairs": ([(number, str(number)) for number in range(ENTRIES)], 3.0),
    }
    missed = []

    def line(what: str, found: list[float], at_most: float, unit: str) -> None:
        reached = median(found) <= at_most
        print(f"{what:40}{median(found):8.3f} {unit}  at most {at_most:g} {unit}{'' if reached else '   MISSED'}")
        if not reached:
            missed.append(what)

    print(f"Python {sys.version.split()[0]}, pyarrow {pa.__version__}, {repeat} times each\n")
    for what, (value, at_most) in values.items():
        function = holding(value).pod.packet_function
        line(what, [seconds(function.code) for _ in range(repeat)], at_most, "s")

    pod = holding(table).pod
    once = median(seconds(pod.packet_function.code) for _ in range(repeat))
    pipeline = op.Pipeline("bench")
    with pipeline:
        pod(DictSource([{"i": 0, "x": 1}], ["i"], source_id="s"))
    pipeline.run()
    line("a run, in fingerprints of its function", [seconds(pipeline.run) / once for _ in range(repeat)], 1.5, "x")
    line("reading what it gave, likewise", [seconds(pipeline.f.as_table) / once for _ in range(repeat)], 0.1, "x")
    if missed:
        sys.exit(f"\nmissed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
