"""``ConcurrentDriver``: whatever order calls end in, and however a run ends."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcapod.datagrams import Chunk
from orcapod.errors import PacketAbandonedError
from orcapod.execution import ConcurrentDriver, FirstFailure, InFlight, Step, WholeInputs, receiver
from orcapod.execution.concurrent import Completion
from orcapod.execution.mailbox import Mailbox, Signal
from orcapod.protocols import NoOpObserver, Outcome


def tenfold(x: int) -> int:
    if x <= 0:
        raise ValueError("no value")
    return 10 * x


class Told(NoOpObserver):
    """What was told of each row, in its order."""

    def __init__(self) -> None:
        self.events: dict[int, list[str]] = {}

    def _add(self, tag: Any, event: str) -> None:
        self.events.setdefault(tag["i"], []).append(event)

    def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
        self._add(tag, "start")

    def on_packet_end(self, node_label: str, tag: Any, packet: Any, result: Any, *, cached: bool) -> None:
        assert result["y"] == 10 * packet["x"]
        self._add(tag, "cached" if cached else "end")

    def on_packet_crash(self, node_label: str, tag: Any, packet: Any, error: BaseException) -> None:
        self._add(tag, type(error).__name__)


class Driven:
    """A driver, its session, and the chunks that it gives, in a thread of its own."""

    def __init__(
        self,
        engine: Any,
        step: Step,
        values: list[int],
        *,
        in_order: bool = False,
        concurrency: int = 4,
        rows: int | None = None,
    ) -> None:
        whole = engine.chunk_of(values)
        size = rows or len(values)
        events = iter([(0, whole.slice(start, size)) for start in range(0, len(values), size)])
        over: list[Any] = []

        def next_input() -> Any:
            assert not over, "asked for more after the end, again and again while calls go on"
            event = next(events, Signal.OVER)
            over.extend([event] if event is Signal.OVER else [])
            return event

        self.mailbox: Mailbox[Completion] = Mailbox(next_input)
        self.session = engine.HeldSession(receiver(step, self.mailbox), concurrency=concurrency)
        self.driver = ConcurrentDriver(step, self.mailbox, self.session, InFlight(), in_order=in_order, is_awaited=True)
        self.chunks: list[Chunk] = []
        self.given = threading.Event()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for chunk in self.driver.run():
                self.chunks.append(chunk)
                self.given.set()
        except BaseException as error:  # noqa: BLE001  # the test looks at it
            self.error = error

    def join(self) -> None:
        self._thread.join(60)
        assert not self._thread.is_alive()


@settings(deadline=None, max_examples=30)
@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=60),
    in_order=st.booleans(),
    concurrency=st.integers(1, 7),
    last_first=st.booleans(),
    rows=st.integers(1, 60),
)
def test_every_row_is_given_its_own_whatever_order_calls_end_in(
    engine: Any, values: list[int], in_order: bool, concurrency: int, last_first: bool, rows: int
) -> None:
    told = Told()
    step = engine.step_of(engine.spec_of(tenfold), observer=told)
    driven = Driven(engine, step, values, in_order=in_order, concurrency=concurrency, rows=rows)
    while calls := driven.session.held(1):
        for call in reversed(calls) if last_first else calls:
            driven.session.end(call, tenfold)
    driven.join()
    assert driven.error is None
    found = engine.values_of(driven.chunks)
    assert found == {i: 10 * x for i, x in enumerate(values) if x}
    assert not in_order or list(found) == sorted(found)
    assert driven.session.is_closed
    assert step.counts["computed"] == len({x for x in values if x})
    assert step.counts["failed"] == values.count(0)
    for row, events in told.events.items():
        assert events in (["start", "end"], ["cached"], ["start", "ValueError"]), (row, events)


@pytest.mark.parametrize("rows", [1, 2])
def test_what_is_finished_is_given_on_while_another_call_goes_on(engine: Any, rows: int) -> None:
    """Nothing else needs to happen first: whoever waits for the row may be what the call waits for."""
    driven = Driven(engine, engine.step_of(engine.spec_of(tenfold)), [1, 2], rows=rows)
    first, second = driven.session.held(2)
    driven.session.end(second, tenfold)
    assert driven.given.wait(60)
    assert engine.values_of(driven.chunks) == {1: 20}
    driven.session.end(first, tenfold)
    driven.join()
    assert engine.values_of(driven.chunks) == {1: 20, 0: 10}


def test_a_session_is_handed_no_more_calls_than_it_makes_at_a_time(engine: Any) -> None:
    driven = Driven(engine, engine.step_of(engine.spec_of(tenfold)), list(range(1, 61)), concurrency=2)
    session = driven.session
    session.held(2)
    with session.changed:
        assert not session.changed.wait_for(lambda: len(session.calls) > 2, 0.2)
    while calls := session.held(1):
        session.end(calls[0], tenfold)
    driven.join()
    assert len(engine.values_of(driven.chunks)) == 60


def test_rows_of_a_chunk_wait_for_those_of_the_one_before_if_they_are_to_come_in_order(engine: Any) -> None:
    driven = Driven(engine, engine.step_of(engine.spec_of(tenfold)), [1, 2, 3], rows=1, in_order=True)
    first, second, third = driven.session.held(3)
    driven.session.end(second, tenfold)
    driven.session.end(first, tenfold)
    assert driven.given.wait(60)
    driven.session.end(third, tenfold)
    driven.join()
    assert [chunk.column("i").to_pylist() for chunk in driven.chunks] == [[0], [1], [2]]


@pytest.mark.parametrize("retries", [0, 2])
def test_outcomes_that_wait_when_a_run_is_stopped_are_taken_in_and_stored(engine: Any, retries: int) -> None:
    """Those in the mailbox, and those of calls that had ended when the session was closed."""
    told = Told()
    spec = engine.spec_of(tenfold)
    step = engine.step_of(spec, observer=told, retries=retries)
    driven = Driven(engine, step, [1, 2, 3, 0], concurrency=4)
    first, second, _, failing = driven.session.held(4)
    driven.session.ends_on_close = [Outcome(second.key, tenfold(2)), Outcome(failing.key, error=ValueError("no value"))]
    with driven.mailbox.changed:  # the driver cannot look at the outcome before it is stopped
        driven.mailbox._completions.append(Outcome(first.key, (tenfold(1),)))
        driven.mailbox._error = InterruptedError()
        driven.mailbox.changed.notify_all()
    driven.join()
    assert isinstance(driven.error, InterruptedError)
    assert sorted(engine.stored(spec).column("y").to_pylist()) == [10, 20]
    failed = "PacketAbandonedError" if retries else "ValueError"
    assert told.events == {
        0: ["start", "end"],
        1: ["start", "end"],
        2: ["start", PacketAbandonedError.__name__],
        3: ["start", failed],
    }


def test_the_first_failure_ends_a_run_that_is_to_fail_fast_and_what_is_finished_beside_it_is_stored(
    engine: Any,
) -> None:
    told = Told()
    spec = engine.spec_of(tenfold)
    step = engine.step_of(spec, observer=told)
    step.error_policy = "fail_fast"
    driven = Driven(engine, step, [1, 0, 2, -1], concurrency=4)
    one, failing, two, also_failing = driven.session.held(4)
    driven.session.ends_on_close = [
        Outcome(two.key, tenfold(2)),
        Outcome(also_failing.key, error=ValueError("no value")),
        Outcome(one.key, tenfold(1)),
    ]
    driven.session.end(failing, tenfold)
    driven.join()
    assert isinstance(driven.error, FirstFailure)
    assert sorted(engine.stored(spec).column("y").to_pylist()) == [10, 20]
    assert step.counts == {"failed": 2, "computed": 2}
    assert [error.tag["i"] for error in step.errors] == [1, 3]


def test_a_node_that_is_no_longer_read_stores_what_is_finished(engine: Any) -> None:
    spec = engine.spec_of(tenfold)
    inputs = WholeInputs([[engine.chunk_of([1, 2])]])
    mailbox = inputs.mailbox()
    step = engine.step_of(spec)
    session = engine.HeldSession(receiver(step, mailbox), concurrency=2)
    submit = session.submit

    def answering(batch: Any) -> None:
        submit(batch)
        if len(session.calls) == 1:
            session.end(session.calls[0], tenfold)

    session.submit = answering  # type: ignore[method-assign]  # the first call ends at once
    chunks = ConcurrentDriver(step, mailbox, session, InFlight(), in_order=False, is_awaited=True).run()
    next(chunks)
    session.ends_on_close = [Outcome(call.key, 10 * call.kwargs["x"]) for call in session.calls]
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert session.is_closed
    assert sorted(engine.stored(spec).column("y").to_pylist()) == [10, 20]


def test_many_results_are_stored_as_soon_as_there_is_nothing_else_to_do(engine: Any) -> None:
    """Before the others have ended, and before it is time to give them on."""
    spec = engine.spec_of(tenfold)
    driven = Driven(engine, engine.step_of(spec), list(range(1, 4001)), concurrency=2)
    driven.driver._timer.due = time.monotonic() + 1e6
    ended = 0
    while ended < 3000:
        for call in driven.session.held(1)[: 3000 - ended]:
            driven.session.end(call, tenfold)
            ended += 1
    deadline = time.monotonic() + 60
    while engine.stored(spec).num_rows < 2000:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    while calls := driven.session.held(1):
        for call in calls:
            driven.session.end(call, tenfold)
    driven.join()
    assert engine.stored(spec).num_rows == 4000
