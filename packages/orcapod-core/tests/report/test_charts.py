"""Small pictures show every value, and are no wider than they are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from orcapod.report.charts import histogram, span


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60))
def test_a_histogram_counts_every_packet_once_and_stays_in_its_frame(seconds: list[float]) -> None:
    svg = ElementTree.fromstring(histogram(pa.array(seconds, pa.float64())))[0]
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    counted = 0
    for bar in svg:
        x, y, wide, high = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x < x + wide <= width
        assert 0 <= y < height
        assert math.isclose(y + high, height, abs_tol=0.02)
        counted += int(re.match(r"[\d,]+", bar[0].text or "")[0].replace(",", ""))  # type: ignore[index]
    assert counted == len(seconds)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_span_is_seen_however_short_and_ends_with_the_whole(one: float, other: float) -> None:
    track, bar = ElementTree.fromstring(span(min(one, other), max(one, other), "node"))[1:]
    x, width = float(bar.attrib["x"]), float(bar.attrib["width"])
    assert track.attrib["width"] == "1"
    assert x >= 0
    assert x + width <= 1 + 1e-4
    assert width >= 0.004
