"""Tables of a store by what they hold, and which of their records are not as they were stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from orcapod.datagrams import SOURCE_INFO
from orcapod.errors import OrcapodError
from orcapod.hashing import ContentHash, hash_rows, recipes
from orcapod.protocols import Key, RecordPath
from orcapod.records import CHECKSUM, RECORD_ID, damaged_results

__all__ = ["changed_entries", "changed_kept_rows", "changed_results", "is_entries", "is_kept", "is_results"]

_BESIDE = ("__code", "__packet_hash", "__run_id", "__seconds", "__timestamp", CHECKSUM, RECORD_ID)
_ENTRY, _CONTENT = "__entry_id", "__content_hash"


def is_results(path: RecordPath) -> bool:
    """Say whether results of a function lie there."""
    return path[0] == "_result" and len(path) == 5


def is_entries(path: RecordPath, table: pa.Table) -> bool:
    """Say whether rows of a node lie there."""
    return path[-1].startswith("schema:") and len(path) > 4 and {_ENTRY, RECORD_ID} <= {*table.column_names}


def is_kept(path: RecordPath, table: pa.Table) -> bool:
    """Say whether rows that were kept of a source lie there."""
    return path[0] == "_source" and table.column_names[0] == _CONTENT


def changed_results(path: RecordPath, table: pa.Table) -> Iterator[tuple[Key | None, str]]:
    """Give the results that are not as they were stored, each with why."""
    if missing := [name for name in _BESIDE if name not in table.column_names]:
        yield None, f"there is no column {missing[0]!r}; found {table.column_names}"
        return
    outputs = [name for name in table.column_names if name not in _BESIDE]
    changed = set(damaged_results(table, outputs))
    for key in changed:
        yield key, f"its checksum is not that of {', '.join(outputs)}"
    packets: dict[str, dict[bytes, bytes]] = {}
    for row in table.select([RECORD_ID, "__code", "__packet_hash"]).to_pylist():
        packets.setdefault(row["__code"], {})[row[RECORD_ID]] = row["__packet_hash"]
    for code, found in packets.items():
        for key, made in zip(found, _record_ids(path[1:], code, list(found.values())), strict=True):
            if key != made and key not in changed:
                yield key, "its key is not that of its code and packet"


def _record_ids(uri: Sequence[str], code: str, packets: Sequence[bytes]) -> Sequence[bytes | None]:
    try:
        return recipes.record_ids(uri, ContentHash.parse(code), packets)
    except (OrcapodError, ValueError, TypeError):
        return [None] * len(packets)  # what it says is no code, or no packet, any more


def changed_entries(table: pa.Table) -> list[Key]:
    """Return the keys of the rows of a node that are not those of their tags, system tags and results."""
    return _changed(table, [name for name in table.column_names[1:] if not name.startswith(SOURCE_INFO)])


def changed_kept_rows(table: pa.Table) -> list[Key]:
    """Return the keys of the kept rows of a source that are not those of their values."""
    return _changed(table, [name for name in table.column_names[1:] if name != RECORD_ID])


def _changed(table: pa.Table, columns: Sequence[str]) -> list[Key]:
    keys: list[Any] = table.column(0).to_pylist()
    made = [row for batch in table.select(columns).to_batches() for row in hash_rows(batch)]
    changed = [key for key, row in zip(keys, made, strict=True) if key != row]
    # Types that only their declaration tells (records, types of one's own) enter the key of every row.
    return [] if len(changed) == len(keys) and _has_records(table, columns) else changed


def _has_records(table: pa.Table, columns: Sequence[str]) -> bool:
    return any(pa.types.is_nested(table.schema.field(name).type) for name in columns)
