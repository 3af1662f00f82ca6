"""``ConcurrentDriver``: the calls of a step, many at a time.

One thread takes events, chunks to compute and what has become of calls, and does everything but the calls.
Calls go out in batches that take about as long as it takes to send them somewhere to be worth it.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count

from orcapod import interrupts
from orcapod.datagrams import Chunk
from orcapod.execution.in_flight import Completed, InFlight, Promoted
from orcapod.execution.mailbox import Mailbox, Signal
from orcapod.execution.packet_tally import FirstFailure
from orcapod.execution.pending_chunk import PendingChunk
from orcapod.execution.shared_work import SharedWork
from orcapod.execution.step import Attempt, Autoflush, EmitTimer, Step, backoff, no_autoflush
from orcapod.protocols import Call, CallSession, OnDone, Outcome, flush_all

__all__ = ["Completion", "ConcurrentDriver", "receiver"]

_BATCH_SECONDS = 0.05
_LARGEST_BATCH = 1000
_MANY = 2000  # packets that are worth being stored as soon as there is nothing else to do

Completion = Outcome | Completed | Promoted
"""What has become of a call, or of a record that a row was waiting for."""


def receiver(step: Step, mailbox: Mailbox[Completion]) -> OnDone:
    """Return what a session is to call with outcomes: they come into a mailbox, their outputs converted."""
    function, size_limit = step.spec.function, step.spec.cache.size_limit

    def receive(outcome: Outcome) -> None:
        mailbox.put(function.converted(outcome, size_limit=size_limit))

    return receive


class ConcurrentDriver:
    """Driver that has the calls of a step made by a session.

    Args:
        step: what is done with each packet before and after its call.
        mailbox: where chunks and completions come from.
        session: makes the calls; its outcomes go to the mailbox, by way of ``receiver``.
        in_flight: what others in the run compute.
        in_order: whether rows are given on in their order.
        is_awaited: whether somebody waits for rows while others are computed.
        shared: which packets are computed here; all, if None.
    """

    def __init__(
        self,
        step: Step,
        mailbox: Mailbox[Completion],
        session: CallSession,
        in_flight: InFlight,
        *,
        in_order: bool,
        is_awaited: bool,
        shared: SharedWork | None = None,
    ) -> None:
        self._step = step
        self._shared = shared
        self._mailbox = mailbox
        self._session = session
        self._in_flight = in_flight
        self._on_settled = mailbox.put
        self._in_order = in_order
        self._timer = EmitTimer(is_awaited=is_awaited)
        self._upcoming: Iterator[PendingChunk] = iter(())
        self._pending: deque[PendingChunk] = deque()
        self._queue = _CallQueue()
        self._called: dict[int, Attempt] = {}
        self._delayed: list[tuple[float, int, Attempt]] = []
        self._keys = count()
        self._pace = _Pace(step.spec.function.seconds)
        self._unsettled = 0
        self._has_found_much = False

    def run(self, *, autoflush: Autoflush = no_autoflush) -> Iterator[Chunk]:
        """Give chunks of results for the chunks that come.

        Args:
            autoflush: has what is finished stored now and then.
        """
        with autoflush(self._store):
            try:
                with interrupts.noticed():
                    yield from self._results()
            finally:
                self._wind_up()

    def _results(self) -> Iterator[Chunk]:
        is_open = True
        timer = self._timer
        while is_open or self._pending:
            wants_input = not self._keep_busy() and is_open
            match self._mailbox.take(wants_input=wants_input, timeout=self._timeout(timer)):
                case Signal.OVER:
                    is_open = False
                case (_, Chunk() as chunk):
                    self._upcoming = self._step.pending([chunk])
                case Outcome() | Completed() | Promoted() as completion:
                    self._handle(completion)
                    for more in self._mailbox.completions():
                        self._handle(more)
                case _:
                    pass  # nothing came in time, or one of several inputs has ended
            is_idle = self._unsettled >= _MANY and not self._mailbox.has_completions
            if self._step.is_full:
                self._store()
            is_much = self._has_found_much or self._step.is_full
            is_due = is_idle or is_much or timer.is_due() or not self._called
            if is_due and (self._shared is None or self._shared.store(self._store)):
                self._unsettled, self._has_found_much = 0, False
                yield from timer.timed(self._settled())

    def _handle(self, completion: Completion) -> None:
        match completion:
            case Outcome():
                self._conclude(completion)
            case Completed(pending, result):
                pending.adopt(result)
            case Promoted(pending, row):
                self._take_up(pending, [row])

    def _keep_busy(self) -> bool:
        """Submit all calls for which there is room; say whether there is enough to do without more input."""
        self._submit()
        while len(self._queue) < (wanted := self._batch() * self._session.concurrency):
            if self._shared is not None and (taken := self._shared.take(wanted)):
                for chunk, row in taken:
                    self._queue.add(chunk, [row])
                self._submit()
                continue
            if (self._called or self._delayed) and self._is_laden():
                return True  # results wait for a row before them: more would only wait with them
            # A portion after the other: what is not begun costs nothing but its rows.
            if (pending := next(self._upcoming, None)) is None:
                return False
            self._accept(pending)
            self._submit()
            if self._is_laden():
                self._has_found_much = True
                return True
        return True

    def _accept(self, pending: PendingChunk) -> None:
        # Claimed first and looked up then, so that nothing can be computed by another in between.
        claimed = self._in_flight.claim(pending, self._on_settled)
        pending.on_stored = self._in_flight.complete
        self._pending.append(pending)
        pending.look_up()
        self._take_up(pending, [row for row in claimed if not pending.has_result(row)])

    def _take_up(self, pending: PendingChunk, claimed: Sequence[int]) -> None:
        """Have rows without a result computed, here or by another process, or let go of those that will get none."""
        rows = [row for row in claimed if not pending.is_settled(row)]
        if self._shared is None:
            self._queue.add(pending, rows)
        else:
            self._shared.offer(pending, rows)
        for row in set(claimed).difference(rows):
            self._give_up(pending, row)

    def _is_laden(self) -> bool:
        """Say whether stored results wait to be given on that are more than a chunk."""
        return sum(pending.held_bytes for pending in self._pending) > self._step.chunk_bytes

    def _batch(self) -> int:
        places = self._session.concurrency
        return min(self._pace.batch(len(self._queue), places), max(1, self._step.fitting_rows // (2 * places)))

    def _submit(self) -> None:
        while self._delayed and self._delayed[0][0] <= time.monotonic():
            self._queue.put_back(heapq.heappop(self._delayed)[2])
        batch = self._batch()
        # A second batch for everyone, where one is soon done, so that nobody waits for the next.
        room = self._session.concurrency * batch * (1 if batch == 1 else 2)
        while self._queue and len(self._called) + batch <= room:
            self._session.submit(self._calls(self._queue.take(batch)))

    def _calls(self, attempts: Sequence[Attempt]) -> list[Call]:
        """Begin these attempts; the arguments of those of one chunk are made together."""
        calls = []
        by_chunk: dict[PendingChunk, list[Attempt]] = {}
        for attempt in attempts:
            by_chunk.setdefault(attempt.pending, []).append(attempt)
        for pending, members in by_chunk.items():
            arguments = pending.arguments([attempt.row for attempt in members])
            for attempt, kwargs in zip(members, arguments, strict=True):
                self._step.begin(attempt)
                key = next(self._keys)
                self._called[key] = attempt
                calls.append(Call(key, kwargs, attempt.logger is not None))
        return calls

    def _conclude(self, outcome: Outcome) -> None:
        attempt = self._called.pop(outcome.key)
        self._pace.take(outcome.seconds)
        try:
            stored = self._step.spec.function.conclude(outcome, attempt.logger)
        except BaseException as error:  # noqa: BLE001  # whatever it is: an interrupt does not come this way
            try:
                again = self._step.fail(attempt, error)
            except FirstFailure:
                self._give_up(attempt.pending, attempt.row)
                raise
            if again:
                due = time.monotonic() + backoff(attempt.number - 1)
                heapq.heappush(self._delayed, (due, next(self._keys), attempt))
            else:
                self._give_up(attempt.pending, attempt.row)
        else:
            self._step.succeed(attempt, stored, outcome.seconds)
            self._unsettled += 1

    def _give_up(self, pending: PendingChunk, row: int) -> None:
        self._in_flight.give_up(pending.record_ids[row], self._on_settled)

    def _timeout(self, timer: EmitTimer) -> float | None:
        """Return how long nothing may happen before something has to be done."""
        waits = []
        if self._called:
            waits.append(
                (timer.due if self._shared is None else max(timer.due, self._shared.store_due)) - time.monotonic()
            )
        if self._has_found_much:
            waits.append(0.0 if self._shared is None else self._shared.store_due - time.monotonic())
        if self._delayed:
            waits.append(self._delayed[0][0] - time.monotonic())
        if self._shared is not None and (seconds := self._shared.seconds_to_wait()) is not None:
            waits.append(seconds)
        return max(0.0, min(waits)) if waits else None

    def _settled(self) -> Iterator[Chunk]:
        for pending in list(self._pending):
            yield from self._step.settled(pending, in_order=self._in_order)
            if pending.is_done:
                self._pending.remove(pending)
            elif self._in_order:
                return

    def _store(self) -> None:
        flush_all([pending.store for pending in list(self._pending)])

    def _wind_up(self) -> None:
        """End: also before the time, and then take in what is finished, and say of the rest that it is not."""
        try:
            self._step.spec.function.seconds = self._pace.seconds
            self._session.close()
            for completion in self._mailbox.completions():
                with suppress(FirstFailure):  # the run ends already
                    self._handle(completion)
            delayed = [attempt for _, _, attempt in self._delayed]
            for attempt in (*self._called.values(), *delayed, *self._queue.begun()):
                self._step.abandon(attempt)
        finally:
            self._store()
            self._in_flight.leave(self._on_settled)


class _Pace:
    """How long calls take, and so how many of them make a batch.

    Args:
        seconds: how long they took in the run before, if it is known.

    Attributes:
        seconds: how long they take, of late; None before the first has ended.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._count = 0 if seconds is None else 1

    def take(self, seconds: float) -> None:
        """Take how long a call took."""
        self._count += 1
        known = self.seconds or 0.0
        self.seconds = known + (seconds - known) * (0.1 if self._count > 10 else 1 / self._count)

    def batch(self, waiting: int, places: int) -> int:
        """Return how many calls the next batch has.

        Few calls tell little of the next ones; should these take longer, all places share what waits.

        Args:
            waiting: how many calls there are to make.
            places: in how many places they are made.
        """
        if self.seconds is None:
            return 1
        largest = min(_LARGEST_BATCH, max(8 * self._count, waiting // (4 * places)))
        return max(1, min(largest, int(_BATCH_SECONDS / max(self.seconds, 1e-9))))


class _CallQueue:
    """Packets whose calls have still to be made: those that are tried again, then rows as they came."""

    def __init__(self) -> None:
        self._again: deque[Attempt] = deque()
        self._rows: deque[tuple[PendingChunk, deque[int]]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, pending: PendingChunk, rows: Sequence[int]) -> None:
        """Let these rows be the last ones."""
        if rows:
            self._rows.append((pending, deque(rows)))
            self._count += len(rows)

    def put_back(self, attempt: Attempt) -> None:
        """Let this one be the first."""
        self._again.appendleft(attempt)
        self._count += 1

    def begun(self) -> list[Attempt]:
        """Return those that were tried before."""
        return list(self._again)

    def take(self, most: int) -> list[Attempt]:
        """Take the first ones. A row becomes an attempt only here: thousands that wait would be a burden to collect."""
        taken = [self._again.popleft() for _ in range(min(most, len(self._again)))]
        while self._rows and len(taken) < most:
            pending, rows = self._rows[0]
            taken += [Attempt(pending, rows.popleft()) for _ in range(min(most - len(taken), len(rows)))]
            if not rows:
                self._rows.popleft()
        self._count -= len(taken)
        return taken
