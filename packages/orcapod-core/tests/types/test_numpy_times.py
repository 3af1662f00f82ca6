"""Points and spans of time of numpy's: a count of units, both of which come back."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as extra

import orcapod as op
from orcapod.errors import InputValidationError, SchemaError, ValueTypeError
from orcapod.hashing import hash_rows
from orcapod.sources import ArrowTableSource, DictSource
from orcapod.testing import TypeSuite
from orcapod.types import Schema, column_of, registry


class TimeSuite(TypeSuite):
    def is_same(self, one: Any, other: Any) -> bool:
        return type(one) is type(other) and repr(one) == repr(other)


class TestDatetimes(TimeSuite):
    annotation = np.datetime64

    def make_values(self) -> st.SearchStrategy[Any]:
        drawn = extra.datetime64_dtypes(endianness="<").flatmap(extra.from_dtype)
        return drawn | st.sampled_from([np.datetime64(5, "25s"), np.datetime64("NaT"), np.datetime64("2026-01-01")])


class TestTimedeltas(TimeSuite):
    annotation = np.timedelta64

    def make_values(self) -> st.SearchStrategy[Any]:
        drawn = extra.timedelta64_dtypes(endianness="<").flatmap(extra.from_dtype)
        return drawn | st.sampled_from([np.timedelta64("NaT"), np.timedelta64(3, "M")])


def test_a_span_without_a_unit_is_refused() -> None:
    with pytest.raises(ValueTypeError, match="it has no unit"):
        registry.resolve(np.timedelta64).to_storage(np.timedelta64(5))


def hash_of(value: Any, annotation: Any = np.datetime64) -> bytes:
    schema = Schema({"x": annotation})
    (digest,) = hash_rows(pa.RecordBatch.from_pydict({"x": column_of([value], schema.types["x"])}), schema)
    return digest


def test_an_instant_in_another_unit_is_another_value() -> None:
    """As elements of arrays are: a function sees the unit, and counts in it."""
    seconds, nanoseconds = np.datetime64("2026-01-01T00:00:00", "s"), np.datetime64("2026-01-01", "ns")
    assert seconds == nanoseconds
    assert hash_of(seconds) != hash_of(nanoseconds)
    assert hash_of(np.datetime64("NaT", "s")) == hash_of(np.datetime64("NaT", "s"))


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([np.datetime64("2026-01-01T12", "s"), None], datetime | None),
        ([np.datetime64("2026-01-01")], date),
        ([np.timedelta64(3, "s"), timedelta(1)], timedelta),
        ([np.datetime64("2026-01-01", "ns")], np.datetime64),
        ([np.datetime64("2026-01-01T12", "s"), np.datetime64("NaT")], np.datetime64),
        ([np.datetime64("2026-01-01"), np.datetime64("2026-01-01T12", "s")], np.datetime64),
        ([np.timedelta64(3, "M"), None], np.timedelta64 | None),
    ],
)
def test_a_source_takes_those_of_python_where_all_are_such(values: Any, found: Any) -> None:
    source = DictSource([{"i": i, "x": x} for i, x in enumerate(values)], ["i"])
    assert source.schema.packets.types["x"] == registry.resolve(found)
    kept = DictSource([{"x": x} for x in values], [], data_schema={"x": type(values[0]) | None})
    numpy = [x for x in values if isinstance(x, np.generic)]
    assert [repr(packet["x"]) for _, packet in kept.iter_packets()][: len(numpy)] == list(map(repr, numpy))


def test_functions_of_numpys_times_take_pythons_and_pandas() -> None:
    @op.function_pod("y")
    def later(x: np.datetime64, by: np.timedelta64) -> np.datetime64:
        return x + by

    source = DictSource([{"x": datetime(2026, 1, 1), "by": timedelta(hours=1)}], [])  # noqa: DTZ001  # a wall clock's
    ((_, packet),) = later.pod(source).iter_packets()
    assert packet["y"] == np.datetime64("2026-01-01T01", "us")
    dtype = registry.resolve(np.datetime64)
    stored = [dtype.to_storage(value) for value in (pd.Timestamp("2026-01-01T00:00:00.000000001"), date(2026, 1, 1))]
    assert list(map(dtype.from_storage, stored)) == [
        np.datetime64("2026-01-01T00:00:00.000000001", "ns"),
        np.datetime64("2026-01-01"),
    ]
    with pytest.raises(ValueTypeError, match="it has a time zone"):
        dtype.to_storage(datetime.now(UTC))
    with pytest.raises(SchemaError, match="parameter 'x' is datetime"):
        _of_python.pod(DictSource([{"x": np.datetime64("2026-01-01", "ns")}], []))


@op.function_pod("y")
def _of_python(x: datetime) -> int:
    return x.year


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_table_may_be_finer_than_python(unit: str) -> None:
    table = pa.table(
        {
            "at": pa.array([5, None], pa.timestamp(unit)),
            "took": pa.array([7, None], pa.duration(unit)),
            "day": pa.array([3, None], pa.date32()),
        }
    )
    declared = {"at": np.datetime64 | None, "took": np.timedelta64 | None, "day": np.datetime64 | None}
    first, second = (dict(packet) for _, packet in ArrowTableSource(table, [], data_schema=declared).iter_packets())
    expected = {"at": np.datetime64(5, unit), "took": np.timedelta64(7, unit), "day": np.datetime64(3, "D")}
    assert {name: repr(value) for name, value in first.items()} == {n: repr(value) for n, value in expected.items()}
    assert set(second.values()) == {None}
    zoned = pa.table({"at": pa.array([5], pa.timestamp(unit, "UTC"))})
    with pytest.raises(InputValidationError, match="Arrow type timestamp"):
        ArrowTableSource(zoned, [], data_schema={"at": np.datetime64})


@pytest.mark.parametrize(("unit", "count"), [("parsec", 1), (None, 1), ("s", None)])
def test_what_is_no_unit_is_refused(unit: Any, count: Any) -> None:
    with pytest.raises(ValueTypeError, match="that is no unit and count"):
        registry.resolve(np.datetime64).from_storage({"unit": unit, "count": count})


def test_numpy_is_not_imported_to_look() -> None:
    program = (
        "import sys\n"
        "from datetime import datetime\n"
        "from orcapod.sources import DictSource\n"
        "list(DictSource([{'x': datetime(2026, 1, 1)}], []).iter_packets())\n"
        "assert 'orcapod.types.numpy_times' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
