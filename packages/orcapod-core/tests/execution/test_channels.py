"""``InputChannels``: bounded, in order, and nothing is lost."""

from __future__ import annotations

import threading
import time
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from orcapod.datagrams import Chunk
from orcapod.execution import InputChannels
from orcapod.execution.mailbox import Signal
from orcapod.sources import DictSource


def numbers(count: int) -> DictSource:
    return DictSource([{"i": i, "x": i} for i in range(count)], ["i"], source_id="s")


def await_blocked(channels: InputChannels) -> None:
    """Return once whoever has begun to write waits for room."""
    deadline = time.monotonic() + 60
    while not channels.statistics()[0].blocked:
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.001)


def test_a_full_channel_blocks_and_an_empty_one_takes_anything() -> None:
    """Promise 14."""
    (chunk,) = numbers(3).chunks()
    channels = InputChannels(1, buffer_size=2)
    channels.put(0, chunk)
    channels.put(0, chunk)
    entered = threading.Thread(target=channels.put, args=(0, chunk), daemon=True)
    entered.start()
    await_blocked(channels)
    assert entered.is_alive()
    assert [(each.chunks, each.rows, each.blocked) for each in channels.statistics()] == [(2, 6, 1)]
    assert channels.mailbox().take(wants_input=True)[1].num_rows == 6  # type: ignore[index, union-attr]
    entered.join(60)
    assert not entered.is_alive()


def test_a_channel_is_full_of_bytes_too() -> None:
    """One chunk always has room."""
    chunk = next(numbers(1000).chunks())
    channels = InputChannels(1, buffer_size=64, buffer_bytes=chunk.batch.nbytes + 1)
    channels.put(0, chunk)
    entered = threading.Thread(target=channels.put, args=(0, chunk), daemon=True)
    entered.start()
    await_blocked(channels)
    assert entered.is_alive()
    channels.mailbox().take(wants_input=True)
    entered.join(60)
    assert not entered.is_alive()


def test_all_that_waits_in_a_channel_is_taken_at_once_in_its_order() -> None:
    (chunk,) = numbers(10).chunks()
    channels = InputChannels(1, buffer_size=10)
    for row in range(10):
        channels.put(0, chunk.slice(row, 1))
    _, taken = channels.mailbox().take(wants_input=True)  # type: ignore[misc]
    assert taken.column("i").to_pylist() == list(range(10))  # type: ignore[union-attr]
    assert [each.carried for each in channels.statistics()] == [10]


@given(sizes=st.lists(st.integers(1, 4), max_size=12), room=st.integers(1, 4))
def test_a_channel_never_holds_more_than_there_is_room_for_and_loses_nothing(sizes: list[int], room: int) -> None:
    """Promise 14, however the writer and the reader are interleaved."""
    channels = InputChannels(1, buffer_size=room)
    rows = numbers(sum(sizes) + 1)

    def write() -> None:
        (whole,) = rows.chunks()
        for start, size in zip(accumulate(sizes, initial=0), sizes, strict=False):
            channels.put(0, whole.slice(start, size))
        channels.close(0)

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    found: list[int] = []
    while True:
        assert channels.statistics()[0].chunks <= room
        match channels.mailbox().take(wants_input=True, timeout=60):
            case (0, Chunk() as chunk):
                found += chunk.column("i").to_pylist()
            case (0, None):
                break
            case unexpected:
                raise AssertionError(unexpected)
    writing.join(60)
    assert found == list(range(sum(sizes)))
    assert channels.mailbox().take(wants_input=True, timeout=60) is Signal.OVER
    assert channels.statistics()[0].carried == len(sizes)


def test_what_was_taken_makes_room_for_as_many_bytes() -> None:
    source = DictSource([{"i": i, "x": b"x" * 2**20} for i in range(5)], ["i"], source_id="s")
    (large,) = source.chunks()
    channels = InputChannels(1, buffer_size=10)
    for _ in range(3):  # each more than half of what a channel holds
        channels.put(0, large)
        assert channels.mailbox().take(wants_input=True, timeout=0) == (0, large)
    assert [each.blocked for each in channels.statistics()] == [0]
