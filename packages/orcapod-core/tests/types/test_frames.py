"""Tables and frames as values: what goes in comes back, labels and dtypes too, and chunks mean nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.errors import SchemaError, ValueTypeError
from orcapod.hashing import hash_rows
from orcapod.testing import TypeSuite
from orcapod.testing.arrow import tables
from orcapod.types import Schema, column_of, registry

INSTANT = datetime(2024, 1, 2, tzinfo=UTC)


def hash_of(value: Any) -> bytes:
    schema = Schema({"x": type(value)})
    (digest,) = hash_rows(pa.RecordBatch.from_pydict({"x": column_of([value], schema.types["x"])}), schema)
    return digest


class TestTable(TypeSuite):
    annotation = pa.Table

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.sampled_from([pa.table({}), pa.table({"a": [1, None]}), pa.table({"a": ["x"]})]) | tables()

    def make_equal(self, value: Any) -> list[Any]:
        cut = [value.slice(0, 1), value.slice(1)]
        return [pa.concat_tables(cut) if value.num_columns else value]

    def is_same(self, one: Any, other: Any) -> bool:
        return bool(hash_of(one) == hash_of(other)) if one.schema.equals(other.schema, check_metadata=True) else False


class TestPandasFrame(TypeSuite):
    annotation = pd.DataFrame

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.sampled_from(pandas_frames())

    def make_equal(self, value: Any) -> list[Any]:
        return [value.copy(), value.take(range(len(value))) if len(value) else value]

    def is_same(self, one: Any, other: Any) -> bool:
        return isinstance(one, pd.DataFrame) and registry.resolve(pd.DataFrame).is_same(one, other)  # type: ignore[attr-defined]


class TestPandasSeries(TypeSuite):
    annotation = pd.Series

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.sampled_from(
            [
                pd.Series([1, 2]),
                pd.Series([1, 2], name="a"),
                pd.Series([1, 2], name=0),
                pd.Series([1, 2], name=("a", 1)),
                pd.Series([1, 2], name=("a", ("b", None))),
                pd.Series([1.0, np.nan], index=["x", "y"], name="a"),
                pd.Series([], dtype="category"),
                pd.Series([INSTANT, None]),
            ]
        )

    def is_same(self, one: Any, other: Any) -> bool:
        return registry.resolve(pd.Series).is_same(one, other)  # type: ignore[attr-defined,no-any-return]


class TestPolarsFrame(TypeSuite):
    annotation = pl.DataFrame

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.sampled_from(polars_frames())

    def make_equal(self, value: Any) -> list[Any]:
        return [pl.concat([value.slice(0, 1), value.slice(1)], rechunk=False)]

    def is_same(self, one: Any, other: Any) -> bool:
        return isinstance(one, pl.DataFrame) and one.schema == other.schema and one.equals(other)


class TestPolarsSeries(TypeSuite):
    annotation = pl.Series

    def make_values(self) -> st.SearchStrategy[Any]:
        return st.sampled_from([pl.Series("a", [1, 2]), pl.Series([1, 2]), pl.Series("a", [[1.5], None])])

    def is_same(self, one: Any, other: Any) -> bool:
        return one.name == other.name and one.dtype == other.dtype and one.equals(other)


def pandas_frames() -> list[pd.DataFrame]:
    frame = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "é"]})
    category = pd.Categorical(["x", "y", "x"], categories=["x", "y", "z"])
    labelled = frame.copy()
    labelled.attrs = {"unit": "mV"}
    return [
        pd.DataFrame(),
        frame,
        labelled,
        frame.iloc[:0],
        frame[["b", "a"]],
        frame.set_index("b"),
        frame.set_index(["a", "b"]),
        frame.set_index(pd.RangeIndex(1, 7, 2, name="n")),
        frame.rename(columns={"a": 0, "b": 1}),
        frame.rename_axis(columns="letters"),
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["l", "n"])),
        pd.DataFrame({"a": [1.0, np.nan, -0.0]}),
        pd.DataFrame({"a": [1.0, np.nan, 0.0]}, dtype="float32"),
        pd.DataFrame({"a": pd.array([1, None, 3], "Int64")}),
        pd.DataFrame({"a": pd.array([True, None], "boolean")}),
        pd.DataFrame({"c": category}),
        pd.DataFrame({"c": category.remove_unused_categories()}),
        pd.DataFrame({"c": category.as_ordered()}),
        pd.DataFrame({"c": category[:0]}),
        pd.DataFrame({"t": [pd.Timestamp(INSTANT), pd.NaT]}),
        pd.DataFrame({"t": pd.to_timedelta([1, 2], "s")}, index=pd.date_range("2024-01-01", periods=2)),
        pd.DataFrame({"o": pd.Series([date(2024, 1, 1), None], dtype=object)}),
        pd.DataFrame({"o": pd.Series([np.nan, "x"], dtype=object)}),
    ]


def polars_frames() -> list[pl.DataFrame]:
    return [
        pl.DataFrame(),
        pl.DataFrame({"a": [1, None, 3], "b": ["x", None, "é"]}),
        pl.DataFrame({"b": ["x", None, "é"], "a": [1, None, 3]}),
        pl.DataFrame({"a": [1, 2]}).clear(),
        pl.DataFrame({"a": [1.5, float("nan"), None]}),
        pl.DataFrame({"a": [[1], None, []], "s": [{"x": 1}, None, {"x": None}]}),
        pl.DataFrame({"c": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y", "z"]))}),
        pl.DataFrame({"c": pl.Series(["x", "y"], dtype=pl.Enum(["x", "y"]))}),
        pl.DataFrame({"c": pl.Series(["x", "y"], dtype=pl.Categorical)}),
        pl.DataFrame({"t": [INSTANT, None], "d": [date(2024, 1, 1), None]}),
        pl.DataFrame({"i": pl.Series([1, 2], dtype=pl.UInt8), "b": [b"a", b""]}),
    ]


@given(tables())
def test_a_table_is_its_values_however_it_is_chunked(table: pa.Table) -> None:
    assert hash_of(table) == hash_of(pa.concat_tables([table.slice(0, 1), table.slice(1)]))
    if table.num_rows:
        assert hash_of(table) != hash_of(table.slice(1))


def test_names_types_and_metadata_of_a_table_count() -> None:
    table = pa.table({"a": [1, 2]})
    others = [
        pa.table({"b": [1, 2]}),
        table.cast(pa.schema([("a", pa.int32())])),
        table.cast(pa.schema([pa.field("a", pa.int64(), nullable=False)])),
        table.replace_schema_metadata({"unit": "mV"}),
        pa.table({"a": [1, None]}),
        pa.table({"a": [[1], [2]]}),
        pa.table({"a": [[1, 2], []]}),
        pa.table({"a": [{"x": 1}, {"x": 2}]}),
        pa.table({"a": [{"y": 1}, {"y": 2}]}),
    ]
    assert len(set(map(hash_of, [table, *others]))) == 1 + len(others)


def test_the_versions_of_who_wrote_a_frame_are_no_part_of_it() -> None:
    dtype = registry.resolve(pd.DataFrame)
    stored = dtype.to_storage(pd.DataFrame({"a": [1]}))
    data = bytes(stored["data"]).replace(f'"pandas_version": "{pd.__version__}"'.encode(), b'"pandas_version": "0.0.1"')
    assert data != stored["data"]
    one, other = dtype.identity(dtype.from_python([stored, {**stored, "data": data}]))
    assert one == other


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({"a": [1, "x"]}),
        pd.DataFrame({"a": [object()]}),
        pd.DataFrame({"a": [[1, 2]]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame([[1, 2]], columns=[0, "a"]),
        pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}),
    ],
    ids=range(6),
)
def test_a_frame_that_would_not_come_back_is_refused(value: Any) -> None:
    with pytest.raises(ValueTypeError, match="convert"):
        registry.resolve(type(value)).to_storage(value)


def test_what_is_more_than_a_frame_is_refused() -> None:
    class GeoFrame(pd.DataFrame):
        pass

    with pytest.raises(SchemaError, match="more than a table"):
        registry.resolve(GeoFrame)
    with pytest.raises(ValueTypeError, match="more than a table"):
        registry.resolve(pd.DataFrame).to_storage(GeoFrame({"a": [1]}))


class Unit(StrEnum):
    VOLT = "V"


NOON = pd.Timestamp("2020-07-01 12:00", tz="UTC")
MISSING = [None, float("nan"), pd.NA, pd.NaT]
CELLS: list[list[Any]] = [
    [1, 2, True, 2.5, -0.0, 0.0],
    ["", "x", np.str_("x"), Unit.VOLT, b"x", bytearray(b"x")],
    [Decimal("1.0"), Decimal("1.00"), Decimal("NaN"), 1],
    [NOON.tz_convert(zone) for zone in ("UTC", "Europe/Berlin", "America/New_York")],
    [pd.Timestamp("2020-07-01").as_unit(unit) for unit in ("s", "us", "ns")],
    [datetime(2020, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2020, 7, 1), date(2020, 7, 1)],  # noqa: DTZ001
    [timedelta(1), pd.Timedelta(1, "D"), time(1), time(1, fold=1)],
    [np.float32(1.5), np.float64(1.5), 1.5, np.float64("nan"), np.int8(1), 1],
    [[1], (1,), {1}, {"a": 1}, {"a": Unit.VOLT}, {"b": 1}, np.arange(2), np.arange(2, dtype="f4")],
]


@st.composite
def columns_of_objects(draw: st.DrawFn) -> list[Any]:
    """Draw cells that are alike, and yet not always the same."""
    cells = draw(st.lists(st.sampled_from(draw(st.sampled_from(CELLS)) + MISSING), min_size=1, max_size=3))
    return draw(st.sampled_from([cells, [cells[0]] * 3, [cells[0], draw(st.sampled_from(MISSING))]]))


def exact(cells: Any) -> list[Any]:
    return [(type(cell), repr(cell), getattr(cell, "unit", None)) for cell in cells]


def objects(cells: list[Any]) -> pd.Series:
    series = pd.Series(index=range(len(cells)), dtype=object)
    for at, cell in enumerate(cells):
        series.iat[at] = cell
    return series


@given(columns_of_objects(), st.booleans())
def test_objects_come_back_as_they_were_or_are_refused(cells: list[Any], are_labels: bool) -> None:
    if are_labels:
        frame = pd.DataFrame({"a": range(len(cells))}, index=pd.Index(objects(cells), dtype=object))
    else:
        frame = pd.DataFrame({"a": objects(cells)})
    dtype = registry.resolve(pd.DataFrame)
    try:
        stored = dtype.to_storage(frame)
    except ValueTypeError:
        return
    back = dtype.from_storage(stored)
    assert exact(back.index if are_labels else back["a"]) == exact(frame.index if are_labels else cells)


@given(columns_of_objects(), columns_of_objects())
def test_columns_of_objects_are_the_same_if_their_cells_are(one: list[Any], other: list[Any]) -> None:
    try:
        hashes = [hash_of(pd.DataFrame({"a": objects(cells)})) for cells in (one, other)]
    except ValueTypeError:
        return
    assert (hashes[0] == hashes[1]) == (exact(one) == exact(other))


@pytest.mark.parametrize(
    "cells",
    [
        [1, None],
        ["x", None],
        ["x", float("nan")],
        ["x", None, float("nan"), pd.NA, None],
        [1.5, None],
        [1.5, None, float("nan")],
        [True, None, False],
        [None, None],
        [float("nan")],
        [Decimal("1.0"), None],
        [date(2020, 1, 1), None, float("nan")],
        [NOON, None],
        [NOON, pd.NaT],
    ],
    ids=repr,
)
def test_objects_of_one_type_are_kept_with_what_is_missing(cells: list[Any]) -> None:
    dtype = registry.resolve(pd.DataFrame)
    back = dtype.from_storage(dtype.to_storage(pd.DataFrame({"a": objects(cells)})))
    assert exact(back["a"]) == exact(cells)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ([1, 2.5], r"row 0: found 1 of type int, which would be 1.0 of type float; convert"),
        ([Decimal("1.0"), Decimal("1.00")], r"row 0: .*quantize"),
        ([NOON, NOON.tz_convert("Asia/Tokyo")], r"row 1: .*pd.to_datetime\(..., utc=True\)"),
        ([datetime(2020, 1, 1)], r"row 0: .*pd.to_datetime"),  # noqa: DTZ001
        ([timedelta(1)], r"row 0: .*pd.to_timedelta"),
        ([np.float32(1.5)], r"row 0: .*astype\('float32'\)"),
        (["x", Unit.VOLT], r"row 1: .*convert"),
        ([bytearray(b"x")], r"row 0: .*convert"),
    ],
    ids=str,
)
def test_objects_that_would_come_back_as_others_are_named(cells: list[Any], told: str) -> None:
    with pytest.raises(ValueTypeError, match=f"column 'a', {told}"):
        registry.resolve(pd.DataFrame).to_storage(pd.DataFrame({"a": objects(cells)}))


def test_a_frame_whose_labels_are_there_once_stays_one() -> None:
    once = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    dtype = registry.resolve(pd.DataFrame)
    assert not dtype.from_storage(dtype.to_storage(once)).flags.allows_duplicate_labels
    assert hash_of(once) != hash_of(pd.DataFrame({"a": [1]}))


AMOUNTS = pd.DataFrame({"x": ["a", "a", "b"], "v": [1.0, 2.0, 8.0]})
AS_PANDAS_MAKES_THEM = {
    "counts": pd.DataFrame({"x": ["a", "a", "b"]}).value_counts().to_frame(),
    "named by an int": pd.DataFrame({"v": [1.0, 2.0]}, index=pd.Index([1, 2], name=0)),
    "named by a tuple": pd.DataFrame({"v": [1.0, 2.0]}, index=pd.Index([1, 2], name=("a", np.int64(1)))),
    "object text": pd.DataFrame({"v": [1.0, 2.0]}, index=pd.Index(["a", "b"], dtype=object)),
    "object levels": pd.DataFrame({"v": [1]}, index=pd.MultiIndex.from_arrays([pd.Index(["a"], dtype=object), [1]])),
    "text and nothing": pd.DataFrame({"v": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", np.nan), ("b", "c")])),
    "a row": pd.DataFrame({"v": [1.0], "w": [2.0]}, index=pd.Index([3])).iloc[0],
    "binned": pd.DataFrame({"a": pd.cut([1, 9, np.nan], 2), "b": pd.cut([1, 2, 3], [0, 2, 4, 8], right=False)}),
    "by bin": AMOUNTS.groupby(pd.cut(AMOUNTS["v"], [0, 2, 8, 9]), observed=False).sum(),
    "by bin and name": AMOUNTS.groupby([pd.cut(AMOUNTS["v"], 2), "x"], observed=True).mean(),
    "a series by bin": AMOUNTS.groupby(pd.cut(AMOUNTS["v"], 2), observed=True)["v"].mean(),
    "crossed": pd.crosstab(AMOUNTS["x"], AMOUNTS["v"] > 1),
    "one side": pd.crosstab(AMOUNTS["x"], AMOUNTS["v"] > 9),
    "none of many": pd.DataFrame({"a": [1, 2]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])).iloc[:0],
}


@pytest.mark.parametrize("value", AS_PANDAS_MAKES_THEM.values(), ids=AS_PANDAS_MAKES_THEM)
def test_what_pandas_makes_comes_back_and_goes_on(value: Any) -> None:
    dtype = registry.resolve(type(value))
    back = dtype.from_storage(dtype.to_storage(value))
    getattr(pd.testing, f"assert_{type(value).__name__[-5:].lower().replace('eries', 'series')}_equal")(value, back)
    assert (value.index.equals(back.index), exact(value.index)) == (True, exact(back.index))
    assert exact(value.index.names) == exact(back.index.names)
    assert hash_of(value) == hash_of(back)


def test_the_order_of_bytes_is_no_part_of_a_frame() -> None:
    swapped = pd.DataFrame({"a": np.array([1.0, 2.0], ">f8"), "b": [1, 2]})
    dtype = registry.resolve(pd.DataFrame)
    back = dtype.from_storage(dtype.to_storage(swapped))
    assert back["a"].tolist() == [1.0, 2.0]
    assert back["a"].dtype.isnative
    assert swapped["a"].dtype == np.dtype(">f8")
    assert hash_of(swapped) == hash_of(swapped.astype({"a": "f8"}))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (pd.DataFrame({"b": [1.0], "a": [1j]}), "Arrow cannot hold column 'a' of complex128: .*convert"),
        (
            pd.DataFrame({"a": pd.cut(pd.date_range("2024", periods=2), 2)}),
            "cannot hold column 'a' of category: .*convert",
        ),
        (pd.DataFrame({"a": [1]}, index=pd.Index([object()])), "Arrow cannot hold its index: .*convert"),
        (pd.DataFrame([[1, 2]], columns=["a", 1]), "the names of its columns: they are of several types; convert"),
        (pd.DataFrame([[1]], columns=pd.Index(["a"], dtype=object)), "the names of its columns, .*convert"),
        (
            pd.DataFrame({"a": pd.array(["x"], "string[python]")}),
            "column 'a', dtype .*python.*convert",
        ),
        (pd.Series([1], name=pd.Timestamp("2020")), "Arrow cannot hold its name Timestamp.*convert"),
        (pd.Series([1, "x"]), "Arrow cannot hold column 'values' of object: .*convert"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([(1, 2)], tupleize_cols=False)), "its index, row 0: .*convert"),
    ],
    ids=range(9),
)
def test_what_of_a_frame_cannot_be_held_is_named(value: Any, told: str) -> None:
    with pytest.raises(ValueTypeError, match=told):
        registry.resolve(type(value)).to_storage(value)


@pytest.mark.parametrize("annotation", [pa.Table, pd.DataFrame, pd.Series, pl.DataFrame, pl.Series])
def test_bytes_that_are_no_table_are_refused(annotation: Any) -> None:
    whole = registry.resolve(pa.Table).to_storage(pa.table({"a": [1]}))["data"]
    for data in (b"", b"oops" * 10, whole[:-40]):
        with pytest.raises(ValueTypeError, match="no Arrow IPC stream"):
            registry.resolve(annotation).from_storage({"data": data})


@pytest.mark.parametrize("frame", [pd.DataFrame({"a": [1.0, 2.0]}), pd.Series([1, 2])], ids=["frame", "series"])
def test_a_function_may_change_the_frame_that_it_is_given(frame: Any) -> None:
    dtype = registry.resolve(type(frame))
    column = column_of([frame], dtype)
    (given_frame,) = dtype.to_python(column)
    given_frame.iloc[0] = 9
    assert dtype.is_same(dtype.to_python(column)[0], frame)  # type: ignore[attr-defined]


FREQUENCIES = [
    pd.date_range("2024-01-01", periods=5, freq="D"),
    pd.date_range("2024-01-01", periods=3, freq="2h", tz="Europe/Berlin"),
    pd.date_range("2024-01-01", periods=3, freq="MS"),
    pd.date_range("2024-01-01", periods=0, freq="D"),
    pd.timedelta_range("1s", periods=3, freq="5s"),
]


@pytest.mark.parametrize("labels", FREQUENCIES, ids=[str(each.freq) for each in FREQUENCIES])
def test_the_frequency_of_labels_is_part_of_a_frame(labels: pd.Index) -> None:
    """What it says of ``shift`` and ``asfreq`` would be gone otherwise, without a word."""
    values = range(len(labels))
    frame, series = pd.DataFrame({"x": values}, index=labels), pd.Series(values, index=labels, name="x")
    wide = [pd.DataFrame([values], columns=labels)] if isinstance(labels, pd.DatetimeIndex) else []
    for value in (frame, series, *wide):
        dtype = registry.resolve(type(value))
        stored = dtype.to_storage(value)
        back = dtype.from_storage(stored)
        assert dtype.is_same(value, back)  # type: ignore[attr-defined]
        for one, other in zip(value.axes, back.axes, strict=True):
            assert getattr(one, "freq", None) == getattr(other, "freq", None)
        plain = value.copy()
        for at, labels_ in enumerate(value.axes):
            plain = plain.set_axis(type(labels_)(labels_, freq=None) if hasattr(labels_, "freq") else labels_, axis=at)
        assert not dtype.is_same(value, plain)  # type: ignore[attr-defined]
        both = dtype.from_python([stored, dtype.to_storage(plain)])
        one, other = dtype.identity(both).to_pylist()
        assert one != other


def test_a_frequency_that_no_name_tells_is_refused() -> None:
    labels = pd.date_range("2024-01-01", periods=3, freq=pd.offsets.CustomBusinessDay(holidays=["2024-01-02"]))
    with pytest.raises(ValueTypeError, match="would not come back from Arrow as it is|Arrow cannot hold it"):
        registry.resolve(pd.DataFrame).to_storage(pd.DataFrame({"x": range(3)}, index=labels))


def test_names_of_columns_that_arrow_does_not_bring_back_are_refused() -> None:
    labels = pd.timedelta_range("1s", periods=2, freq="5s")
    with pytest.raises(ValueTypeError, match="Arrow cannot hold the names of its columns"):
        registry.resolve(pd.DataFrame).to_storage(pd.DataFrame([[1, 2]], columns=labels))
