"""Conversion of Arrow columns to columns of PostgreSQL and back.

A column is native where that is exact: bigint, double precision, boolean, text, bytea, and date and timestamp
of microseconds; and json where ``orcapod.databases.to_json`` is. All else is bytea, the canonical bytes of
``orcapod.types.encode``. The Arrow type is stored beside
the table and decides how it is read.

Rows travel to the server column-wise: every column is one parameter, an array in PostgreSQL's binary format, whose
bytes are made of whole Arrow buffers and not value by value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import pack
from typing import Any

import pyarrow as pa
import pyarrow.compute

from orcapod.databases import sql_column, to_json
from orcapod.errors import RecordSchemaError, SchemaError
from orcapod.types import decode, encode

__all__ = ["PGColumn", "escaped_text", "pg_array", "pg_column", "pg_columns", "pg_payloads", "unescaped"]

pc: Any = pyarrow.compute  # of what these functions take, the stubs know a part

_NOTHING = pa.scalar(b"", pa.large_binary())
_NO_VALUES = pa.array([], pa.large_binary())
_ABSENT = pa.scalar(None, pa.large_binary())
_NULL = pa.scalar(b"\xff\xff\xff\xff", pa.large_binary())

# PostgreSQL has no NUL in text. One of Unicode's noncharacters stands for it, and is itself written as two.
_MARK = "\ufdd0"
_ESCAPES = ((_MARK, _MARK + "1"), ("\0", _MARK + "0"))


@dataclass(frozen=True, slots=True)
class PGColumn:
    """Conversion of values of one Arrow type to PostgreSQL and back.

    Attributes:
        declared: the type of the column.
        oid: the number of that type.
        selected: the expression that selects it, ``{}`` standing for its name.
        payloads: an array as the bytes of every value in PostgreSQL's binary format, anything for a null.
        from_pg: what a binary cursor gives, None for null, as an array of the type.
    """

    declared: str
    oid: int
    selected: str
    payloads: Callable[[pa.Array[Any]], pa.Array[Any]]
    from_pg: Callable[[Sequence[Any]], pa.Array[Any]]


@lru_cache(maxsize=512)
def pg_column(type_: pa.DataType) -> PGColumn:
    """Return the conversion of values of a type.

    Raises:
        SchemaError: they cannot be stored (unions).
    """
    if (native := _native_times(type_)) is not None:
        return native
    sql = sql_column(type_)
    match sql.type:
        case "boolean":
            return PGColumn("boolean", 16, "{}::integer", encode, sql.from_sql)
        case "integer":
            return PGColumn("bigint", 20, "{}", lambda array: pc.binary_reverse(encode(_ticks(array))), sql.from_sql)
        case "real":
            return PGColumn(
                "double precision",
                701,
                "{}",
                lambda array: pc.binary_reverse(encode(_unwrapped(array).cast(pa.float64()))),
                sql.from_sql,
            )
        case "text":
            return PGColumn("text", 25, "{}", _text_payloads, lambda values: sql.from_sql(unescaped(values)))
        case "json":
            return PGColumn(
                "json",
                114,
                "{}::text",
                lambda array: to_json(_unwrapped(array), _text_payloads),
                lambda values: sql.from_sql(unescaped(values, nul="\\u0000")),
            )
        case "bytes":
            return PGColumn("bytea", 17, "{}", _byte_payloads, sql.from_sql)


def pg_columns(path: Sequence[str], schema: pa.Schema) -> list[PGColumn]:
    """Return the conversions of the columns of a schema.

    Raises:
        RecordSchemaError: one is of a type that cannot be stored.
    """
    columns = []
    for field in schema:
        try:
            columns.append(pg_column(field.type))
        except SchemaError as error:
            raise RecordSchemaError(f"{'/'.join(path)}: column {field.name!r}: {error}") from error
    return columns


def pg_payloads(column: PGColumn, values: pa.ChunkedArray[Any]) -> pa.LargeBinaryArray:
    """Return the bytes of every value in PostgreSQL's binary format, null for null, in one array of any size."""
    parts: list[Any] = []
    for chunk in values.chunks:
        payloads = column.payloads(chunk).cast(pa.large_binary())
        if chunk.null_count or pa.types.is_dictionary(chunk.type) or pa.types.is_null(chunk.type):
            payloads = pc.if_else(pc.is_valid(_unwrapped(chunk)), payloads, _ABSENT)
        parts.append(payloads)
    whole: pa.LargeBinaryArray = parts[0] if len(parts) == 1 else pa.concat_arrays([*parts, _NO_VALUES])
    return whole


def pg_array(column: PGColumn, payloads: pa.LargeBinaryArray) -> bytes:
    """Return what ``pg_payloads`` gave, at least one value, as one array of PostgreSQL in its binary format."""
    lengths = pc.fill_null(pc.binary_length(payloads), 0).cast(pa.int32())
    joined: Any = pc.binary_join_element_wise(pc.binary_reverse(encode(lengths)), payloads, _NOTHING)
    if payloads.null_count:
        joined = pc.fill_null(joined, _NULL)
    if joined.offset:
        joined = pa.concat_arrays([joined])
    ends, data = joined.buffers()[1:]
    size = int.from_bytes(ends.slice(8 * len(joined), 8).to_pybytes(), "little")
    header = pack("!iiIii", 1, 1, column.oid, len(payloads), 1)
    return header + (data.slice(0, size).to_pybytes() if data is not None else b"")


def _unwrapped(array: Any) -> Any:
    """Return the values without the layers of extension, dictionary and run-end encoding."""
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        elif isinstance(array, pa.DictionaryArray):
            array = array.dictionary_decode()
        elif pa.types.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        else:
            return array


def _ticks(array: Any) -> pa.Array[Any]:
    """Return integers, and times as their count of units, as int64."""
    array = _unwrapped(array)
    if pa.types.is_temporal(array.type):
        array = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())
    wide: pa.Array[Any] = array.cast(pa.int64())
    return wide


def _text_payloads(array: Any) -> Any:
    array = _unwrapped(array)
    for character, written in _ESCAPES:
        if pc.any(pc.match_substring(array, character)).as_py():
            array = pc.replace_substring(array, character, written)
    return array


def escaped_text(text: str) -> str:
    """Return a text as a column of texts holds it."""
    for character, written in _ESCAPES:
        text = text.replace(character, written)
    return text


def unescaped(values: Sequence[Any], nul: str = "\0") -> Sequence[Any]:
    """Return texts, or None, as they were before they came into a column; ``nul`` is how NUL is written there."""
    if not any(_MARK in value for value in values if value is not None):
        return values
    unescaped = []
    for value in values:
        for character, written in reversed(_ESCAPES):
            value = value if value is None else value.replace(written, nul if character == "\0" else character)
        unescaped.append(value)
    return unescaped


def _byte_payloads(array: Any) -> Any:
    array = _unwrapped(array)
    type_ = array.type
    if pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_fixed_size_binary(type_):
        return array
    return encode(array)


def _native_times(type_: Any) -> PGColumn | None:
    """Return the conversion of dates and timestamps: PostgreSQL counts from 2000, Arrow from 1970."""
    if pa.types.is_date32(type_):
        return _times("date", 1082, type_, pa.int32(), epoch=10_957, least=-2_440_588, most=2_145_042_905)
    if pa.types.is_timestamp(type_) and type_.unit == "us":
        epoch, least = 946_684_800_000_000, -210_866_803_200_000_000
        if type_.tz is None:
            return _times("timestamp", 1114, type_, pa.int64(), epoch=epoch, least=least, most=2**63 - 1)
        return _times("timestamptz", 1184, type_, pa.int64(), epoch=epoch, least=least, most=2**63 - 1)
    return None


def _times(
    declared: str, oid: int, type_: pa.DataType, ticks: pa.DataType, *, epoch: int, least: int, most: int
) -> PGColumn:
    def payloads(array: pa.Array[Any]) -> Any:
        counts = array.view(ticks)
        ends = pc.min_max(counts)
        if ends["min"].is_valid and (ends["min"].as_py() < least or ends["max"].as_py() > most):
            raise RecordSchemaError(
                f"expected values of {type_} from 4713 BC on, which is what PostgreSQL's {declared} holds, "
                "found one outside; keep such values as integers"
            )
        return pc.binary_reverse(encode(pc.subtract(counts, pa.scalar(epoch, ticks))))

    def from_pg(values: Sequence[Any]) -> Any:
        counts = decode(pc.binary_reverse(pa.array(values, pa.large_binary())), ticks)
        return pc.add(counts, pa.scalar(epoch, ticks)).view(type_)

    return PGColumn(declared, oid, declared + "_send({})", payloads, from_pg)
