"""``Claims``: what is being computed right now in a run, so that nobody computes the same at the same time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.functions.work import Work
from orcapod.records import RECORD_ID

__all__ = ["Claims", "Kept", "Turn"]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a row was waiting for is there: the result, as it is kept."""

    work: Work
    result: pa.Table


@dataclass(frozen=True, slots=True)
class Turn:
    """What a row was waiting for has failed: it is this row's turn to try."""

    work: Work
    row: int


Tell = Callable[[Kept | Turn], None]


class Claims:
    """Who computes which record, and which rows of whom wait for it. Everything may be called from any thread."""

    def __init__(self) -> None:
        self._holders: dict[bytes, Tell] = {}
        self._waiting: dict[bytes, deque[tuple[Tell, Work, int]]] = {}
        self._lock = threading.Lock()

    def claim(self, work: Work, tell: Tell) -> list[int]:
        """The rows whose records may be computed now; of the others, ``tell`` is told what became of them."""
        claimed = []
        with self._lock:
            for row, record_id in enumerate(work.record_ids):
                if record_id in self._holders:
                    self._waiting.setdefault(record_id, deque()).append((tell, work, row))
                else:
                    self._holders[record_id] = tell
                    claimed.append(row)
        return claimed

    def keep(self, results: pa.Table) -> None:
        """Say that these results are kept."""
        keys: list[Any] = results.column(RECORD_ID).to_pylist()
        with self._lock:
            for key in keys:
                self._holders.pop(key, None)
            ended = [(at, self._waiting.pop(key)) for at, key in enumerate(keys) if key in self._waiting]
        for at, waiting in ended:
            for tell, work in dict.fromkeys((tell, work) for tell, work, _ in waiting):
                tell(Kept(work, results.slice(at, 1)))

    def give_up(self, record_id: bytes) -> None:
        """Say that a record was not made; whoever waits first may try."""
        with self._lock:
            waiting = self._waiting.get(record_id)
            if waiting is None:
                self._holders.pop(record_id, None)  # gone if another process made it, and a look-up has found it
                return
            tell, work, row = waiting.popleft()
            self._holders[record_id] = tell
            if not waiting:
                del self._waiting[record_id]
        tell(Turn(work, row))

    def leave(self, holder: Tell) -> None:
        """Give up all that somebody has claimed."""
        with self._lock:
            held = [key for key, each in self._holders.items() if each == holder]
        for key in held:
            self.give_up(key)
