"""``Join`` beside a join in plain Python, and the order of inputs that means nothing."""

import math
from datetime import UTC, date, datetime
from itertools import permutations, product
from typing import TypedDict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orcapod.datagrams import SEPARATOR
from orcapod.errors import SchemaError
from orcapod.hashing.canonical import canonical_bytes
from orcapod.operators import Join
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing.strategies import ALL_COLUMNS, bag, scattered
from orcapod.types import AwareDatetime, Schema

pytestmark = pytest.mark.filterwarnings("ignore:.*share no tag")  # whatever tags are drawn, rows are compared


class Record(TypedDict):
    a: int | None
    b: str


KEYS = {
    int: [0, 1, -(2**63)],
    float: [0.0, -0.0, 1.5, math.nan, -math.nan, math.inf],
    str: ["", "a", "é", "a\0"],
    bytes: [b"", b"\0"],
    bool: [True, False],
    date: [date(2024, 1, 1), date.min],
    datetime: [datetime(2024, 1, 1), datetime.max],  # noqa: DTZ001, DTZ901  # a wall clock's
    AwareDatetime: [datetime(2024, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)],
    list[int | None]: [[], [None], [1], [1, None]],
    tuple[int, str]: [(0, ""), (0, "a")],
    dict[str, int]: [{}, {"a": 1}, {"b": 1}],
    Record: [{"a": None, "b": ""}, {"a": 0, "b": ""}],
}


@st.composite
def inputs(draw, count):
    """Sources over some of the tags a, b and c, with a packet column each whose values name their row."""
    types = {name: draw(st.sampled_from(list(KEYS))) for name in "abc"}
    made = []
    for number in range(count):
        tags = sorted(draw(st.sets(st.sampled_from("abc"), max_size=2 if count > 2 else 3)))
        # A column that is never null may be declared either way: that changes no row.
        optional = {name: draw(st.booleans()) for name in tags}
        drawn = draw(
            st.lists(
                st.tuples(
                    *(st.sampled_from([*KEYS[types[name]], *([None] if optional[name] else [])]) for name in tags)
                ),
                max_size=4,
            )
        )
        rows = [
            {**dict(zip(tags, keys, strict=True)), f"x{number}": f"s{number}::row_{i}::x{number}"}
            for i, keys in enumerate(drawn)
        ]
        schema = {name: types[name] | None if optional[name] else types[name] for name in tags}
        made.append(DictSource(rows, tags, source_id=f"s{number}", data_schema={**schema, f"x{number}": str}))
    return made


def same_key(one, other):
    if one is None or other is None:
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    return canonical_bytes(one) == canonical_bytes(other)


def joined(streams):
    """Every combination of rows that agree in each tag that two of them have."""
    found = []
    for combination in product(*(list(stream.iter_packets()) for stream in streams)):
        row, agree = {}, True
        for tag, packet in combination:
            for name, value in tag.items():
                agree = agree and (name not in row or same_key(row[name], value))
                shared = sum(name in stream.schema.tags for stream in streams) > 1
                row[name] = value + 0.0 if shared and isinstance(value, float) else value
            row |= packet
        if agree:
            found.append(row)
    return found


def everything(stream):
    tags, packets = stream.output_schema(ALL_COLUMNS)
    return bag(tags | packets, stream.as_table(ALL_COLUMNS))


def plain(stream):
    tags, packets = stream.output_schema()
    return bag(tags | packets, stream.as_table())


def identity(stream):
    return stream.content_hash(), stream.pipeline_hash(), stream.output_schema(ALL_COLUMNS)


@given(st.integers(1, 4).flatmap(inputs))
@settings(max_examples=120)
def test_a_join_is_every_combination_that_agrees_in_the_shared_tags(streams):
    stream = streams[0].join(*streams[1:])
    assert plain(stream) == sorted(map(canonical_bytes, joined(streams)))
    for _, packet in stream.iter_packets():
        assert packet.source_info() == dict(packet)


@given(st.data())
@settings(max_examples=40)
def test_the_order_of_inputs_means_nothing(data):
    """Promise 2."""
    streams = data.draw(inputs(3))
    expected = streams[0].join(*streams[1:])
    for order in permutations(streams):
        stream = order[0].join(*order[1:])
        assert identity(stream) == identity(expected)
        assert everything(stream) == everything(expected)


@given(st.data())
@settings(max_examples=40)
def test_joining_at_once_or_in_pairs_gives_the_same_rows(data):
    one, two, three = data.draw(inputs(3))
    at_once = one.join(two, three)
    for pairs in (one.join(two).join(three), one.join(two.join(three)), three.join(one).join(two)):
        assert plain(pairs) == plain(at_once)
        assert sorted(map(canonical_bytes, (p.source_info() for _, p in pairs.iter_packets()))) == sorted(
            map(canonical_bytes, (p.source_info() for _, p in at_once.iter_packets()))
        )


@given(st.data())
@settings(max_examples=40)
def test_inputs_may_come_in_any_chunks_and_any_order(data):
    stream = Join()(*data.draw(st.integers(1, 3).flatmap(inputs)))
    tags, packets = stream.output_schema(ALL_COLUMNS)
    tables = [chunk.table(ALL_COLUMNS) for chunk in data.draw(scattered(stream))]
    table = pa.concat_tables([(tags | packets).arrow.empty_table(), *tables])
    assert bag(tags | packets, table) == everything(stream)


def of(rows, tags=("k",), source_id="s", **types):
    return DictSource(rows, list(tags), source_id=source_id, data_schema=types or None)


def test_a_null_tag_matches_nothing_not_even_a_null():
    """Promise 8."""
    left = of([{"k": None, "x": 1}, {"k": 1, "x": 2}], source_id="l")
    right = of([{"k": None, "y": 1}, {"k": 1, "y": 2}], source_id="r")
    joint = left.join(right)
    assert joint.as_table().to_pylist() == [{"k": 1, "x": 2, "y": 2}]
    assert joint.output_schema()[0] == {"k": int}


def test_a_null_in_a_tag_that_is_not_shared_stays():
    left = of([{"k": 1, "t": None, "x": 1}], ("k", "t"), t=str | None, source_id="l")
    right = of([{"k": 1, "y": 1}], source_id="r")
    assert left.join(right).as_table().to_pylist() == [{"k": 1, "t": None, "x": 1, "y": 1}]
    assert left.join(right).output_schema()[0] == {"k": int, "t": str | None}


def test_zeros_are_one_key_and_nans_are_one_key():
    nan = float("nan")
    left = of([{"k": 0.0, "x": 1}, {"k": nan, "x": 2}], source_id="l")
    right = of([{"k": -0.0, "y": 1}, {"k": -nan, "y": 2}], source_id="r")
    assert [(row["x"], row["y"]) for row in left.join(right).as_table().to_pylist()] == [(1, 1), (2, 2)]
    assert repr(left.join(right).as_table()["k"].to_pylist()) == "[0.0, nan]"
    assert everything(left.join(right)) == everything(right.join(left))
    assert left.semi_join(right).as_table()["x"].to_pylist() == [1, 2]


def test_duplicate_keys_give_every_pair():
    left = of([{"k": 1, "x": i} for i in range(3)], source_id="l")
    right = of([{"k": 1, "y": i} for i in range(4)], source_id="r")
    rows = left.join(right).as_table().to_pylist()
    assert sorted((row["x"], row["y"]) for row in rows) == list(product(range(3), range(4)))


def test_without_a_shared_tag_every_combination_is_given():
    left = of([{"k": i, "x": i} for i in range(3)], source_id="l")
    right = of([{"j": i, "y": i} for i in range(4)], ("j",), source_id="r")
    assert left.join(right).as_table().num_rows == 12
    assert left.join(right).keys()[0] == ("k", "j")


def test_a_stream_joins_with_itself_after_renaming():
    stream = of([{"k": 1, "x": 1}, {"k": 1, "x": 2}, {"k": 2, "x": 3}])
    joint = stream.join(stream.map_packets({"x": "y"}))
    assert sorted((row["x"], row["y"]) for row in joint.as_table().to_pylist()) == [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 3),
    ]
    for _, packet in joint.iter_packets():
        assert packet.source_info() == {name: f"s::row_{value - 1}::x" for name, value in packet.items()}


def test_a_tag_that_holds_a_null_inside_one_input_only_still_joins():
    """Whether a list holds a null is known from the data; no data may make a join impossible."""
    left = of([{"k": [1, None], "x": 1}, {"k": [1], "x": 2}], source_id="l")
    right = of([{"k": [1], "y": 1}], source_id="r")
    for joint in (left.join(right), right.join(left)):
        assert [(row["k"], row["x"], row["y"]) for row in joint.as_table().to_pylist()] == [([1], 2, 1)]
        assert joint.output_schema()[0] == {"k": list[int]}


def test_names_of_system_tags_say_which_input_they_are_of():
    left, right = of([{"k": 1, "x": 1}], source_id="l"), of([{"k": 1, "y": 1}], source_id="r")
    names = [name for name in left.join(right).output_schema(ALL_COLUMNS)[0] if name.startswith("_tag")]
    order = sorted((left, right), key=lambda stream: stream.pipeline_hash().hex)
    expected = [
        f"{name}{SEPARATOR}{stream.pipeline_hash().short}:{place}"
        for place, stream in enumerate(order)
        for name in stream.schema.system_tags
    ]
    assert names == expected


class TestInputsOfTheSameTags:
    """Streams that differ in data columns have one pipeline hash: the names of their sources tell them apart."""

    def test_ids_stay_in_the_columns_of_their_source_whatever_their_values(self):
        left = of([{"k": 1, "x": 1}, {"k": 2, "x": 2}], source_id="z")
        right = of([{"k": 2, "y": 2}, {"k": 1, "y": 1}], source_id="a")
        assert left.pipeline_hash() == right.pipeline_hash()
        for joint in (left.join(right), right.join(left)):
            assert [list(tag.system_tags().values()) for tag, _ in joint.iter_packets()] in (
                [["a", "row_1", "z", "row_0"], ["a", "row_0", "z", "row_1"]],
                [["a", "row_0", "z", "row_1"], ["a", "row_1", "z", "row_0"]],
            )

    def test_what_was_nested_in_each_is_unnested_with_its_own_ids(self):
        left = of([{"k": 1, "x": i} for i in range(2)], source_id="s")
        right = of([{"k": 1, "y": i} for i in range(3)], source_id="r")
        joint = left.group_by("k").join(right.group_by("k"))
        for column, source in (("x", "s"), ("y", "r")):
            for tag, packet in joint.explode(column).iter_packets():
                ids = list(tag.system_tags().values())
                own = [(one, other) for one, other in zip(ids[::2], ids[1::2], strict=True) if one == source]
                assert own == [(source, f"row_{packet[column]}")]

    def test_two_views_of_one_source_are_told_apart_by_their_columns(self):
        rows = [{"k": k, "x": k, "y": -k} for k in range(3)]
        left = of([{"k": row["k"], "x": row["x"]} for row in rows], source_id="s")
        right = of([{"k": row["k"], "y": row["y"]} for row in rows], source_id="s")
        one, other = left.join(right), right.join(left)
        assert everything(one) == everything(other)
        assert one.merge_join(other).as_table()["x"].to_pylist() == [[k, k] for k in range(3)]


class TestInputsOfEqualPipelineHash:
    """Streams without packet columns may be alike in everything but their rows: their ids are ordered by value."""

    @staticmethod
    def keys(source_id, keys):
        return of([{"k": key} for key in keys], source_id=source_id, k=int)

    @given(st.lists(st.lists(st.integers(0, 2), max_size=4), min_size=2, max_size=4), st.randoms())
    def test_any_order_of_them_gives_the_same_rows_and_hashes(self, lists, random):
        streams = [self.keys(f"s{i}", keys) for i, keys in enumerate(lists)]
        expected = streams[0].join(*streams[1:])
        random.shuffle(streams)
        turned = streams[0].join(*streams[1:])
        assert len({stream.pipeline_hash() for stream in streams}) == 1
        assert identity(turned) == identity(expected)
        assert everything(turned) == everything(expected)
        for tag, _ in turned.iter_packets():
            values = list(tag.system_tags().values())
            ids = list(zip(values[::2], values[1::2], strict=True))
            assert ids == sorted(ids)
            assert {source for source, _ in ids} == {stream.source_id for stream in streams}

    def test_each_id_stays_with_its_source(self):
        one, other = self.keys("b", [1, 2]), self.keys("a", [2, 1])
        found = {tag["k"]: list(tag.system_tags().values()) for tag, _ in one.join(other).iter_packets()}
        assert found == {1: ["a", "row_1", "b", "row_0"], 2: ["a", "row_0", "b", "row_1"]}

    def test_a_stream_of_keys_joins_with_itself(self):
        stream = self.keys("s", [1, 1])
        found = [tuple(tag.system_tags().values()) for tag, _ in stream.join(stream).iter_packets()]
        rows = [("row_0", "row_0"), ("row_0", "row_1"), ("row_0", "row_1"), ("row_1", "row_1")]
        assert sorted(found) == [("s", one, "s", other) for one, other in rows]


def test_a_tag_of_two_types_is_refused_with_both():
    left, right = of([{"k": 1}], source_id="l"), of([{"k": 1.0}], source_id="r")
    with pytest.raises(SchemaError, match=r"'k' is int in one stream and float in another"):
        left.join(right)


def test_large_inputs_in_several_chunks_join_in_the_order_of_the_rows():
    count = 70_000
    left = ArrowTableSource(pa.table({"k": range(count), "x": range(count)}), ["k"], source_id="l")
    right = ArrowTableSource(pa.table({"k": range(count - 1, -1, -1), "y": range(count)}), ["k"], source_id="r")
    table = left.join(right).as_table(ALL_COLUMNS)
    assert table.num_rows == count
    assert all(
        x == k and y == count - 1 - k for k, x, y in zip(*(table[name].to_pylist() for name in "kxy"), strict=True)
    )
    assert left.join(right).as_table(ALL_COLUMNS).equals(table)
    assert Schema({"k": int}) == left.join(right).output_schema()[0]


def test_rows_that_nothing_can_match_any_more_are_let_go():
    """What the other side can still match is kept; once it has ended, rows go through and nothing of them stays."""
    count = 100_000
    left, right = of([{"k": 0, "x": 1}], source_id="l"), of([{"k": 0, "y": 1}], source_id="r")
    operator = left.join(right).producer.push_operator((left, right))

    def kept(index, stream):
        (row,) = stream.chunks()
        before = pa.total_allocated_bytes()
        rows = row.take(pa.array([0] * count, pa.int64()))
        made = sum(chunk.num_rows for chunk in operator.push(index, rows))
        del rows
        return made, pa.total_allocated_bytes() - before

    made, size = kept(1, right)
    assert (made, size > 8 * count) == (0, True)
    assert list(operator.close(0)) == []
    made, size = kept(1, right)
    assert (made, size < count) == (0, True)
