"""Tables of a store by what they hold, and which of their records are not as they were stored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import SOURCE_INFO
from orcapod.errors import OrcapodError
from orcapod.hashing import ContentHash, hash_rows, recipes
from orcapod.protocols import Key, RecordPath
from orcapod.records import CHECKSUM, INCOMPLETE, MEMBERS, PIECE_ID, RECORD_ID, RUN_ID, damaged_results, whole_pieces

__all__ = [
    "changed_entries",
    "changed_kept_rows",
    "changed_pieces",
    "changed_results",
    "changed_stubs",
    "is_entries",
    "is_kept",
    "is_pieces",
    "is_results",
    "is_stubs",
]

_BESIDE = ("__code", "__packet_hash", "__run_id", "__seconds", "__timestamp", CHECKSUM, RECORD_ID)
_MOST_ATTEMPTS = 1000
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


def is_pieces(path: RecordPath, table: pa.Table) -> bool:
    """Say whether pieces of long lists lie there."""
    return path[-2:-1] == MEMBERS and table.column_names[0] == PIECE_ID


def changed_results(path: RecordPath, table: pa.Table) -> Iterator[tuple[Key | None, str]]:
    """Give the results that are not as they were stored, each with why."""
    if missing := [name for name in _BESIDE if name not in table.column_names]:
        yield None, f"there is no column {missing[0]!r}; found {table.column_names}"
        return
    outputs = [name for name in table.column_names if name not in _BESIDE]
    changed: set[Key] = set(damaged_results(table, outputs))
    for key in changed:
        yield key, f"its checksum is not that of {', '.join(outputs)}"
    yield from _misnamed(path, table, changed)


def changed_stubs(path: RecordPath, table: pa.Table) -> Iterator[tuple[Key | None, str]]:
    """Give the stubs of pruned results whose keys are not those of their code and packet."""
    yield from _misnamed(path, table, ())


def _misnamed(path: RecordPath, table: pa.Table, changed: Collection[Key]) -> Iterator[tuple[Key | None, str]]:
    codes = pc.coalesce(table.column("__code"), "")
    packets = pc.coalesce(table.column("__packet_hash"), b"")
    for code in pc.unique(codes):
        is_of_code = pc.equal(codes, code)
        made = _record_ids(path[1:], code.as_py(), packets.filter(is_of_code).to_pylist())
        keys = table.column(RECORD_ID).filter(is_of_code)
        firsts = dict(zip(keys.to_pylist(), made, strict=True))
        for key in _differing(keys, made):
            if key not in changed and not _is_attempt(key, firsts[key]):
                yield key, "its key is not that of its code and packet"


def _is_attempt(key: Key, first: bytes | None) -> bool:
    """Say whether a key is that of a further record of a packet, given that of the first."""
    return first is not None and any(recipes.attempt_id(first, number) == key for number in range(1, _MOST_ATTEMPTS))


def _record_ids(uri: Sequence[str], code: str, packets: Sequence[bytes]) -> Sequence[bytes | None]:
    try:
        return recipes.record_ids(uri, ContentHash.parse(code), packets)
    except (OrcapodError, ValueError, TypeError):
        return [None] * len(packets)  # what it says is no code, or no packet, any more


def is_stubs(path: RecordPath) -> bool:
    """Say whether what is left of pruned results lies there."""
    return path[0] == "_pruned" and len(path) == 5


def changed_entries(table: pa.Table) -> list[Key]:
    """Return the keys of the rows of a node that are not those of their tags, system tags, results and marks."""
    others = {INCOMPLETE, RUN_ID}
    columns = [name for name in table.column_names[1:] if not name.startswith(SOURCE_INFO) and name not in others]
    if INCOMPLETE not in table.column_names:
        return _changed(table, columns)
    marked = pc.fill_null(table.column(INCOMPLETE), False)
    changed = _changed(table.filter(pc.invert(marked)), columns)
    return changed + _changed(table.filter(marked), [*columns, INCOMPLETE])


def changed_pieces(table: pa.Table) -> list[Key]:
    """Return the keys of pieces of long lists that are not those of their members."""
    return _differing(table.column(0), recipes.piece_ids(whole_pieces(table)))


def changed_kept_rows(table: pa.Table) -> list[Key]:
    """Return the keys of the kept rows of a source that are not those of their values."""
    return _changed(table, [name for name in table.column_names[1:] if name != RECORD_ID])


def _changed(table: pa.Table, columns: Sequence[str]) -> list[Key]:
    made = [row for batch in table.select(columns).to_batches() for row in hash_rows(batch)]
    changed = _differing(table.column(0), made)
    # Types that only their declaration tells (records, types of one's own) enter the key of every row.
    return [] if len(changed) == table.num_rows and _has_records(table, columns) else changed


def _differing(keys: pa.ChunkedArray[Any], made: Sequence[bytes | None]) -> list[Key]:
    """Return the keys that are not those made for them."""
    if keys.equals(pa.chunked_array([pa.array(made, pa.large_binary())])):
        return []
    found: list[Any] = keys.to_pylist()
    return [key for key, each in zip(found, made, strict=True) if key != each]


def _has_records(table: pa.Table, columns: Sequence[str]) -> bool:
    return any(pa.types.is_nested(table.schema.field(name).type) for name in columns)
