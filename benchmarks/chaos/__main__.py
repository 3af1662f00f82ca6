"""Run random pipelines, do them harm, and look for a value that is wrong, lost or doubled, and for a hang.

Usage: chaos [--minutes 30] [--strikes N] [--seed N] [--stores sqlite delta postgresql] [--faults kill clock ...]
             [--executors here threads processes ray]

Every round is a plan of 200 rows with twins, failures, failures that pass when they are tried again and, where there
are workers, deaths of workers; run as a program, by a random orchestrator and executor on a random store. At a random
moment something happens to it: the *faults*. Then it is run to its end, and once more. Every value that is there in the
end is held against plain Python, and the store is verified, also after each fault; no record that was there may be
gone; what had finished before an interrupt, or long enough before a kill to be stored, must not have been computed
again. A table of all rounds is printed at the end, or when this is interrupted.

| fault | what happens |
|---|---|
| none | nothing |
| interrupt | SIGINT |
| kill | SIGKILL, to six programs one after the other |
| crowd | three programs share the work, and one of them is killed |
| worker | worker processes are killed |
| node | one of the two nodes of a Ray cluster is lost |
| server | the PostgreSQL server crashes and is started again |
| network | connections to PostgreSQL are broken off, or fall silent for a while |
| clock | two programs share the work, and the clock of one jumps by up to 100 hours; sometimes it is killed then |
| disk | the disk is full for a second (needs the right to mount one) |
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import warnings
from collections import Counter, defaultdict
from contextlib import ExitStack, suppress

from faults import FAULTS, Round, is_possible
from places import NoPlaceError, place_of
from plan import Plan
from program import WrongError

from orcapod_postgres.testing import Server

BAD = ("wrong", "lost", "doubled", "hung", "failed")
Table = dict[tuple[str, str], Counter[str]]


def run(options: argparse.Namespace, table: Table) -> None:
    """Do rounds until there were enough."""
    cases: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fault in options.faults:
        for store in options.stores:
            for executor in options.executors:
                if is_possible(fault, store, executor) and (executor != "ray" or fault == "node" or options.ray):
                    cases[fault, store].append(executor)
    with ExitStack() as stack:
        server = stack.enter_context(Server()) if "postgresql" in options.stores else None
        while sum(counts["struck"] for counts in table.values()) < options.strikes:
            (fault, store), executors = random.choice(list(cases.items()))
            executor, orchestrator = random.choice(executors), random.choice(["sync", "async"])
            seed = random.randrange(10**9)
            try:
                with place_of(fault, store, executor, server) as place:
                    nodes = None if place.nodes is None else place.nodes.address
                    plan = Plan(seed, executor, orchestrator, place.store, place.folder, nodes)
                    table[fault, store]["struck"] += Round(plan, place).go(fault)
            except NoPlaceError as error:
                print(f"{fault}, {store}, {executor}: no round, {error}", flush=True)
                continue
            except WrongError as error:
                table[fault, store][error.kind] += 1
                print(f"{fault}, {store}, {executor}, {orchestrator}, seed {seed}: {error}", flush=True)
            table[fault, store]["rounds"] += 1


def show(table: Table) -> None:
    """Print how many rounds there were, how many faults have struck, and how many rounds found what."""
    columns = ("rounds", "struck", *BAD)
    print("| fault | store |" + "".join(f" {name} |" for name in columns))
    print("|---|---|" + "---|" * len(columns))
    for (fault, store), counts in sorted(table.items()):
        if counts["rounds"]:
            print(f"| {fault} | {store} |" + "".join(f" {counts[name]} |" for name in columns), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--strikes", type=int, default=10**9, help="end when faults have struck so often")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--stores", nargs="+", default=["sqlite", "delta", "postgresql"])
    parser.add_argument("--executors", nargs="+", default=None)
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    options = parser.parse_args()
    options.ray = options.executors is not None
    options.executors = options.executors or ["here", "threads", "processes", "ray"]  # Ray for nodes: it is slow
    random.seed(options.seed)
    warnings.simplefilter("ignore")
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):  # all that ends it does so like Ctrl-C
        signal.signal(number, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 60 * options.minutes)
    table: Table = defaultdict(Counter)
    with suppress(KeyboardInterrupt):
        run(options, table)
    show(table)
    return 1 if any(counts[each] for counts in table.values() for each in BAD) else 0


if __name__ == "__main__":
    sys.exit(main())
