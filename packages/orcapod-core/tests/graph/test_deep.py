"""Long chains, wide fans and ladders of diamonds cost what their size says, and no recursion limit."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.operators import Filter, Operator, PushOperator
from orcapod.sources import DictSource
from orcapod.streams import Stream

DEEP = 1100  # Python's own limit is 1000


def source(source_id: str = "s", rows: int = 2) -> DictSource:
    return DictSource([{"i": i, "x": i} for i in range(rows)], tag_columns=["i"], source_id=source_id)


@op.function_pod("x", identity="version")
def increment(x: int) -> int:
    return x + 1


def chain_of_operators() -> Stream:
    stream: Stream = source()
    for number in range(DEEP):
        stream = stream.map_packets({"x": "z"} if number % 2 == 0 else {"z": "x"})
    return stream


def chain_of_pods() -> Stream:
    stream: Stream = source()
    for _ in range(DEEP):
        stream = increment.pod(stream)
    return stream


@pytest.mark.parametrize(("chain", "last"), [(chain_of_operators, 1), (chain_of_pods, 1 + DEEP)])
def test_a_deep_chain_is_hashed_compiled_run_and_read(chain: object, last: int) -> None:
    assert sys.getrecursionlimit() < DEEP
    with op.Pipeline("deep", MemoryDatabase()) as pipeline:
        stream: Stream = chain()  # type: ignore[operator]
    assert stream.content_hash() != stream.pipeline_hash()
    nodes = list(pipeline.values())
    assert len(nodes) == DEEP + 1
    assert pipeline.run().ok
    assert nodes[-1].as_table()["x"].to_pylist() == [last - 1, last]
    assert [packet["x"] for _, packet in nodes[-1].iter_packets()] == [last - 1, last]
    assert nodes[-1].content_hash() == stream.content_hash()
    assert repr(pipeline).count("\n") == DEEP + 1


def test_a_deep_chain_outside_a_pipeline_is_read() -> None:
    stream = chain_of_operators()
    for _ in range(2):
        assert stream.as_table()["x"].to_pylist() == [0, 1]


class First(Operator):
    """A stranger's operator: the rows of the first of two streams."""

    inputs = (2, 2)
    read = 0

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        return inputs[0].schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        First.read += 1
        return _PushFirst()


class _PushFirst(PushOperator):
    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        return [chunk] if index == 0 else []

    def close(self, index: int) -> Iterable[Chunk]:
        return []


def test_a_ladder_of_diamonds_is_hashed_compiled_run_and_read_in_linear_time() -> None:
    """100 rungs of three nodes have 2**100 paths: whatever walks paths never ends."""
    with op.Pipeline("ladder", MemoryDatabase()) as pipeline:
        stream: Stream = source()
        for _ in range(100):
            stream = First()(stream.filter(i=0), stream.filter(i=1))
    assert stream.pipeline_hash() != stream.content_hash()
    assert len(list(pipeline.values())) == 301
    pipeline.run()
    First.read = 0
    nodes = list(pipeline.values())
    assert nodes[-1].as_table().num_rows == 1
    assert First.read == 100
    assert stream.as_table().num_rows == 1
    assert First.read == 200


def test_a_ladder_of_joins_stays_usable() -> None:
    """Eight diamonds in a row: features computed from the same rows and joined back."""
    stream: Stream = source()
    with op.Pipeline("joins") as pipeline:
        for rung in range(8):
            left = stream.map_packets({"x": f"left{rung}"})
            right = increment.pod(stream).map_packets({"x": f"right{rung}"})
            joined = left.join(right)
            stream = joined.select_packet_columns([f"right{rung}"]).map_packets({f"right{rung}": "x"})
        Filter(i=1)(stream, label="last")
    pipeline.run()
    assert pipeline.last.as_table()["x"].to_pylist() == [9]


def test_a_wide_fan_out_computes_its_stem_once() -> None:
    calls = []

    @op.function_pod("y", identity="version")
    def stem(x: int) -> int:
        calls.append(x)
        return x

    with op.Pipeline("wide") as pipeline:
        made = stem.pod(source())
        for number in range(200):
            made.map_packets({"y": f"y{number}"}, label=f"leaf{number}")
    pipeline.run()
    assert calls == [0, 1]
    assert all(pipeline[f"leaf{number}"].as_table().num_rows == 2 for number in range(200))


def test_a_wide_join_is_one_node() -> None:
    streams = [source(f"s{number}").map_packets({"x": f"x{number}"}) for number in range(30)]
    with op.Pipeline("wide") as pipeline:
        streams[0].join(*streams[1:], label="all")
    pipeline.run()
    assert pipeline["all"].as_table().num_columns == 31
    assert pipeline["all"].as_table().num_rows == 2
