"""What holds for every operator and every chain of operators, whatever rows come in whatever chunks."""

import inspect
import re

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcapod import operators
from orcapod.datagrams import Chunk
from orcapod.errors import SchemaError
from orcapod.operators import (
    DropNulls,
    DropPacketColumns,
    DropTagColumns,
    Filter,
    Join,
    MapPackets,
    MapTags,
    Operator,
    SelectPacketColumns,
    SelectTagColumns,
)
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.streams import Stream
from orcapod.testing.strategies import ALL_COLUMNS, bag, chunkings, scattered, schemas, sources
from orcapod.types import conform

OPERATORS = {
    "filter": lambda stream: stream.filter(pc.field("k") > 0),
    "filter by a value": lambda stream: stream.filter(k=1),
    "drop_nulls": lambda stream: stream.drop_nulls(),
    "drop_nulls of one": lambda stream: stream.drop_nulls("x"),
    "select_tag_columns": lambda stream: stream.select_tag_columns(["k"]),
    "drop_tag_columns": lambda stream: stream.drop_tag_columns(["k", "t"]),
    "select_packet_columns": lambda stream: stream.select_packet_columns(["y"]),
    "drop_packet_columns": lambda stream: stream.drop_packet_columns(["y", "x"]),
    "map_tags": lambda stream: stream.map_tags({"k": "t", "t": "k"}),
    "map_packets": lambda stream: stream.map_packets({"x": "y", "y": "z"}),
    "join of one": lambda stream: stream.join(),
    "join with itself": lambda stream: stream.join(stream.map_packets({"x": "x2", "y": "y2"})),
    "cross": lambda stream: stream.cross(
        stream.select_packet_columns(["x"]).map_packets({"x": "other"}).drop_tag_columns(["k", "t"])
    ),
}


@st.composite
def streams(draw):
    """A source of two tags and two packet columns of any types; ``k`` is for filters and joins."""
    schema = draw(schemas("t", "x", "y", nested=3))
    key = draw(st.sampled_from([int, int | None, float | None]))
    return draw(sources({"k": key, "t": schema["t"]}, {"x": schema["x"], "y": schema["y"]}, source_id="s", most=4))


def shown(stream, chunks):
    """Everything that chunks of a stream show, checked against what the stream predicts."""
    tags, packets = stream.output_schema(ALL_COLUMNS)
    predicted = tags | packets
    tables = [predicted.arrow.empty_table()]
    for chunk in chunks:
        assert chunk.num_rows
        assert chunk.schema == stream.schema
        tables.append(chunk.table(ALL_COLUMNS))
        assert tables[-1].schema == predicted.arrow
    table = pa.concat_tables(tables)
    table.validate(full=True)
    for name, kind in predicted.types.items():
        conform(table.column(name), kind)  # no null at any depth where none is declared
    return bag(predicted, table)


@pytest.mark.parametrize("operator", OPERATORS)
@given(data=st.data())
@settings(max_examples=15)
def test_the_predicted_schema_and_the_rows_are_the_same_however_rows_come(operator, data):
    stream = OPERATORS[operator](data.draw(streams()))
    at_once = shown(stream, stream.chunks())
    assert shown(stream, data.draw(scattered(stream))) == at_once
    assert shown(stream, stream.chunks()) == at_once


@pytest.mark.parametrize("operator", OPERATORS)
def test_empty_input_flows_through_with_the_right_schema(operator):
    """Promise 8."""
    schema = {"k": int | None, "t": str, "x": list[int] | None, "y": float | None}
    stream = OPERATORS[operator](DictSource([], ["k", "t"], data_schema=schema))
    full = OPERATORS[operator](DictSource([{"k": 1, "t": "a", "x": [1], "y": 0.5}], ["k", "t"], data_schema=schema))
    assert stream.as_table(ALL_COLUMNS).num_rows == 0
    assert full.as_table(ALL_COLUMNS).num_rows == 1
    assert stream.as_table(ALL_COLUMNS).schema == full.as_table(ALL_COLUMNS).schema
    assert stream.pipeline_hash() == full.pipeline_hash()


class TestProvenance:
    """Promise 3: source info and system tags name the rows that a row was made of.

    Every value here is the text that its source info must be, and every source has a tag that names its row.
    """

    KEYS = st.sampled_from([0, 1, 2, None])

    @staticmethod
    def source(number, keys, chunking=None):
        table = pa.table(
            {
                "k": pa.array(keys, pa.int64()),
                f"t{number}": pa.array([f"s{number}::row_{i}" for i in range(len(keys))], pa.string()),
                f"a{number}": pa.array([f"s{number}::row_{i}::a{number}" for i in range(len(keys))], pa.string()),
                f"b{number}": pa.array([f"s{number}::row_{i}::b{number}" for i in range(len(keys))], pa.string()),
            }
        )
        parts = [table.slice(start, length) for start, length in chunking or []]
        schema = {"k": int | None, f"t{number}": str, f"a{number}": str, f"b{number}": str}
        return ArrowTableSource(
            pa.concat_tables(parts) if parts else table, ["k", f"t{number}"], source_id=f"s{number}", data_schema=schema
        )

    @classmethod
    def assert_named(cls, table, *, every_tag=True):
        columns = table.to_pydict()
        for name in [name for name in columns if f"_source_{name}" in columns]:
            assert columns[name] == columns[f"_source_{name}"]
        rows = {name: values for name, values in columns.items() if name.startswith("t")}
        ids = [name.removeprefix("_tag_source_id") for name in columns if name.startswith("_tag_source_id")]
        for i in range(table.num_rows):
            named = {f"{columns['_tag_source_id' + end][i]}::{columns['_tag_record_id' + end][i]}" for end in ids}
            tagged = {values[i] for values in rows.values()}
            assert tagged == named if every_tag else tagged <= named

    @classmethod
    @st.composite
    def chains(draw, cls):
        """A chain of operators over several sources, and whether every source's tag is still there."""
        count, every_tag = 0, True

        def fresh():
            nonlocal count
            count += 1
            keys = draw(st.lists(cls.KEYS, max_size=5))
            return cls.source(count - 1, keys, draw(chunkings(len(keys))) if keys else None)

        stream = fresh()
        for step in draw(st.lists(st.sampled_from("jjselfdrnpu"), max_size=5)):
            tags, packets = stream.keys()
            count += 1
            if step == "j":
                stream = draw(st.permutations([stream, fresh()]).map(lambda pair: pair[0].join(pair[1])))
            elif step == "s" and len(packets) < 8:
                stream = stream.join(stream.map_packets({name: f"c{count}{name}" for name in packets}))
            elif step == "e" and packets:
                stream = stream.select_packet_columns(draw(st.lists(st.sampled_from(packets), unique=True)))
            elif step == "l" and len(packets) > 1:
                stream = stream.map_packets({packets[0]: packets[-1], packets[-1]: packets[0]})
            elif step == "f" and "k" in tags:
                stream = stream.filter(pc.field("k") < 2)
            elif step == "d" and "k" in tags:
                stream = stream.drop_nulls("k")
            elif step == "r" and packets:
                stream = stream.map_packets({packets[0]: f"r{count}"})
            elif step == "n" and len(tags) > 1:
                stream = stream.map_tags({tags[-1]: f"t_n{count}" if tags[-1] != "k" else "k"})
            elif step == "p" and len(tags) > 1:
                stream, every_tag = stream.drop_tag_columns([tags[-1]]), False
        return stream, every_tag

    @given(st.data())
    @settings(max_examples=120)
    def test_every_value_names_its_row_after_any_chain_in_any_chunking(self, data):
        stream, every_tag = data.draw(self.chains())
        whole = stream.as_table(ALL_COLUMNS)
        self.assert_named(whole, every_tag=every_tag)
        chunks = data.draw(scattered(stream))
        for chunk in chunks:
            self.assert_named(chunk.table(ALL_COLUMNS), every_tag=every_tag)
        if chunks:
            self.assert_named(Chunk.concat(chunks).table(ALL_COLUMNS), every_tag=every_tag)
        assert shown(stream, chunks) == shown(stream, stream.chunks())

    def test_also_over_tables_of_more_rows_than_a_chunk(self):
        count = 70_000
        left = self.source(0, range(count), [(0, 7), (7, count - 7)])
        right = self.source(1, range(count - 1, -1, -1), [(0, count - 1), (count - 1, 1)])
        stream = left.join(right).filter(pc.bit_wise_and(pc.field("k"), 1) == 0).map_packets({"a0": "a1", "a1": "a0"})
        table = stream.as_table(ALL_COLUMNS)
        assert table.num_rows == count // 2
        self.assert_named(table)
        assert table["b0"].to_pylist() == [f"s0::row_{k}::b0" for k in table["k"].to_pylist()]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda s, t: Join()(), ["Join", "1 or more streams", "found 0"]),
        (lambda s, t: Filter(k=1)(s, t), ["Filter", "1 streams", "found 2"]),
        (lambda s, t: Filter(k=1)(pa.table({"k": [1]})), ["Filter", "streams", "Table", "source"]),
        (lambda s, t: s.join(t), ["Join", "'x'", "map_packets", "drop_packet_columns"]),
        (lambda s, t: s.join(t.map_packets({"x": "u"}).map_tags({"k": "x"})), ["Join", "'x'", "tag", "data", "rename"]),
        (lambda s, t: s.map_tags({"k": "u"}).join(t.map_packets({"x": "u"})), ["Join", "'u'", "tag", "data", "rename"]),
        (
            lambda s, t: s.join(DictSource([{"k": "a", "z": 1}], ["k"])),
            ["Join", "'k'", "int", "str", "convert one of them where its rows come from"],
        ),
        (lambda s, t: s.filter(), ["Filter", "nothing to filter by"]),
        (lambda s, t: s.filter("k > 1"), ["Filter", "str", "pyarrow expression"]),
        (lambda s, t: s.filter(lambda row: True), ["Filter", "function", "pyarrow expression"]),
        (lambda s, t: s.filter(z=1), ["Filter", "no column 'z'", "['k', 'x']"]),
        (lambda s, t: s.filter(k="a"), ["Filter", "k='a'", "never holds", "int", "str"]),
        (lambda s, t: s.filter(k=True), ["Filter", "k=True", "never holds"]),
        (lambda s, t: s.filter(k=[1, 2]), ["Filter", "never holds", "field('k').isin(...)", "any of several"]),
        (lambda s, t: s.filter(pc.field("z") > 1), ["Filter", "no column 'z'", "['k', 'x']"]),
        (lambda s, t: s.filter((pc.field("k") > 1) & pc.field("z")), ["Filter", "no column 'z'", "['k', 'x']"]),
        (lambda s, t: s.filter(pc.field("k") + 1), ["Filter", "bool", "int64"]),
        (lambda s, t: s.filter(pc.field("k") > "a"), ["Filter", '(k > "a")']),
        (lambda s, t: s.drop_nulls(["z"]), ["DropNulls", "no column 'z'", "['k', 'x']"]),
        (lambda s, t: s.select_tag_columns(["x"]), ["SelectTagColumns", "no tag column 'x'", "['k']"]),
        (lambda s, t: s.select_packet_columns(["k"]), ["SelectPacketColumns", "no packet column 'k'", "['x']"]),
        (lambda s, t: s.select_packet_columns(["x", "x"]), ["SelectPacketColumns", "twice"]),
        (lambda s, t: s.drop_tag_columns(["x"]), ["DropTagColumns", "no tag column 'x'"]),
        (lambda s, t: s.drop_packet_columns(["z"]), ["DropPacketColumns", "no packet column 'z'"]),
        (lambda s, t: s.map_tags({"z": "y"}), ["MapTags", "no tag column 'z'", "['k']"]),
        (lambda s, t: s.map_tags({"k": "x"}), ["MapTags", "'k'", "'x'", "there already"]),
        (lambda s, t: s.map_packets({"x": "k"}), ["MapPackets", "'x'", "'k'", "there already"]),
        (lambda s, t: s.map_packets({"x": "_y"}), ["MapPackets", "'_y'", "may not"]),
        (lambda s, t: s.map_packets({"x": ""}), ["MapPackets", "''", "may not"]),
    ],
)
def test_what_does_not_fit_is_refused_while_it_is_built(build, words):
    one = DictSource([{"k": 1, "x": 0.5}], ["k"], source_id="one")
    other = DictSource([{"k": 1, "x": 0.5}], ["k"], source_id="other")
    with pytest.raises(SchemaError) as caught:
        build(one, other)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_methods_of_streams_are_the_operators():
    stream = DictSource([{"k": 1, "t": 2, "x": 0.5, "y": "a"}], ["k", "t"])
    other = DictSource([{"k": 1, "z": 1}], ["k"])
    predicate = pc.field("x") > 0
    for fluent, applied in [
        (stream.join(other), Join()(stream, other)),
        (stream.filter(predicate, k=1), Filter(predicate, k=1)(stream)),
        (stream.drop_nulls(["x"]), DropNulls(["x"])(stream)),
        (stream.select_tag_columns(["k"]), SelectTagColumns(["k"])(stream)),
        (stream.select_packet_columns("x"), SelectPacketColumns(["x"])(stream)),
        (stream.drop_tag_columns(["k"]), DropTagColumns("k")(stream)),
        (stream.drop_packet_columns(["x"]), DropPacketColumns(["x"])(stream)),
        (stream.map_tags({"k": "j"}), MapTags({"k": "j"})(stream)),
        (stream.map_packets({"x": "z"}), MapPackets({"x": "z"})(stream)),
    ]:
        assert fluent.content_hash() == applied.content_hash()
        assert fluent.as_table(ALL_COLUMNS).equals(applied.as_table(ALL_COLUMNS))
    assert stream.drop_nulls().label == "drop_nulls"
    assert stream.drop_nulls(label="mine").label == "mine"


def test_columns_are_kept_dropped_and_renamed():
    stream = DictSource([{"k": 1, "t": 2, "x": 3, "y": 4}], ["k", "t"], source_id="s")
    assert stream.select_tag_columns(["t"]).as_table().to_pylist() == [{"t": 2, "x": 3, "y": 4}]
    assert stream.select_tag_columns(["t", "k"]).keys()[0] == ("t", "k")
    assert stream.drop_tag_columns(["t"]).as_table().to_pylist() == [{"k": 1, "x": 3, "y": 4}]
    assert stream.select_packet_columns(["y"]).as_table().to_pylist() == [{"k": 1, "t": 2, "y": 4}]
    assert stream.drop_packet_columns(["y"]).as_table().to_pylist() == [{"k": 1, "t": 2, "x": 3}]
    assert stream.map_tags({"k": "t", "t": "k"}).as_table().to_pylist() == [{"t": 1, "k": 2, "x": 3, "y": 4}]
    renamed = stream.map_packets({"x": "y", "y": "x"})
    assert renamed.as_table().to_pylist() == [{"k": 1, "t": 2, "y": 3, "x": 4}]
    ((_, packet),) = renamed.iter_packets()
    assert packet.source_info() == {"y": "s::row_0::x", "x": "s::row_0::y"}


def test_every_operator_is_a_verb_of_streams():
    """By its own name, ``GroupBy`` as ``group_by``."""
    every = [each for name in operators.__all__ if isinstance(each := getattr(operators, name), type)]
    made = [each for each in every if issubclass(each, Operator) and not inspect.isabstract(each)]
    assert len(made) > 10
    for each in made:
        assert callable(getattr(Stream, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", each.__name__).lower()))
