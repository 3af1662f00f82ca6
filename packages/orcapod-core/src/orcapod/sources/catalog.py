"""``Catalog``: of which sources rows are kept, and what their columns are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import StreamSchema
from orcapod.hashing import hash_structure
from orcapod.protocols import Database, RecordPath

__all__ = ["Catalog", "Entry", "place_of", "widest"]

_SOURCES: RecordPath = ("_sources",)
_OPTIONAL = " | None"


def place_of(schema: StreamSchema) -> str:
    """What rows of a schema are kept under; the same whether a column may hold None or not."""
    return hash_structure(("source record", schema.structure)).short


@dataclass(frozen=True, slots=True)
class Entry:
    """Columns under which rows of a source were kept.

    Attributes:
        place: the hash of the schema, nullability left out.
        tags: the tag columns.
        types: of all columns, by name, in their order.
    """

    place: str
    tags: tuple[str, ...]
    types: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, schema: StreamSchema) -> Entry:
        """The entry of rows of a schema."""
        types = (schema.tags | schema.packets).types
        return cls(place_of(schema), tuple(schema.tags), tuple((name, kind.name) for name, kind in types.items()))


class Catalog:
    """The table ``_sources``: one row for every source and schema of which rows are kept."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, source_id: str, entry: Entry) -> None:
        """Write down an entry, if it is not there yet."""
        key = hash_structure((source_id, entry.place, entry.tags, entry.types)).digest
        if self._database.get_records_by_ids(_SOURCES, [key]).num_rows:
            return
        columns: dict[str, pa.Array[Any]] = {
            "__entry_id": pa.array([key], pa.large_binary()),
            "__source_id": pa.array([source_id], pa.large_string()),
            "__place": pa.array([entry.place], pa.large_string()),
            "__tags": pa.array([json.dumps(entry.tags)], pa.large_string()),
            "__types": pa.array([json.dumps(entry.types)], pa.large_string()),
        }
        self._database.add_records(_SOURCES, pa.table(columns))

    def entries(self, source_id: str) -> list[Entry]:
        """All entries of a source."""
        rows: list[Any] = self._database.get_records(_SOURCES).to_pylist()
        return [
            Entry(
                row["__place"],
                tuple(json.loads(row["__tags"])),
                tuple((name, kind) for name, kind in json.loads(row["__types"])),
            )
            for row in rows
            if row["__source_id"] == source_id
        ]

    def source_ids(self) -> list[str]:
        """The sources of which rows are kept, sorted."""
        rows = self._database.get_records(_SOURCES)
        names: list[Any] = pc.unique(rows.column("__source_id")).to_pylist() if rows.num_rows else []
        return sorted(names)


def widest(entries: Iterable[Entry]) -> dict[str, str]:
    """The type of every column, ``T | None`` if it is that in one of the entries."""
    types: dict[str, str] = {}
    for name, kind in (each for entry in entries for each in entry.types):
        if types.get(name) != f"{kind}{_OPTIONAL}":
            types[name] = kind
    return types
