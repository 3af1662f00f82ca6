"""``Tag`` and ``Packet``: the two halves of a row, as views that nothing can change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.datagrams import Packet, Tag, row_of
from orcapod.datagrams.datagram import LazyPacket
from orcapod.hashing.canonical import canonical_bytes
from orcapod.sources import DictSource
from orcapod.testing.strategies import rows, schemas
from orcapod.types import Schema

ROWS = [{"k": 1, "x": [1, {"a": [2]}], "y": None}, {"k": 2, "x": [3, {"a": []}], "y": 0.5}]
SCHEMA = {"k": int, "x": tuple[int, dict[str, list[int]]], "y": float | None}


def source(source_id="s"):
    return DictSource([{**row, "x": tuple(row["x"])} for row in ROWS], ["k"], source_id=source_id, data_schema=SCHEMA)


def pairs(source_id="s"):
    return list(source(source_id).iter_packets())


def test_a_datagram_is_a_mapping_of_its_columns():
    tag, packet = pairs()[1]
    assert dict(tag) == {"k": 2}
    assert dict(packet) == packet.as_dict() == {"x": (3, {"a": []}), "y": 0.5}
    assert list(packet) == ["x", "y"]
    assert len(packet) == 2
    assert tag.schema == {"k": int}
    assert packet.schema == Schema(SCHEMA).drop(["k"])
    assert repr(packet) == "Packet(x=(3, {'a': []}), y=0.5)"
    with pytest.raises(KeyError):
        packet["k"]
    with pytest.raises(TypeError):
        packet["x"] = 1


def test_every_look_up_gives_a_fresh_value():
    _, packet = pairs()[0]
    before = packet.content_hash()
    packet["x"][1]["a"].append(99)
    packet.as_dict()["x"][1]["b"] = []
    next(iter(packet.values()))[1].clear()
    assert packet["x"] == (1, {"a": [2]})
    assert packet.content_hash() == before


def test_datagrams_are_equal_as_mappings():
    (tag, packet), (other_tag, other_packet) = pairs()
    assert packet == pairs("t")[0][1]
    assert packet == {"x": (1, {"a": [2]}), "y": None}
    assert packet != other_packet
    assert tag != other_tag
    assert tag != 1
    with pytest.raises(TypeError):
        hash(packet)


def test_a_packet_knows_who_made_each_value_and_a_tag_the_rows_it_comes_from():
    tag, packet = pairs()[1]
    assert packet.source_info() == {"x": "s::row_1::x", "y": "s::row_1::y"}
    system = tag.system_tags()
    assert [name.split("::")[0] for name in system] == ["_tag_source_id", "_tag_record_id"]
    assert list(system.values()) == ["s", "row_1"]


def test_a_packet_is_a_table_of_one_row():
    _, packet = pairs()[1]
    table = packet.as_table({"source": True, "system_tags": True})
    assert table.column_names == ["x", "y", "_source_x", "_source_y"]
    assert table.to_pylist()[0]["_source_y"] == "s::row_1::y"
    assert packet.as_table().num_rows == 1


@given(st.data())
def test_the_hash_of_a_packet_is_that_of_its_values_alone(data):
    schema = data.draw(schemas("x"))
    given_rows = data.draw(rows(schema, most=4))
    made = DictSource([{"k": i, **row} for i, row in enumerate(given_rows)], ["k"], data_schema={"k": int, **schema})
    for i, (tag, packet) in enumerate(made.iter_packets()):
        alone = DictSource([{"other": "t", **given_rows[i]}], ["other"], data_schema={"other": str, **schema})
        ((_, same),) = alone.iter_packets()
        assert packet.content_hash() == same.content_hash()
        assert canonical_bytes(dict(packet)) == canonical_bytes(given_rows[i])
        assert dict(tag) == {"k": i}


def test_a_lazy_packet_is_made_when_someone_looks():
    _, packet = pairs()[0]
    looked = []

    def make():
        looked.append(1)
        return packet.chunk

    lazy = LazyPacket(make)
    assert not looked
    assert lazy == packet
    assert lazy.content_hash() == packet.content_hash()
    assert looked


def test_a_tag_and_a_packet_make_a_row():
    (tag, packet), (other_tag, other_packet) = pairs()
    whole = row_of(other_tag, other_packet)
    assert whole.num_rows == 1
    assert Tag(whole, 0) == other_tag
    assert Packet(whole, 0).source_info() == other_packet.source_info()
    elsewhere = DictSource([{"id": "a", "z": b"1"}], ["id"], source_id="t")
    ((foreign_tag, foreign_packet),) = elsewhere.iter_packets()
    mixed = row_of(tag, foreign_packet)
    assert dict(Tag(mixed, 0)) == dict(tag)
    assert Tag(mixed, 0).system_tags() == tag.system_tags()
    assert Packet(mixed, 0).source_info() == {"z": "t::row_0::z"}
    assert Packet(mixed, 0).content_hash() == foreign_packet.content_hash()
    back = row_of(foreign_tag, packet)
    assert back.table({"source": True, "system_tags": True}).num_rows == 1
    assert Packet(back, 0) == packet
    crossed = row_of(tag, other_packet)
    assert (dict(Tag(crossed, 0)), Packet(crossed, 0).source_info()) == ({"k": 1}, other_packet.source_info())
