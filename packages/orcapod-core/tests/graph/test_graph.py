"""The plan of a pipeline as a value: order, each stream once, labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import PipelineError
from orcapod.graph import Graph
from orcapod.operators import Operator, PushOperator
from orcapod.sources import DictSource
from orcapod.streams import Stream


def source(source_id: str = "s", rows: int = 2, **columns: Any) -> DictSource:
    return DictSource([{"i": i, "x": i, **columns} for i in range(rows)], tag_columns=["i"], source_id=source_id)


class First(Operator):
    """A stranger's operator: the rows of the first of any number of streams."""

    inputs = (1, None)

    def arguments(self) -> object:
        return ()

    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        return inputs[0].schema

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushFirst()


class _PushFirst(PushOperator):
    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        return [chunk] if index == 0 else []

    def close(self, index: int) -> Iterable[Chunk]:
        return []


@op.function_pod("x")
def increment(x: int) -> int:
    return x + 1


@st.composite
def plans(draw: st.DrawFn) -> list[Stream]:
    """Streams made of each other at random, inputs first."""
    made: list[Stream] = [source(f"s{n}") for n in range(draw(st.integers(1, 3)))]
    for n in range(draw(st.integers(0, 12))):
        parts = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3))
        made.append(First()(*parts, label=draw(st.sampled_from(["a", "b", f"n{n}"]))))
    return made


@given(plans(), st.randoms())
def test_every_stream_stands_once_and_behind_what_it_is_made_of(made: list[Stream], random: Any) -> None:
    wanted = [stream for stream in made if random.random() < 0.5]
    graph = Graph.of(wanted)
    for place, element in enumerate(graph.elements):
        assert all(part < place for part in element.inputs)
        assert [graph.elements[part].stream.content_hash() for part in element.inputs] == [
            part.content_hash() for part in getattr(element.stream, "inputs", ())
        ]
    labels = [element.label for element in graph.elements]
    assert len(set(labels)) == len(labels)
    identities = [(element.stream.label, element.inputs, element.stream.content_hash()) for element in graph.elements]
    assert len(set(identities)) == len(identities), "the same stream under the same name twice"
    assert {s.content_hash() for s in wanted} <= {e.stream.content_hash() for e in graph.elements}


@given(plans())
def test_the_graph_of_the_same_plan_built_twice_is_the_graph_of_one(made: list[Stream]) -> None:
    assert Graph.of([*made, *made]) == Graph.of(made)
    again = {id(stream): stream for stream in made}

    def rebuilt(stream: Stream, known: dict[int, Stream]) -> Stream:
        if id(stream) not in known:
            known[id(stream)] = First()(*(rebuilt(p, known) for p in stream.inputs), label=stream.label)  # type: ignore[attr-defined]
        return known[id(stream)]

    known = {key: stream for key, stream in again.items() if not hasattr(stream, "inputs")}
    copies = [rebuilt(stream, known) for stream in made]
    both, single = Graph.of([*made, *copies]), Graph.of(made)
    assert [(e.label, e.inputs) for e in both.elements] == [(e.label, e.inputs) for e in single.elements]


def test_sources_that_say_the_same_are_one_and_others_are_not() -> None:
    graph = Graph.of([source("a"), source("a"), source("b")])
    assert [element.label for element in graph.elements] == ["a", "b"]


def test_operators_with_other_arguments_are_others() -> None:
    root = source()
    streams = [root.filter(i=1), root.filter(i=1), root.filter(i=2), root.map_packets({"x": "y"})]
    assert [e.label for e in Graph.of(streams).elements] == ["s", "filter_1", "filter_2", "map_packets"]


def test_functions_of_one_name_and_other_code_are_others() -> None:
    def one(x: int) -> int:
        return x

    def two(x: int) -> int:
        return x * 2

    pods = [op.FunctionPod(op.PythonPacketFunction(f, "y", name="f")) for f in (one, two, one)]
    root = source()
    assert [e.label for e in Graph.of([pod(root) for pod in pods]).elements] == ["s", "f_1", "f_2"]


def test_numbers_avoid_labels_that_are_taken() -> None:
    root = source()
    streams = [First()(root, label=label) for label in ("a_1", "b")]
    streams += [First()(stream, label="a") for stream in streams]
    labels = [element.label for element in Graph.of(streams).elements]
    assert labels == ["s", "a_1", "b", "a_2", "a_3"]


def test_labels_do_not_depend_on_the_process() -> None:
    root = source()
    streams = [First()(root, root, label="a"), First()(root, label="a"), increment.pod(root, label="a")]
    assert [e.label for e in Graph.of(streams).elements] == ["s", "a_1", "a_2", "a_3"]
    assert [e.label for e in Graph.of(streams[::-1]).elements] == ["s", "a_1", "a_2", "a_3"]
    assert Graph.of(streams[::-1]).elements[1].stream is streams[-1]


class TestNamesOfSources:
    """Provenance leads to one source: no two of one name are in one plan."""

    def test_two_different_ones_of_one_name_are_refused(self) -> None:
        one, other = source("s", rows=2), source("s", rows=3)
        with pytest.raises(PipelineError, match="two different sources called 's'.*behind.*a.*source_id") as caught:
            Graph.of([First()(one, label="a"), First()(other, label="b")])
        assert caught.value.source_id == "s"
        with pytest.raises(PipelineError, match="two different sources"):
            Graph.of([First()(one, other)])

    def test_views_of_different_columns_are_different_too(self) -> None:
        with pytest.raises(PipelineError, match="two different sources"):
            Graph.of([First()(source("s"), source("s", more=1))])

    def test_one_that_is_made_twice_is_one(self) -> None:
        assert len(Graph.of([First()(source("s"), source("s"))]).elements) == 2

    def test_equal_rows_under_other_names_are_two(self) -> None:
        assert len(Graph.of([First()(source("s"), source("t"))]).elements) == 3

    def test_a_later_block_puts_one_in_the_place_of_another(self) -> None:
        """As when the cells of a notebook are run again with other rows."""
        graph = Graph.of([First()(source("s", rows=2))], [First()(source("s", rows=3))])
        assert [element.label for element in graph.elements] == ["s", "first"]

    def test_what_another_cell_still_reads_may_be_of_the_old_one(self) -> None:
        first = First()(source("s", rows=2), label="a")
        blocks = [[first], [First()(first, label="b")], [First()(source("s", rows=3), label="a")]]
        labels = {element.label for element in Graph.of(*blocks).elements}
        assert labels == {"s_1", "s_2", "a", "a_old", "b"}

    def test_a_source_and_what_was_accumulated_of_it_are_two(self) -> None:
        kept = source("s", rows=2).cached(MemoryDatabase())
        with pytest.raises(PipelineError, match="two different sources"):
            Graph.of([First()(kept, source("s", rows=2))])
