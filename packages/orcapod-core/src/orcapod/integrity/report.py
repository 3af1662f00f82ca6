"""``StoreReport``: what a check of a store has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from orcapod.protocols import Key, RecordPath

__all__ = ["Finding", "FindingKind", "StoreReport"]

FindingKind = Literal[
    "unreadable",
    "changed",
    "doubled",
    "lost result",
    "damaged file",
    "storage",
    "unused result",
    "orphan file",
    "unneeded file",
]
"""What was found: a record that cannot be read, or is not as it was stored, or is there twice; a row whose result is
not there; a result whose file is lost, or has changed; what the store keeps beside its records and is not as it should
be. Three kinds are no damage: a result that no row stands for, as a pod outside of a pipeline leaves it, and a run that
was interrupted; a file that no table needs, as a writer that was killed leaves it; and one that a function made and no
record names."""

_NO_DAMAGE: Mapping[FindingKind, str] = {
    "unused result": "results that no row stands for",
    "orphan file": "files that no table needs, which the store's vacuum() removes",
    "unneeded file": "files that functions made and no record names, which op.remove_orphans() removes",
}

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding of a check.

    Attributes:
        kind: what it is.
        path: the table; empty for the store as a whole.
        key: the record; None for the whole table.
        column: the column, where it is known.
        why: what was found.
    """

    kind: FindingKind
    path: RecordPath = ()
    key: Key | None = None
    column: str | None = None
    why: str = ""

    @property
    def is_damage(self) -> bool:
        """Whether the store is damaged."""
        return self.kind not in _NO_DAMAGE

    def __str__(self) -> str:
        key = self.key.hex() if isinstance(self.key, bytes) else self.key
        parts = ["table " + "/".join(self.path) if self.path else "the store", f"key {key}" if key is not None else ""]
        parts.append(f"column {self.column!r}" if self.column else "")
        return f"{self.kind}: {', '.join(filter(None, parts))}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True, repr=False)
class StoreReport:
    """Report of a check of a store.

    Attributes:
        records: how many records were read.
        bytes: how many bytes they have, in memory.
        findings: what was found.
        moved: how many damaged records were moved to the table ``_damaged``.
    """

    records: int
    bytes: int
    findings: tuple[Finding, ...]
    moved: int = 0

    @property
    def damages(self) -> tuple[Finding, ...]:
        """What is damaged."""
        return tuple(finding for finding in self.findings if finding.is_damage)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages

    def __repr__(self) -> str:
        state = "ok" if self.ok else f"{len(self.damages)} damages"
        moved = f", {self.moved} moved aside" if self.moved else ""
        lines = [f"<StoreReport {state}: {self.records} records{moved}"]
        lines += [f"  {finding}" for finding in self.damages[:_SHOWN]]
        if len(self.damages) > _SHOWN:
            lines.append(f"  and {len(self.damages) - _SHOWN} more")
        counts = Counter(finding.kind for finding in self.findings)
        lines += [f"  {counts[kind]} {what}" for kind, what in _NO_DAMAGE.items() if counts[kind]]
        return "\n".join(lines) + ">"
