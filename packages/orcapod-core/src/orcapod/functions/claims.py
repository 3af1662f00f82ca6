"""``Claims``: what is being computed right now in a run, so that nobody computes the same at the same time."""

from __future__ import annotations

import threading
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


@dataclass(slots=True)
class _Claim:
    holder: Tell
    waiting: list[tuple[Tell, Work, int]] | None = None


class Claims:
    """Who computes which record, and which rows of whom wait for it. Everything may be called from any thread."""

    def __init__(self) -> None:
        self._claims: dict[bytes, _Claim] = {}
        self._lock = threading.Lock()

    def claim(self, work: Work, tell: Tell) -> list[int]:
        """The rows whose records may be computed now; of the others, ``tell`` is told what became of them."""
        claimed = []
        with self._lock:
            for row in range(work.chunk.num_rows):
                record_id = work.record_id(row)
                claim = self._claims.get(record_id)
                if claim is None:
                    self._claims[record_id] = _Claim(tell)
                    claimed.append(row)
                elif claim.waiting is None:
                    claim.waiting = [(tell, work, row)]
                else:
                    claim.waiting.append((tell, work, row))
        return claimed

    def keep(self, results: pa.Table) -> None:
        """Say that these results are kept."""
        keys: list[Any] = results.column(RECORD_ID).to_pylist()
        with self._lock:
            ended = [(at, self._claims.pop(key, None)) for at, key in enumerate(keys)]
        for at, claim in ended:
            if claim is not None and claim.waiting:
                for tell, work in dict.fromkeys((tell, work) for tell, work, _ in claim.waiting):
                    tell(Kept(work, results.slice(at, 1)))

    def give_up(self, record_id: bytes) -> None:
        """Say that a record was not made; whoever waits first may try."""
        with self._lock:
            claim = self._claims[record_id]
            if not claim.waiting:
                del self._claims[record_id]
                return
            tell, work, row = claim.waiting.pop(0)
            claim.holder = tell
        tell(Turn(work, row))

    def leave(self, holder: Tell) -> None:
        """Give up all that somebody has claimed."""
        with self._lock:
            held = [key for key, claim in self._claims.items() if claim.holder == holder]
        for key in held:
            self.give_up(key)
