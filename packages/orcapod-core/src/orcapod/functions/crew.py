"""``Crew``: a packet function at work on a stream, many calls at a time.

One thread takes events, chunks to compute and outcomes of calls, and does everything but the calls. Calls
go out in batches that take about as long as it takes to send them somewhere to be worth it.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count

from orcapod.datagrams import Chunk
from orcapod.functions.claims import Claims, Kept, Turn
from orcapod.functions.intake import Intake, Signal
from orcapod.functions.step import Attempt, Keeping, Pace, Step, backoff
from orcapod.functions.work import Work
from orcapod.protocols import Call, CallSession, Outcome

__all__ = ["Crew"]

_BATCH_SECONDS = 0.05
_LARGEST_BATCH = 1000


class Crew:
    """A step whose calls are made by a session.

    Args:
        step: what is done with each packet before and after its call.
        intake: where chunks and outcomes come from.
        session: who makes the calls; its outcomes go to the intake.
        claims: what others in the run compute.
        in_order: whether rows are given on in their order.
    """

    def __init__(self, step: Step, intake: Intake, session: CallSession, claims: Claims, *, in_order: bool) -> None:
        self._step = step
        self._intake = intake
        self._session = session
        self._claims = claims
        self._tell = intake.deliver
        self._in_order = in_order
        self._ahead: Iterator[Work] = iter(())
        self._works: deque[Work] = deque()
        self._queue = _Queue()
        self._flying: dict[int, Attempt] = {}
        self._pausing: list[tuple[float, int, Attempt]] = []
        self._keys = count()
        self._seconds = _BATCH_SECONDS
        self._known = 0

    def run(self, *, keeping: Keeping) -> Iterator[Chunk]:
        """Chunks of results for the chunks of the intake."""
        with keeping(self._store):
            try:
                yield from self._events()
            finally:
                self._session.close()
                self._store()
                self._claims.leave(self._tell)

    def _events(self) -> Iterator[Chunk]:
        is_open = True
        pace = Pace()
        while is_open or self._works:
            hungry = not self._keep_busy() and is_open
            match self._intake.take(hungry=hungry, timeout=self._patience(pace)):
                case Signal.OVER:
                    is_open = False
                case (_, Chunk() as chunk):
                    self._ahead = self._step.works([chunk])
                case Signal.NOTHING:
                    pass
                case (Outcome() | Kept() | Turn()) as news:
                    self._hear(news)
                    for more in self._intake.at_hand():
                        self._hear(more)
            if pace.is_due() or not self._flying:
                yield from pace.timed(self._settled())

    def _hear(self, news: Outcome | Kept | Turn) -> None:
        match news:
            case Outcome():
                self._conclude(news)
            case Kept(work, result):
                work.adopt(result)
            case Turn(work, row):
                self._queue.add(work, [row])

    def _keep_busy(self) -> bool:
        """Submit all calls for which there is room; say whether there is enough to do without more input."""
        self._submit()
        while len(self._queue) < self._batch() * self._session.concurrency:
            # A portion after the other: what is not begun costs nothing but its rows.
            if (work := next(self._ahead, None)) is None:
                return False
            self._accept(work)
            self._submit()
        return True

    def _accept(self, work: Work) -> None:
        # Claimed first and looked up then, so that nothing can be computed by another in between.
        claimed = self._claims.claim(work, self._tell)
        work.on_kept = self._claims.keep
        self._works.append(work)
        work.look_up()
        self._queue.add(work, [row for row in claimed if not work.has(row)])

    def _batch(self) -> int:
        # Few calls tell little of the next ones, so a batch is not many times as large as what they tell of.
        return max(1, min(_LARGEST_BATCH, 8 * self._known, int(_BATCH_SECONDS / max(self._seconds, 1e-9))))

    def _submit(self) -> None:
        while self._pausing and self._pausing[0][0] <= time.monotonic():
            self._queue.put_back(heapq.heappop(self._pausing)[2])
        batch = self._batch()
        # A second batch for everyone, where one is soon done, so that nobody waits for the next.
        room = self._session.concurrency * batch * (1 if batch == 1 else 2)
        while self._queue and len(self._flying) + batch <= room:
            self._session.submit(self._calls(self._queue.take(batch)))

    def _calls(self, attempts: list[Attempt]) -> list[Call]:
        calls = []
        at = 0
        while at < len(attempts):
            work, first = attempts[at].work, at
            while at < len(attempts) and attempts[at].work is work:
                at += 1
            part = attempts[first:at]
            for attempt, kwargs in zip(part, work.arguments([each.row for each in part]), strict=True):
                self._step.begin(attempt)
                key = next(self._keys)
                self._flying[key] = attempt
                calls.append(Call(key, kwargs, attempt.logger is not None))
        return calls

    def _conclude(self, outcome: Outcome) -> None:
        attempt = self._flying.pop(outcome.key)
        self._known += 1
        weight = max(0.1, 1 / self._known)
        self._seconds += weight * (outcome.seconds - self._seconds)
        try:
            stored = self._step.task.function.conclude(outcome, attempt.logger)
        except BaseException as error:  # noqa: BLE001  # an interrupt goes on from crash
            if self._step.crash(attempt, error):
                due = time.monotonic() + backoff(attempt.number - 1)
                heapq.heappush(self._pausing, (due, next(self._keys), attempt))
            else:
                self._claims.give_up(attempt.work.record_ids[attempt.row])
        else:
            self._step.succeed(attempt, stored, outcome.seconds)

    def _patience(self, pace: Pace) -> float | None:
        """How long nothing may happen before something has to be done."""
        waits = [pace.due - time.monotonic()] if self._flying else []
        if self._pausing:
            waits.append(self._pausing[0][0] - time.monotonic())
        return max(0.0, min(waits)) if waits else None

    def _settled(self) -> Iterator[Chunk]:
        for work in list(self._works):
            yield from work.settled(in_order=self._in_order)
            if work.is_done:
                self._works.remove(work)
            elif self._in_order:
                return

    def _store(self) -> None:
        for work in list(self._works):
            work.store()


class _Queue:
    """Packets whose calls have still to be made: those that are tried again, then rows as they came."""

    def __init__(self) -> None:
        self._again: deque[Attempt] = deque()
        self._rows: deque[tuple[Work, deque[int]]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, work: Work, rows: Sequence[int]) -> None:
        """Let these rows be the last ones."""
        if rows:
            self._rows.append((work, deque(rows)))
            self._count += len(rows)

    def put_back(self, attempt: Attempt) -> None:
        """Let this one be the first."""
        self._again.appendleft(attempt)
        self._count += 1

    def take(self, most: int) -> list[Attempt]:
        """The first ones. A row becomes an attempt only here: thousands that wait would be a burden to collect."""
        taken = [self._again.popleft() for _ in range(min(most, len(self._again)))]
        while self._rows and len(taken) < most:
            work, rows = self._rows[0]
            taken += [Attempt(work, rows.popleft()) for _ in range(min(most - len(taken), len(rows)))]
            if not rows:
                self._rows.popleft()
        self._count -= len(taken)
        return taken
