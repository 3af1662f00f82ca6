"""Calls in worker processes: what is said of one that has ended its worker, or that could not be sent there."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from orcapod.errors import ExecutionError, PacketTimeoutError, WorkerDiedError
from orcapod.executors import LocalExecutor
from orcapod.executors.pickling import serialized
from orcapod.protocols import Call, Outcome
from orcapod.testing.session import CollectedOutcomes


@pytest.fixture
def pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(2, "process") as executor:
        yield executor


def outcomes_of(
    pool: LocalExecutor, fn: Callable[..., Any], *batches: list[Any], timeout: float | None = None
) -> list[Outcome]:
    """How the calls of these batches end, in their order."""
    outcomes, count = CollectedOutcomes(), sum(map(len, batches))
    session = pool.open_session(fn, outcomes, concurrency=None, timeout=timeout)
    assert session is not None
    keys = iter(range(count))
    for batch in batches:
        session.submit([Call(next(keys), {"x": x}, False) for x in batch])
    found = outcomes.wait(count)
    session.close()
    return [found[key] for key in range(count)]


def sent(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is sent by value, so that workers load nothing of this file and are there soon."""
    function.__module__ = "__main__"
    return function


@sent
def worker(x: Any = None) -> int:
    return os.getpid()


@sent
def naps(x: float) -> int:
    time.sleep(x)
    return os.getpid()


@sent
def closes_stdout(x: int) -> int:
    sys.stdout.close()
    return x


@sent
def detaches_stdout(x: int) -> int:
    sys.stdout.detach()
    return x


@sent
def takes_stdout_away(x: int) -> int:
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    return x


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize("function", [closes_stdout, detaches_stdout, takes_stdout_away])
def test_streams_that_a_function_takes_away_do_no_harm(
    pool: LocalExecutor, function: Callable[[int], int], capture: bool
) -> None:
    outcomes = CollectedOutcomes()
    for key, fn, kwargs, captures in ((0, function, {"x": 1}, capture), (1, print, {"end": "kept"}, True)):
        session = pool.open_session(fn, outcomes, concurrency=1, timeout=None)
        assert session is not None
        session.submit([Call(key, kwargs, captures)])
        outcomes.wait(key + 1)
        session.close()
    first, second = outcomes.by_key().values()
    assert (first.value, first.error) == (1, None)
    assert second.captured is not None
    assert second.captured.stdout == "kept"


@sent
def leaves(x: int) -> None:
    os._exit(x)


@sent
def kills_itself(x: int) -> None:
    os.kill(os.getpid(), x)
    time.sleep(1000)


@sent
def cuts_the_line(x: int) -> None:
    os.closerange(3, 256)
    time.sleep(1000)


@pytest.mark.parametrize(
    ("function", "x", "said"),
    [
        (leaves, 0, "exited with code 0"),
        (leaves, 7, "exited with code 7"),
        (kills_itself, signal.SIGKILL, "was ended by SIGKILL"),
        (kills_itself, signal.SIGSEGV, "was ended by SIGSEGV"),
        (kills_itself, signal.SIGRTMIN + 1, "was ended by signal "),
        (cuts_the_line, 0, "was ended since it had closed its connection"),
    ],
)
def test_what_ended_a_worker_is_said_as_it_was(
    pool: LocalExecutor, function: Callable[[int], None], x: int, said: str
) -> None:
    (outcome,) = outcomes_of(pool, function, [x])
    assert isinstance(outcome.error, WorkerDiedError)
    assert said in str(outcome.error)


@sent
def forks_and_leaves(x: int) -> None:
    if not os.fork():
        time.sleep(1000)
    os._exit(5)


def test_a_worker_that_leaves_a_fork_behind_is_not_waited_for(pool: LocalExecutor) -> None:
    """The fork holds the connection open."""
    (outcome,) = outcomes_of(pool, forks_and_leaves, [0])
    assert "exited with code 5" in str(outcome.error)


def test_the_time_that_a_worker_takes_to_start_is_not_the_packets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine may be busy: here, a worker takes longer to start than a call may take."""
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(1.5)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with LocalExecutor(1, "process") as pool:
        first, second = outcomes_of(pool, naps, [0], [1000], timeout=1.0)
    assert first.error is None
    assert isinstance(second.error, PacketTimeoutError)


def test_a_program_that_cannot_be_started_fails_its_packets(
    pool: LocalExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    outcomes = outcomes_of(pool, worker, [0, 1])
    for outcome in outcomes:
        assert isinstance(outcome.error, WorkerDiedError)
        assert "no worker process could be started" in str(outcome.error)


LOCK = threading.Lock()


def test_a_function_that_cannot_be_sent_fails_its_packets(pool: LocalExecutor) -> None:
    def locked(x: int, lock: Any = LOCK) -> int:
        return x

    outcomes = outcomes_of(pool, locked, [0, 1], [2])
    for outcome in outcomes:
        assert isinstance(outcome.error, ExecutionError)
        assert "locked cannot be sent to worker processes: cannot pickle '_thread.lock' object" in str(outcome.error)


NUMBERS = {"one": 1}


def uses_a_global(x: int) -> Any:
    return [(NUMBERS, LOCK) for _ in range(x)]


def uses_one_that_does(x: int) -> Any:
    return uses_a_global(x), uses_one_that_does


def with_a_closure() -> Callable[..., Any]:
    lock = threading.Lock()
    return sent(lambda x: lock)


def has_a_default(x: int, lock: Any = LOCK) -> int:
    return x


def has_a_keyword(x: int, *, lock: Any = LOCK) -> int:
    return x


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (sent(uses_a_global), "global 'LOCK'"),
        (sent(uses_one_that_does), "global 'LOCK' of uses_a_global"),
        (with_a_closure(), "enclosing variable 'lock'"),
        (sent(has_a_default), "default of 'lock'"),
        (sent(has_a_keyword), "default of 'lock'"),
    ],
)
def test_what_keeps_a_function_from_being_sent_is_named(
    pool: LocalExecutor, function: Callable[..., Any], named: str
) -> None:
    (outcome,) = outcomes_of(pool, function, [0])
    expected = f"cannot pickle '_thread.lock' object, which is the {named}; make it inside"
    assert expected in str(outcome.error)


def test_a_slice_is_sent_without_what_it_was_cut_from() -> None:
    whole = pa.table({"a": range(1_000_000)})
    for part in (whole.slice(5, 10), whole["a"].chunk(0).slice(5, 10), whole.to_batches()[0].slice(5, 10)):
        content = serialized(part)
        assert pickle.loads(content).equals(part)
        assert len(content) < 10_000
    assert len(serialized(whole)) > 8_000_000


def test_calls_that_cannot_be_sent_or_read_fail_alone(pool: LocalExecutor) -> None:
    outcomes = outcomes_of(pool, gives, [0, LOCK, 2, Refuses(), 4])
    assert [outcome.value for outcome in outcomes] == [0, None, 2, None, 4]
    assert "cannot pickle '_thread.lock' object" in str(outcomes[1].error)
    assert str(outcomes[3].error) == "not here"


class Refuses:
    __module__ = "__main__"

    def __reduce__(self) -> Any:
        return _refuse, ()


@sent
def _refuse() -> None:
    raise ValueError("not here")


@sent
def gives(x: Any) -> Any:
    return x
