"""What cannot become a stream is refused, in words that tell where, what was found, what was expected, what to do."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from orcapod.errors import InputValidationError, OrcapodError
from orcapod.sources import ArrowTableSource, DictSource

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
    "a declared type that is not known": ({"data_schema": {"x": complex}}, ["data_schema['x']", "complex", "register"]),
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
    "a type that is not known": ([{"id": None}, {"id": 1j}], {}, ["column 'id'", "complex", "row 1", "register"]),
    "a type that is not known, inside": ([{"id": [1j]}], {}, ["column 'id'", "complex", "row 0"]),
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
        pa.table({"id": pa.array([1], pa.duration("s"))}),
        {},
        ["column 'id'", "duration[s]", "cast the column", "drop it"],
    ),
    "no rows, no schema": (
        pa.table({"id": pa.array([], pa.int64())}),
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
