"""Small pictures in tables: spans of time, and how values are distributed."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.display import duration
from orcapod.report.html import Html, element

__all__ = ["histogram", "span"]

_BINS = 40
_WIDTH, _HEIGHT = 240, 48
_SPREAD = 30.0  # how many times the shortest time the longest is where the axis is logarithmic
_SHORTEST = 1e-7  # seconds, a step of the clock: what is shorter took no time that can be told


def span(start: float, end: float, label: str) -> Html:
    """Return a bar from one part of a whole, of 0 to 1, to another; too short ones can be seen all the same."""
    width = max(end - start, 0.004)
    return element(
        "svg",
        element("title", label),
        element("rect", class_="track", width=1, height=1),
        element("rect", class_="bar", x=round(min(start, 1 - width), 5), width=round(width, 5), height=1),
        class_="span",
        viewBox="0 0 1 1",
        preserveAspectRatio="none",
        role="img",
    )


def histogram(seconds: pa.Array[Any]) -> Html:
    """Return how many packets took how long, on a logarithmic axis where the longest took much longer than the rest."""
    shortest, longest = (max(found.as_py(), _SHORTEST) for found in (pc.min(seconds), pc.max(seconds)))
    is_log = longest > _SPREAD * shortest
    low, high = (math.log(shortest), math.log(longest)) if is_log else (shortest, longest)
    step = (high - low) / _BINS or 1.0
    shown = pc.max_element_wise(seconds, _SHORTEST)
    at = pc.floor(pc.divide(pc.subtract(pc.ln(shown) if is_log else shown, low), step))
    counted = {int(each["values"]): each["counts"] for each in pc.value_counts(at).to_pylist()}
    counts = [counted.get(number, 0) for number in range(_BINS)]
    counts[-1] += counted.get(_BINS, 0)  # the longest ends the last bin
    edges = [low + step * number for number in range(_BINS + 1)]
    edges = [math.exp(edge) for edge in edges] if is_log else edges
    bars = (
        element(
            "rect",
            element("title", f"{count:,} took {duration(edges[number])} to {duration(edges[number + 1])}"),
            class_="bar",
            x=number,
            y=round(_HEIGHT - (height := max(_HEIGHT * count / max(counts), 1.0)), 2),
            width=0.9,
            height=round(height, 2),
        )
        for number, count in enumerate(counts)
        if count
    )
    picture = element(
        "svg",
        *bars,
        viewBox=f"0 0 {_BINS} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        preserveAspectRatio="none",
        role="img",
        aria_label=f"Distribution from {duration(shortest)} to {duration(longest)}",
    )
    axis = [duration(shortest), "logarithmic" if is_log else "", duration(longest)]
    return element(
        "div", picture, element("div", *(element("span", each) for each in axis), class_="axis"), class_="histogram"
    )
