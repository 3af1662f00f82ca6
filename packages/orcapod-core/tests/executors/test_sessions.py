"""Sessions of executors: our own keep the suite, and those that are wrong in one thing do not."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from orcapod.errors import WorkerDiedError
from orcapod.execution import ThreadSession
from orcapod.executors import LocalExecutor
from orcapod.functions import CaptureBuffer
from orcapod.protocols import Call, CallSession, OnDone, Outcome
from orcapod.testing import SessionSuite


@pytest.fixture(scope="module")
def processes() -> Iterator[LocalExecutor]:
    with LocalExecutor(3, "process") as pool:
        yield pool


class TestThreads(SessionSuite):
    deadly = ()

    @pytest.fixture
    def executor(self) -> LocalExecutor:
        return LocalExecutor(3, "thread")


class TestProcesses(SessionSuite):
    @pytest.fixture
    def executor(self, processes: LocalExecutor) -> LocalExecutor:
        return processes


class FutureSession:
    """Calls as the futures of a pool: what one would write first."""

    def __init__(self, executor: LocalExecutor, fn: Callable[..., Any], on_done: OnDone, workers: int) -> None:
        self.concurrency = 2
        self._executor, self._fn, self._on_done = executor, fn, on_done
        self._lock, self._is_closed = threading.Lock(), False
        self._pool = ThreadPoolExecutor(workers)

    def submit(self, batch: Sequence[Call]) -> None:
        for call in batch:
            self._pool.submit(lambda call=call: self._hand_over(self._outcome(call)))

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _outcome(self, call: Call) -> Outcome:
        outcome, buffer = Outcome(call.key), CaptureBuffer() if call.capture else None
        try:
            outcome.value = self._executor.execute_callable(self._fn, call.kwargs, logger=buffer)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is how this call ended
            outcome.error = error
        outcome.captured = buffer.output if buffer else None
        return outcome

    def _hand_over(self, outcome: Outcome) -> None:
        with self._lock:
            if not self._is_closed:
                self._on_done(outcome)


class LateSession(FutureSession):
    def _hand_over(self, outcome: Outcome) -> None:
        self._on_done(outcome)


class WithoutTimeouts(LocalExecutor):
    def open_session(self, fn: Any, on_done: OnDone, *, concurrency: Any, timeout: Any) -> CallSession:
        return ThreadSession(self, fn, on_done, concurrency=2, timeout=None)


class LateAfterClosing(LocalExecutor):
    def open_session(self, fn: Any, on_done: OnDone, *, concurrency: Any, timeout: Any) -> CallSession:
        return LateSession(self, fn, on_done, 2)


class MoreAtOnceThanItSays(LocalExecutor):
    def open_session(self, fn: Any, on_done: OnDone, *, concurrency: Any, timeout: Any) -> CallSession:
        return FutureSession(self, fn, on_done, 8)


class AllPacketsLostWithOneWorker(LocalExecutor):
    """As a pool of ``concurrent.futures`` is broken for good by whoever ends his worker."""

    def open_session(self, fn: Any, on_done: OnDone, *, concurrency: Any, timeout: Any) -> CallSession | None:
        broken: list[WorkerDiedError] = []

        def hand_over(outcome: Outcome) -> None:
            if isinstance(outcome.error, WorkerDiedError):
                broken.append(outcome.error)
            on_done(Outcome(outcome.key, error=broken[0]) if broken else outcome)

        return super().open_session(fn, hand_over, concurrency=2, timeout=timeout)


class DroppingOnClose(LocalExecutor):
    def open_session(self, fn: Any, on_done: OnDone, *, concurrency: Any, timeout: Any) -> CallSession:
        return BatchSession(self, fn, on_done, 2)


class BatchSession(FutureSession):
    """Hands over the outcomes of a batch when the whole batch is done."""

    def submit(self, batch: Sequence[Call]) -> None:
        self._pool.submit(self._make, batch)

    def _make(self, batch: Sequence[Call]) -> None:
        for outcome in [self._outcome(call) for call in batch]:
            self._hand_over(outcome)


LAW = SessionSuite


@pytest.mark.parametrize(
    ("executor", "law", "message"),
    [
        (WithoutTimeouts, LAW.test_a_call_that_takes_too_long_is_given_up_and_no_other, "no TimeoutError"),
        (LateAfterClosing, LAW.test_nothing_is_handed_over_once_it_is_closed, "after `close` had returned"),
        (MoreAtOnceThanItSays, LAW.test_never_are_more_calls_made_at_once_than_it_says, "made at once"),
        (AllPacketsLostWithOneWorker, LAW.test_a_call_that_ends_its_worker_takes_no_other_with_it, "WorkerDiedError"),
        (DroppingOnClose, LAW.test_what_has_ended_before_it_is_closed_is_handed_over, "were not handed over"),
    ],
)
def test_an_executor_that_is_wrong_in_one_thing_fails_the_suite(
    executor: type[LocalExecutor], law: Any, message: str, tmp_path: Path
) -> None:
    """Though all that it is asked to compute is right, and single calls are those of a good one."""
    suite, wrong = SessionSuite(), executor(2, "process" if executor is AllPacketsLostWithOneWorker else "thread")
    suite.test_every_call_has_one_outcome_and_it_is_its_own(wrong, seed=1)
    arguments = {"executor": wrong, "tmp_path": tmp_path, "seed": 1, "concurrency": 2}
    with pytest.raises(AssertionError, match=message):
        law(suite, **{name: arguments[name] for name in inspect.signature(law).parameters if name != "self"})
