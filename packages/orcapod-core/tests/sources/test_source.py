"""Sources: the rows as they were given, and a name for every record."""

from datetime import date

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError
from orcapod.hashing.canonical import canonical_bytes
from orcapod.sources import ArrowTableSource, CSVSource, DictSource
from orcapod.testing.strategies import ALL_COLUMNS, chunkings, rows, schemas, tables


def test_one_tag_column_may_be_given_by_its_name():
    given_rows = [{"id": "a", "x": 1}]
    assert DictSource(given_rows, "id").keys() == DictSource(given_rows, ["id"]).keys() == (("id",), ("x",))
    table = pa.table({"id": ["a"], "x": [1]})
    assert ArrowTableSource(table, "id").keys() == (("id",), ("x",))


@pytest.mark.parametrize("none", [(), [], None])
def test_a_source_may_have_no_tags(none):
    assert DictSource([{"x": 1}], none).keys() == ((), ("x",))


def test_a_source_may_have_no_packet_columns():
    source = DictSource([{"x": 1}, {"x": 2}], ["x"])
    assert source.keys() == (("x",), ())
    assert source.as_table(ALL_COLUMNS).num_rows == 2


def test_tags_come_in_the_order_asked_for_and_packets_in_that_of_the_data():
    source = DictSource([{"a": 1, "b": 2, "c": 3, "d": 4}], ["c", "a"])
    assert source.keys() == (("c", "a"), ("b", "d"))


@given(st.data())
def test_the_rows_come_out_as_they_were_given(data):
    schema = data.draw(schemas("k", "x"))
    given_rows = data.draw(rows(schema))
    table = data.draw(tables(schema, given_rows))
    for source in (
        DictSource(iter(given_rows), ["k"], data_schema=schema),
        ArrowTableSource(table, ["k"], data_schema=schema),
    ):
        found = [{**tag, **packet} for tag, packet in source.iter_packets()]
        assert list(map(canonical_bytes, found)) == list(map(canonical_bytes, given_rows))


def test_any_object_that_speaks_arrow_is_a_table():
    class Speaker:
        def __arrow_c_stream__(self, requested_schema=None):
            return pa.table({"k": [1], "x": ["a"]}).__arrow_c_stream__(requested_schema)

    reader = pa.table({"k": [1], "x": ["a"]}).to_reader()
    for spoken in (Speaker(), reader, pa.record_batch({"k": [1], "x": ["a"]})):
        source = ArrowTableSource(spoken, ["k"])
        assert source.as_table().to_pylist() == source.as_table().to_pylist() == [{"k": 1, "x": "a"}]


def test_a_stream_is_a_table_too():
    source = DictSource([{"k": 1, "x": None}, {"k": 2, "x": 0.5}], ["k"])
    assert ArrowTableSource(source, ["k"]).as_table().equals(source.as_table())


def test_changing_what_was_given_changes_nothing():
    given_rows = [{"k": 1, "x": [1]}]
    source = DictSource(given_rows, ["k"])
    given_rows[0]["x"].append(2)
    given_rows.append({"k": 2, "x": []})
    assert source.as_table().to_pylist() == [{"k": 1, "x": [1]}]


def test_the_label_is_the_source_id_unless_one_is_given():
    assert DictSource([{"x": 1}], [], source_id="lab").label == "lab"
    assert DictSource([{"x": 1}], [], source_id="lab", label="mine").label == "mine"
    nameless = DictSource([{"x": 1}], [])
    assert nameless.label == nameless.source_id
    assert nameless.source_id.startswith("source-")


class TestRecordIds:
    def ids(self, source):
        table = source.as_table(ALL_COLUMNS)
        (name,) = (name for name in table.column_names if name.startswith("_tag_record_id::"))
        return table[name].to_pylist(), table["_source_x"].to_pylist()

    @given(chunkings(7))
    def test_a_row_is_called_by_its_place_in_the_whole_table(self, cuts):
        whole = pa.table({"x": range(10, 17)})
        table = pa.concat_tables([whole.slice(start, length) for start, length in cuts])
        records, infos = self.ids(ArrowTableSource(table, [], source_id="s"))
        assert records == [f"row_{i}" for i in range(7)]
        assert infos == [f"s::row_{i}::x" for i in range(7)]

    @pytest.mark.parametrize("named", [False, True])
    def test_also_in_tables_of_more_rows_than_a_chunk(self, named):
        count = 150_000
        chunks = [range(70_001), range(70_001, 70_002), range(70_002, count)]
        numbers = pa.chunked_array([pa.array(chunk) for chunk in chunks])
        table = pa.table({"x": numbers, "text": [f"n{i}" for i in range(count)]})
        records, infos = self.ids(
            ArrowTableSource(table, [], source_id="s", record_id_column="text" if named else None)
        )
        expected = [f"text=n{i}" if named else f"row_{i}" for i in range(count)]
        assert records == expected
        assert infos == [f"s::{record}::x" for record in expected]

    def test_a_sliced_table_is_counted_from_its_own_first_row(self):
        table = pa.table({"x": range(5)}).slice(3)
        assert self.ids(ArrowTableSource(table, []))[0] == ["row_0", "row_1"]

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([5, -1], ["x=5", "x=-1"]),
            (["a", "", "é::"], ["x=a", "x=", "x=é::"]),
            ([0.5, float("nan"), -0.0, 0.0], ["x=0.5", "x=nan", "x=-0.0", "x=0.0"]),
            ([True, False], ["x=True", "x=False"]),
            ([date(2024, 2, 29)], ["x=2024-02-29"]),
            ([b"a", b""], ["x=b'a'", "x=b''"]),
            ([(1, "a"), (2, "b")], ["x=(1, 'a')", "x=(2, 'b')"]),
        ],
    )
    def test_a_row_is_called_by_the_value_of_its_record_id_column(self, values, expected):
        source = DictSource([{"x": value} for value in values], [], source_id="s", record_id_column="x")
        records, infos = self.ids(source)
        assert records == expected
        assert infos == [f"s::{record}::x" for record in expected]

    def test_the_name_of_the_system_tags_is_made_of_the_tags(self):
        def names(source):
            return [name for name in source.output_schema(ALL_COLUMNS)[0] if name.startswith("_tag")]

        one = names(DictSource([{"k": 1, "x": 1}], ["k"]))
        assert names(DictSource([{"x": 2, "k": 2}], ["k"], source_id="other", data_schema={"x": int | None})) == one
        assert names(DictSource([{"k": 1, "x": 1.0, "more": 2}], ["k"])) == one
        assert names(DictSource([{"k": 1, "x": 1}], ["k", "x"])) != one
        assert names(DictSource([{"k": 1.0, "x": 1}], ["k"])) != one
        assert all(len(name.rpartition("::")[2]) == 12 for name in one)

    def test_a_declared_record_id_column_may_be_optional_if_it_holds_no_null(self):
        source = DictSource([{"x": 1}], [], record_id_column="x", data_schema={"x": int | None})
        assert self.ids(source)[0] == ["x=1"]

    def test_an_empty_source_may_have_a_record_id_column(self):
        source = DictSource([], [], record_id_column="x", data_schema={"x": int})
        assert source.as_table().num_rows == 0
        assert self.ids(source) == ([], [])


class TestNamesOfSources:
    """Two different things are never called by one name that nobody gave them."""

    def test_a_file_is_called_by_its_place(self, tmp_path, monkeypatch):
        places = [tmp_path / "a" / "data.csv", tmp_path / "b" / "data.csv"]
        for place in places:
            place.parent.mkdir()
            place.write_text("k,x\n1,2\n")
        one, other = (CSVSource(place, ["k"]) for place in places)
        assert (one.source_id, other.source_id) == tuple(map(str, places))
        assert one.label == other.label == "data.csv"
        ((_, packet),) = one.iter_packets()
        assert packet.source_info() == {"x": f"{places[0]}::row_0::x"}
        for folder, place in (("a", places[0]), ("b", places[1])):
            monkeypatch.chdir(tmp_path / folder)
            assert CSVSource("data.csv", ["k"]).source_id == str(place)
            assert CSVSource("../a/../b/data.csv", ["k"]).source_id == str(places[1])

    def test_a_place_with_what_separates_names_in_it_is_told_from_others(self, tmp_path):
        places = [tmp_path / name for name in ("a::b.csv", "a%3A%3Ab.csv", "a_b.csv")]
        for place in places:
            place.write_text("k,x\n1,2\n")
        names = [CSVSource(place, ["k"]).source_id for place in places]
        assert len(set(names)) == len(names)
        assert not any("::" in name for name in names)

    @pytest.mark.parametrize(
        "other",
        [
            lambda: DictSource([{"k": 1, "x": 3}], ["k"]),
            lambda: DictSource([{"k": 1, "x": 2}], []),
            lambda: DictSource([{"k": 1, "x": 2}], ["k", "x"]),
            lambda: DictSource([{"k": 1, "x": 2}], ["k"], record_id_column="k"),
            lambda: DictSource([{"k": 1, "x": 2}], ["k"], record_id_column="x"),
            lambda: DictSource([{"k": 1, "x": 2.0}], ["k"]),
            lambda: DictSource([{"k": 1, "y": 2}], ["k"]),
            lambda: DictSource([], ["k"], data_schema={"k": int, "x": int}),
            lambda: DictSource([], ["k"], data_schema={"k": int, "y": int}),
        ],
    )
    def test_rows_without_a_place_are_called_by_their_content(self, other):
        one = DictSource([{"k": 1, "x": 2}], ["k"])
        assert one.source_id == DictSource([{"k": 1, "x": 2}], ["k"]).source_id
        assert one.source_id.startswith("source-")
        assert other().source_id != one.source_id
        assert DictSource([], ["k"], data_schema={"k": int, "x": str}).source_id != other().source_id

    def test_what_is_accumulated_needs_a_name_that_was_given(self, tmp_path):
        (tmp_path / "data.csv").write_text("k,x\n1,2\n")
        for nameless in (CSVSource(tmp_path / "data.csv", ["k"]), DictSource([{"k": 1}], ["k"])):
            with pytest.raises(InputValidationError, match="needs a name of its own.*source_id='...'"):
                nameless.cached(MemoryDatabase())
        assert CSVSource(tmp_path / "data.csv", ["k"], source_id="d").cached(MemoryDatabase()).source_id == "d"


class TestRecordsOfSeveralColumns:
    ROWS = ({"s": "a", "n": 1, "x": 0.5}, {"s": "a", "n": 2, "x": 1.5}, {"s": "b,n=1", "n": 1, "x": 2.5})

    def names(self, rows, columns):
        source = DictSource(rows, ["s"], source_id="p", record_id_column=columns)
        return {packet["x"]: packet.source_info()["x"] for _, packet in source.iter_packets()}

    def test_a_record_is_called_by_all_of_them(self):
        assert self.names(self.ROWS, ["s", "n"]) == {
            0.5: "p::s=a,n=1::x",
            1.5: "p::s=a,n=2::x",
            2.5: "p::s=b%2Cn%3D1,n=1::x",
        }

    def test_the_others_keep_their_names_when_one_comes_or_goes(self):
        before, after = self.names(self.ROWS, ["s", "n"]), self.names(self.ROWS[1:], ["s", "n"])
        assert {x: before[x] for x in after} == after

    def test_a_name_must_be_a_records_own(self):
        with pytest.raises(InputValidationError, match="'a', 1.*in row 0 and in row 2"):
            self.names([*self.ROWS[:2], dict(self.ROWS[0], x=9.0)], ["s", "n"])
        with pytest.raises(InputValidationError, match="record_id_column 'm' is not there"):
            self.names(self.ROWS, ["s", "m"])
