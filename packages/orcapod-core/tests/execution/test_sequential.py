"""``SequentialDriver``: one call after the other, in order, and no row waits for another's next try."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcapod.execution import SequentialDriver


@settings(deadline=None, max_examples=25)
@given(values=st.lists(st.integers(-2, 8), min_size=1, max_size=25))
def test_rows_come_in_order_each_with_its_own_result(engine: Any, values: list[int]) -> None:
    """With twins, failures for good (below 0), and failures that pass (1)."""
    calls: Counter[int] = Counter()

    def tenfold(x: int) -> int:
        calls[x] += 1
        if x < 0 or (x == 1 and calls[x] == 1):
            raise ValueError("no value")
        return 10 * x

    retries = 1 if values.count(1) + sum(x < 0 for x in values) < 4 else 0  # every one is a pause
    step = engine.step_of(engine.spec_of(tenfold), retries=retries)
    chunks = list(SequentialDriver(step, is_awaited=True).run([engine.chunk_of(values)]))
    found = engine.values_of(chunks)
    lost = {0} if 1 in values and not retries else set()
    # Of equal rows the first fails, and the next tries itself.
    ones = [i for i, x in enumerate(values) if x == 1]
    expected = {i: 10 * x for i, x in enumerate(values) if x >= 0 and not (lost and ones and i == ones[0])}
    assert found == expected
    assert list(found) == sorted(found)
    assert step.counts["computed"] == len({values[i] for i in expected})
    assert step.counts["failed"] == len(values) - len(expected)


def test_no_row_waits_for_another_ones_next_try_but_those_that_equal_it(engine: Any) -> None:
    calls: list[int] = []

    def fails_once(x: int) -> int:
        calls.append(x)
        if calls == [1]:
            raise ValueError("no value")
        return 10 * x

    step = engine.step_of(engine.spec_of(fails_once), retries=1)
    chunks = list(SequentialDriver(step, is_awaited=True).run([engine.chunk_of([1, 5, 1, 6])]))
    assert calls == [1, 5, 6, 1]
    assert engine.values_of(chunks) == {0: 10, 1: 50, 2: 10, 3: 60}


def test_rows_come_in_order_also_where_one_is_tried_again_and_others_take_long(engine: Any) -> None:
    failed: list[int] = []

    def slow(x: int) -> int:
        if x == 1 and not failed:
            failed.append(x)
            raise ValueError("no value")
        time.sleep(0.06)  # so long that what is finished is given on
        return 10 * x

    step = engine.step_of(engine.spec_of(slow), retries=1)
    chunks = list(SequentialDriver(step, is_awaited=True).run([engine.chunk_of([1, 5, 6])]))
    assert [row for chunk in chunks for row in chunk.column("i").to_pylist()] == [0, 1, 2]


def test_calls_are_made_in_the_calling_thread(engine: Any) -> None:
    threads = set()

    def here(x: int) -> int:
        threads.add(threading.get_ident())
        return x

    list(SequentialDriver(engine.step_of(engine.spec_of(here)), is_awaited=True).run([engine.chunk_of([1, 2])]))
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("is_awaited", [True, False])
def test_whoever_stops_reading_loses_nothing_that_was_computed(engine: Any, is_awaited: bool) -> None:
    computed = []

    def noted(x: int) -> int:
        computed.append(2 * x)
        return 2 * x

    spec = engine.spec_of(noted)
    driver = SequentialDriver(engine.step_of(spec), is_awaited=is_awaited)
    chunks = driver.run([engine.chunk_of([1]), engine.chunk_of([2])])
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert sorted(engine.stored(spec).column("y").to_pylist()) == computed  # on a slow machine, that may be one
    assert computed
