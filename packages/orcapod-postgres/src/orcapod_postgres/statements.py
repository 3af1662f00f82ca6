"""SQL put together: names quoted, packed arrays as parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.sql import SQL, Composable, Composed, Identifier

__all__ = ["Packed", "quoted", "register_packed", "statement"]


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
