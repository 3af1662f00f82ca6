"""``bad_rows="fail"``: a row that is not of the declared types fails alone, in every kind of source."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase, SQLiteDatabase
from orcapod.errors import InputValidationError, SchemaError
from orcapod.observers import LoggingObserver, StatusObserver
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.sources import (
    ArrowTableSource,
    CSVSource,
    DataFrameSource,
    DatasetSource,
    DictSource,
    ListSource,
    Source,
    SQLiteQuerySource,
    SQLiteTableSource,
    StoredSource,
)
from orcapod.testing.strategies import ALL_COLUMNS

ORCHESTRATORS = [SyncPipelineOrchestrator, AsyncPipelineOrchestrator]
KINDS = ["dicts", "arrow", "pandas", "polars", "csv", "sqlite", "query", "dataset"]
DECLARED: dict[str, Any] = {"id": int, "weight": float}
WEIGHTS = [80.0, None, 75.5]


@op.function_pod("half", identity="version")
def half(weight: float) -> float:
    return weight / 2


def made(kind: str, weights: Sequence[Any], folder: Path, **options: Any) -> Source:
    """Return a source of patients 1, 2, ... who weigh this."""
    given: dict[str, Any] = {"source_id": "patients", "data_schema": DECLARED, "bad_rows": "fail", **options}
    columns = {"id": list(range(1, len(weights) + 1)), "weight": list(weights)}
    match kind:
        case "dicts":
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            return DictSource(rows, ["id"], **given)
        case "arrow":
            return ArrowTableSource(pa.table(columns), ["id"], **given)
        case "pandas":
            return DataFrameSource(pd.DataFrame(columns), ["id"], **given)
        case "polars":
            return DataFrameSource(pl.DataFrame(columns, strict=False), ["id"], **given)
        case "sqlite" | "query":
            path = folder / "patients.db"
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("DROP TABLE IF EXISTS patients")
                connection.execute("CREATE TABLE patients (id INTEGER, weight REAL)")
                connection.executemany("INSERT INTO patients VALUES (?, ?)", zip(*columns.values(), strict=True))
            if kind == "sqlite":
                return SQLiteTableSource(path, "patients", ["id"], **given)
            return SQLiteQuerySource(path, "SELECT id, weight FROM patients ORDER BY id", ["id"], **given)
        case "dataset":
            path = folder / "patients.jsonl"
            lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
            path.write_text("\n".join(lines))
            return DatasetSource(path, ["id"], **given)
        case _:
            path = folder / "patients.csv"
            lines = [f"{number},{'' if weight is None else weight}" for number, weight in enumerate(weights, 1)]
            path.write_text("\n".join(["id,weight", *lines]) + "\n")
            return CSVSource(path, ["id"], **given)


def pipeline_over(source: Source, database: Any = None) -> op.Pipeline:
    with op.Pipeline("study", database or MemoryDatabase()) as pipeline:
        half.pod(source, label="half")
    return pipeline


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_null_fails_alone_and_all_others_are_computed(kind: str, orchestrator: Any, tmp_path: Path) -> None:
    pipeline = pipeline_over(made(kind, WEIGHTS, tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a run tells of it otherwise
        result = pipeline.run(orchestrator())
    assert result.counts("patients") == {"computed": 0, "cached": 0, "failed": 1}
    assert result.counts("half") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
    (error,) = result.errors
    assert (error.node_label, dict(error.tag)) == ("patients", {"id": 2})
    assert isinstance(error.exception, InputValidationError)
    about = error.exception.about()
    assert (about["source_id"], about["column"], about["row"], about["expected"]) == ("patients", "weight", 1, "float")
    assert "row 1: column 'weight': expected float, found " in str(error)
    assert not result.ok
    rows = pipeline.half.as_table(ALL_COLUMNS).to_pylist()
    assert [(row["id"], row["half"]) for row in rows] == [(1, 40.0), (3, 37.75)]
    names = [value for row in rows for name, value in row.items() if name.startswith("_tag_record_id")]
    assert names == ["row_0", "row_2"], "the names of the others are not shifted"
    assert pipeline.run(orchestrator()).counts("patients")["failed"] == 1, "told again by every run"


@pytest.mark.parametrize("kind", ["dicts", "pandas", "csv", "sqlite", "query", "dataset"])
def test_text_that_is_no_number_fails_alone(kind: str, tmp_path: Path) -> None:
    result = pipeline_over(made(kind, [80.0, "heavy", 75.5], tmp_path)).run()
    (error,) = result.errors
    assert "column 'weight': expected float, found 'heavy'" in str(error)
    assert result.counts("half")["computed"] == 2


@pytest.mark.parametrize("kind", ["dicts", "csv", "dataset"])
def test_a_number_that_is_too_large_fails_alone(kind: str, tmp_path: Path) -> None:
    source = made(kind, [80, 10**30, 75], tmp_path, data_schema={"id": int, "weight": int})
    with pytest.warns(UserWarning, match="row 1: column 'weight': expected int, found"):
        assert source.as_table()["weight"].to_pylist() == [80, 75]


BROKEN: Mapping[str, tuple[str, str, str]] = {
    "cut": ("jsonl", '{"id": 2, "wei', r'row 1: expected a JSON object.*found line 3: \'{"id": 2, "wei\''),
    "a list": ("jsonl", "[2, 70.0]", r"row 1: expected a JSON object.*found line 3: '\[2, 70.0\]'"),
    "a number": ("jsonl", "2", "row 1: expected a JSON object.*found line 3: '2'"),
    "no text": ("jsonl", '{"id": 2, "weight": "\udcff"}', "row 1: expected a JSON object.*line 3"),
    "a name twice": ("jsonl", '{"id": 2, "id": 3, "weight": 70.0}', "row 1: .*each name once, found line 3"),
    "a text": (
        "jsonl",
        '{"id": 2, "weight": "heavy"}',
        "row 1: column 'weight': expected float, found 'heavy' in line 3",
    ),
    "too few": ("csv", "2", "row 1: expected 2 fields, found 1: '2' in line 3"),
    "too many": ("csv", "2,70.0,x", "row 1: expected 2 fields, found 3: '2,70.0,x' in line 3"),
}


def written(format_: str, lines: Sequence[str], path: Path) -> Source:
    path.write_text("\n".join(lines), errors="surrogateescape")
    given: dict[str, Any] = {"source_id": "patients", "bad_rows": "fail"}
    return CSVSource(path, ["id"], **given) if format_ == "csv" else DatasetSource(path, ["id"], **given)


@pytest.mark.parametrize("case", BROKEN)
def test_a_line_that_is_none_of_its_file_fails_alone(case: str, tmp_path: Path) -> None:
    """Of a file whose types nobody has declared, so that they are those of the other lines."""
    format_, line, text = BROKEN[case]
    first, *others = (
        ["id,weight", "1,80.0", line, "3,75.5"]
        if format_ == "csv"
        else ["", '{"id": 1, "weight": 80}', line, '{"id": 3, "weight": 75.5}']
    )
    pipeline = pipeline_over(written(format_, [first, *others], tmp_path / f"patients.{format_}"))
    result = pipeline.run()
    (error,) = result.errors
    assert re.search(text, str(error)), str(error)
    assert error.tag["id"] == (2 if "column 'weight'" in text else None)
    assert result.counts("half") == {"computed": 2, "cached": 0, "failed": 0, "incomplete": 1}
    rows = pipeline.half.as_table(ALL_COLUMNS).to_pylist()
    assert [row["half"] for row in rows] == [40.0, 37.75]
    assert [value for row in rows for name, value in row.items() if name.startswith("_tag_record_id")] == [
        "row_0",
        "row_2",
    ]
    path = tmp_path / f"patients.{format_}"
    with pytest.raises(InputValidationError, match="it cannot be read"):
        CSVSource(path, ["id"]) if format_ == "csv" else DatasetSource(path, ["id"])


def test_broken_lines_are_found_wherever_they_are(tmp_path: Path) -> None:
    """Also in later megabytes, and whatever the condition is: nobody knows whether they meet it."""
    bad = {0: "{", 40_000: '{"id": 40000, "more": 1}', 59_999: '{"id": 59999, "note": 1'}
    lines = [bad.get(i) or json.dumps({"id": i, "weight": i / 2, "note": "x" * 20}) for i in range(60_000)]
    (tmp_path / "p.jsonl").write_text("\n".join(lines))
    source = DatasetSource(tmp_path / "p.jsonl", ["id"], bad_rows="fail")
    told: list[str] = []
    kept = sum(chunk.num_packets for chunk in source.read(lambda tag, packet, error: told.append(str(error))))
    assert kept == 60_000 - len(bad)
    assert [int(found) for text in told for found in re.findall(r"line (\d+)", text)] == [i + 1 for i in bad]
    assert "expected an object with the columns ['id', 'weight', 'note'], found line 40001" in told[1]
    some = DatasetSource(tmp_path / "p.jsonl", ["id"], where=pc.field("id") > 59_990, bad_rows="fail")
    told.clear()
    kept = sum(chunk.num_packets for chunk in some.read(lambda tag, packet, error: told.append(str(error))))
    assert (kept, len(told)) == (8, 3)


Line = st.one_of(
    st.builds(
        lambda x: {"x": x}, st.one_of(st.none(), st.integers(-9, 9), st.floats(-9, 9), st.text("ab", max_size=2))
    ),
    st.sampled_from(["{", "[]", "", "  ", '{"x": 1} {"x": 2', '{"y": 1}', "nan"]),
)


@given(st.lists(Line, max_size=8))
def test_a_line_is_read_as_it_would_be_alone(lines: list[Any]) -> None:
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.jsonl"

        def read(some: Sequence[Any], way: Any) -> list[float | None]:
            texts = [each if isinstance(each, str) else json.dumps(each) for each in some]
            path.write_text("\n".join(texts) + "\n")
            source = DatasetSource(path, [], data_schema={"x": float | None}, source_id="s", bad_rows=way)
            found: list[float | None] = []
            for chunk in source.read(lambda tag, packet, error: None):
                found += [packet["x"] for _, packet in _rows(chunk.with_packets())]
            return found

        expected = []
        for line in lines:
            with contextlib.suppress(InputValidationError):
                expected += read([line], "raise")
        if any(not isinstance(line, str) or line.strip() for line in lines):
            assert read(lines, "fail") == expected


@pytest.mark.parametrize("kind", ["arrow", "polars"])
def test_a_value_without_exact_conversion_fails_alone(kind: str, tmp_path: Path) -> None:
    columns = pa.table({"id": [1, 2, 3], "weight": pa.array([2**53 + 1, 5, 2**60 + 1])})
    table = columns if kind == "arrow" else pl.from_arrow(columns)
    cls = ArrowTableSource if kind == "arrow" else DataFrameSource
    source = cls(table, ["id"], data_schema=DECLARED, bad_rows="fail")  # type: ignore[arg-type]
    with pytest.warns(UserWarning, match=r"row 0: column 'weight': expected float.*and so are 1 more, of 3 rows"):
        assert source.as_table().to_pylist() == [{"id": 2, "weight": 5.0}]


@pytest.mark.parametrize("kind", ["dicts", "arrow", "csv"])
def test_a_file_that_is_not_there_fails_alone(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    paths: list[Any] = [tmp_path / "a.txt", tmp_path / "b.txt"]
    if kind != "dicts":
        paths = [str(path) for path in paths]
    source = made(kind, paths, tmp_path, data_schema={"id": int, "weight": Path})
    with pytest.warns(UserWarning, match="row 1: column 'weight': expected Path, found .*nothing is there"):
        assert [packet["weight"] for _, packet in source.iter_packets()] == [tmp_path / "a.txt"]


def test_an_element_of_a_list_fails_alone() -> None:
    source = ListSource("x", [1, "two", 3], data_schema={"x": int}, bad_rows="fail")
    with pytest.warns(UserWarning, match="row 1: column 'x': expected int, found 'two'"):
        assert source.as_table().to_pylist() == [{"element_index": 0, "x": 1}, {"element_index": 2, "x": 3}]


def test_it_is_warned_of_once_where_the_source_is_read_outside_of_a_run() -> None:
    source = made("dicts", [None, 1.0, None], Path())
    text = "^DictSource 'patients': row 0: column 'weight': expected float, found None.*and so are 1 more, of 3 rows$"
    with pytest.warns(UserWarning, match=text):
        assert half.pod(source).as_table().num_rows == 1
    assert source.as_table().num_rows == 1, "and not again, which were an error here"


def test_without_it_the_source_is_refused_and_the_message_says_how_else(tmp_path: Path) -> None:
    for kind in KINDS:
        with pytest.raises(InputValidationError, match="column 'weight'.*row 1.*found (null|None).*bad_rows=\"fail\""):
            made(kind, WEIGHTS, tmp_path, bad_rows="raise")
    with pytest.raises(InputValidationError, match=r"found bad_rows 'skip', expected one of \('raise', 'fail'\)"):
        made("dicts", WEIGHTS, tmp_path, bad_rows="skip")


def test_a_function_that_takes_no_null_names_three_ways() -> None:
    source = DictSource([{"id": 1, "weight": None}, {"id": 2, "weight": 1.0}], ["id"])
    with pytest.raises(SchemaError) as caught:
        half.pod(source)
    ways = ["take float | None", ".drop_nulls(['weight'])", 'data_schema={"weight": float} and bad_rows="fail"']
    assert all(way in str(caught.value) for way in ways), str(caught.value)


@pytest.mark.parametrize("orchestrator", ORCHESTRATORS)
def test_fail_fast_ends_the_run_with_it(orchestrator: Any) -> None:
    pipeline = pipeline_over(made("dicts", WEIGHTS, Path()))
    with pytest.raises(InputValidationError, match="row 1: column 'weight'"):
        pipeline.run(orchestrator(error_policy="fail_fast"))


def test_logs_and_statuses_tell_of_it() -> None:
    pipeline = pipeline_over(made("dicts", WEIGHTS, Path()))
    pipeline.run(observer=LoggingObserver(pipeline.log_database))
    pipeline.run(observer=StatusObserver(pipeline.log_database))
    logs = LoggingObserver(pipeline.log_database).get_logs(node_label="patients").to_pylist()
    assert [(row["id"], row["__success"]) for row in logs] == [("2", False)]
    assert "InputValidationError" in logs[0]["__traceback"]
    statuses = StatusObserver(pipeline.log_database).get_status(node_label="patients").to_pylist()
    assert [(row["id"], row["__state"]) for row in statuses] == [("2", "FAILED")]


def test_a_group_with_a_bad_row_is_incomplete() -> None:
    @op.function_pod("mean", identity="version")
    def mean(weight: list[float]) -> float:
        return sum(weight) / len(weight)

    rows = [{"id": 1, "g": "a", "weight": 1.0}, {"id": 2, "g": "a", "weight": None}, {"id": 3, "g": "b", "weight": 3.0}]
    source = DictSource(rows, ["id", "g"], source_id="s", data_schema={"weight": float}, bad_rows="fail")
    with op.Pipeline("p") as pipeline:
        mean.pod(source.group_by("g"), label="mean")
    assert pipeline.run().counts("mean") == {"computed": 1, "cached": 0, "failed": 0, "incomplete": 1}
    assert pipeline.mean.as_table()["mean"].to_pylist() == [3.0]


def test_a_bad_tag_is_not_known_and_a_bad_name_is_none() -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "weight": 1.0}, {"id": "x", "weight": 2.0}, {"id": None, "weight": 3.0}]
    source = DictSource(
        rows, ["id"], source_id="s", record_id_column="id", data_schema={"id": int, "weight": float}, bad_rows="fail"
    )
    pipeline = pipeline_over(source)
    result = pipeline.run()
    assert [dict(error.tag) for error in result.errors] == [{"id": None}, {"id": None}]
    assert [packet["weight"] for packet in (error.packet for error in result.errors)] == [2.0, 3.0]
    assert [packet.source_info()["half"] is None for _, packet in pipeline.half.iter_packets()] == [False]
    assert result.counts("half") == {"computed": 1, "cached": 0, "failed": 0, "incomplete": 2}


def test_a_null_that_the_type_allows_is_a_value_unless_it_names_the_record() -> None:
    rows: list[dict[str, Any]] = [{"id": None, "weight": 1.0}, {"id": 2, "weight": None}]
    schema = {"id": int | None, "weight": float | None}
    assert DictSource(rows, ["id"], data_schema=schema, bad_rows="fail").as_table().num_rows == 2
    named = DictSource(rows, ["id"], data_schema=schema, record_id_column="id", bad_rows="fail")
    with pytest.warns(UserWarning, match="row 0: column 'id': expected the name of a record, found null"):
        assert named.as_table()["id"].to_pylist() == [2]


def test_what_is_kept_of_such_a_source_are_the_good_rows(tmp_path: Path) -> None:
    with SQLiteDatabase(tmp_path / "s.db") as database:
        pipeline = pipeline_over(made("dicts", WEIGHTS, tmp_path, record_id_column="id").cached(database), database)
        for _ in range(2):
            result = pipeline.run()
            assert [dict(error.tag) for error in result.errors] == [{"id": 2}]
            assert result.counts("half")["incomplete"] == 1
        assert StoredSource.open(database, "patients").as_table()["id"].to_pylist() == [1, 3]


def test_the_same_rows_are_the_same_source_and_a_bad_row_is_not_nothing(tmp_path: Path) -> None:
    hashes = {made(kind, WEIGHTS, tmp_path).content_hash() for kind in KINDS}
    assert len(hashes) == 1
    others = [
        made("dicts", [80.0, 75.5], tmp_path),
        made("dicts", WEIGHTS, tmp_path, data_schema={"weight": float | None}),
        made("dicts", WEIGHTS[:1] + WEIGHTS[2:] + [None], tmp_path),
    ]
    assert len(hashes | {other.content_hash() for other in others}) == 4
    good = [made(kind, [80.0, 75.5], tmp_path, bad_rows=way) for kind in KINDS for way in ("fail", "raise")]
    assert len({source.content_hash() for source in good}) == 1, "bad_rows itself is no part of what the rows are"


Value = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=3), st.booleans())


@given(st.lists(Value, max_size=8), st.sampled_from(["id", None]))
def test_the_good_rows_are_what_each_alone_would_be(values: list[Any], name: str | None) -> None:
    """With their own names; the others are told of, in their order."""
    options: Mapping[str, Any] = {"data_schema": DECLARED, "source_id": "s", "record_id_column": name}
    rows = [{"id": number, "weight": value} for number, value in enumerate(values)]
    good = []
    for number, row in enumerate(rows):
        try:
            alone = DictSource([row], ["id"], **options)
        except InputValidationError:
            continue
        good.append((number, alone.as_table()["weight"][0].as_py()))
    told: list[int] = []
    source = DictSource(rows, ["id"], bad_rows="fail", **options)
    chunks = list(source.read(lambda tag, packet, error: told.append(error.row or 0)))
    found = [(tag["id"], packet["weight"]) for chunk in chunks for tag, packet in _rows(chunk.with_packets())]
    assert repr(found) == repr(good)
    assert told == sorted(set(range(len(rows))) - {number for number, _ in good})
    assert sum(chunk.num_rows for chunk in chunks) == len(rows)


def _rows(chunk: Any) -> list[tuple[Any, Any]]:
    from orcapod.datagrams import Packet, Tag  # noqa: PLC0415

    return [(Tag(chunk, row), Packet(chunk, row)) for row in range(chunk.num_rows)]


@given(st.lists(st.one_of(st.none(), st.integers(-10, 10), st.sampled_from(["NA", "x", "1e3", " 7", "1.5", "-0"]))))
def test_a_field_of_a_csv_file_is_read_as_it_would_be_alone(values: list[Any]) -> None:
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = made("csv", values, folder)
        found = {}
        told: dict[int, str] = {}
        for chunk in source.read(lambda tag, packet, error: told.update({tag["id"]: str(error)})):
            found |= {tag["id"]: packet["weight"] for tag, packet in _rows(chunk.with_packets())}
        for number, value in enumerate(values, 1):
            try:
                alone = made("csv", [value], folder, bad_rows="raise").as_table()["weight"][0].as_py()
            except InputValidationError:
                assert number in told
            else:
                assert found[number] == alone


def test_many_bad_rows_take_no_longer_than_their_number() -> None:
    """Each of them is found where it is, across the parts in which a column is converted."""
    values = [2**60 + 1 if row % 5_000 == 4_095 or row > 19_990 else row for row in range(20_000)]
    table = pa.table({"id": range(20_000), "weight": pa.array(values)})
    told: list[int] = []
    source = ArrowTableSource(table, ["id"], data_schema=DECLARED, bad_rows="fail")
    kept = sum(chunk.num_packets for chunk in source.read(lambda tag, packet, error: told.append(tag["id"])))
    assert told == [4_095, 9_095, 14_095, 19_095, *range(19_991, 20_000)]
    assert kept == 20_000 - len(told)


def test_ints_of_pandas_of_which_one_is_missing_are_ints() -> None:
    """pandas makes floats of them, which are no ints otherwise."""
    frame = pd.DataFrame({"id": [1, 2, 3], "n": [1, None, 3]})
    source = DataFrameSource(frame, ["id"], data_schema={"n": int | None})
    assert source.as_table()["n"].to_pylist() == [1, None, 3]
    failing = DataFrameSource(frame, ["id"], data_schema={"n": int}, bad_rows="fail")
    with pytest.warns(UserWarning, match="row 1: column 'n': expected int, found null"):
        assert failing.as_table()["n"].to_pylist() == [1, 3]
    with pytest.raises(InputValidationError, match="expected a column of int"):
        DataFrameSource(pd.DataFrame({"id": [1, 2], "n": [1.5, None]}), ["id"], data_schema={"n": int | None})
    with pytest.raises(InputValidationError, match="expected a column of int"):
        DataFrameSource(pd.DataFrame({"id": [1, 2], "n": [1.0, 2.0]}), ["id"], data_schema={"n": int})


def test_floats_so_large_that_they_may_have_been_rounded_are_no_ints() -> None:
    frame = pd.DataFrame({"id": [1, 2], "n": [2**53 + 1, None]})
    with pytest.raises(InputValidationError, match="expected a column of int"):
        DataFrameSource(frame, ["id"], data_schema={"n": int | None})


@pytest.mark.parametrize("text", ["null", "5", '"text"', "[]", "true"])
def test_a_line_of_json_that_is_no_object_is_a_bad_row_whatever_it_is(tmp_path: Path, text: str) -> None:
    """A file that begins with null ended the process."""
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{text}\n{{"k": 1, "x": 1}}\n{text}\n{{"k": 2, "x": 2}}\n')

    def rows(**options: Any) -> DatasetSource:
        return DatasetSource(path, ["k"], source_id="s", data_schema={"k": int, "x": int}, **options)

    with pytest.warns(UserWarning, match=r"expected a JSON object.*found line 1.*and so are 1 more, of 4 rows"):
        assert rows(bad_rows="fail").as_table()["x"].to_pylist() == [1, 2]
    with pytest.raises(InputValidationError, match=r"cannot be read: .*(line 1|row 0)"):
        rows().as_table()
