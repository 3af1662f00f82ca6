"""SQL put together: names quoted, packed arrays as parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack
from typing import Any, NamedTuple

import pyarrow as pa
from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.sql import SQL, Composable, Composed, Identifier

from orcapod.databases import Layout
from orcapod.protocols import Key
from orcapod_postgres.pg_columns import pg_array, pg_column, pg_payloads

__all__ = ["Packed", "all_among", "among", "quoted", "register_packed", "statement"]

_IDS_AT_ONCE = 1_000_000


class Packed(NamedTuple):
    """A parameter that is in PostgreSQL's binary format already; the statement casts it to its type."""

    data: bytes


class _PackedDumper(Dumper):
    format = Format.BINARY
    oid = 0

    def dump(self, obj: Packed) -> bytes:
        return obj.data


def register_packed(connection: Connection[Any]) -> None:
    """Let the connection take ``Packed`` parameters."""
    connection.adapters.register_dumper(Packed, _PackedDumper)


def quoted(*names: str) -> Identifier:
    """Return a name, or one within another, for a statement executed with parameters, if only ``()``."""
    return Identifier(*(name.replace("%", "%%") for name in names))


def statement(text: str, *parts: Composable) -> Composed:
    """Return a statement with these parts in place of ``{}``; its text is always our own."""
    return SQL(text).format(*parts)


def among(layout: Layout, ids: Sequence[Key]) -> tuple[Composed, list[Packed]]:
    """Return the condition that the key is one of these, and its parameters: one after the other, if any."""
    texts = pg_column(layout.schema.field(0).type).declared == "text"
    fitting = [key for key in ids if isinstance(key, str) is texts]
    type_ = pa.large_string() if texts else pa.large_binary()
    starts = range(0, len(fitting), _IDS_AT_ONCE)
    some = [_packed(pa.array(fitting[start : start + _IDS_AT_ONCE], type_)) for start in starts]
    return statement(" WHERE {}", _is_among(layout.columns[0], type_)), some


def all_among(values: Mapping[str, pa.Array[Any]]) -> tuple[Composed, list[Packed]]:
    """Return the condition that each of these columns has one of its values, and its parameters."""
    conditions = [SQL("TRUE"), *(_is_among(column, some.type) for column, some in values.items())]
    return statement(" WHERE {}", SQL(" AND ").join(conditions)), [*map(_packed, values.values())]


def _is_among(column: str, type_: Any) -> Composed:
    declared = pg_column(type_).declared
    if declared == "json":  # which has no equality, and is the text that was written
        return statement("{}::text = ANY(%b::json[]::text[])", quoted(column))
    return statement("{} = ANY(%b::" + declared + "[])", quoted(column))


def _packed(values: pa.Array[Any]) -> Packed:
    """Return values of one type as one parameter."""
    column = pg_column(values.type)
    if not len(values):
        return Packed(pack("!iii", 0, 0, column.oid))
    return Packed(pg_array(column, pg_payloads(column, pa.chunked_array([values]))))
