"""Every element of a tree has a place, by which it is found again: a link to it stays true."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from orcapod.ledger import Origin, RowGroup, SourceRow
from orcapod.ui.trace import element_at, elements_below

numbers = count()


def group(members: list[list[Origin]]) -> RowGroup:
    """A group whose members were made of no row, one or several each, which are read as they are asked for."""
    return RowGroup(len(members), lambda start, stop: [each for some in members[start:stop] for each in some])


leaves = st.builds(lambda: SourceRow("s", f"row_{next(numbers)}"))
trees = st.recursive(
    leaves, lambda each: st.lists(st.lists(each, max_size=3), min_size=1, max_size=45).map(group), max_leaves=90
)


@given(trees)
def test_an_element_is_found_at_its_place(root: Origin) -> None:
    waiting: list[tuple[tuple[int, ...], Origin]] = [((), root)]
    for place, origin in waiting:
        assert element_at(root, place) is origin
        if isinstance(origin, RowGroup):
            below = [each for start in range(0, len(origin), 20) for each in elements_below(origin, start)]
            assert [each for _, each in below] == origin.members()
            waiting += [(place + steps, each) for steps, each in below]
