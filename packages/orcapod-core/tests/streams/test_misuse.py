"""What is no stream is refused where one is wanted, and a stream where a value is, each with the way out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import SchemaError
from orcapod.operators import Join
from orcapod.sources import CachedSource, DictSource, Source, StoredSource

SOURCE = DictSource([{"i": i, "x": i} for i in range(3)], ["i"], source_id="s")


@op.function_pod("y")
def f(x: int) -> float:
    return x + 1


@op.function_pod("y")
def whole(x: int) -> float:
    return float(x)


PIPELINE = op.Pipeline("p")


@pytest.mark.parametrize(
    ("given", "way_out"),
    [
        (pd.DataFrame({"x": [1]}), r"DataFrame; make a source of it: DataFrameSource\("),
        (pa.table({"x": [1]}), r"Table; make a source of it: ArrowTableSource\("),
        ([{"x": 1}], r"list; make a source of rows: DictSource\("),
        ([SOURCE], r"list; give streams one by one"),
        (PIPELINE, "Pipeline; give one of its nodes"),
        (DictSource, r"DictSource; make one of this class: DictSource\("),
        (f, r"function; apply that to a stream first: function.pod\(stream\)"),
        (3, "int; make a source"),
    ],
)
@pytest.mark.parametrize("apply", [f.pod, Join(), SOURCE.join])
def test_what_is_no_stream_is_refused_with_the_way_to_make_one(given: Any, way_out: str, apply: Any) -> None:
    with pytest.raises(SchemaError, match=f"takes streams, found {way_out}") as raised:
        apply(given)
    assert raised.value.expected == "stream"


@pytest.mark.parametrize(
    "misuse",
    [
        lambda stream: f(stream),
        lambda stream: whole(stream),
        lambda stream: 1 + stream,
        lambda stream: stream * 2,
        lambda stream: -stream,
        lambda stream: stream > 1,
        lambda stream: stream["x"],
    ],
)
def test_a_stream_that_is_calculated_with_says_how_functions_are_applied(misuse: Any) -> None:
    for stream in (SOURCE, f.pod(SOURCE)):
        with pytest.raises(TypeError, match=r"is a stream of rows and no value; .*function\.pod\(stream\)"):
            misuse(stream)


def test_a_stream_is_still_compared_by_identity_and_true() -> None:
    assert SOURCE == SOURCE
    assert f.pod(SOURCE) != f.pod(SOURCE)
    assert bool(SOURCE)


def test_a_loop_over_a_stream_or_a_node_gives_its_rows() -> None:
    assert [(tag["i"], packet["x"]) for tag, packet in SOURCE] == [(0, 0), (1, 1), (2, 2)]
    with op.Pipeline("p") as pipeline:
        f.pod(SOURCE)
    pipeline.run()
    for _ in range(2):
        assert [packet["y"] for _, packet in pipeline.f] == [1, 2, 3]


def test_a_source_that_is_cached_or_stored_is_a_source() -> None:
    database = MemoryDatabase()
    cached = SOURCE.cached(database)
    assert isinstance(cached, CachedSource)
    assert isinstance(cached, Source)
    cached.as_table()
    stored = StoredSource.open(database, "s")
    assert isinstance(stored, Source)
    assert stored.source_id == cached.source_id == "s"
    with op.Pipeline("p") as pipeline:
        f.pod(stored)
        f.pod(StoredSource.open(database, "s")).map_packets({"y": "w"})
    assert list(pipeline) == ["s", "f", "map_packets"], "two that say the same are one"
