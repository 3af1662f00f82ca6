"""``Layout``: where the boxes of a picture lie: in layers, each above what is made of it, and lines between them."""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Layout", "Line", "Point", "Size", "layout_of"]

Size = tuple[float, float]
Point = tuple[float, float]

_GAP = 28.0  # between boxes of a layer
_BEND_GAP = 14.0  # between lines that pass a layer
_RISE = 46.0  # between layers
_PORTS = 16.0  # between the ends of lines at a box
_SWEEPS = 8


@dataclass(frozen=True, slots=True)
class Line:
    """A line from a box to one that is made of it.

    Attributes:
        start: the number of the box it comes from.
        end: the number of the box it leads to.
        points: where it leaves a layer and where it reaches the next one, in turns; straight within a layer.
    """

    start: int
    end: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of boxes, from the top to the bottom.

    Attributes:
        width: how wide it is.
        height: how high it is.
        ranks: the layer of each box, from 0 at the top.
        centres: the middle of each box.
        lines: one for each input of each box, in their order.
    """

    width: float
    height: float
    ranks: tuple[int, ...]
    centres: tuple[Point, ...]
    lines: tuple[Line, ...]

    def turned(self) -> Layout:
        """Return the same from the left to the right."""
        lines = tuple(Line(line.start, line.end, _turned(line.points)) for line in self.lines)
        return Layout(self.height, self.width, self.ranks, _turned(self.centres), lines)


def _turned(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple((y, x) for x, y in points)


def layout_of(sizes: Sequence[Size], inputs: Sequence[Sequence[int]]) -> Layout:
    """Return where boxes lie so that every line goes down, few cross, and none touches a box that it passes.

    Args:
        sizes: how wide and how high each box is.
        inputs: the numbers of the boxes that each is made of, all before its own.
    """
    ranks = _ranks(inputs)
    layers = _Layers([width for width, _ in sizes], inputs, ranks)
    layers.sort()
    across = layers.positions()
    heights = [0.0] * len(layers.members)
    for rank, (_, height) in zip(ranks, sizes, strict=True):
        heights[rank] = max(heights[rank], height)
    tops = [sum(heights[:rank]) + rank * _RISE for rank in range(len(heights))]
    bottoms = [top + height for top, height in zip(tops, heights, strict=True)]
    middles = [(tops[rank] + bottoms[rank]) / 2 for rank in ranks]
    lines = []
    for end, parts in enumerate(inputs):
        ways = [layers.way(part, ranks[end]) for part in parts]
        entries = _entries([across[way[-1]] for way in ways], across[end], sizes[end][0])
        for part, way, entry in zip(parts, ways, entries, strict=True):
            points = [(across[part], middles[part] + sizes[part][1] / 2), (across[part], bottoms[ranks[part]])]
            for rank, bend in enumerate(way[1:], ranks[part] + 1):
                points += [(across[bend], tops[rank]), (across[bend], bottoms[rank])]
            points += [(entry, tops[ranks[end]]), (entry, middles[end] - sizes[end][1] / 2)]
            lines.append(Line(part, end, tuple(points)))
    width = max((across[box] + size[0] / 2 for box, size in enumerate(sizes)), default=0.0)
    width = max([width, *(x for line in lines for x, _ in line.points)])
    height = bottoms[-1] if bottoms else 0.0
    return Layout(width, height, tuple(ranks), tuple(zip(across, middles, strict=False)), tuple(lines))


def _ranks(inputs: Sequence[Sequence[int]]) -> list[int]:
    """Return the layer of each box: below all that it is made of; what is made of nothing, right above its readers."""
    ranks: list[int] = []
    for parts in inputs:
        ranks.append(max((ranks[part] + 1 for part in parts), default=0))
    readers: dict[int, int] = {}
    for rank, parts in zip(ranks, inputs, strict=True):
        for part in parts:
            readers[part] = min(rank, readers.get(part, rank))
    return [
        rank if parts else readers.get(box, 1) - 1 for box, (rank, parts) in enumerate(zip(ranks, inputs, strict=True))
    ]


def _entries(origins: Sequence[float], centre: float, width: float) -> list[float]:
    """Return where on top of a box lines end that come from these places: side by side, so that none cross there."""
    order = sorted(range(len(origins)), key=lambda index: (origins[index], index))
    step = min(_PORTS, width / 2 / max(len(origins) - 1, 1))
    entries = [centre] * len(origins)
    for position, index in enumerate(order):
        entries[index] += (position - (len(origins) - 1) / 2) * step
    return entries


class _Layers:
    """Boxes and bends by layers. A bend is where a line passes a layer; lines of one box share theirs.

    Attributes:
        widths: of boxes and then of bends, by number.
        members: the numbers in each layer, from left to right.
        above: what is connected to each in the layer above it.
        below: what is connected to each in the layer below it.
    """

    def __init__(self, widths: Sequence[float], inputs: Sequence[Sequence[int]], ranks: Sequence[int]) -> None:
        self.widths = list(widths)
        self._boxes = len(widths)
        self._ranks = ranks
        self.members: list[list[int]] = [[] for _ in range(max(ranks, default=-1) + 1)]
        self.above: list[list[int]] = [[] for _ in widths]
        self.below: list[list[int]] = [[] for _ in widths]
        for box, rank in enumerate(ranks):
            self.members[rank].append(box)
        self._bends: list[list[int]] = [[box] for box in range(self._boxes)]
        for box, parts in enumerate(inputs):
            for part in dict.fromkeys(parts):
                bends = self._bends[part]
                while ranks[part] + len(bends) < ranks[box]:
                    bends.append(self._bend(bends[-1], ranks[part] + len(bends)))
                self._connect(self.way(part, ranks[box])[-1], box)

    def way(self, box: int, rank: int) -> list[int]:
        """Return a box and the bends of its lines, down to the layer above one."""
        return self._bends[box][: rank - self._ranks[box]]

    def _bend(self, upper: int, rank: int) -> int:
        bend = len(self.widths)
        self.widths.append(0.0)
        self.above.append([])
        self.below.append([])
        self.members[rank].append(bend)
        self._connect(upper, bend)
        return bend

    def _connect(self, upper: int, lower: int) -> None:
        self.below[upper].append(lower)
        self.above[lower].append(upper)

    def sort(self) -> None:
        """Put each near the middle of its neighbours, down and up again, and keep the order with fewest crossings."""
        place = {each: at for layer in self.members for each, at in _places(layer)}
        best, fewest = [list(layer) for layer in self.members], self._crossings(place)
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            for neighbours, layer in self._sweep(sweep):
                layer.sort(key=lambda each: _mean([place[other] for other in neighbours[each]], place[each]))
                place.update(_places(layer))
            if (crossings := self._crossings(place)) < fewest:
                best, fewest = [list(layer) for layer in self.members], crossings
        self.members = best

    def _sweep(self, number: int) -> Iterator[tuple[list[list[int]], list[int]]]:
        """Give each layer and what it is put right by: from the top by the layer above, or from the bottom."""
        if number % 2 == 0:
            return ((self.above, layer) for layer in self.members[1:])
        return ((self.below, layer) for layer in self.members[-2::-1])

    def _crossings(self, place: Mapping[int, float]) -> int:
        count = 0
        for layer in self.members:
            ends: list[float] = []
            for each in layer:
                targets = [place[other] for other in self.below[each]]
                count += sum(len(ends) - bisect(ends, target) for target in targets)
                for target in targets:
                    insort(ends, target)
        return count

    def positions(self) -> list[float]:
        """Return the middle of each across the layers: as near to its neighbours as those beside it leave room."""
        across = [0.0] * len(self.widths)
        for layer in self.members:
            offsets = self._offsets(layer)
            for each, offset in zip(layer, offsets, strict=True):
                across[each] = offset - offsets[-1] / 2
        for sweep in range(_SWEEPS + 1):
            for neighbours, layer in self._sweep(sweep):
                wanted = [_mean([across[other] for other in neighbours[each]], across[each]) for each in layer]
                for each, position in zip(layer, _apart(wanted, self._offsets(layer)), strict=True):
                    across[each] = position
        left = min((position - width / 2 for position, width in zip(across, self.widths, strict=True)), default=0.0)
        return [position - left for position in across]

    def _offsets(self, layer: Sequence[int]) -> list[float]:
        """Return how far each of a layer is from the first one at least."""
        offsets = [0.0] * len(layer)
        for at, (left, right) in enumerate(pairwise(layer), 1):
            gap = _BEND_GAP if max(left, right) >= self._boxes else _GAP
            offsets[at] = offsets[at - 1] + (self.widths[left] + self.widths[right]) / 2 + gap
        return offsets


def _places(layer: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Give each of a layer with its place in it, between 0 and 1."""
    return ((each, (at + 0.5) / len(layer)) for at, each in enumerate(layer))


def _apart(wanted: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the positions nearest to those that are wanted, by least squares, that keep their distances.

    Less their offsets they must not fall: those that would are pooled at their mean.
    """
    pools: list[tuple[float, int]] = []
    for place, offset in zip(wanted, offsets, strict=True):
        total, count = place - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            last = pools.pop()
            total, count = total + last[0], count + last[1]
        pools.append((total, count))
    shifts = (total / count for total, count in pools for _ in range(count))
    return [shift + offset for shift, offset in zip(shifts, offsets, strict=True)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default
