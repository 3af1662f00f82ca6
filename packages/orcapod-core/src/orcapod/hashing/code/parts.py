"""``Fingerprint``: the identity of code as a list of parts, and what differs between two such lists."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from orcapod.hashing.canonical import hash_structure
from orcapod.hashing.content_hash import ContentHash

__all__ = [
    "CODE_METHOD",
    "Binding",
    "CodeChange",
    "CodeChanges",
    "Fingerprint",
    "Part",
    "PartKind",
    "compare_parts",
    "declared_version",
    "outputs_part",
]

CODE_METHOD = "code-v1"

_LINE, _AROUND = 150, 40  # letters of a line that are shown; and of a longer one, before what differs

PartKind = Literal[
    "function", "class", "global", "closure", "default", "attribute", "depends_on", "outputs", "version",
    "installed", "package", "state", "opaque", "unseen", "ignored", "fingerprint",
]  # fmt: skip
"""What a part is. Some do not count by what they hold, but by what they held before anything ran (state), by their
identity in this process (opaque), by name (installed, unseen), or not at all (ignored)."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a fingerprint: a piece of code, or a value that it refers to.

    Attributes:
        name: what it is called, with its module: ``lab.scale``, ``lab.LIMIT``, ``lab.f: default k``.
        kind: what it is.
        digest: of what it says by itself, in hexadecimal digits.
        source: for code, its source without comments, docstrings and formatting; for a value, how it is written,
            as far as it is short; else why it is listed.
        uses: the parts that it refers to, by name.
    """

    name: str
    kind: PartKind
    digest: str
    source: str = ""
    uses: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Binding:
    """Object that a name led to.

    Attributes:
        follow: follows the name again.
        value: what it led to.
    """

    follow: Callable[[], object]
    value: object

    def is_current(self) -> bool:
        """Say whether the name still leads there."""
        return self.follow() is self.value


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of a piece of user code.

    Attributes:
        hash: equal for equal code, in every process and on every supported Python.
        opaque: what could not be seen into, by dotted name, each with why; sorted. Equal in this process only.
        unseen: what no reading of the code can follow, each with why; sorted. A change there goes unnoticed.
        state: what the code itself changes, by dotted name; sorted. It counts as it was before it ran.
        unused: names of what does not count that nothing bears; sorted.
        parts: all that it is made of.
        size: how many objects it took to look at them.
        bindings: what names were bound to.
    """

    hash: ContentHash
    opaque: tuple[str, ...]
    unseen: tuple[str, ...]
    state: tuple[str, ...]
    unused: tuple[str, ...] = field(default=(), compare=False, repr=False)
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)
    size: int = field(default=0, compare=False, repr=False)
    bindings: tuple[Binding, ...] = field(default=(), compare=False, repr=False)

    def is_current(self) -> bool:
        """Say whether all names still lead to the same objects; whether those have changed, this does not see."""
        return all(binding.is_current() for binding in self.bindings)

    def near(self, name: str) -> list[str]:
        """Return the names of parts that end nearly like this one, the nearest first."""
        ends: dict[str, dict[str, None]] = {}
        for part in self.parts:
            ends.setdefault(part.name.rpartition(".")[2], {})[part.name] = None
        return [each for end in difflib.get_close_matches(name.rpartition(".")[2], ends) for each in ends[end]]

    def says_what(self, other: Fingerprint) -> bool:
        """Say whether the functions and classes that both are made of are written alike, whatever they hold."""
        mine, theirs = (
            {(part.kind, part.name): part.source for part in each.parts if part.kind in ("function", "class")}
            for each in (self, other)
        )
        return all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())


def declared_version(major: str, outputs: Sequence[str]) -> Fingerprint:
    """Return the fingerprint of code whose author declares by a version which code it is."""
    structure = ("version", major, list(outputs))
    parts = [Part("version", "version", hash_structure(major).hex, major), outputs_part(outputs)]
    return Fingerprint(hash_structure(structure), (), (), (), parts=tuple(parts))


def outputs_part(outputs: Sequence[str]) -> Part:
    """Return the names of outputs, in their order, as a part."""
    return Part("output_keys", "outputs", hash_structure(list(outputs)).hex, repr(list(outputs)))


@dataclass(frozen=True, slots=True)
class CodeChange:
    """Part that differs between two pieces of code.

    Attributes:
        before: as it is in the first; None if it is not in it.
        after: as it is in the second; None if it is not in it.
    """

    before: Part | None
    after: Part | None

    @property
    def part(self) -> Part:
        """The part as it is, or was."""
        found = self.after or self.before
        assert found is not None
        return found

    @property
    def is_written_alike(self) -> bool:
        """Whether it is a function whose source is the same, and what it uses, too."""
        before, after = self.before, self.after
        return (
            before is not None
            and after is not None
            and after.kind == "function"
            and before.source == after.source != ""
            and before.uses == after.uses
        )

    @property
    def diff(self) -> str:
        """The lines of its source that differ, with some around them, as ``diff -u`` writes them."""
        before, after = ("" if part is None else part.source for part in (self.before, self.after))
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "before", "after", lineterm="")
        return "\n".join(lines)

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.part}: {'added' if self.before is None else 'no longer there'}"
        old, new = self.before.source.splitlines(), self.after.source.splitlines()
        if len(old) <= 1 and len(new) <= 1 and old != new:
            told = f"{self.part}: {self.before.source} -> {self.after.source}"
            if len(told) <= _LINE:
                return told
            lines = [f"- {self.before.source}", f"+ {self.after.source}"]
        else:
            lines = [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
        if not lines and self.before.uses == self.after.uses:
            return f"{self.part}: holds something else"
        if not lines:
            return f"{self.part}: uses {', '.join(self.before.uses)} -> {', '.join(self.after.uses)}"
        return "\n    ".join([f"{self.part}:", *_where_they_differ(lines)])


class CodeChanges(list[CodeChange]):
    """Parts that differ between two pieces of code; empty if none does."""

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "no part differs"


def _where_they_differ(lines: list[str]) -> list[str]:
    """Return lines that were taken away or added; of a long one that another took the place of, where they differ."""
    shown = list(lines)
    for at, (old, new) in enumerate(pairwise(lines)):
        if (old[0], new[0]) == ("-", "+") and max(len(old), len(new)) > _LINE:
            differs = (at for at, (one, other) in enumerate(zip(old[2:], new[2:], strict=False)) if one != other)
            start = max(0, next(differs, min(len(old), len(new)) - 2) - _AROUND)
            shown[at], shown[at + 1] = (f"{line[:2]}{_window(line[2:], start)}" for line in (old, new))
    return shown


def _window(text: str, start: int) -> str:
    """Return what is at a position of a text, with marks where there is more."""
    stop = start + 3 * _AROUND
    return f"{'...' if start else ''}{text[start:stop]}{'...' if stop < len(text) else ''}"


def compare_parts(before: Sequence[Part], after: Sequence[Part]) -> CodeChanges:
    """Return the parts that differ, in the order of the second list; what is gone comes last."""
    then, now = set(map(_said, before)), set(map(_said, after))
    gone: dict[tuple[str, str], list[Part]] = {}  # a function and what it wraps may bear one name
    for part in before:
        if _said(part) not in now:
            gone.setdefault((part.kind, part.name), []).append(part)
    changes = CodeChanges()
    for part in after:
        if _said(part) not in then:
            others = gone.get((part.kind, part.name))
            changes.append(CodeChange(others.pop(0) if others else None, part))
    changes += [CodeChange(part, None) for parts in gone.values() for part in parts]
    if any(change.part.kind == "package" for change in changes):  # whose version is in all that uses it
        return CodeChanges(change for change in changes if not change.is_written_alike)
    return changes


def _said(part: Part) -> tuple[object, ...]:
    """Return what counts of a part."""
    return part.kind, part.name, part.digest, part.uses
