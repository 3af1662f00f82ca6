"""``Catalog``: the sources of which rows are stored, and their columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import StreamSchema
from orcapod.hashing import recipes
from orcapod.protocols import Database, RecordPath, decoding

__all__ = ["Catalog", "Entry", "widest"]

_SOURCES: RecordPath = ("_sources",)
_COLUMNS = ["__entry_id", "__source_id", "__place", "__tags", "__types"]
_OPTIONAL = " | None"


@dataclass(frozen=True, slots=True)
class Entry:
    """Entry for a source: the columns under which rows of it were stored.

    Attributes:
        schema_key: what names the table of its rows; the same whether a column may hold None or not.
        tags: the tag columns.
        types: of all columns, by name, in their order.
    """

    schema_key: str
    tags: tuple[str, ...]
    types: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, schema: StreamSchema) -> Entry:
        """Return the entry of rows of a schema."""
        types = (schema.tags | schema.packets).types
        named = tuple((name, dtype.name) for name, dtype in types.items())
        return cls(recipes.kept_schema(schema.structure), tuple(schema.tags), named)


class Catalog:
    """The table ``_sources``: one row for every source and schema of which rows are stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, source_id: str, entry: Entry) -> None:
        """Write down an entry, if it is not there yet."""
        key = recipes.catalog_entry(source_id, entry.schema_key, entry.tags, entry.types)
        if self._database.get_records_by_ids(_SOURCES, [key]).num_rows:
            return
        columns: dict[str, pa.Array[Any]] = {
            "__entry_id": pa.array([key], pa.large_binary()),
            "__source_id": pa.array([source_id], pa.large_string()),
            "__place": pa.array([entry.schema_key], pa.large_string()),
            "__tags": pa.array([json.dumps(entry.tags)], pa.large_string()),
            "__types": pa.array([json.dumps(entry.types)], pa.large_string()),
        }
        self._database.add_records(_SOURCES, pa.table(columns))

    def entries(self, source_id: str) -> list[Entry]:
        """Return all entries of a source."""
        rows: list[Any] = self._database.get_records(_SOURCES, _COLUMNS).to_pylist()
        return [_entry(row) for row in rows if row["__source_id"] == source_id]

    def source_ids(self) -> list[str]:
        """Return the sources of which rows are stored, sorted."""
        rows = self._database.get_records(_SOURCES, ["__source_id"])
        names: list[Any] = pc.unique(rows.column("__source_id")).to_pylist() if rows.num_rows else []
        return sorted(names)


def _entry(row: Mapping[str, Any]) -> Entry:
    with decoding(_SOURCES, row["__entry_id"], "__tags"):
        tags = tuple(json.loads(row["__tags"]))
    with decoding(_SOURCES, row["__entry_id"], "__types"):
        types = tuple((name, called) for name, called in json.loads(row["__types"]))
    return Entry(row["__place"], tags, types)


def widest(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the type of every column, ``T | None`` if it is that in one of the entries."""
    types: dict[str, str] = {}
    for name, called in (each for entry in entries for each in entry.types):
        if types.get(name) != f"{called}{_OPTIONAL}":
            types[name] = called
    return types
