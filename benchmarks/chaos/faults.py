"""Faults: what happens to a program at a random moment of its run."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from checks import Calls, Records, check_values
from places import Place
from plan import Plan
from program import Program, WrongError

KILLS = 6  # in a round
_LATEST = 2.5
_LATEST_KILL = 1.2  # sooner, since what a killed program has stored is not computed again by the next
_STORED = 2.0  # seconds after which what has finished is stored: the interval, and some for a busy machine
_LONGEST_JUMP = 100 * 3600.0


class Round:
    """Round of a plan: harmed, then run to its end twice.

    Args:
        plan: what is run.
        place: where.
    """

    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan = plan
        self.place = place
        self.calls = Calls(plan.folder)
        self._records = Records(plan)

    def go(self, fault: str) -> int:
        """Do the round; return how often the fault has struck.

        Raises:
            WrongError: something is as it must never be.
        """
        struck = FAULTS[fault](self)
        self._records.check()
        with Program(self.plan) as program:
            program.wait()
        self._records.check()
        check_values(self.plan)
        with Program(self.plan) as program:
            program.wait()
        self._records.check()
        check_values(self.plan)
        # A signal may strike between the mark and the return: one call for every place where calls are made.
        spared = (1 if self.plan.executor == "here" else 8) if fault == "interrupt" else 0
        if len(again := self.calls.made_again()) > spared:
            raise WrongError("lost", f"finished before the fault, and computed again: {again}")
        if any(" computed, " in line and ": 0 computed" not in line for line in program.output.splitlines()):
            raise WrongError("lost", f"the last run computed something again: {program.output}")
        return struck

    @contextmanager
    def running(self) -> Iterator[Program]:
        """Have a program that has been running for some time."""
        with Program(self.plan) as program:
            time.sleep(random.uniform(0, _LATEST))
            yield program

    def none(self) -> int:
        """Do nothing."""
        with self.running() as program:
            program.wait()
        self.calls.promise()
        return 0

    def interrupt(self) -> int:
        """Interrupt it, as Ctrl-C does."""
        with self.running() as program:
            program.send(signal.SIGINT)
            code = program.wait((0, 1, 130, -signal.SIGINT))
        if "RunResult" not in program.output and "KeyboardInterrupt" not in program.output:
            raise WrongError("failed", f"an interrupt became something else: {program.output}")
        self.calls.promise()
        return int(code != 0)

    def kill(self) -> int:
        """Kill it, and each that goes on where it was."""
        struck = 0
        for latest in (_LATEST, *[_LATEST_KILL] * (KILLS - 1)):
            with Program(self.plan) as program:
                began = time.time()
                time.sleep(random.uniform(0, latest))
                killed = time.time()
                program.send(signal.SIGKILL)
                struck += program.wait((0, -signal.SIGKILL)) != 0
            self.calls.promise(began, killed - _STORED)
            self._records.check()
        return struck

    def crowd(self) -> int:
        """Kill one of three that share the work."""
        with (
            Program(self.plan, share_work=True) as first,
            Program(self.plan, share_work=True) as second,
            Program(self.plan, share_work=True) as third,
        ):
            time.sleep(random.uniform(0, _LATEST))
            first.send(signal.SIGKILL)
            struck = first.wait((0, -signal.SIGKILL)) != 0
            second.wait()
            third.wait()
        return int(struck)

    def clock(self) -> int:
        """Set the clock of one of two that share the work, by up to four days; kill it or not."""
        jump = random.uniform(-_LONGEST_JUMP, _LONGEST_JUMP)
        with (
            Program(self.plan, share_work=True, jump=jump) as first,
            Program(self.plan, share_work=True) as second,
        ):
            time.sleep(random.uniform(0, _LATEST / 2))
            first.set_clock()
            if is_killed := random.random() < 0.5:
                time.sleep(random.uniform(0, _LATEST / 2))
                first.send(signal.SIGKILL)
            first.wait((0, -signal.SIGKILL))
            second.wait()
        if not is_killed:
            self.calls.promise()
        return 1

    def worker(self) -> int:
        """Kill its workers, one now and then."""
        struck = 0
        with self.running() as program:
            for _ in range(random.randint(1, 4)):
                if workers := [pid for pid in descendants(os.getpid()) if is_worker(pid)]:
                    with suppress(ProcessLookupError):
                        os.kill(random.choice(workers), signal.SIGKILL)
                        struck += 1
                time.sleep(random.uniform(0, 0.3))
            program.wait()
        return struck

    def node(self) -> int:
        """Lose one of the two nodes of the cluster."""
        assert self.place.nodes is not None
        with self.running() as program:
            self.place.nodes.lose_one()
            program.wait()
        return 1

    def server(self) -> int:
        """Crash the server, and start it again within a second."""
        assert self.place.server is not None
        with self.running() as program:
            self.place.server.stop("immediate")
            time.sleep(random.uniform(0, 1))
            self.place.server.start()
            program.wait()
        self.calls.promise()
        return 1

    def network(self) -> int:
        """Have the network go down, or go silent, which either ends or turns out to be the end of all connections."""
        assert self.place.relay is not None
        with self.running() as program:
            is_silent = random.random() < 0.6
            if is_silent:
                self.place.relay.hold()
                time.sleep(random.uniform(0, 3))
            if not is_silent or random.random() < 0.5:
                self.place.relay.cut()
                time.sleep(random.uniform(0, 3))
            self.place.relay.release()
            program.wait()
        self.calls.promise()
        return 1

    def disk(self) -> int:
        """Fill the disk for a second."""
        with self.running() as program:
            self.place.fill_disk()
            time.sleep(1)
            self.place.empty_disk()
            program.wait((0, 1))  # it may have given up
        return 1


FAULTS: Mapping[str, Callable[[Round], int]] = {
    "none": Round.none,
    "interrupt": Round.interrupt,
    "kill": Round.kill,
    "crowd": Round.crowd,
    "worker": Round.worker,
    "node": Round.node,
    "server": Round.server,
    "network": Round.network,
    "clock": Round.clock,
    "disk": Round.disk,
}


def is_possible(fault: str, kind: str, executor: str) -> bool:
    """Say whether a fault can happen to a program with this store and executor."""
    match fault:
        case "disk":
            return kind != "postgresql" and hasattr(os, "geteuid") and os.geteuid() == 0
        case "server" | "network":
            return kind == "postgresql"
        case "worker":
            return executor in ("processes", "ray")
        case "node":
            return executor == "ray"
        case _:
            return True


def descendants(pid: int) -> Iterator[int]:
    """Give the processes that a process has started, and those that they have."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for each in found:
        children = [child for child, parent in parents.items() if parent == each]
        found += children
        yield from children


def is_worker(pid: int) -> bool:
    """Say whether a process makes calls for another, of a pool of ours or of Ray's."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"orcapod.executors.worker" in command or command.startswith(b"ray::")
