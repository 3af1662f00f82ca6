"""Every kind of source gives the same stream of the same rows."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError
from orcapod.sources import ArrowTableSource, CSVSource, DataFrameSource, DictSource, ListSource, Source
from orcapod.testing.strategies import ALL_COLUMNS

ROWS = [{"element_index": 0, "x": 0.5}, {"element_index": 1, "x": 2.0}, {"element_index": 2, "x": 0.5}]
COLUMNS = {name: [row[name] for row in ROWS] for name in ROWS[0]}
KINDS = ["dicts", "arrow", "list", "pandas", "polars", "csv"]


def source(kind: str, folder: Path, **options: Any) -> Source:
    arguments: dict[str, Any] = {"source_id": "s", **options}
    match kind:
        case "dicts":
            return DictSource(ROWS, ["element_index"], **arguments)
        case "arrow":
            return ArrowTableSource(pa.table(COLUMNS), ["element_index"], **arguments)
        case "list":
            return ListSource("x", COLUMNS["x"], **arguments)
        case "pandas":
            return DataFrameSource(pd.DataFrame(COLUMNS), ["element_index"], **arguments)
        case "polars":
            return DataFrameSource(pl.DataFrame(COLUMNS), ["element_index"], **arguments)
        case _:
            path = folder / "rows.csv"
            path.write_text("element_index,x\n" + "".join(f"{row['element_index']},{row['x']}\n" for row in ROWS))
            return CSVSource(path, ["element_index"], **arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_are_the_same_source_whatever_they_came_in(kind, tmp_path):
    found, reference = source(kind, tmp_path), source("dicts", tmp_path)
    assert found.as_table(ALL_COLUMNS).to_pylist() == reference.as_table(ALL_COLUMNS).to_pylist()
    assert found.schema == reference.schema
    assert (found.content_hash(), found.pipeline_hash()) == (reference.content_hash(), reference.pipeline_hash())


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_may_name_the_records_and_types_may_be_declared(kind, tmp_path):
    found = source(kind, tmp_path, record_id_column="element_index", data_schema={"x": float | None}, label="lab")
    assert found.label == "lab"
    assert found.schema.packets["x"] == float | None
    infos = [packet.source_info()["x"] for _, packet in found.iter_packets()]
    assert infos == [f"s::element_index={i}::x" for i in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipeline_runs_over_it(kind, tmp_path):
    @op.function_pod("y", identity="version")
    def twice(x: float) -> float:
        return 2 * x

    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        twice.pod(source(kind, tmp_path))
    assert pipeline.run().counts("twice") == {"computed": 2, "cached": 1, "failed": 0}
    assert pipeline.twice.as_table()["y"].to_pylist() == [1.0, 4.0, 1.0]


# No rows

TYPED = {"element_index": pa.int64(), "x": pa.float64()}
NO_ROWS: dict[str, Callable[..., Source]] = {
    "arrow": lambda **given: ArrowTableSource(pa.schema(TYPED).empty_table(), **given),
    "arrow, a slice": lambda **given: ArrowTableSource(pa.table(COLUMNS).slice(0, 0), **given),
    "arrow, a stream": lambda **given: ArrowTableSource(
        pa.RecordBatchReader.from_batches(pa.schema(TYPED), []), **given
    ),
    "pandas": lambda **given: DataFrameSource(pd.DataFrame(COLUMNS)[:0], **given),
    "polars": lambda **given: DataFrameSource(pl.DataFrame(COLUMNS).clear(), **given),
    "dicts": lambda **given: DictSource([], data_schema={"element_index": int, "x": float}, **given),
    "list": lambda tag_columns, **given: ListSource("x", [], data_schema={"x": float}, **given),
}


@pytest.mark.parametrize("kind", NO_ROWS)
@pytest.mark.parametrize("named", [None, "element_index"])
def test_a_typed_table_without_rows_is_a_source(kind, named):
    """On the first day without data, as on any other: the schema says what the columns are."""
    empty = NO_ROWS[kind](tag_columns=["element_index"], source_id="s", record_id_column=named)
    assert empty.schema == source("arrow", Path()).schema
    assert empty.as_table(ALL_COLUMNS).num_rows == 0

    @op.function_pod("y", identity="version")
    def half(x: float) -> float:
        return x / 2

    with op.Pipeline("p") as pipeline:
        half.pod(empty)
    assert pipeline.run().counts("half") == {"computed": 0, "cached": 0, "failed": 0}
    assert pipeline.half.as_table().schema.names == ["element_index", "y"]


@pytest.mark.parametrize(
    ("arrow", "annotation"),
    [
        (pa.string(), str),
        (pa.dictionary(pa.int8(), pa.string()), str),
        (pa.dictionary(pa.int8(), pa.string_view()), str),
        (pa.run_end_encoded(pa.int32(), pa.string()), str),
        (pa.list_(pa.map_(pa.string(), pa.int8())), list[dict[str, int]]),
        (pa.map_(pa.string(), pa.list_(pa.float32())), dict[str, list[float]]),
        (pa.list_(pa.list_(pa.date32()), 3), list[list[date]]),
        (pa.uuid(), UUID),
        (pa.timestamp("ns"), datetime),
    ],
    ids=str,
)
def test_every_type_of_column_may_be_without_rows(arrow, annotation):
    full = pa.table({"id": pa.array([1, 2]), "x": pa.nulls(2, arrow)})
    for table in (full.schema.empty_table(), full.slice(2), pa.table({n: full[n].slice(0, 0) for n in ("id", "x")})):
        found = ArrowTableSource(table, ["id"], source_id="s")
        assert found.schema.packets == op.Schema({"x": annotation})
        assert found.as_table().num_rows == 0


# Lists


def test_a_tag_function_is_given_each_element_and_its_place():
    listed = ListSource("name", ["ada", "bob"], lambda name, index: {"initial": name[0], "row": index}, source_id="s")
    assert listed.keys() == (("initial", "row"), ("name",))
    assert listed.as_table().to_pylist() == [
        {"initial": "a", "row": 0, "name": "ada"},
        {"initial": "b", "row": 1, "name": "bob"},
    ]


def test_the_code_of_a_tag_function_is_no_part_of_the_identity_but_what_it_gives_is():
    one = ListSource("x", [1, 2], lambda x, i: {"k": x}, source_id="s")
    same = ListSource("x", [1, 2], lambda x, i: {"k": i + 1}, source_id="s")
    other = ListSource("x", [1, 2], lambda x, i: {"k": i}, source_id="s")
    assert one.content_hash() == same.content_hash() != other.content_hash()


def test_no_elements_make_an_empty_stream_of_declared_columns():
    assert ListSource("x", [], data_schema={"x": int}).keys() == (("element_index",), ("x",))
    tagged = ListSource("x", [], lambda x, i: {"k": x}, data_schema={"x": int, "k": str})
    assert tagged.keys() == (("k",), ("x",))
    assert tagged.as_table().num_rows == 0


# Data frames


def test_what_pandas_holds_for_missing_is_null_and_what_polars_calls_nan_is_nan():
    frame = pd.DataFrame({"k": [1, 2], "x": [0.5, float("nan")], "s": ["a", None], "n": pd.array([1, None], "Int64")})
    found = DataFrameSource(frame, ["k"])
    assert dict(found.schema.packets) == {"x": float | None, "s": str | None, "n": int | None}
    assert found.as_table().to_pylist()[1] == {"k": 2, "x": None, "s": None, "n": None}
    polars = DataFrameSource(pl.DataFrame({"k": [1, 2], "x": [0.5, float("nan")]}), ["k"])
    assert polars.schema.packets["x"] is float
    assert str(polars.as_table()["x"][1]) == "nan"


def test_a_named_index_becomes_columns_and_one_that_only_counts_is_left_out():
    frame = pd.DataFrame({"k": ["a", "b"], "day": [1, 2], "x": [0.5, 1.5]})
    assert DataFrameSource(frame.set_index("k"), ["k"]).keys() == (("k",), ("day", "x"))
    assert DataFrameSource(frame.set_index(["k", "day"]), ["k", "day"]).keys() == (("k", "day"), ("x",))
    assert DataFrameSource(frame, ["k"]).keys() == (("k",), ("day", "x"))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_categories_are_the_text_that_they_stand_for(library):
    values = {"k": [1, 2, 3], "x": ["b", "a", "b"]}
    frame: Any = (
        pd.DataFrame(values).astype({"x": "category"})
        if library == "pandas"
        else pl.DataFrame(values, schema_overrides={"x": pl.Categorical})
    )
    found = DataFrameSource(frame, ["k"], source_id="s")
    assert found.content_hash() == DictSource(pl.DataFrame(values).to_dicts(), ["k"], source_id="s").content_hash()


# Files


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_an_edited_file_is_another_source_and_a_moved_one_is_not(tmp_path):
    path = write(tmp_path / "a.csv", "k,x\n1,2\n")
    before = CSVSource(path, ["k"])
    moved = CSVSource(write(tmp_path / "b.csv", "k,x\n1,2\n"), ["k"])
    assert before.content_hash() == moved.content_hash()
    write(path, "k,x\n1,3\n")
    assert CSVSource(path, ["k"]).content_hash() != before.content_hash()
    assert before.as_table()["x"].to_pylist() == [2], "a stream does not change once it is made"


@pytest.mark.parametrize("code", ["007", "00", "-01", " 01"])
def test_whole_numbers_that_begin_with_a_zero_are_codes(tmp_path, code):
    """As subjects are called: 007 joins with what is called 007, and not with 7."""
    path = write(tmp_path / "a.csv", f"subject,x\n12,1\n{code},2\n")
    assert CSVSource(path, ["subject"]).as_table().to_pylist() == [{"subject": "12", "x": 1}, {"subject": code, "x": 2}]
    declared = CSVSource(path, ["subject"], data_schema={"subject": int})
    assert declared.as_table()["subject"].to_pylist() == [12, int(code)]


def test_other_numbers_are_numbers(tmp_path):
    path = write(tmp_path / "a.csv", "k,x,y,z\n0,0.5,1e5,-0\n10,00.5,inf,20\n")
    assert CSVSource(path, ["k"]).as_table().to_pylist() == [
        {"k": 0, "x": 0.5, "y": 100000.0, "z": 0},
        {"k": 10, "x": 0.5, "y": float("inf"), "z": 20},
    ]


def test_declared_types_reach_the_reader(tmp_path):
    path = write(tmp_path / "a.csv", "k,code,note,price\n1,007,,NA\n2,NA,x,1e3\n")
    schema = {"code": str, "note": str | None, "price": float | None}
    rows = CSVSource(path, ["k"], data_schema=schema).as_table().to_pylist()
    assert rows == [
        {"k": 1, "code": "007", "note": None, "price": None},
        {"k": 2, "code": "NA", "note": "x", "price": 1000.0},
    ]
    assert CSVSource(path, ["k"], data_schema={"note": str}).as_table()["note"].to_pylist() == ["", "x"]


def test_dialects_of_files(tmp_path):
    quoted = CSVSource(write(tmp_path / "a.csv", '\ufeffk;x\r\n1;"a;\nb"\r\n'), ["k"], delimiter=";")
    assert quoted.as_table().to_pylist() == [{"k": 1, "x": "a;\nb"}]
    latin = CSVSource(write(tmp_path / "b.csv", "k,x\n1,Zürich\n", "latin-1"), ["k"], encoding="latin-1")
    assert latin.as_table()["x"].to_pylist() == ["Zürich"]
    packed = tmp_path / "c.csv.gz"
    packed.write_bytes(gzip.compress(b"k,x\n1,2\n"))
    assert CSVSource(packed, ["k"]).as_table().to_pylist() == [{"k": 1, "x": 2}]


def test_a_file_of_names_alone_is_an_empty_stream_of_declared_columns(tmp_path):
    found = CSVSource(write(tmp_path / "a.csv", "k,x\n"), ["k"], data_schema={"k": int, "x": float})
    assert found.as_table().schema.names == ["k", "x"]
    assert found.as_table().num_rows == 0


def test_large_numbers_stay_what_they_are(tmp_path):
    path = write(tmp_path / "a.csv", "k,x,y\n1,9007199254740993,1e300\n")
    assert CSVSource(path, ["k"]).as_table().to_pylist() == [{"k": 1, "x": 9007199254740993, "y": 1e300}]
    path = write(tmp_path / "a.csv", "k,x\n1,12345678901234567890\n")
    assert CSVSource(path, ["k"], data_schema={"x": str}).as_table()["x"].to_pylist() == ["12345678901234567890"]


def test_a_table_in_large_pieces_is_not_put_together_whole():
    """However it is cut, it is the same source."""
    values = [bytes([each]) * (12 << 20) for each in range(5)]
    whole = pa.table({"i": list(range(5)), "x": values})
    pieces = pa.concat_tables([pa.table({"i": [i], "x": [value]}) for i, value in enumerate(values)])
    found, same = (ArrowTableSource(table, ["i"], source_id="s") for table in (pieces, whole))
    sizes = [chunk.batch.nbytes for chunk in found.chunks()]
    assert len(sizes) > 1
    assert max(sizes) < 40 << 20
    assert found.content_hash() == same.content_hash()
    assert [packet["x"] for _, packet in found.iter_packets()] == values


MIXED = {
    "dicts of other keys": [{"a": 1}, {"b": 2}],
    "decimals of other scales": [Decimal("1.0"), Decimal("1.00"), None],
}


@pytest.mark.parametrize("which", MIXED)
def test_objects_in_a_frame_of_pandas_are_what_they_are_in_rows(which):
    """Arrow would give each dict the keys of all, and each decimal the digits of the longest."""
    rows = [{"k": at, "x": value} for at, value in enumerate(MIXED[which])]
    found, expected = DataFrameSource(pd.DataFrame(rows, dtype=object), ["k"]), DictSource(rows, ["k"])
    assert found.output_schema() == expected.output_schema()
    assert [repr(row["x"]) for _, row in found] == [repr(row["x"]) for _, row in expected]


@dataclass(frozen=True)
class Range:
    least: int
    most: int


OBJECTS = {
    "paths": [Path(__file__), None],
    "arrays of two dimensions": [np.ones((2, 2), "f4"), np.zeros((1, 3), "f4")],
    "records": [None, Range(1, 2)],
    "tuples of several types": [(1, "a"), (2, "b")],
    "frames": [pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2, 3]})],
    "complex numbers": [1j, 2 + 1j],
}


@pytest.mark.parametrize("is_declared", [False, True])
@pytest.mark.parametrize("which", OBJECTS)
def test_objects_that_arrow_has_no_type_for_are_what_they_are_in_rows(which, is_declared):
    """What ``to_pandas`` gives, and a table of files, make a source without a detour."""
    rows = [{"k": at, "x": value} for at, value in enumerate(OBJECTS[which])]
    expected = DictSource(rows, ["k"], source_id="s")
    schema = {"x": expected.schema.packets["x"]} if is_declared else None
    for frame in (pd.DataFrame({"k": [0, 1], "x": pd.Series(OBJECTS[which])}), expected.to_pandas()):
        found = DataFrameSource(frame, ["k"], source_id="s", data_schema=schema)
        assert found.output_schema() == expected.output_schema()
        assert found.content_hash() == expected.content_hash()


def test_text_and_bytes_in_a_frame_of_pandas_are_no_one_type():
    with pytest.raises(InputValidationError, match="column 'x': values of several types are mixed: bytes, str"):
        DataFrameSource(pd.DataFrame({"k": [1, 2], "x": ["a", b"b"]}), ["k"])
