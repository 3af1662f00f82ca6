"""MergeJoin, Batch, GroupBy and Explode: what is nested, in which order, and what can be unnested again."""

import math

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.errors import ConfigError, InputValidationError, SchemaError
from orcapod.operators import Batch, GroupBy
from orcapod.sources import DictSource
from orcapod.testing.strategies import ALL_COLUMNS, schemas, sources

FEW = settings(deadline=None, max_examples=15)


@st.composite
def streams(draw):
    schema = draw(schemas("t", "x", "y", nested=3))
    return draw(
        sources({"k": float | None, "t": schema["t"]}, {"x": schema["x"], "y": schema["y"]}, source_id="s", most=6)
    )


def rows(*values, source_id="s", tags=("k",), **schema):
    names = list(schema)
    given = [dict(zip(names, value, strict=True)) for value in values]
    return DictSource(given, list(tags), source_id=source_id, data_schema=schema)


def everything(stream):
    """All a stream shows, with NaN equal to itself."""
    return repr(stream.as_table(ALL_COLUMNS).to_pylist())


@FEW
@given(stream=streams(), size=st.integers(0, 4), again=st.integers(0, 3))
def test_explode_after_batch_restores_the_rows(stream, size, again):
    """Values, ids and provenance, also of batches of batches; and the ids nested are the members' (promise 16)."""
    columns = [*stream.schema.tags, *stream.schema.packets]
    batched = stream.batch(size)
    assert everything(batched.explode(columns)) == everything(stream)
    assert everything(batched.batch(again).explode(columns)) == everything(batched)
    assert batched.explode(columns).schema == stream.schema
    members = [tag.system_tags() for tag, _ in stream.iter_packets()]
    for name in stream.schema.system_tags:
        nested = [each for tag, _ in batched.iter_packets() for each in tag.system_tags()[name]]
        assert nested == [each[name] for each in members]


@FEW
@given(stream=streams())
def test_explode_after_group_by_restores_the_rows(stream):
    """Group by group, in row order."""
    columns = ["t", "x", "y"]
    order = {}
    for i, (tag, _) in enumerate(stream.iter_packets()):
        key = "nan" if tag["k"] is not None and math.isnan(tag["k"]) else tag["k"]
        order.setdefault(key, []).append(i)
    expected = stream.as_table(ALL_COLUMNS).take(pa.array([i for group in order.values() for i in group], pa.int64()))
    found = stream.group_by("k").explode(columns).as_table(ALL_COLUMNS)
    plain = [name for name in expected.column_names if name != "k"]
    assert repr(found.select(plain).to_pylist()) == repr(expected.select(plain).to_pylist())


def test_batches_are_of_consecutive_rows():
    stream = rows((1, "a"), (2, "b"), (3, "c"), k=int, x=str)
    assert stream.batch(2).as_table().to_pydict() == {"k": [[1, 2], [3]], "x": [["a", "b"], ["c"]]}
    assert stream.batch(2, drop_partial=True).as_table().to_pydict() == {"k": [[1, 2]], "x": [["a", "b"]]}
    assert stream.batch(drop_partial=True).as_table().to_pydict() == {"k": [[1, 2, 3]], "x": [["a", "b", "c"]]}
    assert stream.batch(2).content_hash() != stream.batch(3).content_hash()
    for size in (-1, True, 1.0, "2"):
        with pytest.raises(ConfigError, match="expected an int from 0 on"):
            Batch(size)


def test_groups_are_in_order_of_first_appearance():
    """Null is a group, all NaNs are one, and 0.0 is -0.0."""
    nan = float("nan")
    stream = rows((0.0, 1), (None, 2), (nan, 3), (-0.0, 4), (None, 5), (-nan, 6), k=float | None, x=int)
    assert [packet["x"] for _, packet in stream.group_by("k").iter_packets()] == [[1, 4], [2, 5], [3, 6]]
    with pytest.raises(SchemaError, match=r"'x' is data.*make it a tag"):
        stream.group_by("x")
    with pytest.raises(SchemaError, match=r"no tag column 'z'; found \['k'\]"):
        stream.group_by(["z"])
    with pytest.raises(SchemaError, match=r"use Batch\(\)"):
        GroupBy()


def test_members_of_a_merge_stand_in_one_order():
    """Whoever is written first; of inputs of equal pipeline hash by their ids, then by value."""
    one, other = (rows((1, 10 + i, "xy"[i]), source_id=f"s{i}", k=int, a=int, b=str) for i in (0, 1))
    for made in (one.merge_join(other), other.merge_join(one)):
        assert made.as_table().to_pylist() == [{"k": 1, "a": [10, 11], "b": ["x", "y"]}]
        ((tag, packet),) = made.iter_packets()
        assert packet.source_info() == {"a": ["s0::row_0::a", "s1::row_0::a"], "b": ["s0::row_0::b", "s1::row_0::b"]}
        assert [value for name, value in tag.system_tags().items() if "source" in name] == ["s0", "s1"]


def test_members_that_have_the_same_ids_stand_in_the_order_of_their_values():
    """Two versions of a function give inputs of one pipeline hash, and rows of equal ids."""

    def version(step):
        def shifted(x: int) -> int:
            return -step * x

        return op.function_pod(output_keys="y")(shifted).pod(rows((1, 3), k=int, x=int))

    one, other = version(1), version(2)
    assert one.pipeline_hash() == other.pipeline_hash()
    assert one.content_hash() != other.content_hash()
    assert everything(one.merge_join(other)) == everything(other.merge_join(one))


def test_a_merge_of_groups_is_exploded_into_groups():
    """What was merged is not what was nested: the ids stay together as long as the values do."""
    one = rows((1, 1), (1, 2), (1, 3), source_id="one", k=int, x=int).group_by("k")
    other = rows((1, 8), (1, 9), source_id="other", k=int, x=int).map_packets({"x": "x"}).group_by("k")
    apart = one.merge_join(other).explode("x")
    assert sorted(packet["x"] for _, packet in apart.iter_packets()) == [[1, 2, 3], [8, 9]]
    for tag, packet in apart.iter_packets():
        assert [len(ids) for ids in tag.system_tags().values()] in ([3, 3, 2, 2], [2, 2, 3, 3])
        assert len(packet.source_info()["x"]) == len(packet["x"])
    joined = one.join(other.drop_packet_columns("x"))
    ids = [list(map(type, tag.system_tags().values())) for tag, _ in joined.explode("x").iter_packets()]
    assert ids in ([[str, str, list, list]] * 3, [[list, list, str, str]] * 3)


def test_collections_of_streams_alike_are_not_one():
    """The ids that are taken apart are those of the rows whose values are."""
    one = rows((1, 1), (1, 2), (1, 3), source_id="one", k=int, x=int).group_by("k")
    other = rows((1, 8), (1, 9), source_id="other", k=int, x=int).group_by("k")
    apart = one.join(other.drop_packet_columns("x")).explode("x")
    assert [packet.source_info()["x"] for _, packet in apart.iter_packets()] == [f"one::row_{i}::x" for i in range(3)]
    for i, (tag, _) in enumerate(apart.iter_packets()):
        ids = list(tag.system_tags().values())
        assert sorted(ids, key=str) == [["other", "other"], ["row_0", "row_1"], "one", f"row_{i}"]


def test_members_are_counted_from_0():
    stream = rows((1, ["a", "b"]), (2, []), (3, ["c"]), k=int, x=list[str])
    assert stream.explode("x", index_tag="i").as_table().to_pylist() == [
        {"k": 1, "i": 0, "x": "a"},
        {"k": 1, "i": 1, "x": "b"},
        {"k": 3, "i": 0, "x": "c"},
    ]


def test_lists_of_one_row_have_one_length():
    stream = rows((1, [1], [2]), (2, None, []), (3, [1, 2], [3]), k=int, x=list[int] | None, y=list[int])
    assert stream.filter(k=1).explode(["x", "y"]).as_table().to_pylist() == [{"k": 1, "x": 1, "y": 2}]
    assert stream.filter(k=2).explode(["x", "y"]).as_table().num_rows == 0
    with pytest.raises(InputValidationError, match=r"\{'k': 3\}.*'x' has 2 members and 'y' has 1"):
        stream.explode(["x", "y"]).as_table()


def test_explode_says_what_does_not_fit():
    stream = rows((1, [1], 2), k=int, x=list[int], y=int)
    with pytest.raises(SchemaError, match=r"no column 'z'; found \['k', 'x', 'y'\]"):
        stream.explode("z")
    with pytest.raises(SchemaError, match="column 'y' is int, expected a list"):
        stream.explode("y")
    for name in ("k", "x", "_i", "", 3):
        with pytest.raises(SchemaError, match="index_tag"):
            stream.explode("x", index_tag=name)
    assert stream.explode("x", index_tag="i").output_schema()[0] == {"k": int, "i": int}


def test_concat_says_what_does_not_fit():
    stream = rows((1, 1), k=int, x=int)
    with pytest.raises(SchemaError, match="packet column 'x' is int in one stream and str in another"):
        stream.concat(rows((1, "a"), k=int, x=str))
    with pytest.raises(SchemaError, match=r"packet columns differ.*\['x'\].*\['y'\]"):
        stream.concat(rows((1, 1), k=int, y=int))


def test_concat_keeps_the_ids_that_a_row_has():
    """Those of other streams are null."""
    one, other = rows((1, 1), source_id="one", k=int, x=int), rows((1, 2), source_id="other", k=int, z=int)
    joint = other.map_packets({"z": "x"}).join(rows((1,), source_id="keys", k=int))
    both = one.concat(joint)
    assert [sorted(map(str, tag.system_tags().values())) for tag, _ in both.iter_packets()] == [
        ["None", "None", "None", "None", "one", "row_0"],
        ["None", "None", "keys", "other", "row_0", "row_0"],
    ]
    assert [packet.source_info()["x"] for _, packet in both.iter_packets()] == ["one::row_0::x", "other::row_0::z"]
    assert both.join(both.map_packets({"x": "w"})).as_table(ALL_COLUMNS).num_rows == 4


def test_semi_join_needs_a_shared_tag():
    stream = rows((1, 1), k=int, x=int)
    with pytest.raises(SchemaError, match=r"share no tag; found \['k'\] and \['j'\]"):
        stream.semi_join(stream.map_tags({"k": "j"}))
    with pytest.raises(SchemaError, match="'k' is int in one stream and str in another"):
        stream.semi_join(rows(("a", 1), k=str, x=int))
