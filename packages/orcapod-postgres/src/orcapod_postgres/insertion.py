"""Statements that insert rows, of which every column is one parameter: an array."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from psycopg.sql import SQL, Composed, Identifier, Literal

from orcapod_postgres.catalog import NUMBERS, ORDER
from orcapod_postgres.statements import quoted, statement

__all__ = ["equal_count", "insertion"]


@lru_cache(maxsize=256)
def insertion(schema: str, table: str, names: tuple[str, ...], declared: tuple[str, ...], *, skips: bool) -> bytes:
    """Return an INSERT that numbers rows as they come, but inserts by key: no two writers deadlock."""
    inputs = _inputs(names)
    insert = statement(
        "INSERT INTO {} ({}) SELECT {} FROM (SELECT nextval({}::regclass) AS n, given.* FROM unnest({})"
        " AS given ({})) AS numbered ORDER BY c0, n{}",
        quoted(schema, table),
        SQL(", ").join(map(quoted, (ORDER, *names))),
        SQL(", ").join([quoted("n"), *inputs]),
        Literal(quoted(schema, NUMBERS).as_string(None)),
        _arrays(declared),
        SQL(", ").join(inputs),
        SQL(" ON CONFLICT DO NOTHING" if skips else ""),
    )
    return insert.as_bytes(None)


def equal_count(schema: str, table: str, names: tuple[str, ...], declared: tuple[str, ...]) -> bytes:
    """Return a SELECT of how many of the rows, as an INSERT takes them, are there with all their values."""
    inputs = _inputs(names)
    given = [_comparable(name, type_) for name, type_ in zip(inputs, declared, strict=True)]
    held = [_comparable(quoted("held", name), type_) for name, type_ in zip(names, declared, strict=True)]
    count = statement(
        "SELECT count(DISTINCT c0) FROM unnest({}) AS given ({}) JOIN {} AS held ON {} = c0"
        " AND ROW({}) IS NOT DISTINCT FROM ROW({})",
        _arrays(declared),
        SQL(", ").join(inputs),
        quoted(schema, table),
        held[0],
        SQL(", ").join(held),
        SQL(", ").join(given),
    )
    return count.as_bytes(None)


def _inputs(names: Sequence[str]) -> list[Identifier]:
    return [quoted(f"c{at}") for at in range(len(names))]


def _comparable(name: Identifier, declared: str) -> Composed:
    """Return a column as PostgreSQL compares it; of json it knows no equality."""
    return statement("{}::text" if declared == "json" else "{}", name)


def _arrays(declared: Sequence[str]) -> Composed:
    return SQL(", ").join(SQL("%b::" + pg_type + "[]") for pg_type in declared)
