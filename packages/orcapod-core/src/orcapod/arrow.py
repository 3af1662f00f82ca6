"""Arrow arrays of Python values, and values of arrays, for which pandas need not be loaded.

pyarrow imports pandas, where it is installed, before it makes its first array or scalar of Python values, to see
whether they are of pandas: that takes several times as long as importing pyarrow itself. Until somebody else has loaded
pandas, common values are laid out here as Arrow has them. What is rare is left to pyarrow, which also converts and
refuses, as ever.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import accumulate, chain
from types import NoneType
from typing import Any, NamedTuple

import pyarrow as pa

__all__ = ["array_of", "empty_table", "laid_out", "rows_of", "scalar_of", "table_of", "texts_of"]

_MAY_IMPORT_PANDAS = "pandas" not in sys.modules and find_spec("pandas") is not None
_CODES = {pa.int8().id: "b", pa.int16().id: "h", pa.int32().id: "i", pa.int64().id: "q", pa.float64().id: "d"}
_LARGE = {pa.large_string().id, pa.large_binary().id, pa.large_list(pa.null()).id}
_STARTS = {None: datetime(1970, 1, 1), "UTC": datetime(1970, 1, 1, tzinfo=UTC)}  # noqa: DTZ001  # as the type has it
_IN_UTC = pa.timestamp("us", "UTC")
_MICROSECOND = timedelta(microseconds=1)

Parts = tuple[list[pa.Buffer], list[Any]]
"""Buffers behind that of what is null, and arrays of children."""


def array_of(values: Sequence[object], type_: pa.DataType) -> pa.Array[Any]:
    """Return what ``pyarrow.array`` returns."""
    made = laid_out(values, type_) if _MAY_IMPORT_PANDAS and "pandas" not in sys.modules else None
    return pa.array(values, type_) if made is None else made


def texts_of(values: Sequence[str | None]) -> pa.Array[Any]:
    """Return texts, in which a lone surrogate, which is no character, is as Python escapes it."""
    shown = [None if value is None else value.encode("utf-8", "backslashreplace") for value in values]
    return array_of(shown, pa.large_binary()).cast(pa.large_string())


def scalar_of(value: object, type_: pa.DataType) -> Any:
    """Return what ``pyarrow.scalar`` returns."""
    made = laid_out([value], type_) if _MAY_IMPORT_PANDAS and "pandas" not in sys.modules else None
    return pa.scalar(value, type_) if made is None else made[0]


def table_of(rows: Sequence[Mapping[str, Any]], types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return what ``Table.from_pylist`` returns, of rows that have all columns."""
    return pa.table({name: array_of([row[name] for row in rows], type_) for name, type_ in types.items()})


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return what ``Table.to_pylist`` returns, for which pyarrow would look into pandas for a time in UTC."""
    in_utc = [field.name for field in table.schema if field.type == _IN_UTC]
    for name in in_utc:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table.column(at).cast(pa.timestamp("us")))
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        row.update({name: row[name] and row[name].replace(tzinfo=UTC) for name in in_utc})
    return rows


def empty_table(schema: pa.Schema) -> pa.Table:
    """Return what ``Schema.empty_table`` returns."""
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def laid_out(values: Sequence[object], type_: Any) -> pa.Array[Any] | None:
    """Return an array of values that need no conversion to a common type; None of all others."""
    if type(values) not in (list, tuple):
        return None
    kinds = set(map(type, values))
    nulls = NoneType in kinds
    kinds.discard(NoneType)
    if not kinds:
        nothing: pa.Array[Any] = pa.nulls(len(values), type_)
        return nothing
    layout = _LAYOUTS.get(type_.id)
    if layout is None or not kinds <= layout.kinds:
        return None
    filled = [layout.filling if value is None else value for value in values] if nulls else values
    try:
        parts = layout.parts(filled, type_)
    except (OverflowError, UnicodeEncodeError):
        return None
    if parts is None:
        return None
    validity = _bits(value is not None for value in values) if nulls else None
    return pa.Array.from_buffers(type_, len(values), [validity, *parts[0]], children=parts[1])


def _bits(flags: Iterable[object]) -> pa.Buffer:
    """Return flags as bits, the first one lowest."""
    digits = "".join("1" if flag else "0" for flag in flags)
    return pa.py_buffer(int(digits[::-1], 2).to_bytes((len(digits) + 7) // 8, "little"))


def _offsets(values: Iterable[Any], type_: pa.DataType) -> pa.Buffer:
    code = "q" if type_.id in _LARGE else "i"
    return pa.py_buffer(array(code, accumulate(map(len, values), initial=0)))


def _numbers(values: Sequence[Any], type_: pa.DataType) -> Parts:
    return [pa.py_buffer(array(_CODES[type_.id], values))], []


def _bytes(values: Sequence[Any], type_: pa.DataType) -> Parts:
    return [_offsets(values, type_), pa.py_buffer(b"".join(values))], []


def _texts(values: Sequence[Any], type_: pa.DataType) -> Parts:
    joined = "".join(values)
    if joined.isascii():
        return [_offsets(values, type_), pa.py_buffer(joined.encode())], []
    return _bytes([value.encode() for value in values], type_)


def _times(values: Sequence[Any], type_: Any) -> Parts | None:
    start = _STARTS.get(type_.tz)
    if type_.unit != "us" or start is None or any(value and value.tzinfo is not start.tzinfo for value in values):
        return None
    return [pa.py_buffer(array("q", [(value - start) // _MICROSECOND if value else 0 for value in values]))], []


def _lists(values: Sequence[Any], type_: Any) -> Parts | None:
    items = laid_out(list(chain.from_iterable(values)), type_.value_type)
    return None if items is None else ([_offsets(values, type_)], [items])


def _maps(values: Sequence[Any], type_: Any) -> Parts | None:
    pairs = list(chain.from_iterable(values))
    keys, items = (
        laid_out([pair[at] for pair in pairs], part) for at, part in enumerate((type_.key_type, type_.item_type))
    )
    if keys is None or items is None:
        return None
    entries = pa.StructArray.from_arrays([keys, items], fields=[type_.key_field, type_.item_field])
    return [_offsets(values, type_)], [entries]


def _rows(values: Sequence[Any], type_: Any) -> Parts | None:
    columns = [laid_out([value.get(field.name) for value in values], field.type) for field in type_]
    whole = [column for column in columns if column is not None]
    return ([], whole) if len(whole) == len(columns) else None


class _Layout(NamedTuple):
    """A way to lay out values of some types.

    Attributes:
        kinds: the very types.
        filling: what stands in the place of a null.
        parts: lays out.
    """

    kinds: set[type]
    filling: object
    parts: Callable[[Sequence[Any], pa.DataType], Parts | None]


_LAYOUTS = {
    pa.bool_().id: _Layout({bool}, False, lambda values, _: ([_bits(values)], [])),
    **{code: _Layout({int}, 0, _numbers) for code in _CODES},
    pa.float64().id: _Layout({float}, 0.0, _numbers),
    pa.string().id: _Layout({str}, "", _texts),
    pa.large_string().id: _Layout({str}, "", _texts),
    pa.binary().id: _Layout({bytes}, b"", _bytes),
    pa.large_binary().id: _Layout({bytes}, b"", _bytes),
    pa.timestamp("us", "UTC").id: _Layout({datetime}, None, _times),
    pa.list_(pa.null()).id: _Layout({list, tuple}, (), _lists),
    pa.large_list(pa.null()).id: _Layout({list, tuple}, (), _lists),
    pa.map_(pa.string(), pa.null()).id: _Layout({list}, (), _maps),
    pa.struct([]).id: _Layout({dict}, {}, _rows),
}
