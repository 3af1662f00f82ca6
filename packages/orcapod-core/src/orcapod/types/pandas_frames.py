"""Frames and series of pandas as values; loaded when pandas is met in an annotation or a value.

Columns, index, the names and frequencies of both, dtypes and ``attrs`` are part of a value. A missing value is null at
rest, as pandas itself says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from orcapod.types.tables import FrameType, register_frame, written

__all__ = ["DataFrameType", "SeriesType"]

_NAME = b"orcapod.series"
_FREQUENCIES = b"orcapod.frequencies"
_PARTS = ("index_columns", "columns", "attributes")
"""What of pandas' own metadata is part of a value: all but the versions of who wrote it."""


class DataFrameType(FrameType):
    """``pandas.DataFrame``."""

    suffixes = (".csv", ".parquet", ".arrow")

    def write(self, value: Any) -> memoryview:
        if len(set(map(type, value.columns))) > 1:
            raise ValueError("its column names are of several types")
        batch = _batch(value)
        return written(batch.schema, [batch])

    def read(self, data: Any) -> Any:
        return _frame(pa.ipc.open_stream(pa.py_buffer(data)).read_all())

    def export(self, value: Any, file: Path) -> None:
        if file.suffix == ".csv":
            value.to_csv(file)
        else:
            super().export(value, file)

    def is_same(self, one: Any, other: Any) -> bool:
        return (
            _same_labels(one.columns, other.columns)
            and type(one.index) is type(other.index)
            and _same_labels(one.index, other.index)
            and _frequencies(one) == _frequencies(other)
            and list(one.dtypes) == list(other.dtypes)
            and repr(one.attrs) == repr(other.attrs)
            and all(_same_values(one.iloc[:, at], other.iloc[:, at]) for at in range(one.shape[1]))
        )

    def metadata(self, given: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        described = json.loads(given[b"pandas"])
        parts = {name: described[name] for name in _PARTS if described.get(name)}
        # Names of columns are text, whatever dtype a version of pandas keeps text in.
        parts["column_indexes"] = [(each["name"], each["pandas_type"]) for each in described["column_indexes"]]
        return {**given, b"pandas": json.dumps(parts, sort_keys=True).encode()}

    def labels(self, table: pa.Table) -> Iterable[pa.Array[Any]]:
        """Return the categories: those that no row is of are part of a frame, too."""
        return [part.dictionary for column in table.columns for part in column.chunks if hasattr(part, "dictionary")]


class SeriesType(DataFrameType):
    """``pandas.Series``: a frame of one column, whose name may be anything that JSON knows."""

    def write(self, value: Any) -> memoryview:
        batch = _batch(value.to_frame("value"))
        schema = batch.schema.with_metadata({**batch.schema.metadata, _NAME: json.dumps(value.name).encode()})
        return written(schema, [batch.replace_schema_metadata(schema.metadata)])

    def read(self, data: Any) -> Any:
        table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
        return _frame(table)["value"].rename(_hashable(json.loads((table.schema.metadata or {})[_NAME])))

    def is_same(self, one: Any, other: Any) -> bool:
        same_name = type(one.name) is type(other.name) and one.name == other.name
        return same_name and super().is_same(one.to_frame("value"), other.to_frame("value"))


def _batch(frame: Any) -> pa.RecordBatch:
    """Return a frame as a batch, with the frequencies of its labels, which pandas forgets."""
    batch = pa.RecordBatch.from_pandas(frame)
    if any(frequencies := [each and each.freqstr for each in _frequencies(frame)]):
        batch = batch.replace_schema_metadata({**batch.schema.metadata, _FREQUENCIES: json.dumps(frequencies).encode()})
    return batch


def _frequencies(frame: Any) -> list[Any]:
    """Return the frequency of the rows' labels, and of the columns'; None for labels that have none."""
    times = (pd.DatetimeIndex, pd.TimedeltaIndex)
    return [labels.freq if isinstance(labels, times) else None for labels in (frame.index, frame.columns)]


def _hashable(name: Any) -> Any:
    """Return a name that JSON has kept: what is a list there was a tuple."""
    return tuple(map(_hashable, name)) if isinstance(name, list) else name


def _frame(table: pa.Table) -> Any:
    """Return a table as a frame; text that was kept as objects is objects again, which pandas forgets."""
    frame = table.to_pandas()
    for at, described in zip(range(frame.shape[1]), table.schema.pandas_metadata["columns"], strict=False):
        if described["numpy_type"] == "object" and str(frame.dtypes.iloc[at]) != "object":
            frame.isetitem(at, frame.iloc[:, at].astype(object))
    frequencies = json.loads((table.schema.metadata or {}).get(_FREQUENCIES, b"[null, null]"))
    for labels, frequency in zip((frame.index, frame.columns), frequencies, strict=True):
        if frequency is not None:
            labels.freq = frequency
    return frame


def _same_labels(one: Any, other: Any) -> bool:
    """Say whether two indexes are the same; names of columns that are a range come back as their numbers."""
    return (
        list(one.names) == list(other.names)
        and bool(one.equals(other))
        and (
            not len(one)
            or [str(level.dtype) for level in _levels(one)] == [str(level.dtype) for level in _levels(other)]
        )
    )


def _levels(index: Any) -> list[Any]:
    return list(index.levels) if isinstance(index, pd.MultiIndex) else [index]


def _same_values(one: Any, other: Any) -> bool:
    """Say whether two columns are the same; what is missing is, whatever stands for it."""
    present = one.notna()
    return bool(present.equals(other.notna()) and one[present].equals(other[present]))


for _python, _dtype in ((pd.DataFrame, DataFrameType), (pd.Series, SeriesType)):
    register_frame(_python, _dtype(_python))
