"""Hashes of rows, a whole chunk at a time.

The bytes of a row are the digest of its schema, then, for every column in the order of the names, a
tag byte (0 null, 1 present) and the canonical bytes (``orcapod.types.encode``) of what its type says
identifies the value. They are prefix-free, so two rows have equal bytes if and only if they have equal
columns and values.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any
from zlib import crc32

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.compute import pc
from orcapod.hashing.canonical import hash_structure
from orcapod.types import Schema, encode, type_of_column

__all__ = ["ROW_METHOD", "checksum_rows", "hash_rows"]

ROW_METHOD = "row-v1"

_NULL = scalar_of(b"\x00", pa.large_binary())
_PRESENT = scalar_of(b"\x01", pa.large_binary())
_NOTHING = scalar_of(b"", pa.large_binary())


def hash_rows(batch: pa.RecordBatch, schema: Schema | None = None) -> list[bytes]:
    """Return the SHA-256 digest of every row.

    Neither the order of columns, nor chunking, nor nullability enters; names, types and values do.

    Args:
        batch: columns in the Arrow types of their logical types.
        schema: the logical types of the columns; taken from the batch where they are not given.
    """
    if schema is None:
        schema = Schema({name: type_of_column(batch.column(name)) for name in batch.schema.names})
    names = sorted(schema)
    columns = [schema.types[name].identity(batch.column(name)) for name in names]
    prefix = hash_structure(schema.structure).digest
    return [sha256(row).digest() for row in _row_bytes(columns, batch.num_rows, prefix)]


def checksum_rows(batch: pa.RecordBatch, columns: Iterable[str]) -> list[int]:
    """Return the CRC-32 of every row's values, whatever their logical types are.

    It costs a third of a hash, and tells of any damage to a few bits; nothing is identified by it.
    """
    return [crc32(row) for row in _row_bytes(list(map(batch.column, sorted(columns))), batch.num_rows, b"")]


def _row_bytes(columns: list[pa.Array[Any]], length: int, prefix: bytes) -> Iterable[bytes]:
    if not columns:
        return [prefix] * length
    parts: list[Any] = [scalar_of(prefix, pa.large_binary())]
    for column in columns:
        parts.append(pc.if_else(column.is_valid(), _PRESENT, _NULL) if column.null_count else _PRESENT)
        parts.append(encode(column))
    rows: list[bytes] = pc.binary_join_element_wise(*parts, _NOTHING).to_pylist()
    return rows
