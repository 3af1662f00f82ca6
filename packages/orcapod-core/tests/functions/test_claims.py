"""``Claims``: who computes what, and who is told of it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from orcapod.functions.claims import Claims, Kept, Turn
from orcapod.records import RECORD_ID


class Rows:
    """As much of a work as claims look at."""

    def __init__(self, *record_ids: bytes) -> None:
        self.record_ids = record_ids


def work(*record_ids: bytes) -> Any:
    return Rows(*record_ids)


def kept(*record_ids: bytes) -> pa.Table:
    return pa.table({RECORD_ID: pa.array(record_ids, pa.binary())})


class Node:
    def __init__(self) -> None:
        self.told: list[Kept | Turn] = []

    def tell(self, news: Kept | Turn) -> None:
        self.told.append(news)


def test_a_record_is_computed_by_one_and_given_to_all() -> None:
    claims, one, two = Claims(), Node(), Node()
    first, second = work(b"a", b"b", b"a"), work(b"b", b"c")
    assert claims.claim(first, one.tell) == [0, 1]
    assert claims.claim(second, two.tell) == [1]
    claims.keep(kept(b"a", b"b"))
    assert [news.work for news in one.told] == [first]
    assert [news.work for news in two.told] == [second]
    assert claims.claim(work(b"a"), two.tell) == [0]


def test_after_a_failure_it_is_the_turn_of_the_next() -> None:
    claims, one, two = Claims(), Node(), Node()
    first, second, third = work(b"a"), work(b"a"), work(b"a")
    assert claims.claim(first, one.tell) == [0]
    assert claims.claim(second, two.tell) == []
    assert claims.claim(third, one.tell) == []
    claims.give_up(b"a")
    assert two.told == [Turn(second, 0)]
    claims.leave(two.tell)
    assert one.told == [Turn(third, 0)]
    claims.give_up(b"a")
    assert claims.claim(work(b"a"), two.tell) == [0]


def test_a_failure_of_what_another_process_has_made_meanwhile_is_no_error() -> None:
    """A look-up of another node found it, and said so to all."""
    claims, one = Claims(), Node()
    assert claims.claim(work(b"a"), one.tell) == [0]
    claims.keep(kept(b"a"))
    claims.give_up(b"a")
    claims.leave(one.tell)
    assert one.told == []
