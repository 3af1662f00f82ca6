"""Recipes: what every hash of a stream, and every name and key in a store, is made of.

This is their one home. Each recipe has a name of its own, with a version, which is the method of the hash that it
gives and is hashed with its parts, so that no two recipes ever give one hash. Nothing that was ever hashed changes:
another rule is another name. Vectors in ``orcapod.testing`` pin every one of them, alone and in whole pipelines.

Two chains run through a plan. *Content* hashes say everything: data, functions, structure. *Pipeline* hashes name
tables and columns of a store. They are made of the keys of the sources, of what the operators are told, and of what
the functions take and give; a data column that nobody takes is no part of them.

The recipe of a function's fingerprint is in ``orcapod.hashing.code``; what rows, structures and values are as bytes is
in ``rows``, ``canonical`` and ``orcapod.types``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import pyarrow as pa

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.content_hash import ContentHash
from orcapod.hashing.rows import checksum_rows, hash_rows
from orcapod.types import Schema, encode

__all__ = [
    "attempt_id",
    "catalog_entry",
    "entry_ids",
    "environment",
    "function_content",
    "function_pipeline",
    "function_uri",
    "joined",
    "kept_record_name",
    "kept_row_ids",
    "kept_schema",
    "live_content",
    "operator",
    "piece_ids",
    "record_ids",
    "result_checksums",
    "rows_digest",
    "rows_digest_with_bad",
    "sample_keys",
    "source_content",
    "source_name",
    "source_pipeline",
    "stored_content",
    "stream_content",
    "stream_pipeline",
    "system_tags",
    "tagged_function_content",
    "versioned_content",
]

Columns = tuple[object, object]
"""Names and types of tags, and of data, as ``StreamSchema.structure`` gives them."""


def _hashed(recipe: str, *parts: object) -> ContentHash:
    return ContentHash(recipe, sha256(canonical_bytes((recipe, *parts))).digest())


# Sources


def source_pipeline(tags: Schema) -> ContentHash:
    """Return the pipeline hash of a source: that of its keys."""
    return _hashed("source-pipeline-v1", tags.structure)


def system_tags(tags: Schema) -> str:
    """Return the digits in the names of a source's system tags: those of its keys, too."""
    return _hashed("system-tags-v1", tags.structure).short


def source_name(columns: Columns, record_id_columns: Sequence[str], rows: bytes) -> str:
    """Return what a source is called that is known by its content alone."""
    return f"source-{_hashed('source-name-v1', columns, tuple(record_id_columns), rows).short}"


def source_content(
    source_id: str | None, columns: Columns, record_id_columns: Sequence[str], rows: bytes
) -> ContentHash:
    """Return the content hash of a source over a table.

    Args:
        source_id: the name that its author gave it, if any.
        columns: names and types.
        record_id_columns: those that name its records; none where their positions do.
        rows: what ``rows_digest`` gave.
    """
    return _hashed("source-content-v1", source_id, columns, tuple(record_id_columns), rows)


def versioned_content(version: int, table: ContentHash) -> ContentHash:
    """Return the content hash of one version of a table, given that of the source over its rows."""
    return _hashed("versioned-content-v1", version, table)


def live_content(source_id: str, pipeline: ContentHash, rows: bytes) -> ContentHash:
    """Return the content hash of the rows that another stream has now."""
    return _hashed("live-content-v1", source_id, pipeline, rows)


def stored_content(source_id: str, columns: Columns, ids: Iterable[bytes]) -> ContentHash:
    """Return the content hash of rows that were kept of a source, in any order, given their ids."""
    return _hashed("stored-content-v1", source_id, columns, b"".join(sorted(ids)))


def rows_digest(batches: Iterable[pa.RecordBatch], columns: Schema) -> bytes:
    """Return the digest of rows in their order, however they are cut into batches."""
    digest = sha256()
    for batch in batches:
        for row in hash_rows(batch, columns):
            digest.update(row)
    return digest.digest()


# Rows that were kept of a source


def rows_digest_with_bad(rows: bytes, bad: Sequence[int]) -> bytes:
    """Return the digest of all rows of a source, given that of the same rows with nulls for what is no value.

    Args:
        rows: what ``rows_digest`` gave.
        bad: the rows, by number, that have such a value, so that they are no rows of the stream.
    """
    return _hashed("rows-digest-with-bad-v1", rows, tuple(bad)).digest


def kept_schema(columns: Columns) -> str:
    """Return the digits that name the table of rows kept of a source under one schema."""
    return _hashed("kept-schema-v1", columns).short


def kept_row_ids(batch: pa.RecordBatch, columns: Schema) -> list[bytes]:
    """Return the ids of rows that are kept: their row hashes, tags and data alike."""
    return hash_rows(batch, columns)


def kept_record_name(row_id: bytes) -> str:
    """Return the name of a record after its content."""
    return f"content={row_id.hex()[:16]}"


def catalog_entry(source_id: str, schema: str, tags: Sequence[str], types: Iterable[tuple[str, str]]) -> bytes:
    """Return the id of the entry that says which columns are kept of a source."""
    return _hashed("catalog-entry-v1", source_id, schema, tuple(tags), tuple(types)).digest


# Operators and functions


def sample_keys(seed: int, batch: pa.RecordBatch, columns: Schema) -> list[bytes]:
    """Return a random key of every row, by which samples are taken: the same for the same row and seed."""
    prefix = _hashed("sample-v1", seed).digest
    return [sha256(prefix + row).digest() for row in hash_rows(batch, columns)]


def operator(name: str, arguments: object) -> ContentHash:
    """Return the identity of an operator: its name for good, and what it was told."""
    return _hashed("operator-v1", name, arguments)


def joined(pipeline: ContentHash, position: int) -> str:
    """Return what a join appends to the names of the system tags of an input, given its place among them."""
    return f"{pipeline.short}:{position}"


def function_uri(name: str, outputs: Schema, major: str, type_id: str) -> tuple[str, ...]:
    """Return what a function is called in records: name, what it gives, major version and kind."""
    return name, _hashed("outputs-v1", outputs.structure).short, major, type_id


def function_content(uri: Sequence[str], fingerprint: ContentHash) -> ContentHash:
    """Return the identity of a function: its uri, and what its code says."""
    return _hashed("function-content-v1", tuple(uri), fingerprint)


def tagged_function_content(uri: Sequence[str], fingerprint: ContentHash, tags: Iterable[str]) -> ContentHash:
    """Return the identity of a function that takes some of its parameters from tags, given these."""
    return _hashed("tagged-function-content-v1", tuple(uri), fingerprint, tuple(sorted(tags)))


def function_pipeline(uri: Sequence[str], taken: Schema, entries: Schema) -> ContentHash:
    """Return the part of a function in pipeline hashes.

    Args:
        uri: what it is called.
        taken: the columns that it takes of a stream.
        entries: the columns of what is recorded of its rows: tags, system tags, and who made what it takes.
    """
    return _hashed("function-pipeline-v1", tuple(uri), taken.structure, entries.structure)


def stream_content(maker: ContentHash, inputs: Iterable[ContentHash], *, symmetric: bool) -> ContentHash:
    """Return the content hash of what an operator or a function makes of streams.

    Args:
        maker: the content hash of the operator or function.
        inputs: those of the streams.
        symmetric: whether their order means nothing.
    """
    return _hashed("stream-content-v1", maker, _arranged(inputs, symmetric=symmetric))


def stream_pipeline(maker: ContentHash, inputs: Iterable[ContentHash], *, symmetric: bool) -> ContentHash:
    """Return the same of pipeline hashes."""
    return _hashed("stream-pipeline-v1", maker, _arranged(inputs, symmetric=symmetric))


def _arranged(hashes: Iterable[ContentHash], *, symmetric: bool) -> tuple[ContentHash, ...]:
    return tuple(sorted(hashes, key=str) if symmetric else hashes)


# Records


def record_ids(uri: Sequence[str], fingerprint: ContentHash, packet_hashes: Iterable[bytes]) -> list[bytes]:
    """Return the ids of computed records: the same computation has the same id everywhere."""
    prefix = _hashed("record-v1", tuple(uri), fingerprint).digest
    return [sha256(prefix + packet).digest() for packet in packet_hashes]


def attempt_id(record_id: bytes, attempt: int) -> bytes:
    """Return the id of a further record of the same computation.

    Args:
        record_id: of the first one.
        attempt: which one it is; the first to be made again is 1.
    """
    return _hashed("attempt-v1", record_id, attempt).digest


def result_checksums(results: pa.Table, columns: Sequence[str]) -> list[int]:
    """Return the checksums that results are stored with: of their record ids and their outputs."""
    return [checksum for batch in results.select(columns).to_batches() for checksum in checksum_rows(batch, columns)]


def entry_ids(batch: pa.RecordBatch, identifying: Schema) -> list[bytes]:
    """Return the ids of the rows of a node: the row hashes of tags, system tags and record id."""
    return hash_rows(batch, identifying)


def piece_ids(pieces: pa.LargeListArray[Any]) -> list[bytes]:
    """Return the ids of pieces of long lists: 16 bytes of a hash of their very bytes; they are all of one type."""
    encoded: list[Any] = encode(pieces).to_pylist()
    return [sha256(b"piece-v1" + each).digest()[:16] for each in encoded]


def environment(facts: Sequence[object]) -> ContentHash:
    """Return the id of an environment, given all that is known of it."""
    return _hashed("environment-v1", tuple(facts))
