"""``InFlight``: who computes what, and who is told of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from orcapod.execution.in_flight import Completed, InFlight, Promoted
from orcapod.records import RECORD_ID


class Rows:
    """As much of a pending chunk as is looked at."""

    def __init__(self, *record_ids: bytes) -> None:
        self.record_ids = record_ids


def pending(*record_ids: bytes) -> Any:
    return Rows(*record_ids)


def stored(*record_ids: bytes) -> pa.Table:
    return pa.table({RECORD_ID: pa.array(record_ids, pa.binary())})


class Node:
    def __init__(self) -> None:
        self.told: list[Completed | Promoted] = []

    def on_settled(self, news: Completed | Promoted) -> None:
        self.told.append(news)


def test_a_record_is_computed_by_one_and_given_to_all() -> None:
    in_flight, one, two = InFlight(), Node(), Node()
    first, second = pending(b"a", b"b", b"a"), pending(b"b", b"c")
    assert in_flight.claim(first, one.on_settled) == [0, 1]
    assert in_flight.claim(second, two.on_settled) == [1]
    in_flight.complete(stored(b"a", b"b"))
    assert [news.pending for news in one.told] == [first]
    assert [news.pending for news in two.told] == [second]
    assert in_flight.claim(pending(b"a"), two.on_settled) == [0]


def test_after_a_failure_it_is_the_turn_of_the_next() -> None:
    in_flight, one, two = InFlight(), Node(), Node()
    first, second, third = pending(b"a"), pending(b"a"), pending(b"a")
    assert in_flight.claim(first, one.on_settled) == [0]
    assert in_flight.claim(second, two.on_settled) == []
    assert in_flight.claim(third, one.on_settled) == []
    in_flight.give_up(b"a", one.on_settled)
    assert two.told == [Promoted(second, 0)]
    in_flight.leave(two.on_settled)
    assert one.told == [Promoted(third, 0)]
    in_flight.give_up(b"a", one.on_settled)
    assert in_flight.claim(pending(b"a"), two.on_settled) == [0]


def test_a_failure_of_what_another_process_has_made_meanwhile_is_no_error() -> None:
    """A look-up of another node found it, and said so to all."""
    in_flight, one = InFlight(), Node()
    assert in_flight.claim(pending(b"a"), one.on_settled) == [0]
    in_flight.complete(stored(b"a"))
    in_flight.give_up(b"a", one.on_settled)
    in_flight.leave(one.on_settled)
    assert one.told == []


def test_what_another_has_claimed_meanwhile_stays_claimed_after_a_failure() -> None:
    in_flight, one, two = InFlight(), Node(), Node()
    in_flight.claim(pending(b"a"), one.on_settled)
    in_flight.complete(stored(b"a"))
    assert in_flight.claim(pending(b"a"), two.on_settled) == [0]
    in_flight.give_up(b"a", one.on_settled)
    assert in_flight.claim(pending(b"a"), one.on_settled) == []


def test_whoever_leaves_waits_for_nothing_any_more() -> None:
    """Or a row would be promoted that nobody computes, and others would wait for it."""
    in_flight, one, two = InFlight(), Node(), Node()
    in_flight.claim(pending(b"a", b"a"), one.on_settled)
    third = pending(b"a")
    assert in_flight.claim(third, two.on_settled) == []
    in_flight.leave(one.on_settled)
    assert one.told == []
    assert two.told == [Promoted(third, 0)]
