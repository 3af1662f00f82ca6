"""``ThreadSession`` and ``LoopSession``: one outcome for each call, none too late, none after closing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import pytest

from orcapod.errors import PacketTimeoutError
from orcapod.execution import RunLoop, ThreadSession, local_session, sessions
from orcapod.executors import LocalExecutor
from orcapod.protocols import Call, CallSession, Outcome


def waiting(x: int) -> int:
    time.sleep(x / 1000)
    return x


async def awaiting(x: int) -> int:
    await asyncio.sleep(x / 1000)
    return x


def session_of(
    function: Callable[..., Any], outcomes: SimpleQueue[Outcome], *, concurrency: int = 3, timeout: float | None = None
) -> CallSession:
    session = local_session(
        LocalExecutor(),
        function,
        outcomes.put,
        concurrency=concurrency,
        timeout=timeout,
        loop=RunLoop(),
        is_overlapping=True,
    )
    assert session is not None
    return session


@pytest.mark.parametrize("function", [waiting, awaiting])
def test_every_call_has_one_outcome_of_its_own(function: Callable[..., Any]) -> None:
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    session = session_of(function, outcomes)
    session.submit([Call(key, {"x": (7 * key) % 5}, False) for key in range(20)])
    found = [outcomes.get(timeout=60) for _ in range(20)]
    session.close()
    assert {outcome.key: outcome.value for outcome in found} == {key: (7 * key) % 5 for key in range(20)}
    for outcome in found:
        assert outcome.value / 1000 <= outcome.seconds < 60
    assert outcomes.empty()


@pytest.mark.parametrize("function", [waiting, awaiting])
def test_a_call_that_takes_too_long_is_given_up_and_what_was_to_follow_is_made(function: Callable[..., Any]) -> None:
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    session = session_of(function, outcomes, concurrency=1, timeout=1.0)
    session.submit([Call(0, {"x": 3000}, True), Call(1, {"x": 0}, True)])
    late, following = outcomes.get(timeout=60), outcomes.get(timeout=60)
    session.close()
    assert (late.key, type(late.error)) == (0, PacketTimeoutError)
    assert late.captured is not None
    assert late.captured.success is False
    assert (following.key, following.value) == (1, 0)
    for thread in [each for each in threading.enumerate() if each.name == "orcapod-call"]:
        thread.join(60)  # or the call that was given up would capture what the next tests write


@pytest.mark.parametrize("function", [waiting, awaiting])
def test_nothing_is_handed_over_after_it_was_closed(function: Callable[..., Any]) -> None:
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    session = session_of(function, outcomes)
    session.submit([Call(0, {"x": 0}, False)])
    assert outcomes.get(timeout=60).value == 0
    session.submit([Call(1, {"x": 100}, False)])
    session.close()
    there = outcomes.qsize()  # a machine that was busy with something else may have let it end before
    time.sleep(0.2)  # time is the subject: the call would have ended
    assert outcomes.qsize() == there


def test_a_call_that_has_ended_when_the_session_is_closed_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread is a moment away from saying so, which a busy machine may make long."""
    monkeypatch.setattr(sessions, "_ENDING_SECONDS", 60.0)
    outcomes: SimpleQueue[Outcome] = SimpleQueue()
    returning = threading.Event()

    def ending(x: int) -> int:
        returning.set()
        return x

    session = ThreadSession(LocalExecutor(), ending, outcomes.put, concurrency=1, timeout=None)
    session.submit([Call(0, {"x": 5}, False)])
    assert returning.wait(60)
    session.close()
    assert outcomes.get_nowait().value == 5
