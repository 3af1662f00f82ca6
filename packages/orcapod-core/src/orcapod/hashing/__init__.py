"""Identity: the hashes by which two things are the same."""

from orcapod.hashing import recipes
from orcapod.hashing.canonical import STRUCTURE_METHOD, hash_structure
from orcapod.hashing.code import (
    CodeChange,
    CodeChanges,
    Fingerprint,
    Part,
    RunStage,
    compare_parts,
    declared_version,
    fingerprint_function,
)
from orcapod.hashing.code.ownership import is_own
from orcapod.hashing.content_hash import ContentHash
from orcapod.hashing.recipes import versioned_content
from orcapod.hashing.rows import ROW_METHOD, hash_rows

__all__ = [
    "ROW_METHOD",
    "STRUCTURE_METHOD",
    "CodeChange",
    "CodeChanges",
    "ContentHash",
    "Fingerprint",
    "Part",
    "RunStage",
    "compare_parts",
    "declared_version",
    "fingerprint_function",
    "hash_rows",
    "hash_structure",
    "is_own",
    "recipes",
    "versioned_content",
]
