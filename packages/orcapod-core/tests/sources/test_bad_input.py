"""What cannot become a stream is refused, in words that tell where, what was found, what was expected, what to do."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv

from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError, OrcapodError
from orcapod.sources import (
    ArrowTableSource,
    CSVSource,
    DataFrameSource,
    DatasetSource,
    DictSource,
    ListSource,
    StoredSource,
)

ROWS = [{"id": 1, "x": 0.5}, {"id": 2, "x": 1.5}]
TABLE = pa.table({"id": [1, 2], "x": [0.5, 1.5]})

# For both kinds of source: arguments, and the words that matter in the message.
EITHER = {
    "a tag column that is not there": ({"tag_columns": ["name"]}, ["tag column 'name'", "found columns ['id', 'x']"]),
    "a tag column twice": ({"tag_columns": ["id", "id"]}, ["twice", "['id', 'id']"]),
    "a record id column that is not there": (
        {"record_id_column": "name"},
        ["record_id_column 'name'", "found columns ['id', 'x']"],
    ),
    "a source_id with ::": ({"source_id": "a::b"}, ["'a::b'", "'::'", "choose another name"]),
    "an empty source_id": ({"source_id": ""}, ["empty", "choose another name"]),
    "a declared column that is not there": (
        {"data_schema": {"y": int}},
        ["data_schema declares 'y'", "found columns ['id', 'x']"],
    ),
    "a declared type that is not known": ({"data_schema": {"x": object}}, ["data_schema['x']", "object", "register"]),
    "a declared type that is none": ({"data_schema": {"x": int | str}}, ["data_schema['x']", "T | None"]),
    "a column of another type than declared": ({"data_schema": {"x": str}}, ["column 'x'", "expected", "str"]),
    "a column narrower than declared": ({"data_schema": {"x": int}}, ["column 'x'", "expected", "int"]),
}


@pytest.mark.parametrize("kind", ["DictSource", "ArrowTableSource"])
@pytest.mark.parametrize("case", EITHER)
def test_wrong_arguments(kind, case):
    arguments, words = EITHER[case]
    arguments = {"tag_columns": ["id"], "source_id": "lab", **arguments}
    with pytest.raises(InputValidationError) as caught:
        DictSource(ROWS, **arguments) if kind == "DictSource" else ArrowTableSource(TABLE, **arguments)
    named = [f"{kind} {arguments['source_id']!r}: " if arguments["source_id"] else f"{kind}: "]
    assert all(word in str(caught.value) for word in named + words), str(caught.value)


WALL = datetime(2024, 1, 1)  # noqa: DTZ001  # a wall clock's

# Rows, arguments, words.
DICTS = {
    "no rows, no schema": ([], {}, ["no rows", "data_schema"]),
    "no column": ([{}], {"tag_columns": []}, ["no column"]),
    "a row that is no dict": ([{"id": 1}, ["id", 1]], {}, ["row 1", "list", "expected a dict"]),
    "a record id column of sets": (
        [{"id": 1, "x": {1, 2}}],
        {"record_id_column": "x"},
        ["record_id_column 'x'", "set[int]", "choose a column"],
    ),
    "rows of other columns": (
        [{"id": 1, "x": 1}, {"id": 1, "y": 1}],
        {},
        ["row 1 differs from row 0", "missing ['x']", "extra ['y']", "None"],
    ),
    "a row with a column less": ([{"id": 1, "x": 1}, {"id": 1}], {}, ["row 1", "missing ['x']", "extra []"]),
    "a name that is no str": ([{"id": 1, 5: 1}], {}, ["5", "non-empty strings", "rename"]),
    "names of several types": ([{"id": 1, 5: 1}, {"id": 1, "a": 1}], {}, ["row 1", "[5]", "['a']"]),
    "an empty name": ([{"id": 1, "": 1}], {}, ["''", "rename"]),
    "a name of ours": ([{"id": 1, "_x": 1}], {}, ["'_x'", "'_'", "rename"]),
    "mixed types": ([{"id": 1}, {"id": 2}, {"id": "a"}], {}, ["column 'id'", "int, str", "row 2", "'a'", "convert"]),
    "mixed types inside": ([{"id": [1]}, {"id": ["a"]}], {}, ["column 'id'", "int, str", "row 1"]),
    "bool among ints": ([{"id": 1}, {"id": True}], {}, ["column 'id'", "bool, int", "row 1"]),
    "mixed time zones": ([{"id": WALL}, {"id": WALL.replace(tzinfo=UTC)}], {}, ["column 'id'", "time zone", "row 1"]),
    "a type that is not known": ([{"id": None}, {"id": object()}], {}, ["column 'id'", "object", "row 1", "register"]),
    "a type that is not known, inside": ([{"id": [object()]}], {}, ["column 'id'", "object", "row 0"]),
    "nothing but None": ([{"id": 1, "x": None}], {}, ["column 'x'", "data_schema"]),
    "nothing but empty lists": ([{"id": 1, "x": []}], {}, ["column 'x'", "data_schema"]),
    "None where none may be": (
        [{"id": 1}, {"id": None}],
        {"data_schema": {"id": int}},
        ["column 'id'", "row 1", "expected int", "None", "int | None"],
    ),
    "None inside, where none may be": (
        [{"id": [1]}, {"id": [1, None]}],
        {"data_schema": {"id": list[int]}},
        ["column 'id'", "row 1", "item 1", "int | None"],
    ),
    "a value of another type than declared": (
        [{"id": 1}, {"id": "2"}],
        {"data_schema": {"id": int}},
        ["column 'id'", "row 1", "expected int", "'2'", "str"],
    ),
    "an int that does not fit": ([{"id": 1}, {"id": 2**70}], {}, ["column 'id'", "row 1", "64 bits", "pass it as str"]),
    "an int among floats that is no float": ([{"id": 1.5}, {"id": 2**53 + 1}], {}, ["column 'id'", "row 1", "exact"]),
    "broken Unicode": ([{"id": "a"}, {"id": "\ud800"}], {}, ["column 'id'", "row 1", "Unicode"]),
    "a record id twice": (
        [{"id": 7}, {"id": 8}, {"id": 7}],
        {"record_id_column": "id"},
        ["record_id_column 'id'", "7", "row 0", "row 2"],
    ),
    "a record id that is NaN twice": (
        [{"id": float("nan")}, {"id": float("nan")}],
        {"record_id_column": "id"},
        ["record_id_column 'id'", "nan", "row 0", "row 1"],
    ),
    "a record id that is None": (
        [{"id": 7}, {"id": None}],
        {"record_id_column": "id"},
        ["record_id_column 'id'", "null", "row 1"],
    ),
}


@pytest.mark.parametrize("case", DICTS)
def test_bad_rows(case):
    given_rows, arguments, words = DICTS[case]
    with pytest.raises(InputValidationError) as caught:
        DictSource(given_rows, **{"tag_columns": ["id"], "source_id": "lab", **arguments})
    assert all(word in str(caught.value) for word in ["DictSource 'lab'", *words]), str(caught.value)


def ids(*chunks):
    return pa.table({"id": pa.chunked_array(list(chunks))})


TABLES = {
    "a column twice": (pa.Table.from_arrays([pa.array([1])] * 2, ["id", "id"]), {}, ["column 'id'", "twice", "rename"]),
    "no column": (pa.table({}), {"tag_columns": []}, ["no column"]),
    "no table": ([{"id": 1}], {}, ["list", "expected a pyarrow.Table", "DictSource"]),
    "a name of ours": (pa.table({"id": [1], "__x": [1]}), {}, ["'__x'", "'_'", "rename"]),
    "a null where none may be": (
        ids([1, 2], [3, None]),
        {"data_schema": {"id": int}},
        ["column 'id'", "row 3", "null", "int | None"],
    ),
    "a null inside, where none may be": (
        ids([[1], [2]], [[3], [None]]),
        {"data_schema": {"id": list[int]}},
        ["column 'id'", "row 3", "null", "int | None"],
    ),
    "nothing but nulls": (pa.table({"id": pa.nulls(2)}), {}, ["column 'id'", "nulls", "data_schema"]),
    "an int that does not fit": (
        pa.table({"id": pa.array([1, 2**64 - 1], pa.uint64())}),
        {},
        ["column 'id'", "row 1", "int", "18446744073709551615"],
    ),
    "a time finer than a microsecond": (
        pa.table({"id": pa.array([0, 1], pa.timestamp("ns"))}),
        {},
        ["column 'id'", "row 1", "datetime", "lose data"],
    ),
    "a type that nothing stands for": (
        pa.table({"id": pa.array([(1, 2, 3)], pa.month_day_nano_interval())}),
        {},
        ["column 'id'", "month_day_nano_interval", "cast the column", "drop it"],
    ),
    "no rows, no type": (
        pa.table({"id": pa.array([], pa.null())}),
        {},
        ["no rows", "column 'id'", "declare", "data_schema"],
    ),
    "a record id twice, in another chunk": (
        ids([7, 8], [9, 8]),
        {"record_id_column": "id"},
        ["record_id_column 'id'", "8", "row 1", "row 3"],
    ),
    "a record id that is null, in another chunk": (
        ids([7, 8], [None]),
        {"record_id_column": "id"},
        ["record_id_column 'id'", "null", "row 2"],
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables(case):
    table, arguments, words = TABLES[case]
    with pytest.raises(InputValidationError) as caught:
        ArrowTableSource(table, **{"tag_columns": ["id"], "source_id": "lab", **arguments})
    assert all(word in str(caught.value) for word in ["ArrowTableSource 'lab'", *words]), str(caught.value)


def test_the_error_is_one_of_ours_and_a_value_error():
    with pytest.raises(ValueError, match="no rows") as caught:
        DictSource([], ["id"])
    assert isinstance(caught.value, OrcapodError)
    assert str(caught.value).startswith("DictSource: ")


LISTS = {
    "a tag function that gives no dict": ([1], lambda x, i: x, {}, ["element 0", "1", "int", "expected a dict"]),
    "a tag called as the elements": ([1], lambda x, i: {"x": 1}, {}, ["element 0", "'x'", "rename"]),
    "other tags for another element": (
        [1, 2],
        lambda x, i: {"k": 1} if i else {"j": 1},
        {},
        ["row 1 differs from row 0", "missing ['j']", "extra ['k']"],
    ),
    "no element, no schema": ([], None, {}, ["no element", "'x'", "data_schema"]),
    "elements of several types": ([1, "a"], None, {}, ["column 'x'", "int, str", "row 1"]),
}


@pytest.mark.parametrize("case", LISTS)
def test_bad_lists(case):
    elements, tag_function, arguments, words = LISTS[case]
    with pytest.raises(InputValidationError) as caught:
        ListSource("x", elements, tag_function, source_id="lab", **arguments)
    assert all(word in str(caught.value) for word in ["ListSource 'lab'", *words]), str(caught.value)


FRAME = pd.DataFrame({"id": [1, 2], "x": [0.5, 1.5]})
FRAMES = {
    "no frame": ([{"id": 1}], ["builtins.list", "expected a DataFrame", "DictSource"]),
    "a lazy frame": (pl.LazyFrame({"id": [1]}), ["LazyFrame", ".collect()"]),
    "one column of pandas": (FRAME["id"], ["Series", "expected a DataFrame"]),
    "a name that is no str": (FRAME.rename(columns={"x": 5}), ["5", "expected strings", "rename"]),
    "an index without a name": (FRAME[FRAME["x"] > 1], ["index without a name", "rename_axis", "reset_index"]),
    "a column twice": (pd.concat([FRAME, FRAME["x"]], axis=1), ["column 'x'", "twice", "rename"]),
    "an index called like a column": (FRAME.set_index("id", drop=False), ["column 'id'", "twice", "rename"]),
    "no rows, and columns of any object": (
        pd.DataFrame({"id": [], "x": []}, dtype=object),
        ["no rows", "column 'id'", "data_schema"],
    ),
    "values of several types": (
        pd.DataFrame({"id": [1, 2], "x": pd.Series([1, "a"], dtype=object)}),
        ["column 'x'", "'a'", "convert its values to one type"],
    ),
}


@pytest.mark.parametrize("case", FRAMES)
def test_bad_frames(case):
    frame, words = FRAMES[case]
    with pytest.raises(InputValidationError) as caught:
        DataFrameSource(frame, ["id"], source_id="lab")
    assert all(word in str(caught.value) for word in ["DataFrameSource 'lab'", *words]), str(caught.value)


FILES = {
    "no file": (None, {}, ["found nothing there", "check the path"]),
    "an empty file": (b"", {}, ["found an empty file", "line of column names", "check whether it was written"]),
    "blank lines alone": (b"\n\n", {}, ["cannot be read", "Empty CSV"]),
    "names alone, no schema": (b"id,x\n", {}, ["no rows", "column 'id'", "data_schema"]),
    "a line of too many fields": (
        b"id,x\n1,2\n1,2,3\n",
        {},
        ["cannot be read", "#3", "Expected 2 columns, got 3", "; mend the file; or give bad_rows"],
    ),
    "bytes that are no text": (b"id,x\n1,Z\xfcrich\n", {}, ["column 'x'", "utf-8", "encoding"]),
    "names that are no text": (b"id,Gr\xf6\xdfe\n1,2\n", {}, ["names of columns", "utf-8", "give the file's encoding"]),
    "names that are no text, and declared": (
        b"id,Gr\xf6\xdfe\n1,2\n",
        {"data_schema": {"id": int}},
        ["names of columns", "utf-8", "give the file's encoding"],
    ),
    "a field that is not of the encoding": (
        b"id,x\n1,Z\xfcrich\n",
        {"encoding": "ascii"},
        ["cannot be read", "'ascii' codec", "mend the file"],
    ),
    "an encoding that there is not": (b"id,x\n1,2\n", {"encoding": "latin-99"}, ["cannot be read", "latin-99"]),
    "two characters between fields": (b"id,x\n1,2\n", {"delimiter": "::"}, ["cannot be read"]),
    "another delimiter": (b"id;x\n1;2\n", {}, ["tag column 'id'", "found columns ['id;x']", "with delimiter=';'"]),
    "another delimiter, and declared": (
        b"x\tid\n1\t2\n",
        {"data_schema": {"id": int}},
        ["data_schema declares 'id'", "with delimiter='\\t'"],
    ),
    "another delimiter, and commas": (b"id;x\n1;2\n1;2,5\n", {}, ["#3", "Expected 1 columns", "give its delimiter"]),
    "a space before a name": (b"x, id\n1, 2\n", {}, ["tag column 'id'", "did you mean ' id'? It has spaces around it"]),
    "a name in capitals": (b"ID,x\n1,2\n", {}, ["tag column 'id'", "did you mean 'ID'?"]),
    "a column twice": (b"id,id\n1,2\n", {}, ["column 'id'", "twice", "rename"]),
    "a value of another type than declared": (
        b"id,x\n1,2\n2,a\n",
        {"data_schema": {"x": int}},
        ["cannot be read: column 'x': Row #3", "'a'", "int64", "declare another type for it"],
    ),
    "a type that no field can have": (b"id,x\n1,2\n", {"data_schema": {"x": list[int]}}, ["cannot be read", "list"]),
    "a declared column that is not there": (
        b"id,x\n1,2\n",
        {"data_schema": {"y": int}},
        ["data_schema declares 'y'", "found columns ['id', 'x']"],
    ),
    "whole numbers beyond 64 bits": (
        b"id,x\n1,0.5\n2,12345678901234567890\n",
        {},
        ["column 'x'", "64 bits", "declare it as str"],
    ),
    "a number beyond floats": (b"id,x\n1,0.5\n2,1e400\n", {}, ["column 'x'", "too large", "declare str"]),
    "a tag that is not there": (b"a,x\n1,2\n", {}, ["tag column 'id'", "found columns ['a', 'x']"]),
}


@pytest.mark.parametrize("case", FILES)
def test_bad_files(case, tmp_path):
    content, arguments, words = FILES[case]
    path = tmp_path / "lab.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputValidationError) as caught:
        CSVSource(path, ["id"], **arguments)
    assert all(word in str(caught.value) for word in ["CSVSource", "lab.csv", *words]), str(caught.value)
    assert ("bad_rows" in str(caught.value)) == ("#" in str(caught.value)), "advice where there is a row that is bad"


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputValidationError, match=r"found a folder there, expected a CSV file; check the path"):
        CSVSource(tmp_path, ["id"])


def test_sources_that_were_never_kept():
    database = MemoryDatabase()
    list(DictSource(ROWS, ["id"], source_id="here").cached(database).chunks())
    with pytest.raises(InputValidationError, match=r"nothing is kept of a source called 'gone'; found \['here'\]"):
        StoredSource.open(database, "gone")


def test_a_source_that_was_kept_under_several_schemas():
    database = MemoryDatabase()
    for row in ({"id": 1, "x": 1}, {"id": 1, "y": 1}):
        list(DictSource([row], ["id"], source_id="s").cached(database).chunks())
    with pytest.raises(
        InputValidationError, match=r"rows of 's' under several schemas, expected one; read their tables"
    ):
        StoredSource.open(database, "s")


def test_a_kept_type_that_arrow_alone_cannot_tell():
    database = MemoryDatabase()
    schema = {"id": int, "x": list[int | None]}
    list(DictSource([{"id": 1, "x": [1]}], ["id"], source_id="s", data_schema=schema).cached(database).chunks())
    with pytest.raises(InputValidationError, match=r"'x' of source 's' is kept as list\[int \| None\], .* declare it"):
        StoredSource.open(database, "s")
    opened = StoredSource.open(database, "s", data_schema={"x": list[int | None]})
    assert opened.as_table().to_pylist() == [{"id": 1, "x": [1]}]


def test_objects_in_a_frame_of_polars_are_refused_and_not_taken_for_their_addresses():
    frame = pl.DataFrame({"id": [1, 2], "seen": pl.Series([{1, 2}, {3}], dtype=pl.Object)})
    with pytest.raises(InputValidationError, match=r"column 'seen' holds objects.*DictSource\(frame.to_dicts\(\)"):
        DataFrameSource(frame, ["id"])
    source = DictSource(frame.to_dicts(), ["id"])
    assert [packet["seen"] for _, packet in source.iter_packets()] == [{1, 2}, {3}]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be"])
def test_a_csv_file_in_another_encoding_is_refused_by_its_name(encoding, tmp_path):
    file = tmp_path / "x.csv"
    file.write_bytes("id,x\n1,ü\n2,b\n".encode(encoding))
    with pytest.raises(InputValidationError, match=f"text in {encoding}, expected utf-8; give encoding='{encoding}'"):
        CSVSource(file, ["id"])
    assert CSVSource(file, ["id"], encoding=encoding).as_table()["x"].to_pylist() == ["ü", "b"]


@pytest.mark.parametrize("declared", [None, float, float | None])
def test_a_number_that_is_too_large_for_a_float_is_not_infinite(declared, tmp_path):
    """One that is written as infinite is; with rows that may fail, the others are there."""
    file = tmp_path / "x.csv"
    file.write_text("id,x\n1,inf\n2,-1e999\n3,0.5\n")
    schema = {} if declared is None else {"data_schema": {"x": declared}}
    with pytest.raises(InputValidationError, match="row 1: column 'x': expected a float, found '-1e999', which is too"):
        CSVSource(file, ["id"], **schema)
    for third in ("0.5", "foo") if declared else ("0.5",):
        file.write_text(f"id,x\n1,inf\n2,-1e999\n3,{third}\n")
        source = CSVSource(file, ["id"], bad_rows="fail", **schema)
        with pytest.warns(UserWarning, match="row 1: column 'x': expected a float, found '-1e999'"):
            assert source.as_table()["x"].to_pylist() == [float("inf"), 0.5][: 2 if third == "0.5" else 1]


_BEYOND = 2**64 + 1


@pytest.mark.parametrize(
    ("lines", "column", "found"),
    [
        ('{"id": 1, "x": 1}\n{"id": %d, "x": 2}\n', "id", _BEYOND),
        ('{"id": 1, "x": 0.5}\n{"id": 2, "x": %d}\n', "x", 2**53 + 1),
        ('{"id": 1, "x": [0.5, 1]}\n{"id": 2, "x": [%d]}\n', "x", 10**40 + 1),
        ('{"id": 1, "x": {"a": 2.5}}\n{"id": 2, "x": {"a": -%d}}\n', "x", _BEYOND),
    ],
)
def test_whole_numbers_of_json_are_exact_or_refused(lines, column, found, tmp_path):
    """One of more than 64 bits would make floats of a column of keys, and two keys one."""
    file = tmp_path / "x.jsonl"
    file.write_text(lines % found)
    with pytest.raises(InputValidationError, match=f"line 2: column {column!r}: found -?{str(found)[:15]}"):
        DatasetSource(file, ["id"])


def test_whole_numbers_of_json_that_are_exact_are_kept(tmp_path):
    """So are rounded ones where a float is what was asked for, and where rows may fail, all but those that are not."""
    file = tmp_path / "x.jsonl"
    file.write_text('{"id": 9007199254740993, "x": 0.1234567890123456}\n{"id": 2, "x": 18446744073709551616}\n')
    exact = [{"id": 2**53 + 1, "x": 0.1234567890123456}, {"id": 2, "x": 2.0**64}]
    assert DatasetSource(file, ["id"]).as_table().to_pylist() == exact
    file.write_text(f'{{"id": 1, "x": 0.5}}\n{{"id": 2, "x": {_BEYOND}}}\n{{"id": {_BEYOND}, "x": 1.5}}\n')
    source = DatasetSource(file, ["id"], data_schema={"x": float}, bad_rows="fail")
    with pytest.warns(UserWarning, match=f"row 2: column 'id': expected int, found {_BEYOND} in line 3"):
        assert source.as_table().to_pylist() == [{"id": 1, "x": 0.5}, {"id": 2, "x": 2.0**64}]
    file.write_text(f'{{"id": 1, "x": 0.5}}\n{{"id": 2, "x": {2**53 + 1}}}\n')
    with pytest.warns(UserWarning, match=f"row 1: column 'x': expected float, found {2**53 + 1} in line 2"):
        assert DatasetSource(file, ["id"], bad_rows="fail").as_table().to_pylist() == [{"id": 1, "x": 0.5}]


# Decimal commas


def test_a_decimal_comma_is_told_with_what_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("k;x\na;1.5\nb;-2,5\n")
    told = r"decimal comma.*pyarrow\.csv.*decimal_point.*ArrowTableSource"
    with pytest.raises(InputValidationError, match=told):
        CSVSource(path, ["k"], delimiter=";", data_schema={"x": float})
    with pytest.warns(UserWarning, match=told):
        list(CSVSource(path, ["k"], delimiter=";", data_schema={"x": float}, bad_rows="fail"))
    path.write_text("k;x\na;1.5\nb;two, or three\n")
    with pytest.raises(InputValidationError, match="it cannot be read") as caught:
        CSVSource(path, ["k"], delimiter=";", data_schema={"x": float})
    assert "decimal comma" not in str(caught.value)
    path.write_text("k;x\na;1,5\nb;-2,5\n")
    convert = csv.ConvertOptions(decimal_point=",")
    table = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=";"), convert_options=convert)
    assert ArrowTableSource(table, ["k"]).as_table()["x"].to_pylist() == [1.5, -2.5]


@pytest.mark.parametrize("declared", [float, int])
@pytest.mark.parametrize("bad", ["two", "2,5", "to double: invalid value '2,5', to double: invalid value '3,5'"])
def test_a_value_that_is_no_number_and_a_line_of_too_few_fields_are_two_bad_rows(
    bad: str, declared: type, tmp_path: Path
) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(f'k;x;n\na;1;1\nb;"{bad}";2\nc;3\nd;4;4\n')
    source = CSVSource(path, ["k"], delimiter=";", data_schema={"x": declared}, bad_rows="fail")
    expected = f"row 1: column 'x': expected {declared.__name__}, found .*; and so are 1 more, of 4 rows"
    with pytest.warns(UserWarning, match=expected):
        assert source.as_table()["x"].to_pylist() == [1, 4]


def test_a_text_that_looks_like_two_errors_gets_one_message(tmp_path: Path) -> None:
    path = tmp_path / "rates.csv"
    path.write_text("k;x\na;to double: invalid value '2,5', to double: invalid value '3,5'\n")
    with pytest.raises(InputValidationError, match="it cannot be read: column 'x'"):
        CSVSource(path, ["k"], delimiter=";", data_schema={"x": float})
