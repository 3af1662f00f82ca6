"""``InFlight``: what is being computed right now in a run, so that nobody computes the same at the same time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.execution.pending_chunk import PendingChunk
from orcapod.records import RECORD_ID

__all__ = ["Completed", "InFlight", "OnSettled", "Promoted"]


@dataclass(frozen=True, slots=True)
class Completed:
    """Event for a row that waits: its result is there, as it is stored."""

    pending: PendingChunk
    result: pa.Table


@dataclass(frozen=True, slots=True)
class Promoted:
    """Event for a row that waits: what it waited for has failed, and it computes itself now."""

    pending: PendingChunk
    row: int


OnSettled = Callable[[Completed | Promoted], None]
"""Called with what has become of a record that a row waits for, from any thread; never blocks."""

_WaitingRow = tuple[OnSettled, PendingChunk, int]


class InFlight:
    """Records that are being computed, each by one node, and the rows that wait for them.

    Everything may be called from any thread.
    """

    def __init__(self) -> None:
        self._holders: dict[bytes, OnSettled] = {}
        self._waiting: dict[bytes, deque[_WaitingRow]] = {}
        self._lock = threading.Lock()

    def claim(self, pending: PendingChunk, on_settled: OnSettled) -> list[int]:
        """Return the rows whose records may be computed now; ``on_settled`` is told what becomes of the others."""
        claimed = []
        with self._lock:
            for row, record_id in enumerate(pending.record_ids):
                if not record_id:
                    continue  # it has no packet
                if record_id in self._holders:
                    self._waiting.setdefault(record_id, deque()).append((on_settled, pending, row))
                else:
                    self._holders[record_id] = on_settled
                    claimed.append(row)
        return claimed

    def complete(self, results: pa.Table) -> None:
        """Tell that these results are stored."""
        keys: list[Any] = results.column(RECORD_ID).to_pylist()
        with self._lock:
            for key in keys:
                self._holders.pop(key, None)
            settled = [(at, self._waiting.pop(key)) for at, key in enumerate(keys) if key in self._waiting]
        for at, waiting in settled:
            for on_settled, pending in dict.fromkeys((on_settled, pending) for on_settled, pending, _ in waiting):
                on_settled(Completed(pending, results.slice(at, 1)))

    def give_up(self, record_id: bytes, holder: OnSettled) -> None:
        """Tell that a holder has not made a record; the row that waits first may compute it."""
        with self._lock:
            if self._holders.get(record_id) != holder:
                return  # another process made it, and a look-up has found it
            del self._holders[record_id]
            promoted = self._promote(record_id)
        if promoted is not None:
            on_settled, pending, row = promoted
            on_settled(Promoted(pending, row))

    def leave(self, holder: OnSettled) -> None:
        """Let go of all that somebody has claimed or waits for."""
        with self._lock:
            for record_id, waiting in list(self._waiting.items()):
                self._waiting[record_id] = deque(row for row in waiting if row[0] != holder)
            held = [record_id for record_id, each in self._holders.items() if each == holder]
        for record_id in held:
            self.give_up(record_id, holder)

    def _promote(self, record_id: bytes) -> _WaitingRow | None:
        waiting = self._waiting.get(record_id)
        if not waiting:
            self._waiting.pop(record_id, None)
            return None
        first = waiting.popleft()
        self._holders[record_id] = first[0]
        return first
