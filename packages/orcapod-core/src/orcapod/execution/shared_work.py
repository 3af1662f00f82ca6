"""``SharedWork``: which packets of a step are computed here, where several processes share the work of one store."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from orcapod import interrupts
from orcapod.execution.pending_chunk import PendingChunk
from orcapod.records import Claims

__all__ = ["SharedWork"]

_SHORTEST_PORTION, _OVERHEADS = 0.1, 5
_STORE_OVERHEADS = 10
_FIRST_LOOK, _LAST_LOOK = 0.02, 1.0
_MOST = 4096
_BEATS_PER_LEASE = 3

Row = tuple[PendingChunk, int]


@dataclass(slots=True)
class _Record:
    """Record that is to be computed by somebody: its rows, who has it, and how often its holder has died."""

    record_id: bytes
    rows: list[Row] = field(default_factory=list)
    holder: str = ""
    deaths: int = 0

    @property
    def name(self) -> str:
        """What it is claimed under; another name once its holder is dead."""
        return f"{self.record_id.hex()}-{self.deaths}"

    @property
    def is_settled(self) -> bool:
        """Whether there is a result, or there will be none."""
        return all(pending.is_settled(row) for pending, row in self.rows)


class SharedWork:
    """Share of a process in the work of one step.

    Rows are *offered*; some at a time, in a random order, their records are *taken*, which claims them in the store.
    Of those that another process has claimed, results are looked up now and then, until they are there, or their
    holder has let go of them or is dead. What is taken is let go of when it failed, and otherwise in the end.

    Args:
        claims: the claims of this process.
    """

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._open: dict[bytes, _Record] = {}
        self._held: dict[bytes, _Record] = {}
        self._mine: dict[bytes, _Record] = {}
        self._taken: list[Row] = []
        self._seen: dict[str, tuple[int, float]] = {}
        self._random = random.Random(claims.holder)  # others take others
        self._changed = time.monotonic()
        self._next_look = 0.0
        self._has_found = False
        self._store_due = 0.0
        self._next_beat = 0.0
        self._beating = threading.Lock()

    def __enter__(self) -> Self:
        self.beat()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._beating:
            self._next_beat = math.inf
        self._claims.close()

    def beat(self) -> None:
        """Tell others that this process is alive, if it is time to; any thread may do so."""
        with self._beating:
            if time.monotonic() >= self._next_beat:
                self._claims.beat()
                self._next_beat = time.monotonic() + self._claims.lease / _BEATS_PER_LEASE

    def offer(self, pending: PendingChunk, rows: Sequence[int]) -> None:
        """Take it that these rows have no result yet."""
        for row in rows:
            record_id = pending.record_ids[row]
            if record_id in self._mine:  # the row is one of several, and tries what failed for another
                self._taken.append((pending, row))
            known = self._held.get(record_id) or self._mine.get(record_id) or self._open.get(record_id)
            if known is None:
                known = self._open[record_id] = _Record(record_id)
            known.rows.append((pending, row))

    def seconds_to_wait(self) -> float | None:
        """Return how long there is nothing to do for rows that others have; None if they have none.

        It is nothing when results of others were found since this was last asked.
        """
        if self._has_found:
            self._has_found = False
            return 0.0
        return max(0.0, self._next_look - time.monotonic()) if self._held else None

    def take(self, count: int) -> list[Row]:
        """Claim that many records, as far as nobody has them, and return the rows that are to be computed here."""
        self._let_go_of_failed()
        if self._held and time.monotonic() >= self._next_look:
            self._look_at_held()
        taken, self._taken = self._taken, []
        while self._open and not taken:
            taken = self._claim(self._random.sample(list(self._open), min(count, len(self._open))))
        return taken

    def _claim(self, ids: Sequence[bytes]) -> list[Row]:
        records = [self._open.pop(record_id) for record_id in ids]
        holders = self._claims.take([record.name for record in records])
        mine = []
        for record in records:
            record.holder = holders.get(record.name, "")
            if record.holder == self._claims.holder:
                mine.append(record)
            else:
                self._held[record.record_id] = record
        self._look_up(mine)  # after they were claimed, so that nothing can be stored in between
        taken = []
        for record in mine:
            if not record.is_settled:
                self._mine[record.record_id] = record
                taken += [(pending, row) for pending, row in record.rows if not pending.is_settled(row)]
        return taken

    def portions(self, pending: PendingChunk, rows: Sequence[int]) -> Iterator[list[int]]:
        """Give the rows of a chunk that are to be computed here, some at a time; wait for what others compute.

        A portion takes a tenth of a second, or five times as long as it takes to claim it. What portions gave is stored
        when that took a tenth of the time since, and when there are no more to take: others may wait for it.
        """
        self.offer(pending, rows)
        count = 1
        while self._open or self._held:
            started = time.monotonic()
            taken = [row for _, row in self.take(count)]
            begun = time.monotonic()
            if taken:
                yield taken
                computed = time.monotonic()
                wanted = max(_SHORTEST_PORTION, _OVERHEADS * (begun - started))
                fitting = int(len(taken) * wanted / max(computed - begun, 1e-9))
                count = max(1, min(fitting, 8 * count, _MOST))
                self.store(pending.store)
            else:
                interrupts.pause(self.seconds_to_wait() or 0.0)
        self._let_go_of_failed()

    def store(self, store: Callable[[], object]) -> bool:
        """Store what is computed, and let others see it, if it is time to; say whether it was."""
        started = time.monotonic()
        if started < self.store_due:
            return False
        store()
        self._claims.flush()  # at once: some stores let one process add at a time
        now = time.monotonic()
        self._store_due = now + _STORE_OVERHEADS * (now - started)
        return True

    @property
    def store_due(self) -> float:
        """When it is time to store, by the monotonic clock; at once when there is no more to take."""
        return self._store_due if self._open else 0.0

    def _let_go_of_failed(self) -> None:
        """Forget what is settled; what has no result is let go of, since others may want to try."""
        computed: list[str] = []
        failed: list[str] = []
        for record in [record for record in self._mine.values() if record.is_settled]:
            del self._mine[record.record_id]
            has_result = any(pending.has_result(row) for pending, row in record.rows)
            (computed if has_result else failed).append(record.name)
        self._claims.keep(computed)
        self._claims.release(failed)

    def _look_at_held(self) -> None:
        """Look up what others have computed, and who of them is gone."""
        before, started = len(self._held), time.monotonic()
        self._look_up(list(self._held.values()))
        self._held = {key: record for key, record in self._held.items() if not record.is_settled}
        holders = self._claims.holders([record.name for record in self._held.values()])
        dead = self._dead({*holders.values()} - {self._claims.holder})
        for key, record in list(self._held.items()):
            record.holder = holders.get(record.name, "")
            if record.holder in dead:
                record.deaths += 1
            if record.holder in dead or record.holder in ("", self._claims.holder):
                self._open[key] = self._held.pop(key)
        now = time.monotonic()
        if len(self._held) < before:
            self._changed = now
        pause = min(max(_FIRST_LOOK, (now - self._changed) / _OVERHEADS), _LAST_LOOK)
        self._next_look = now + max(pause, _OVERHEADS * (now - started))

    def _dead(self, holders: set[str]) -> set[str]:
        """Return those that have not been heard of for as long as their lease, and those that others have buried."""
        now, beats = time.monotonic(), self._claims.beats() if holders else {}
        dead = holders - beats.keys()
        for holder in holders & beats.keys():
            number, lease = beats[holder]
            last, since = self._seen.setdefault(holder, (number, now))
            if number != last:
                self._seen[holder] = (number, now)
            elif now - since > lease:
                dead.add(holder)
                self._claims.bury(holder, number)
        return dead

    def _look_up(self, records: Sequence[_Record]) -> None:
        """Look up the results of records, for all chunks that have rows of them."""
        by_chunk: dict[PendingChunk, list[bytes]] = {}
        for record in records:
            for pending in {pending for pending, _ in record.rows}:
                by_chunk.setdefault(pending, []).append(record.record_id)
        for pending, ids in by_chunk.items():
            pending.look_up(ids)
        self._has_found = self._has_found or any(record.is_settled for record in records)
