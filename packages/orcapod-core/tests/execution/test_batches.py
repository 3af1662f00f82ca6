"""``ConcurrentDriver``: how many calls go out together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from orcapod.execution import ConcurrentDriver, FunctionSpec, InFlight, WholeInputs, receiver
from orcapod.protocols import Call, OnDone, Outcome


def successor(x: int) -> int:
    return x + 1


class TimedSession:
    """Session whose calls take a time that the test says, and none.

    Attributes:
        batches: how many calls each batch had that it was given.
    """

    def __init__(self, on_done: OnDone, seconds: float, places: int) -> None:
        self.concurrency = places
        self.batches: list[int] = []
        self._on_done = on_done
        self._seconds = seconds

    def submit(self, batch: Sequence[Call]) -> None:
        self.batches.append(len(batch))
        for call in batch:
            self._on_done(Outcome(call.key, successor(**call.kwargs), seconds=self._seconds))

    def close(self) -> None:
        """Nothing is left."""


def batches(engine: Any, spec: FunctionSpec, *, rows: int, seconds: float, places: int = 2) -> list[int]:
    """Return the sizes of the batches in which the packets of a node go out."""
    inputs = WholeInputs([[engine.chunk_of(list(range(rows)))]])
    mailbox, step = inputs.mailbox(), engine.step_of(spec)
    session = TimedSession(receiver(step, mailbox), seconds, places)
    driver = ConcurrentDriver(step, mailbox, session, InFlight(), in_order=True, is_awaited=False)
    assert sum(chunk.num_rows for chunk in driver.run()) == rows == sum(session.batches)
    return session.batches


def test_small_calls_go_out_in_few_batches_as_soon_as_one_of_them_has_ended(engine: Any) -> None:
    sizes = batches(engine, engine.spec_of(successor), rows=4000, seconds=1e-6)
    assert sizes[0] == 1
    assert max(sizes[:4]) > 400


def test_a_run_knows_from_the_one_before_how_long_calls_take(engine: Any) -> None:
    spec = engine.spec_of(successor)
    batches(engine, spec, rows=100, seconds=1e-6)
    later = replace(spec, cache=engine.spec_of(successor).cache)
    assert batches(engine, later, rows=4000, seconds=1e-6)[0] > 100


@pytest.mark.parametrize("places", [1, 2, 8])
def test_as_long_as_little_is_known_no_batch_is_more_than_its_share(engine: Any, places: int) -> None:
    """The next calls may take longer: no place has then much to do while another has nothing."""
    sizes = batches(engine, engine.spec_of(successor), rows=400, seconds=1e-6, places=places)
    for index, size in enumerate(sizes):
        assert size <= max(1, 400 // (4 * places), 8 * sum(sizes[:index]))


def test_calls_that_take_long_go_out_one_by_one(engine: Any) -> None:
    assert set(batches(engine, engine.spec_of(successor), rows=100, seconds=0.06)) == {1}
