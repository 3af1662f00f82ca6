"""The identity of user code."""

from orcapod.hashing.code.fingerprint import fingerprint_function
from orcapod.hashing.code.parts import (
    CODE_METHOD,
    CodeChange,
    CodeChanges,
    Fingerprint,
    Part,
    compare_parts,
    declared_version,
)
from orcapod.hashing.code.rules import RunStage

__all__ = [
    "CODE_METHOD",
    "CodeChange",
    "CodeChanges",
    "Fingerprint",
    "Part",
    "RunStage",
    "compare_parts",
    "declared_version",
    "fingerprint_function",
]
