"""Measure what it costs to send large values to another process and back, beside copying them into shared memory.

Usage: transfers.py [--repeat 9] [--megabytes 100]

Beside it, one process does all with plain ``multiprocessing.shared_memory``. Time is that of processors, of both
processes together, so that other programs change little. ``ray_tasks.py`` measures the same for Ray.
"""

import argparse
import gc
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from run import Table, in_turns

from orcapod.executors import LocalExecutor

MEGABYTE = 2**20


def first(x: Any) -> float:
    """Look at one element, so that nothing but the way there is measured."""
    return float(x[0])


def another(x: Any) -> Any:
    """Make another array of that size."""
    return x + 1


def process() -> int:
    """The worker, which is asked while it has nothing else to do."""
    import os  # noqa: PLC0415  # it is sent by value

    return os.getpid()


def processor_seconds(pid: int) -> float:
    """The time that a process's main thread has had a processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def spent(action: Callable[[], object], pid: int | None = None) -> float:
    """The processor time of an action, here and in a worker."""
    gc.collect()
    before = time.process_time() + (processor_seconds(pid) if pid else 0.0)
    result = action()
    del result
    return time.process_time() + (processor_seconds(pid) if pid else 0.0) - before


def plain(function: Callable[[Any], Any], x: Any) -> None:
    """Copy an array into shared memory, let a function have it there, and, if it returns another, that one, too."""
    with_result = function(_shared(x))
    if isinstance(with_result, np.ndarray):
        _shared(with_result)


_HELD: list[SharedMemory] = []


def _shared(x: Any) -> Any:
    memory = SharedMemory(create=True, size=x.nbytes)
    np.ndarray(x.shape, x.dtype, memory.buf)[:] = x
    attached = SharedMemory(memory.name)
    _HELD.extend([memory, attached])
    return np.ndarray(x.shape, x.dtype, attached.buf)


def beside(function: Callable[[Any], Any], x: Any) -> float:
    """The processor time of the plain way, and of giving the memory back."""

    def action() -> None:
        plain(function, x)
        while _HELD:
            memory = _HELD.pop()
            memory.close()
            if not len(_HELD) % 2:
                memory.unlink()

    return spent(action)


def main() -> None:
    """Take the measures asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=100)
    options = parser.parse_args()
    x = np.ones(options.megabytes * MEGABYTE // 8)
    table = Table()
    table.head()
    with LocalExecutor(1, "process") as pool:
        pid = pool.execute_callable(process, {})
        for what, function in (("there", first), ("there and back", another)):
            figures = in_turns(
                options.repeat,
                lambda function=function: spent(lambda: pool.execute_callable(function, {"x": x}), pid),
                lambda function=function: beside(function, x),
            )
            table.line(what, *figures, at_most=2, unit=1e3)


if __name__ == "__main__":
    main()
