"""Processes that descend from another one: found, stopped and ended."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress

__all__ = ["kill_all", "stopped_descendants"]


def stopped_descendants(ancestor: int) -> set[int]:
    """Stop all processes that descend from one, in whichever session they are, and return them.

    Once they are all stopped, none starts another. Where there is no ``/proc``, none is found.
    """
    found: set[int] = set()
    while new := _descendants(ancestor) - found:
        _signal(new, signal.SIGSTOP)
        found |= new
    return found


def kill_all(processes: Iterable[int]) -> None:
    """End processes, as far as they are still there."""
    _signal(processes, signal.SIGKILL)


def _signal(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(OSError):  # gone, or another user's
            os.kill(process, number)


def _descendants(ancestor: int) -> set[int]:
    """Return the processes that descend from one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208  # no pathlib here
        with suppress(OSError, IndexError, ValueError):  # gone meanwhile, or no process
            with open(f"/proc/{int(name)}/stat", "rb") as file:  # noqa: PTH123  # likewise
                parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    ancestors = [ancestor]
    while ancestors:
        new = children.pop(ancestors.pop(), [])
        found.update(new)
        ancestors += new
    return found
