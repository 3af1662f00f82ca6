"""Where the boxes of a picture lie, for plans of any shape."""

from __future__ import annotations

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from orcapod.graph.layout import Layout, Size, layout_of

NEAR = 1e-6
"""How exact floats are."""

Plan = tuple[list[Size], list[tuple[int, ...]]]


@st.composite
def plans(draw: st.DrawFn, most: int = 25) -> Plan:
    """Boxes of any size, each made of any that come before it, of some twice."""
    count = draw(st.integers(0, most))
    size = st.tuples(st.floats(1, 300), st.floats(1, 100))
    inputs = [
        tuple(draw(st.lists(st.integers(0, number - 1), max_size=4))) if number else () for number in range(count)
    ]
    return draw(st.lists(size, min_size=count, max_size=count)), inputs


def edges(size: Size, centre: tuple[float, float]) -> tuple[float, float, float, float]:
    (width, height), (x, y) = size, centre
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@given(plans())
def test_no_two_boxes_overlap_and_all_are_within_the_picture(plan: Plan) -> None:
    sizes, inputs = plan
    layout = layout_of(sizes, inputs)
    places = [edges(size, centre) for size, centre in zip(sizes, layout.centres, strict=True)]
    for one, other in combinations(places, 2):
        beside = one[2] < other[0] or other[2] < one[0]
        assert beside or one[3] < other[1] or other[3] < one[1]
    for left, top, right, bottom in places:
        assert left >= -NEAR
        assert top >= -NEAR
        assert right <= layout.width + NEAR
        assert bottom <= layout.height + NEAR
    for line in layout.lines:
        assert all(-NEAR <= x <= layout.width + NEAR and -NEAR <= y <= layout.height + NEAR for x, y in line.points)


@given(plans())
def test_every_line_is_there_once_goes_down_and_leads_from_box_to_box(plan: Plan) -> None:
    sizes, inputs = plan
    layout = layout_of(sizes, inputs)
    assert [(line.start, line.end) for line in layout.lines] == [
        (part, number) for number, parts in enumerate(inputs) for part in parts
    ]
    for line in layout.lines:
        assert layout.ranks[line.start] < layout.ranks[line.end]
        assert all(upper[1] <= lower[1] + NEAR for upper, lower in pairwise(line.points))
        left, _, right, bottom = edges(sizes[line.start], layout.centres[line.start])
        assert left <= line.points[0][0] <= right
        assert abs(line.points[0][1] - bottom) < NEAR
        left, top, right, _ = edges(sizes[line.end], layout.centres[line.end])
        assert left <= line.points[-1][0] <= right
        assert abs(line.points[-1][1] - top) < NEAR


@given(plans())
def test_no_line_touches_a_box_that_it_passes(plan: Plan) -> None:
    sizes, inputs = plan
    layout = layout_of(sizes, inputs)
    for line in layout.lines:
        for number, (size, centre) in enumerate(zip(sizes, layout.centres, strict=True)):
            if number in (line.start, line.end):
                continue
            left, top, right, bottom = edges(size, centre)
            for at, ((x, y), (to_x, to_y)) in enumerate(pairwise(line.points)):
                if at % 2:  # between two layers, where no box is
                    assert to_y <= top + NEAR or y >= bottom - NEAR
                else:  # straight down
                    assert x == to_x
                    assert not left < x < right or to_y <= top + NEAR or y >= bottom - NEAR


@given(plans())
def test_lines_into_a_box_end_side_by_side(plan: Plan) -> None:
    sizes, inputs = plan
    layout = layout_of(sizes, inputs)
    for number, parts in enumerate(inputs):
        ends = [line.points[-1][0] for line in layout.lines if line.end == number]
        assert len(set(ends)) == len(parts)


@given(plans(most=12))
def test_the_same_plan_lies_the_same(plan: Plan) -> None:
    assert layout_of(*plan) == layout_of(*plan)


@given(plans(most=12))
def test_from_the_left_to_the_right_is_the_same_turned(plan: Plan) -> None:
    layout = layout_of(*plan)
    turned = layout.turned()
    assert turned.centres == tuple((y, x) for x, y in layout.centres)
    assert turned.turned() == layout


def crossings(layout: Layout) -> int:
    """Count the pairs of lines between neighbouring layers that swap sides."""
    spans = [
        (layout.ranks[line.start], line.points[0][0], line.points[-1][0])
        for line in layout.lines
        if layout.ranks[line.end] == layout.ranks[line.start] + 1
    ]
    return sum(
        (one[1] - other[1]) * (one[2] - other[2]) < 0 for one, other in combinations(spans, 2) if one[0] == other[0]
    )


def test_lines_that_need_not_cross_do_not() -> None:
    inputs: list[tuple[int, ...]] = [()] * 6 + [(5,), (4,), (3,), (2,), (1,), (0,)]
    assert crossings(layout_of([(50, 20)] * 12, inputs)) == 0
    tree: list[tuple[int, ...]] = [(), (0,), (0,), (0,), (3,), (2,), (1,), (1,), (3,), (2,)]
    assert crossings(layout_of([(50, 20)] * 10, tree)) == 0


def test_a_chain_is_straight_and_a_source_is_right_above_its_reader() -> None:
    layout = layout_of([(80, 20), (40, 20), (60, 20), (30, 20), (50, 20)], [(), (0,), (1,), (), (2, 3)])
    assert len({x for x, _ in layout.centres[:3]}) == 1
    assert layout.ranks == (0, 1, 2, 2, 3)


def test_a_stack_of_a_thousand_and_as_many_side_by_side() -> None:
    count = 1000
    chain = layout_of([(50, 20)] * count, [(number - 1,) if number else () for number in range(count)])
    assert chain.ranks == tuple(range(count))
    fan = layout_of([(50, 20)] * count, [(0,) if number else () for number in range(count)])
    assert fan.ranks == (0,) + (1,) * (count - 1)


def test_nothing_takes_no_room() -> None:
    assert layout_of([], []) == Layout(0.0, 0.0, (), (), ())
