"""Streams in the hands of other libraries."""

from __future__ import annotations

import sys
from typing import Any, TypedDict

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import PluginError
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.streams import Stream
from orcapod.testing.strategies import ALL_COLUMNS

ROWS = [
    {"k": "a", "x": 2**60 + 1, "y": None, "b": True, "s": "text", "list": [1.5], "map": {"u": [1]}},
    {"k": "b", "x": -1, "y": 2**60 + 1, "b": None, "s": "", "list": [], "map": {}},
]
TYPES = {
    "k": str,
    "x": int,
    "y": int | None,
    "b": bool | None,
    "s": str,
    "list": list[float],
    "map": dict[str, list[int]],
}


def rows() -> DictSource:
    return DictSource(ROWS, ["k"], source_id="s", data_schema=TYPES)


def streams() -> dict[str, Stream]:
    @op.function_pod(["x", "y"], identity="version")
    def same(x: int, y: int | None) -> tuple[int, int | None]:
        return x, y

    table = pa.table({"k": [1, 2, 3, 4], "x": [1, 2, 3, 4]})
    chunked = ArrowTableSource(pa.concat_tables([table.slice(0, 1), table.slice(1, 3)]), ["k"])
    pipeline = op.Pipeline("p", MemoryDatabase())
    with pipeline:
        same.pod(rows())
    pipeline.run()
    return {
        "source": rows(),
        "derived": rows().join(rows().map_packets({name: f"{name}2" for name in list(TYPES)[1:]})),
        "pod": same.pod(rows()),
        "node": pipeline.same,
        "chunks": chunked.concat(chunked),
        "empty": rows().filter(k="c"),
    }


STREAMS = streams()


@pytest.mark.parametrize("which", STREAMS)
def test_every_library_sees_every_stream(which: str) -> None:
    stream = STREAMS[which]
    expected = stream.as_table()
    assert pa.table(stream).equals(expected)
    assert pa.RecordBatchReader.from_stream(stream).read_all().equals(expected)
    assert pl.DataFrame(stream).height == expected.num_rows
    assert stream.to_polars().columns == stream.to_pandas().columns.tolist() == expected.column_names
    assert len(stream.to_pandas()) == expected.num_rows
    counted = duckdb.sql("select count(*) from stream").fetchall()
    assert counted == [(expected.num_rows,)]


def test_duckdb_queries_a_stream_by_its_name() -> None:
    stream = rows()  # noqa: F841  # DuckDB looks for it by its name
    assert duckdb.sql("select k, x from stream where y is not null").fetchall() == [("b", -1)]
    assert duckdb.sql("from stream").fetchall()[0][:3] == ("a", 2**60 + 1, None)


def test_pandas_changes_no_value() -> None:
    frame = rows().to_pandas()
    assert frame["x"].dtype == "int64"
    assert frame["x"].tolist() == [2**60 + 1, -1]
    assert frame["y"].dtype == pd.Int64Dtype()
    assert frame["y"][1] == 2**60 + 1
    assert frame["y"][0] is pd.NA
    assert frame["b"].dtype == pd.BooleanDtype()
    assert frame["s"].tolist() == ["text", ""]
    assert frame["list"][0].tolist() == [1.5]


SHOWN: dict[str, tuple[Any, Any]] = {
    "dict": ({"u": [1]}, dict[str, list[int]]),
    "set": ({1, 2}, set[int]),
    "tuple": ((1, "a"), tuple[int, str]),
    "tuples": ([(1, "a")], list[tuple[int, str]]),
    "record": ({"zone": "x", "at": 1}, TypedDict("Zoned", {"zone": str, "at": int})),
    "months": (np.timedelta64(5, "M"), np.timedelta64),
    "picoseconds": (np.datetime64(5, "ps"), np.datetime64),
    "quarters": (np.datetime64(5, "25s"), np.datetime64),
}


@pytest.mark.parametrize("which", SHOWN)
def test_pandas_shows_values_as_themselves(which: str) -> None:
    value, annotation = SHOWN[which]
    node = DictSource([{"k": 1, "x": value}, {"k": 2, "x": None}], ["k"], data_schema={"x": annotation | None})
    shown, missing = node.to_pandas()["x"]
    assert (type(shown), shown, repr(shown), missing) == (type(value), value, repr(value), None)


def test_times_that_pandas_knows_are_its_own() -> None:
    values = [np.datetime64("2024-01-01T00:00:00.000000001"), np.datetime64("2024-01-02", "ns")]
    frame = DictSource([{"k": str(at), "x": at} for at in values], ["k"], data_schema={"x": np.datetime64}).to_pandas()
    assert frame["x"].dtype == "datetime64[ns]"
    assert frame["x"].to_numpy().tolist() == np.array(values).tolist()


def test_polars_changes_no_value() -> None:
    frame = rows().select_packet_columns(["x", "y", "b", "s", "list"]).to_polars()
    assert frame.to_dicts() == [{name: row[name] for name in ["k", "x", "y", "b", "s", "list"]} for row in ROWS]


def test_system_columns_come_along_when_asked_for() -> None:
    expected = rows().as_table(ALL_COLUMNS).column_names
    assert rows().to_pandas(ALL_COLUMNS).columns.tolist() == rows().to_polars(ALL_COLUMNS).columns == expected


def test_a_reader_that_stops_early_takes_nothing_from_the_next() -> None:
    reader: Any = pa.RecordBatchReader.from_stream(STREAMS["chunks"])
    assert reader.read_next_batch().num_rows
    del reader
    assert pa.table(STREAMS["chunks"]).num_rows == 8


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_library_that_is_not_there_is_named_with_what_to_install(library: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PluginError, match=rf"to_{library}: {library} is not installed; run: pip install"):
        getattr(rows(), f"to_{library}")()
