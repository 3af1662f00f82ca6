"""Frames and series of pandas as values; loaded when pandas is met in an annotation or a value.

Columns, index, the names and frequencies of both, dtypes and ``attrs`` are part of a value. A missing value is null at
rest, as pandas itself says. What Arrow and pandas forget on the way is noted in the metadata of the schema; where that
does not help, the value is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.types as pat

from orcapod.display import shown
from orcapod.types.tables import UNHELD, FrameType, register_frame, written

__all__ = ["DataFrameType", "SeriesType"]

_NAME = b"orcapod.series"
_FREQUENCIES = b"orcapod.frequencies"
_NOTES = b"orcapod.notes"
_PARTS = ("index_columns", "columns", "attributes")
"""What of pandas' own metadata is part of a value: all but the versions of who wrote it."""

_MISSING = {"None": None, "nan": float("nan"), "NA": pd.NA, "NaT": pd.NaT}
"""What may stand for a missing value among objects, by the name under which it is noted."""
_NAMES_OF_MISSING = {type(value): name for name, value in _MISSING.items()}

_EXACT = {str, bytes, bool, int, date, *_NAMES_OF_MISSING} - {float}
"""Types whose values are the same if they are equal."""

_ADVICE: list[tuple[type | tuple[type, ...], str]] = [
    (datetime, "the column with pd.to_datetime(..., utc=True)"),
    (timedelta, "the column with pd.to_timedelta"),
    (Decimal, "the column to one number of digits, with .quantize"),
    ((int, float), "the column with pd.to_numeric"),
    ((list, tuple), "the column to arrays, with .map(np.asarray)"),
]


class DataFrameType(FrameType):
    """``pandas.DataFrame``."""

    suffixes = (".csv", ".parquet", ".arrow")

    def write(self, value: Any) -> memoryview:
        if len(set(map(type, value.columns))) > 1:
            raise ValueError("they are of several types")
        batch = _batch(value)
        return written(batch.schema, [batch])

    def read(self, data: Any) -> Any:
        return _frame(pa.ipc.open_stream(pa.py_buffer(data)).read_all())

    def export(self, value: Any, file: Path) -> None:
        if file.suffix == ".csv":
            value.to_csv(file)
        else:
            super().export(value, file)

    def difference(self, one: Any, other: Any) -> str:
        return next((f"{part}, {why}" for part, why in _differences(one, other) if why), "")

    def culprit(self, value: Any) -> str:
        for part, frame in _parts(value):
            try:
                self.read(self.write(frame))
            except UNHELD:
                return part
        return super().culprit(value)

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
        name = json.dumps(_as_json(value.name)).encode()
        batch = batch.replace_schema_metadata({**batch.schema.metadata, _NAME: name})
        return written(batch.schema, [batch])

    def read(self, data: Any) -> Any:
        table = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
        return _frame(table)["value"].rename(_hashable(json.loads((table.schema.metadata or {})[_NAME])))

    def difference(self, one: Any, other: Any) -> str:
        if _looks([one.name]) != _looks([other.name]):
            return f"its name {shown(one.name)} would be {shown(other.name)}; convert it to text"
        return super().difference(one.to_frame("values"), other.to_frame("values"))

    def culprit(self, value: Any) -> str:
        unnamed = DataFrameType(pd.DataFrame).culprit(value.to_frame("values"))
        return f"its name {shown(value.name)}" if unnamed == "it" else unnamed


def _batch(frame: Any) -> pa.RecordBatch:
    """Return a frame as a batch, with notes of what pandas forgets."""
    names = list(frame.index.names)
    plain = frame.rename_axis(index=[name if isinstance(name, str) else None for name in names])
    for at, dtype in enumerate(frame.dtypes):
        if _is_swapped(dtype):
            plain.isetitem(at, _native(plain.iloc[:, at]))
    intervals = {at: dtype.categories for at, dtype in enumerate(_dtypes(frame)) if _has_intervals(dtype)}
    for at, categories in intervals.items():
        _rename_categories(plain, at, range(len(categories)))
    table = pa.Table.from_pandas(plain)
    metadata = dict(table.schema.metadata)
    if any(frequencies := [each and each.freqstr for each in _frequencies(frame)]):
        metadata[_FREQUENCIES] = json.dumps(frequencies).encode()
    notes: dict[str, Any] = {
        "missing": {at: noted for at in range(frame.shape[1]) if (noted := _noted(frame.iloc[:, at], table.field(at)))},
        "intervals": {at: _ends(categories) for at, categories in intervals.items()},
        "names": [] if names == list(plain.index.names) else list(map(_as_json, names)),
        "levels": isinstance(frame.index, pd.MultiIndex) and frame.index.nlevels == 1,
        "unique": not frame.flags.allows_duplicate_labels,
    }
    if noted := {name: note for name, note in notes.items() if note}:
        metadata[_NOTES] = json.dumps(noted, sort_keys=True).encode()
    columns = [column.combine_chunks() for column in table.columns]  # to_batches() has none of no rows
    batch = pa.RecordBatch.from_arrays(columns, schema=table.schema) if columns else pa.RecordBatch.from_pandas(plain)
    return batch.replace_schema_metadata(metadata)


def _frame(table: pa.Table) -> Any:
    """Return a table as a frame; what was kept as objects is objects again, and what was noted is so again."""
    frame = table.to_pandas(integer_object_nulls=True)
    metadata = table.schema.metadata or {}
    notes = json.loads(metadata.get(_NOTES, b"{}"))
    described = table.schema.pandas_metadata["columns"]
    were_objects = [each["numpy_type"] == "object" for each in described]
    if frame.columns.dtype == bool:  # of which pyarrow reads every text as true
        names = [each["name"] == "True" for each in described[: frame.shape[1]]]
        frame.columns = pd.Index(names, name=frame.columns.name)
    for at in range(frame.shape[1]):
        if were_objects[at]:
            noted = notes.get("missing", {}).get(str(at), {})
            frame.isetitem(at, _objects(frame.iloc[:, at], table.field(at), noted))
    for at in range(frame.shape[1], len(were_objects)):
        if were_objects[at]:
            _change(frame, at, lambda labels: labels.astype(object))
    for at, ends in notes.get("intervals", {}).items():
        _rename_categories(frame, int(at), pd.IntervalIndex.from_arrays(**ends))
    if notes.get("levels"):
        frame.index = pd.MultiIndex.from_arrays([frame.index], names=frame.index.names)
    if "names" in notes:
        frame.index.names = list(map(_hashable, notes["names"]))
    frequencies = json.loads(metadata.get(_FREQUENCIES, b"[null, null]"))
    for labels, frequency in zip((frame.index, frame.columns), frequencies, strict=True):
        if frequency is not None:
            labels.freq = frequency
    return frame.set_flags(allows_duplicate_labels=False) if notes.get("unique") else frame


def _dtypes(frame: Any) -> list[Any]:
    """Return the dtypes of a table's columns: those of a frame, and the levels of its index."""
    return [*frame.dtypes, *(level.dtype for level in _levels(frame.index))]


def _change(frame: Any, at: int, change: Callable[[Any], Any]) -> None:
    """Change a column of a frame's, or the level of the index that is there in a table."""
    level = at - frame.shape[1]
    if level < 0:
        frame.isetitem(at, change(frame.iloc[:, at]))
    elif isinstance(frame.index, pd.MultiIndex):
        frame.index = frame.index.set_levels(change(frame.index.levels[level]), level=level)
    else:
        frame.index = change(frame.index)


def _has_intervals(dtype: Any) -> bool:
    """Say whether a dtype is that of ``pd.cut``: of categories that are intervals, which Arrow cannot read again."""
    return isinstance(dtype, pd.CategoricalDtype) and isinstance(dtype.categories, pd.IntervalIndex)


def _rename_categories(frame: Any, at: int, categories: Any) -> None:
    _change(frame, at, lambda values: getattr(values, "cat", values).rename_categories(categories))


def _ends(intervals: Any) -> dict[str, Any]:
    """Return what makes intervals of numbers, as JSON keeps it."""
    ends = {"left": intervals.left.tolist(), "right": intervals.right.tolist()}
    return {**ends, "closed": intervals.closed, "dtype": str(intervals.dtype)}


def _noted(cells: Any, field: Any) -> dict[str, list[int] | None]:
    """Return the rows, among objects, of what is missing otherwise than by default; None for all that are missing."""
    if cells.dtype != object:
        return {}
    rows: dict[str, list[int] | None] = {}
    missing = np.flatnonzero(cells.isna())
    names = [_NAMES_OF_MISSING.get(type(cell), "") for cell in cells.iloc[missing]]
    for name in sorted(set(names) - {_default(field)}):
        of_name = [int(row) for row, each in zip(missing, names, strict=True) if each == name]
        rows[name] = None if len(of_name) == len(missing) else of_name
    return rows


def _objects(cells: Any, field: Any, noted: Mapping[str, Any]) -> Any:
    """Return cells as objects, with what was missing as it was."""
    objects = cells.astype(object).to_numpy(copy=True)
    missing = np.flatnonzero(cells.isna())
    objects[missing] = _MISSING[_default(field)]
    for name, rows in noted.items():
        objects[missing if rows is None else rows] = _MISSING.get(name)
    return pd.Series(objects, index=cells.index, dtype=object)


def _default(field: Any) -> str:
    """Return the name of what stands for a missing object of a type of Arrow's, where nothing is noted."""
    if pat.is_floating(field.type) or pat.is_string(field.type) or pat.is_large_string(field.type):
        return "nan"
    return "NaT" if pat.is_timestamp(field.type) or pat.is_duration(field.type) else "None"


def _frequencies(frame: Any) -> list[Any]:
    """Return the frequency of the rows' labels, and of the columns'; None for labels that have none."""
    times = (pd.DatetimeIndex, pd.TimedeltaIndex)
    return [labels.freq if isinstance(labels, times) else None for labels in (frame.index, frame.columns)]


def _as_json(name: Any) -> Any:
    """Return a name as JSON keeps it: a tuple as a list, a scalar of numpy's with its dtype."""
    if isinstance(name, np.generic):
        return {"dtype": name.dtype.str, "value": name.item()}
    return list(map(_as_json, name)) if isinstance(name, tuple) else name


def _hashable(name: Any) -> Any:
    """Return a name that JSON has kept."""
    if isinstance(name, dict):
        return np.dtype(name["dtype"]).type(name["value"])
    return tuple(map(_hashable, name)) if isinstance(name, list) else name


def _parts(frame: Any) -> Iterator[tuple[str, Any]]:
    """Give the parts of a frame, each as a frame that holds nothing else."""
    yield "the names of its columns", pd.DataFrame(0, index=range(1), columns=frame.columns)
    yield "its index", pd.DataFrame(index=frame.index)
    for at, name in enumerate(frame.columns):
        yield f"column {shown(name)} of {frame.dtypes.iloc[at]}", pd.DataFrame({"values": frame.iloc[:, at].array})


def _differences(one: Any, other: Any) -> Iterator[tuple[str, str]]:
    """Give the parts of a frame, and for each what of it is not so in another, and what to convert."""
    yield "the names of its columns", _label_difference(one.columns, other.columns)
    is_same = type(one.index) is type(other.index)
    yield "its index", "" if is_same else f"a {type(one.index).__name__}, would be another; convert it with reset_index"
    yield "its index", _label_difference(one.index, other.index)
    for part, mine, theirs in (
        ("its frequencies", _frequencies(one), _frequencies(other)),
        ("its attrs", one.attrs, other.attrs),
        ("its flags", one.flags, other.flags),
    ):
        is_same = repr(mine) == repr(theirs)
        yield part, "" if is_same else f"{shown(mine)}, would be {shown(theirs)}; convert them to what JSON knows"
    for at, name in enumerate(one.columns):
        yield f"column {shown(name)}", _difference(one.iloc[:, at], other.iloc[:, at])


def _label_difference(one: Any, other: Any) -> str:
    """Say how two indexes differ; names of columns that are a range come back as their numbers."""
    if _looks(one.names) != _looks(other.names):
        return f"its names {list(one.names)} would be {list(other.names)}; convert them to text"
    for at in range(one.nlevels if len(one) else 0):
        mine, theirs = _levels(one)[at].dtype, _levels(other)[at].dtype
        if str(mine) != str(theirs):
            return f"level {at}: dtype {shown(mine)} would be {shown(theirs)}; convert it"
        if difference := _difference(one.get_level_values(at), other.get_level_values(at)):
            return difference
    return "" if one.equals(other) else "labels would be others; convert them"


def _levels(index: Any) -> Sequence[Any]:
    return index.levels if isinstance(index, pd.MultiIndex) else [index]


def _difference(one: Any, other: Any) -> str:
    """Say how two columns differ; objects are the same if they look the same, and are of one type."""
    one = _native(one)
    if one.dtype != other.dtype:
        return f"dtype {shown(one.dtype)} would be {shown(other.dtype)}; convert it"
    if one.dtype == object and _looks(one) != _looks(other):
        found = ((row, *pair) for row, pair in enumerate(zip(one, other, strict=True)))
        row, mine, theirs = next(each for each in found if _looks(each[1:2]) != _looks(each[2:]))
        kind = f"{shown(mine)} of type {type(mine).__name__}, which would be {shown(theirs)} of type "
        return f"row {row}: found {kind}{type(theirs).__name__}; convert {_advice(mine)}"
    if isinstance(one.dtype, pd.CategoricalDtype) and (
        difference := _difference(one.dtype.categories, other.dtype.categories)
    ):
        return f"categories, {difference}"
    present = one.notna()
    same = np.array_equal(present, other.notna()) and one[present].equals(other[present])
    return "" if same else "values would be others; convert them"


def _looks(cells: Iterable[Any]) -> tuple[object, ...]:
    """Return what tells objects apart: their types, and where equal ones may differ, their texts and units of time."""
    listed = list(cells)
    types = list(map(type, listed))
    if _EXACT.issuperset(types):
        return types, listed
    return types, repr(listed), [getattr(cell, "unit", None) for cell in listed]


def _advice(cell: Any) -> str:
    if isinstance(cell, (np.number, np.bool_)):
        return f"the column with .astype({cell.dtype.name!r})"
    return next((what for python, what in _ADVICE if isinstance(cell, python)), "the values to one type, such as text")


def _is_swapped(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and not dtype.isnative


def _native(column: Any) -> Any:
    """Return a column in the order of bytes of the machine: that order is no part of a value."""
    return column.astype(column.dtype.newbyteorder("=")) if _is_swapped(column.dtype) else column


for _python, _dtype in ((pd.DataFrame, DataFrameType), (pd.Series, SeriesType)):
    register_frame(_python, _dtype(_python))
