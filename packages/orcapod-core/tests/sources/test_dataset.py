"""``DatasetSource``: files of columns, one or a folder, as a stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import InputValidationError
from orcapod.sources import ArrowTableSource, DatasetSource
from orcapod.testing.strategies import ALL_COLUMNS, schemas, tables
from orcapod.types import Schema

ROWS = [{"k": 1, "x": 0.5, "s": None}, {"k": 2, "x": 2.0, "s": "b"}, {"k": 3, "x": 0.5, "s": "c"}]
FORMATS = ["parquet", "feather", "jsonl"]


def written(path: Path, rows: Sequence[dict[str, Any]], schema: pa.Schema | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows, schema), path)
        case ".feather":
            pf.write_feather(pa.Table.from_pylist(rows, schema), path)
        case _:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("format_", FORMATS)
def test_it_is_the_source_that_its_table_is(tmp_path: Path, format_: str) -> None:
    found = DatasetSource(written(tmp_path / f"a.{format_}", ROWS), ["k"], source_id="s")
    expected = ArrowTableSource(pa.Table.from_pylist(ROWS), ["k"], source_id="s")
    assert found.as_table(ALL_COLUMNS).to_pylist() == expected.as_table(ALL_COLUMNS).to_pylist()
    assert (found.content_hash(), found.pipeline_hash()) == (expected.content_hash(), expected.pipeline_hash())
    assert found.schema == expected.schema


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_values_of_any_type_come_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of whatever types Arrow has for them."""
    schema = {"k": int, **data.draw(schemas("x", "y", nested=2))}
    table = data.draw(tables(schema))
    path = tmp_path_factory.mktemp("dataset") / "a.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    found = DatasetSource(path, ["k"], data_schema=schema, source_id="s")
    expected = ArrowTableSource(table, ["k"], data_schema=schema, source_id="s")
    assert found.schema == expected.schema
    assert found.content_hash() == expected.content_hash()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_folder_is_the_rows_of_its_files_in_the_order_of_their_paths(tmp_path: Path, format_: str) -> None:
    written(tmp_path / f"site=b/2.{format_}", [ROWS[2]])
    written(tmp_path / f"site=b/1.{format_}", [ROWS[1]])
    written(tmp_path / f"site=a b%25/1.{format_}", [ROWS[0]])
    written(tmp_path / "site=b/README.txt", [])
    written(tmp_path / f"_hidden/1.{format_}", ROWS)
    written(tmp_path / f".hidden.{format_}", ROWS)
    source = DatasetSource(tmp_path, ["site", "k"], source_id="s")
    assert [(row["site"], row["k"], row["s"]) for row in source.as_table().to_pylist()] == [
        ("a b%", 1, None), ("b", 2, "b"), ("b", 3, "c"),
    ]  # fmt: skip
    assert source.as_table(ALL_COLUMNS).column("_source_x").to_pylist() == [f"s::row_{i}::x" for i in range(3)]


@pytest.mark.parametrize("format_", FORMATS)
def test_folders_called_so_give_columns_of_numbers_codes_and_text(tmp_path: Path, format_: str) -> None:
    for part in ("year=2024/month=01/n=5", "year=2025/month=12/n=__HIVE_DEFAULT_PARTITION__"):
        written(tmp_path / part / f"a.{format_}", [{"x": 1}])
    source = DatasetSource(tmp_path, ["year", "month"])
    assert source.output_schema() == ({"year": int, "month": str}, {"x": int, "n": int | None})
    assert source.as_table().to_pylist() == [
        {"year": 2024, "month": "01", "x": 1, "n": 5}, {"year": 2025, "month": "12", "x": 1, "n": None},
    ]  # fmt: skip
    declared = DatasetSource(tmp_path, ["year", "month"], data_schema={"year": str, "month": int})
    assert declared.as_table().column("year").to_pylist() == ["2024", "2025"]
    assert declared.as_table().column("month").to_pylist() == [1, 12]


@pytest.mark.parametrize("format_", FORMATS)
def test_files_may_differ_in_columns_and_kinds_of_numbers(tmp_path: Path, format_: str) -> None:
    written(tmp_path / f"1.{format_}", [{"k": 1, "x": 1}])
    written(tmp_path / f"2.{format_}", [{"k": 2, "x": 1.5, "y": "a"}])
    source = DatasetSource(tmp_path, ["k"])
    assert source.output_schema()[1] == {"x": float, "y": str | None}
    assert source.as_table().to_pylist() == [{"k": 1, "x": 1.0, "y": None}, {"k": 2, "x": 1.5, "y": "a"}]


@pytest.mark.parametrize("format_", FORMATS)
def test_columns_and_a_condition_choose_what_is_read(tmp_path: Path, format_: str) -> None:
    path = written(tmp_path / f"site=a/a.{format_}", ROWS)
    some = DatasetSource(tmp_path, ["k"], columns=["site", "k"], where=(pc.field("x") < 1) & pc.field("s").is_valid())
    assert some.as_table().to_pylist() == [{"k": 3, "site": "a"}]
    assert some.source_id.startswith(f"{tmp_path} where ")
    assert DatasetSource(path, ["k"]).source_id == str(path)
    named = DatasetSource(path, ["k"], where=pc.field("x") < 1, record_id_column="k")
    assert named.source_id == str(path), "its records are those of the file"
    assert (named.label, DatasetSource(path, ["k"], source_id="s").label) == (path.name, "s")


@pytest.mark.parametrize("format_", FORMATS)
def test_declared_types_are_those_of_the_rows(tmp_path: Path, format_: str) -> None:
    path = written(tmp_path / f"a.{format_}", [{"k": 1, "x": 1, "l": [1], "n": 3}])
    types = {"x": float | None, "l": list[float | None], "n": int | None}
    source = DatasetSource(path, ["k"], data_schema=types)
    assert dict(source.output_schema()[1]) == types
    assert source.as_table().to_pylist() == [{"k": 1, "x": 1.0, "l": [1.0], "n": 3}]
    with pytest.raises(InputValidationError, match="there is no column 'q'|column 'q'.*found null"):
        DatasetSource(path, ["k"], data_schema={"q": int})


def test_json_says_dates_and_times_as_text(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [{"k": 1, "d": "2020-02-29", "t": "2020-01-01T12:00:00"}])
    source = DatasetSource(path, ["k"], data_schema={"d": date, "t": datetime})
    assert source.as_table().to_pylist() == [
        {"k": 1, "d": date(2020, 2, 29), "t": datetime.fromisoformat("2020-01-01T12:00")}
    ]


def test_what_comes_later_in_json_lines_is_of_the_declared_columns_or_refused(tmp_path: Path) -> None:
    """Nothing is left out in silence."""
    rows = [{"k": k, "x": None, "text": "x" * 1000} for k in range(9_000)]
    path = written(tmp_path / "a.jsonl", [*rows, {"k": 9_000, "x": 0.5, "text": "", "new": 1}])
    with pytest.raises(InputValidationError, match="cannot be read: JSON parse error.*; mend the file, or declare"):
        DatasetSource(path, ["k"], data_schema={"x": float | None})
    found = DatasetSource(path, ["k"], data_schema={"x": float | None, "new": int | None}).as_table()
    assert found.slice(9_000).to_pylist() == [{"k": 9_000, "x": 0.5, "text": "", "new": 1}]


def test_a_column_of_nulls_alone_is_to_be_declared(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", [{"k": 1, "x": None}])
    with pytest.raises(InputValidationError, match="column 'x': .* nothing but nulls; declare its type in data_schema"):
        DatasetSource(path, ["k"])


def test_a_value_that_is_not_of_its_declared_type_is_named(tmp_path: Path) -> None:
    """By its row among those of all files."""
    written(tmp_path / "1.parquet", [{"k": k, "s": "a", "x": 0.5} for k in range(5)])
    written(tmp_path / "2.parquet", [{"k": 5, "s": "a", "x": 0.5}, {"k": 6, "s": "c", "x": 0.5}])
    with pytest.raises(InputValidationError, match="column 's', row 6: .*'c'") as raised:
        DatasetSource(tmp_path, ["k"], data_schema={"s": Literal["a"]})
    assert (raised.value.column, raised.value.row) == ("s", 6)
    with pytest.raises(InputValidationError, match="column 'x': expected a column of int.*, found Arrow type double"):
        DatasetSource(tmp_path, ["k"], data_schema={"x": int})


@pytest.mark.parametrize(
    ("write", "options", "why"),
    [
        (lambda folder: None, {}, "found nothing there, expected a file or a folder"),
        (lambda folder: folder.mkdir(), {}, "found files of no format that is known in the folder"),
        (lambda folder: folder.mkdir(), {"format": "jsonl"}, "found no file of jsonl in the folder"),
        (lambda folder: (written(folder / "a.parquet", ROWS), written(folder / "a.jsonl", ROWS)), {},
         "found files of jsonl, parquet in the folder"),
        (lambda folder: folder.write_text("k\n1\n"), {}, "found a file of another format, expected one that ends"),
        (lambda folder: folder.write_text("k\n1\n"), {"format": "parquet"}, "it cannot be read: .*Parquet"),
        (lambda folder: folder.write_text("{"), {"format": "jsonl"}, "it cannot be read: .*JSON"),
        (lambda folder: folder.write_text('[{"k": 1}]'), {"format": "jsonl"},
         "line 1 begins a list, expected an object in each line.*json.load"),
        (lambda folder: folder.write_text('\n[\n {"k": 1}\n]'), {"format": "jsonl"},
         "line 2 begins a list, .* give DictSource"),
        (lambda folder: folder.write_text('[{"k": 1}]', encoding="utf-8-sig"), {"format": "jsonl"},
         "line 1 begins a list"),
        (lambda folder: folder.write_text('[{"k": 1}]'), {"format": "jsonl", "bad_rows": "fail"},
         "no line is an object with a value"),
        (lambda folder: folder.write_text("{}\nno\n"), {"format": "jsonl", "bad_rows": "fail"},
         "no line is an object with a value"),
        (lambda folder: written(folder / "a.parquet", ROWS), {"format": "csv"}, "found format 'csv', expected one of"),
        (lambda folder: written(folder / "a.parquet", ROWS), {"columns": ["q"]}, "there is no column 'q'; found .'k'"),
        (lambda folder: written(folder / "a.parquet", ROWS), {"where": "x > 1"}, "found where 'x > 1' of type str"),
        (lambda folder: written(folder / "a.parquet", ROWS), {"where": pc.field("q") > 1}, "it cannot be read: .*q"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(tmp_path: Path, write: Any, options: dict[str, Any], why: str) -> None:
    folder = tmp_path / "data"
    write(folder)
    with pytest.raises(InputValidationError, match=why):
        DatasetSource(folder, ["k"], **options)


def test_files_of_several_formats_are_read_by_the_one_that_is_named(tmp_path: Path) -> None:
    written(tmp_path / "a.parquet", ROWS[:1])
    written(tmp_path / "b.jsonl", ROWS[1:])
    assert DatasetSource(tmp_path, ["k"], format="jsonl").as_table().column("k").to_pylist() == [2, 3]


def test_it_keeps_the_rows_it_found_and_a_pipeline_runs_over_it(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", ROWS)
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        op.function_pod(output_keys="y", identity="version")(double).pod(DatasetSource(path, ["k"]))
    path.unlink()
    assert pipeline.run().counts("double")["computed"] == 2


def double(x: float) -> float:
    return x * 2


def test_small_types_of_arrow_are_those_of_python(tmp_path: Path) -> None:
    table = pa.table(
        {
            "k": pa.array([1], pa.int8()),
            "f": pa.array([0.5], pa.float32()),
            "s": pa.array(["a"], pa.string()),
            "c": pa.array(["a"]).dictionary_encode(),
            "t": pa.array([0], pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    source = DatasetSource(tmp_path / "a.parquet", ["k"])
    assert source.schema.tags | source.schema.packets == Schema(
        {"k": int, "f": float, "s": str, "c": str, "t": datetime}
    )
