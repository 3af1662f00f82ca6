"""``Plan``: a random pipeline of 200 rows, what it must give, and how a program runs it."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orcapod as op
from orcapod.executors import LocalExecutor
from orcapod.observers import CompositeObserver, LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import DictSource

ROWS = 200
LABELS = ("tenfold", "less", "both")


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


@dataclass(frozen=True)
class Plan:
    """Plan of one round: a random pipeline, and where it runs.

    Attributes:
        seed: what it is made from.
        executor: ``here``, ``threads``, ``processes`` or ``ray``.
        orchestrator: ``sync`` or ``async``.
        store: a URL.
        folder: where calls leave their marks.
        nodes: the address of a Ray cluster, where there is one.
    """

    seed: int
    executor: str
    orchestrator: str
    store: str
    folder: Path
    nodes: str | None = None

    @cached_property
    def values(self) -> list[int]:
        """The numbers that go in, twins among them."""
        chances = random.Random(self.seed)
        return [chances.randrange(90) for _ in range(ROWS)]

    def expected(self) -> dict[str, dict[int, int]]:
        """Return what every node has in the end, by row."""
        y = {i: 10 * x for i, x in enumerate(self.values) if x % 7}
        z = {i: value - 1 for i, value in y.items() if value % 110}
        return {"tenfold": y, "less": z, "both": {i: y[i] + value for i, value in z.items()}}

    def environment(self) -> dict[str, str]:
        """Return what calls have to know."""
        return {"CHAOS_MARKS": str(self.folder), "CHAOS_EXECUTOR": self.executor}

    def pipeline(self) -> op.Pipeline:
        """Return the pipeline, on its store."""
        chances = random.Random(self.seed)
        pods = {
            function: op.function_pod(key, retries=1, max_concurrency=chances.choice([None, 1, 5]), timeout=limit)(
                function
            )
            for function, key, limit in (
                (tenfold, "y", chances.choice([None, 60.0])),
                (less, "z", None),
                (both, "w", None),
            )
        }
        pipeline = op.Pipeline("soak", self.store)
        with pipeline:
            rows = [{"i": i, "x": x} for i, x in enumerate(self.values)]
            y = pods[tenfold].pod(DictSource(rows, ["i"], source_id="s"), label="tenfold")
            z = pods[less].pod(y, label="less")
            pods[both].pod(y.join(z), label="both")
        return pipeline

    def run(self, *, share_work: bool, begins: Callable[[], object]) -> None:
        """Run it, as a program does."""
        warnings.simplefilter("ignore")
        pipeline = self.pipeline()
        observer = CompositeObserver(LoggingObserver(pipeline.log_database), StatusObserver(pipeline.log_database))
        driver = AsyncPipelineOrchestrator(buffer_size=3) if self.orchestrator == "async" else None
        begins()
        result = pipeline.run(
            driver or SyncPipelineOrchestrator(),
            execution_engine=self._engine(),
            observer=observer,
            share_work=share_work,
        )
        print(result, flush=True)

    def _engine(self) -> Any:
        match self.executor:
            case "ray":
                from orcapod_ray import RayExecutor  # noqa: PLC0415  # only where it is asked for

                return RayExecutor(self.nodes, max_retries=3 if self.nodes else 0)
            case "threads":
                return LocalExecutor(workers=4)
            case "processes":
                return LocalExecutor(workers=2, kind="process")
            case _:
                return LocalExecutor()
