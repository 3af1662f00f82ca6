"""``Stream``: what every stream promises, shown on sources and on what operators make of them."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import SchemaError
from orcapod.operators import Filter
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing.strategies import ALL_COLUMNS, rows, schemas, sources, tables
from orcapod.types import Schema

COLUMNS = [None, {"system_tags": True}, {"source": True}, ALL_COLUMNS]


def numbers(count=3, source_id="numbers"):
    return DictSource(
        [{"k": i, "x": i * 0.5} for i in range(count)], ["k"], source_id=source_id, data_schema={"k": int, "x": float}
    )


def streams():
    names = DictSource([{"k": 1, "name": "a"}, {"k": 1, "name": None}, {"k": 2, "name": "b"}], ["k"], source_id="names")
    return [
        numbers(),
        numbers(0),
        names,
        numbers().join(names),
        numbers().filter(k=1).map_packets({"x": "y"}),
        names.drop_nulls().drop_packet_columns(["name"]),
        numbers().drop_tag_columns(["k"]),
    ]


@pytest.mark.parametrize("stream", streams(), ids=repr)
@pytest.mark.parametrize("columns", COLUMNS, ids=str)
def test_table_schema_keys_and_packets_agree(stream, columns):
    table = stream.as_table(columns)
    tags, packets = stream.output_schema(columns)
    assert table.schema == (tags | packets).arrow
    assert stream.keys(columns) == (tuple(tags), tuple(packets))
    table.validate(full=True)
    pairs = list(stream.iter_packets())
    assert len(pairs) == table.num_rows
    for row, (tag, packet) in zip(table.to_pylist(), pairs, strict=True):
        shown = {**tag, **packet}
        if columns and columns.get("system_tags"):
            shown |= tag.system_tags()
        if columns and columns.get("source"):
            shown |= {f"_source_{name}": info for name, info in packet.source_info().items()}
        assert row == shown


@pytest.mark.parametrize("stream", streams(), ids=repr)
def test_a_partly_consumed_stream_iterated_again_gives_all_rows_in_the_same_order(stream):
    """Promise 9."""
    expected = stream.as_table(ALL_COLUMNS)
    begun = stream.iter_packets()
    next(begun, None)
    chunks = stream.chunks()
    next(chunks, None)
    assert stream.as_table(ALL_COLUMNS).equals(expected)
    assert len(list(stream.iter_packets())) == expected.num_rows
    assert sum(1 for _ in begun) == max(0, expected.num_rows - 1)  # and the first reader is not disturbed


@pytest.mark.parametrize("stream", streams(), ids=repr)
def test_any_library_that_reads_arrow_reads_a_stream(stream):
    assert pa.table(stream).equals(stream.as_table())
    assert pa.table(stream).schema == stream.as_table().schema
    assert pa.schema(stream) == stream.as_table().schema
    assert pa.RecordBatchReader.from_stream(stream).read_all().equals(stream.as_table())


def test_a_reader_may_request_another_schema():
    wanted = pa.schema([("k", pa.int32()), ("x", pa.float32())])
    assert pa.RecordBatchReader.from_stream(numbers(), schema=wanted).read_all().schema == wanted


def test_a_stream_shows_what_it_is():
    assert repr(numbers()) == "<DictSource 'numbers' (k: int) -> (x: float)>"
    assert repr(numbers().filter(k=1)) == "<OperatorStream 'filter' (k: int) -> (x: float)>"


def test_an_unknown_kind_of_column_is_an_error_for_every_method():
    for method in (numbers().as_table, numbers().keys, numbers().output_schema):
        with pytest.raises(SchemaError, match="source_info"):
            method({"source_info": True})


class TestIdentity:
    """Promise 1: same data, schema and source, same content hash; same schema, same pipeline hash."""

    @given(st.data())
    def test_no_chunking_no_order_of_columns_and_no_kind_of_source_enters(self, data):
        schema = data.draw(schemas("k", "x"))
        given_rows = data.draw(rows(schema))
        plain = DictSource(given_rows, ["k"], source_id="s", data_schema=schema, label="one")
        table = data.draw(tables(schema, given_rows)).select(["x", "k"])
        stored = ArrowTableSource(table, ["k"], source_id="s", data_schema=schema, label="other")
        assert stored.content_hash() == plain.content_hash()
        assert stored.pipeline_hash() == plain.pipeline_hash()
        assert stored.as_table(ALL_COLUMNS).select(plain.as_table(ALL_COLUMNS).column_names).num_rows == len(given_rows)
        unnamed = [
            DictSource(given_rows, ["k"], data_schema=schema),
            ArrowTableSource(table, ["k"], data_schema=schema),
        ]
        assert unnamed[0].source_id == unnamed[1].source_id
        assert unnamed[0].content_hash() == unnamed[1].content_hash()

    @pytest.mark.parametrize(
        "changed",
        [
            lambda: DictSource([{"k": 0, "x": 0.0}, {"k": 1, "x": 0.25}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 0, "x": -0.0}, {"k": 1, "x": 0.5}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 0, "x": 0.0}, {"k": 2, "x": 0.5}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 1, "x": 0.5}, {"k": 0, "x": 0.0}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 0, "x": 0.0}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 0, "x": 0.0}, {"k": 1, "x": 0.5}], ["k"], source_id="t"),
            lambda: DictSource([{"k": 0, "x": 0.0}, {"k": 1, "x": 0.5}], ["k"], source_id="s", record_id_column="k"),
            lambda: DictSource([{"k": 0, "x": 0.0}, {"k": 1, "x": 0.5}, {"k": None, "x": 0.0}], ["k"], source_id="s"),
        ],
    )
    def test_one_change_of_data_or_source_is_another_content_and_the_same_pipeline(self, changed):
        stream = DictSource([{"k": 0, "x": 0.0}, {"k": 1, "x": 0.5}], ["k"], source_id="s")
        assert changed().content_hash() != stream.content_hash()
        assert changed().pipeline_hash() == stream.pipeline_hash()
        assert changed().filter(k=1).content_hash() != stream.filter(k=1).content_hash()
        assert changed().filter(k=1).pipeline_hash() == stream.filter(k=1).pipeline_hash()

    @pytest.mark.parametrize(
        "changed",
        [
            lambda: DictSource([{"k": 0, "x": 0}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 0, "y": 0.0}], ["k"], source_id="s"),
            lambda: DictSource([{"k": 0, "x": 0.0, "z": 0}], ["k"], source_id="s"),
        ],
    )
    def test_other_data_columns_are_another_content_and_the_same_pipeline(self, changed):
        """What something takes of them is part of what it makes."""
        stream = DictSource([{"k": 0, "x": 0.0}], ["k"], source_id="s")
        assert changed().pipeline_hash() == stream.pipeline_hash()
        assert changed().content_hash() != stream.content_hash()

    @pytest.mark.parametrize(
        "changed",
        [
            lambda: DictSource([{"k": 0, "x": 0.0}], ["k", "x"], source_id="s"),
            lambda: DictSource([{"k": 0, "x": 0.0}], [], source_id="s"),
            lambda: DictSource([{"k": "0", "x": 0.0}], ["k"], source_id="s"),
            lambda: DictSource([{"j": 0, "x": 0.0}], ["j"], source_id="s"),
        ],
    )
    def test_other_tags_are_another_pipeline_and_another_content(self, changed):
        stream = DictSource([{"k": 0, "x": 0.0}], ["k"], source_id="s")
        assert changed().pipeline_hash() != stream.pipeline_hash()
        assert changed().content_hash() != stream.content_hash()

    def test_labels_and_nullability_enter_no_hash(self):
        one = DictSource([{"k": 0, "x": 0.0}], ["k"], source_id="s", label="a")
        other = DictSource([{"k": 0, "x": 0.0}], ["k"], source_id="s", label="b", data_schema={"x": float | None})
        for first, second in [(one, other), (Filter(k=0)(one, label="p"), Filter(k=0)(other, label="q"))]:
            assert first.content_hash() == second.content_hash()
            assert first.pipeline_hash() == second.pipeline_hash()

    def test_operators_of_different_kind_or_arguments_are_different(self):
        stream = numbers()
        made = [
            stream,
            stream.filter(k=1),
            stream.filter(k=2),
            stream.filter(x=1.0),
            stream.filter(pc.field("k") == 1),
            stream.drop_nulls(),
            stream.drop_nulls(["k"]),
            stream.map_packets({"x": "y"}),
            stream.map_tags({"k": "y"}),
            stream.select_packet_columns(["x"]),
            stream.select_packet_columns([]),
            stream.drop_packet_columns(["x"]),
            stream.select_tag_columns(["k"]),
            stream.drop_tag_columns(["k"]),
            stream.filter(k=1).filter(k=1),
        ]
        assert len({each.content_hash() for each in made}) == len(made)
        assert len({each.pipeline_hash() for each in made}) == len(made)

    @given(sources({"k": int}, {"x": float | None}, source_id="s"))
    def test_hashes_do_not_change_by_being_read(self, source):
        before = source.content_hash(), source.pipeline_hash()
        list(source.iter_packets())
        assert (source.content_hash(), source.pipeline_hash()) == before
        assert source.schema.tags == Schema({"k": int})
