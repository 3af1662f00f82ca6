"""What there is room for is shared out so that nobody has less for the sake of one who has more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orcapod.report.fair import fair_share


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 5000))
def test_all_together_have_no_more_than_there_is_room_for_and_leave_none_that_is_wanted(
    amounts: list[int], room: int
) -> None:
    most = fair_share(amounts, room)
    assert sum(min(amount, most) for amount in amounts) <= room
    more = sum(min(amount, most + 1) for amount in amounts)
    assert more > room or most >= max(amounts, default=0)
