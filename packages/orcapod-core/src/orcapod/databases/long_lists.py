"""Long lists in SQL, put together again from the pieces in which ``orcapod.records.Members`` keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from orcapod.databases.json_columns import has_json
from orcapod.protocols import RecordPath
from orcapod.records import CUT, KEY_BYTES, KEYS, MOST, PIECE_ID, PIECES, TREES, piece_paths

__all__ = ["ListDialect", "PieceTables", "SQLTable", "long_list", "piece_tables"]


@dataclass(frozen=True, slots=True)
class SQLTable:
    """Table as SQL names it.

    Attributes:
        name: quoted.
        columns: likewise, by the names that records have.
        schema: the types of records.
    """

    name: str
    columns: Mapping[str, str]
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class PieceTables:
    """Tables of the pieces of lists of one type, each with the condition on which its row ``p`` is ``tree.piece``."""

    keys: SQLTable
    keys_join: str
    members: SQLTable
    members_join: str


@dataclass(frozen=True, slots=True)
class ListDialect:
    """Dialect of SQL, as far as lists are concerned.

    Attributes:
        roots: selects key, height and place of the highest piece of a column, given what trees and keys are called,
            and the column as a literal.
        gathered: selects the list, given the table of members, the condition that joins it, and the type of the list.
    """

    roots: Callable[[str, str, str], str]
    gathered: Callable[[SQLTable, str, pa.DataType], str]


def piece_tables(
    pipeline: RecordPath,
    entries: SQLTable | None,
    find: Callable[[RecordPath], SQLTable | None],
    joined: Callable[[str, SQLTable, str], str],
) -> dict[str, PieceTables]:
    """Return the tables of pieces by the columns of entries whose lists may be cut, as far as lists are JSON."""
    found: dict[str, PieceTables] = {}
    if entries is None or not set(CUT) <= set(entries.columns):
        return found
    for field in entries.schema:
        if (paths := piece_paths(field.type)) is None or not has_json(field.type):
            continue
        keys, members = (find((*pipeline, *path)) for path in paths)
        if keys is not None and members is not None:
            joins = [joined("p", table, "tree.piece") for table in (keys, members)]
            found[field.name] = PieceTables(keys, joins[0], members, joins[1])
    return found


def long_list(entries: SQLTable, name: str, pieces: PieceTables, literal: str, dialect: ListDialect) -> str:
    """Return the expression of a list of the row ``e`` that is cut: null if it is not, or a piece of it is lost."""
    trees, keys = (f"e.{entries.columns[column]}" for column in (TREES, PIECES))
    key, listed = (f"p.{pieces.keys.columns[column]}" for column in (PIECE_ID, KEYS))
    numbers = " UNION ALL ".join(f"SELECT {at} AS at" for at in range(MOST))
    return (
        f"(WITH RECURSIVE tree(piece, height, place) AS (SELECT {dialect.roots(trees, keys, literal)} UNION ALL"
        f" SELECT substr({listed}, {KEY_BYTES} * n.at + 1, {KEY_BYTES}), tree.height - 1,"
        f" {MOST} * tree.place + n.at FROM tree LEFT JOIN {pieces.keys.name} AS p ON {pieces.keys_join}"
        f" JOIN ({numbers}) AS n ON n.at < length({listed}) / {KEY_BYTES} OR (n.at = 0 AND {key} IS NULL)"
        " WHERE tree.height > 0)"
        f" {dialect.gathered(pieces.members, pieces.members_join, entries.schema.field(name).type)})"
    )
