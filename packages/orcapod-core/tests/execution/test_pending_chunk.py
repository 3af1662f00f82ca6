"""``PendingChunk``: every row is given on once, with its own result, in whatever order they come."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Chunk
from orcapod.execution import SequentialDriver
from orcapod.execution.pending_chunk import PendingChunk


def tenfold(x: int) -> int:
    return 10 * x


def pending_of(
    engine: Any, values: list[int], cached: list[int] | None = None, database: MemoryDatabase | None = None
) -> PendingChunk:
    def on_cached(chunk: Chunk, rows: list[int], results: Chunk, indices: list[int]) -> None:
        found = results.column("y").to_pylist()
        for row, index in zip(rows, indices, strict=True):
            assert found[index] == 10 * values[row]
            if cached is not None:
                cached.append(row)

    return PendingChunk(engine.spec_of(tenfold, database), engine.chunk_of(values), on_cached)  # type: ignore[arg-type]


def compute(pending: PendingChunk, row: int) -> None:
    (arguments,) = pending.arguments([row])
    pending.succeed(row, (tenfold(**arguments),), 0.0)


@given(
    values=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    in_order=st.booleans(),
    chances=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_rows_are_given_on_once_each_with_its_own_result(
    engine: Any, values: list[int], in_order: bool, chances: random.Random
) -> None:
    """Computed in any order, some failing, equal rows sharing what one of them gives."""
    cached: list[int] = []
    pending = pending_of(engine, values, cached)
    pending.look_up()
    rows = pending.missing()
    chances.shuffle(rows)
    given_on: list[Chunk] = []
    failed, computed = set(), set()
    for row in rows:
        if pending.has_result(row):
            continue
        if chances.random() < 0.2:
            pending.fail(row)
            failed.add(row)
        else:
            compute(pending, row)
            computed.add(row)
        if chances.random() < 0.3:
            given_on += pending.settled(in_order=in_order)
    given_on += pending.settled(in_order=in_order)
    assert pending.is_done
    expected = {row: 10 * value for row, value in enumerate(values) if row not in failed}
    assert engine.values_of(given_on) == expected
    order = [i for chunk in given_on for i in chunk.column("i").to_pylist()]
    assert sorted(order) == list(range(len(values))), "those that failed, too"
    assert not in_order or order == sorted(order)
    assert sorted(cached) == sorted(set(expected) - computed)


def test_arguments_come_in_the_order_asked_for(engine: Any) -> None:
    pending = pending_of(engine, [5, 6, 7, 8])
    assert pending.arguments([3, 0, 2]) == [{"x": 8}, {"x": 5}, {"x": 7}]
    assert pending.arguments([1, 1]) == [{"x": 6}, {"x": 6}]
    assert pending.arguments([]) == []


def test_what_is_there_is_not_missing_and_is_told_as_cached(engine: Any) -> None:
    database, cached = MemoryDatabase(), list[int]()
    first = pending_of(engine, [1, 2], database=database)
    compute(first, 0)
    first.store()
    second = pending_of(engine, [2, 1, 1], cached, database)
    second.look_up()
    assert second.missing() == [0]
    compute(second, 0)
    assert engine.values_of(list(second.settled(in_order=True))) == {0: 20, 1: 10, 2: 10}
    assert cached == [1, 2]


def test_in_order_a_row_waits_for_those_before_it_and_else_it_does_not(engine: Any) -> None:
    pending = pending_of(engine, [1, 2, 3])
    compute(pending, 2)
    assert list(pending.settled(in_order=True)) == []
    assert engine.values_of(list(pending.settled(in_order=False))) == {2: 30}
    assert not pending.is_done
    compute(pending, 0)
    pending.fail(1)
    assert engine.values_of(list(pending.settled(in_order=True))) == {0: 10}
    assert pending.is_done


@pytest.mark.parametrize("attempt", range(3))
def test_another_thread_may_store_at_any_time(engine: Any, attempt: int) -> None:
    """A result is never out of sight, and none is stored twice or lost."""
    values = list(range(500))
    pending = pending_of(engine, values)
    over = threading.Event()

    def flush() -> None:
        while not over.is_set():
            pending.store()

    flusher = threading.Thread(target=flush, daemon=True)
    flusher.start()
    try:
        for row in values:
            compute(pending, row)
            assert pending.has_result(row)
    finally:
        over.set()
        flusher.join()
    assert engine.values_of(list(pending.settled(in_order=True))) == {row: 10 * row for row in values}


def repeated(x: int) -> str:
    return f"{x:03}" * 33_000


def test_results_that_no_row_waits_for_are_let_go_of(engine: Any) -> None:
    """Those of equal rows only with the last of these."""
    values = [1, 2, 3, 1, *range(4, 40)]
    pending = PendingChunk(engine.spec_of(repeated), engine.chunk_of(values), lambda *_: None)
    given_on: list[Chunk] = []
    for row in [0, 1]:
        (arguments,) = pending.arguments([row])
        pending.succeed(row, (repeated(**arguments),), 0.0)
    given_on += pending.settled(in_order=True)
    assert all(map(pending.has_result, [0, 1, 3]))
    for row in pending.missing():
        (arguments,) = pending.arguments([row])
        pending.succeed(row, (repeated(**arguments),), 0.0)
    pending.store()
    assert pending.held_bytes > 3_000_000
    given_on += pending.settled(in_order=True)
    assert pending.held_bytes == 0
    assert pending.is_done
    assert pending.result_rows == len(values) - 1
    assert engine.values_of(given_on) == {row: repeated(x) for row, x in enumerate(values)}


def test_chunks_are_as_large_as_their_results_have_room(engine: Any) -> None:
    """A second run looks up as few of them at a time as the first gave on."""
    spec = engine.spec_of(repeated)
    step = engine.step_of(spec)
    step.chunk_bytes = 2_000_000
    chunks = [engine.chunk_of(list(range(300)))]
    driver = SequentialDriver(step, is_awaited=False)
    computed = list(driver.run(chunks))
    assert max(chunk.batch.nbytes for chunk in computed) < 3_000_000
    looked_up = []
    for pending in step.pending(chunks):
        pending.look_up()
        looked_up.append(pending.result_bytes)
        assert not pending.missing()
    assert max(looked_up) < 3_000_000
