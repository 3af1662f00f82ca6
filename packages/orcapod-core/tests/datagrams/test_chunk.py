"""``Chunk``: rows by role, and provenance that stays with its value whatever is done to the rows."""

from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.datagrams import Chunk, ColumnConfig, Completeness, Origin, StreamSchema, regroup, with_packets
from orcapod.errors import SchemaError
from orcapod.sources import DictSource
from orcapod.testing.strategies import chunkings, split
from orcapod.types import STR, ListType, Schema

SYSTEM = {"_tag_source_id::0": "s", "_tag_record_id::0": "r"}


def schema_of(*packets):
    return StreamSchema.from_record(
        Schema({"k": int}), Schema(dict.fromkeys(packets, str)), Schema(dict.fromkeys(SYSTEM, str))
    )


def texts(values):
    return pa.array(values, pa.large_string())


def chunk_of(length, *, start=0, names=("a", "b"), producer="p"):
    """Rows in which every value is the text that its source info must be."""
    numbers = range(start, start + length)
    columns = {"k": pa.array(numbers, pa.int64())}
    columns |= {name: texts([f"{producer}::row_{i}::{name}" for i in numbers]) for name in names}
    columns |= {name: texts([f"{text}{i}" for i in numbers]) for name, text in SYSTEM.items()}
    records = texts([f"{producer}::row_{i}" for i in numbers])
    return Chunk.from_record(schema_of(*names), columns, records, names)


def assert_provenance_follows(chunk):
    for name in chunk.schema.packets:
        assert chunk.source_info(name).to_pylist() == chunk.column(name).to_pylist()
    table = chunk.table({"source": True, "system_tags": True})
    for name in chunk.schema.packets:
        assert table[f"_source_{name}"].to_pylist() == table[name].to_pylist()


@pytest.mark.parametrize(
    "changed",
    [
        lambda chunk: chunk.take([3, 0, 3]),
        lambda chunk: chunk.slice(2, 2),
        lambda chunk: chunk.slice(2, 2).take([1]),
        lambda chunk: chunk.slice(1, 0),
        lambda chunk: chunk.renamed(
            {"a": "b", "b": "a", "k": "key"}, replace(schema_of("b", "a"), tags=Schema({"key": int}))
        ),
        lambda chunk: chunk.selected(schema_of("b")),
        lambda chunk: chunk.selected(schema_of()),
        lambda chunk: chunk.with_full_provenance(),
        lambda chunk: chunk.with_full_provenance().slice(1, 2).with_full_provenance(),
        lambda chunk: Chunk.concat([chunk, chunk.slice(1, 2)]),
    ],
)
def test_provenance_follows_its_value(changed):
    made = changed(chunk_of(4))
    assert_provenance_follows(made)


def test_a_renamed_value_keeps_who_made_it():
    renamed = chunk_of(2).renamed({"a": "x"}, schema_of("x", "b"))
    assert renamed.column("x").to_pylist() == renamed.source_info("x").to_pylist()
    assert renamed.source_info("x")[1].as_py() == "p::row_1::a"


def test_selecting_leaves_out_columns_and_the_slots_that_nothing_needs():
    schema = schema_of()
    assert chunk_of(2).selected(schema).batch.schema.names == ["k", *SYSTEM]
    two_producers = Chunk.concat([chunk_of(1), chunk_of(1, producer="other").renamed({}, schema_of("a", "b"))])
    assert len(two_producers.selected(schema_of("a")).provenance_columns()) == 1


def test_chunks_of_differing_origins_get_full_provenance_and_lose_none():
    one, other = chunk_of(2), chunk_of(3, start=7, names=("b", "a"), producer="other")
    turned = Chunk(other.batch, one.schema, dict(reversed(other.origins.items())))
    renamed_provenance = other.renamed({"__provenance:0": "__provenance:other"}, other.schema)
    swapped = chunk_of(2, producer="third").renamed({"a": "b", "b": "a"}, one.schema)
    for parts in ([one, turned], [turned, one], [one, renamed_provenance], [one, swapped, turned]):
        together = Chunk.concat(parts)
        assert together.num_rows == sum(part.num_rows for part in parts)
        assert together.column("k").to_pylist() == [k for part in parts for k in part.column("k").to_pylist()]
        assert_provenance_follows(together)


def test_chunks_of_equal_origins_are_put_together_without_spelling_out():
    together = Chunk.concat([chunk_of(2), chunk_of(2, start=2)])
    assert together.provenance_columns() == chunk_of(1).provenance_columns()


def test_nested_records_give_nested_source_infos():
    records = pa.array([["m::row_0", "m::row_1"], [], ["m::row_2"]], pa.large_list(pa.large_string()))
    nested = Chunk(
        pa.RecordBatch.from_pydict({"k": pa.array([0, 1, 2]), "a": texts(["x", "y", "z"]), "__provenance:0": records}),
        replace(schema_of("a"), system_tags=Schema(), sources=Schema({"a": ListType(STR)})),
        {"a": Origin("__provenance:0", "a")},
    )
    expected = [["m::row_0::a", "m::row_1::a"], [], ["m::row_2::a"]]
    assert nested.source_info("a").to_pylist() == expected
    assert nested.slice(1, 2).source_info("a").to_pylist() == expected[1:]
    assert nested.with_full_provenance().slice(1, 2).source_info("a").to_pylist() == expected[1:]
    nested.slice(2, 1).table({"source": True}).validate(full=True)


@pytest.mark.parametrize("columns", [None, {}, {"system_tags": True}, {"source": True}, ColumnConfig(source=True)])
def test_a_table_has_the_columns_asked_for_and_their_schema(columns):
    chunk = chunk_of(3)
    tags, packets = chunk.schema.shown(columns)
    assert chunk.table(columns).schema == (tags | packets).arrow
    config = ColumnConfig.of(columns)
    assert ("_source_a" in packets) == config.source
    assert ("_tag_record_id::0" in tags) == config.system_tags


def test_an_unknown_kind_of_column_is_an_error():
    with pytest.raises(SchemaError, match=r"\['sources'\].*\['system_tags', 'source'\]"):
        ColumnConfig.of({"sources": True})


def test_packet_hashes_are_those_of_the_packet_columns_alone():
    chunk = chunk_of(3)
    other = chunk.with_batch(chunk.batch.set_column(0, "k", pa.array([9, 9, 9], pa.int64())))
    assert chunk.packet_hashes == other.packet_hashes
    assert len(set(chunk.packet_hashes)) == 3


@given(st.data())
def test_regrouped_chunks_have_the_same_rows_within_bounds(data):
    length = data.draw(st.integers(0, 12))
    parts = split(chunk_of(length), data.draw(chunkings(length))) if length else []
    most, size = data.draw(st.integers(1, 6)), data.draw(st.sampled_from([1, 200, 500, 10**9]))
    made = list(regroup(parts, rows=most, size=size))
    assert [k for chunk in made for k in chunk.column("k").to_pylist()] == list(range(length))
    assert all(1 <= chunk.num_rows <= most for chunk in made)
    assert all(chunk.num_rows == 1 or chunk.batch.nbytes <= size + 200 for chunk in made)  # about
    for one, other in pairwise(made):  # no smaller than it must be
        fits = one.num_rows + other.num_rows <= most and one.batch.nbytes + other.batch.nbytes <= size
        assert not fits or size < 10**9
    for chunk in made:
        assert_provenance_follows(chunk)


def test_regrouping_bounds_bytes_where_rows_grow_smaller():
    """A chunk of few large rows, then ever more smaller ones: each alone fits, together they would not."""

    def wide(rows, size):
        return chunk_of(rows).with_batch(chunk_of(rows).batch.set_column(1, "a", texts(["x" * size] * rows)))

    parts = [wide(rows, 100_000 // rows) for rows in (1, 2, 4, 8, 16, 32)]
    made = list(regroup(parts, rows=10_000, size=110_000))
    assert sum(chunk.num_rows for chunk in made) == 63
    assert max(chunk.batch.nbytes for chunk in made) < 150_000


# Rows without a packet


def levelled(*levels):
    """Rows of a tag, a list and a text, so complete."""
    rows = [{"k": i, "l": [i], "t": str(i)} for i in range(len(levels))]
    (chunk,) = DictSource(rows, ["k"], source_id="s").chunks()
    return chunk.completed(pa.array(levels, pa.int8()))


def test_a_missing_row_has_its_tags_and_ids_and_nothing_else():
    chunk = levelled(Completeness.WHOLE, Completeness.MISSING, Completeness.PARTIAL, Completeness.UNCERTAIN)
    assert chunk.column("k").to_pylist() == [0, 1, 2, 3]
    assert chunk.column("l").to_pylist() == [[0], None, [2], None]
    assert chunk.source_info("t").to_pylist() == ["s::row_0::t", None, "s::row_2::t", None]
    assert all(chunk.column(name).null_count == 0 for name in chunk.schema.system_tags)
    assert (chunk.num_packets, chunk.packet_rows()) == (2, [0, 2])
    assert chunk.with_packets().table().to_pylist() == [{"k": 0, "l": [0], "t": "0"}, {"k": 2, "l": [2], "t": "2"}]
    assert [each.num_rows for each in with_packets([chunk, chunk.slice(1, 1), chunk.slice(2, 1)])] == [2, 1]


def test_rows_that_are_all_whole_have_no_mark():
    chunk = levelled(Completeness.WHOLE, Completeness.WHOLE)
    assert chunk.completeness is None
    assert (chunk.missing, chunk.packet_rows(), chunk.num_packets) == (None, None, 2)
    assert chunk.with_packets() is chunk
    assert levelled(Completeness.PARTIAL).missing is None
    assert levelled(Completeness.PARTIAL).completed(None).completeness is None


def test_marks_go_with_their_rows():
    whole, marked = levelled(Completeness.WHOLE), levelled(Completeness.MISSING, Completeness.PARTIAL)
    joined = Chunk.concat([whole, marked, whole])
    assert joined.completeness.to_pylist() == [0, 2, 1, 0]
    assert joined.take([2, 0]).completeness.to_pylist() == [1, 0]
    assert joined.selected(joined.schema).completeness.to_pylist() == [0, 2, 1, 0]
    assert joined.with_full_provenance().completeness.to_pylist() == [0, 2, 1, 0]


def test_rows_without_packets_keep_what_another_schema_has_of_them():
    chunk = levelled(Completeness.WHOLE, Completeness.UNCERTAIN)
    schema = DictSource([{"k": 1, "n": 2, "x": 3}], ["k", "n"], source_id="other").schema
    bare = chunk.without_packets(schema, Completeness.MISSING)
    assert bare.completeness.to_pylist() == [2, 3]
    assert bare.column("k").to_pylist() == [0, 1]
    assert bare.column("n").null_count == bare.column("x").null_count == 2
    assert bare.unknown(["k"]) is None
    assert bare.unknown(["k", "n"]).to_pylist() == [True, True]
    assert chunk.unknown(["k"]) is None
