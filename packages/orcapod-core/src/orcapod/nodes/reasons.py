"""``Reason``: why packets are computed, one for all packets of which it is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from orcapod.display import one_line, printable, shown
from orcapod.hashing import CodeChanges

__all__ = ["Cause", "Changed", "Failed", "InputChange", "Lost", "New", "Reason", "Reasons", "Requested", "Unknown"]

_LINES, _PARTS = 8, 5  # of a text, that are shown


class _Cause:
    """What all causes have.

    Attributes:
        advice: what is to be said of it beside; empty if there is nothing.
    """

    __slots__ = ()

    advice: str = ""


@dataclass(frozen=True, slots=True)
class New(_Cause):
    """Cause of packets that are not known: there was no such packet, and no row of such tags in the last run."""

    def __str__(self) -> str:
        return "new: no such packet before, and no row with these tags when it last ran"


@dataclass(frozen=True, slots=True)
class InputChange:
    """Change of what a row is made of.

    Attributes:
        columns: the columns, by their names.
        is_exact: whether each of them has changed; if not, at least one has, and the store does not tell which.
        how: how they have, as far as the store tells.
    """

    columns: tuple[str, ...]
    is_exact: bool
    how: str

    def __str__(self) -> str:
        names = ", ".join(self.columns)
        which = f"input {names}" if self.is_exact else f"one of the inputs {names}, or several"
        return f"{which}: {self.how}"


@dataclass(frozen=True)
class Changed(_Cause):
    """Cause of packets that are computed again, since something differs from what made their last results.

    Attributes:
        code: the parts of the code that differ, each with a whole ``diff`` of its source.
        function: what differs in what the function is called and gives, as text.
        inputs: what has changed of the row, where the packet is another one.
        advice: what is to be said of a key that is new at every start.
    """

    code: CodeChanges = field(default_factory=CodeChanges)
    function: tuple[str, ...] = ()
    inputs: InputChange | None = None
    advice: str = ""

    def __str__(self) -> str:
        told = [*self.function, *(_cut(str(change)) for change in self.code[:_PARTS])]
        if len(self.code) > _PARTS:
            told.append(f"and {len(self.code) - _PARTS} more parts of the code")
        if self.inputs is not None:
            told.append(str(self.inputs))
        return "\n".join([*told, *filter(None, [self.advice])])


@dataclass(frozen=True, slots=True)
class Lost(_Cause):
    """Cause of packets whose results no longer count: invalidated, deleted, moved aside, or their files are gone."""

    def __str__(self) -> str:
        return "their results were invalidated, or are no longer in the store, or files of them are gone"


@dataclass(frozen=True, slots=True)
class Requested(_Cause):
    """Cause of packets that a run was told to compute again."""

    def __str__(self) -> str:
        return "asked for: run(recompute=...)"


@dataclass(frozen=True, slots=True)
class Failed(_Cause):
    """Cause of packets that failed before, and are tried again.

    Attributes:
        run_id: the run in which they did; empty for packets that the function cannot be given.
    """

    run_id: str = ""

    def __str__(self) -> str:
        if not self.run_id:
            return "cannot be given to the function: a value has no exact conversion to a parameter's type"
        return f"a row with these tags failed in run {self.run_id}; tried again"


@dataclass(frozen=True, slots=True)
class Unknown(_Cause):
    """Cause of rows of which nothing can be said yet, since what they are made of is not there.

    Attributes:
        waits_for: the labels of the nodes that have to compute first.
    """

    waits_for: tuple[str, ...]

    def __str__(self) -> str:
        waiting = " and ".join(map(repr, self.waits_for)) or "another pipeline"
        more = "" if self.waits_for else ", which has to run first, or of a source whose row is bad"
        return f"not known before: made of what is computed by {waiting}{more}"


Cause = New | Changed | Lost | Requested | Failed | Unknown
"""Why a packet is computed."""


@dataclass(frozen=True)
class Reason:
    """Why some packets of a node are computed.

    Attributes:
        cause: why.
        count: how many packets, each row counted for itself.
        examples: the tags of some of them.
    """

    cause: Cause
    count: int
    examples: Sequence[Mapping[str, Any]] = ()

    @property
    def diff(self) -> str:
        """The whole difference of the code, part by part, as ``diff -u`` writes it; empty if it is the same."""
        if not isinstance(self.cause, Changed):
            return ""
        return "\n".join(f"{change.part}\n{change.diff}" for change in self.cause.code)

    def __str__(self) -> str:
        tags = [", ".join(f"{one_line(name)}={shown(value)}" for name, value in tag.items()) for tag in self.examples]
        more = "; ..." if self.count > len(tags) else ""
        of = f" ({'; '.join(tags)}{more})" if any(tags) else ""
        return f"{self.count:,}{of}: {_indented(str(self.cause))}"


class Reasons(dict[str, tuple[Reason, ...]]):
    """Why packets were computed: the reasons of each function node by label, those of most packets first."""

    def __str__(self) -> str:
        lines = (f"{one_line(label)}: {reason}" for label, reasons in self.items() for reason in reasons)
        return printable("\n".join(lines))

    def __repr__(self) -> str:
        return str(self) or "nothing was computed"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(repr(self))}</pre>"


def _cut(text: str) -> str:
    """Return the first lines of a text, each of them in short."""
    lines = text.splitlines()
    kept = [line if len(line) <= 160 else f"{line[:157]}..." for line in lines[:_LINES]]
    return "\n".join([*kept, *([f"    ... and {len(lines) - _LINES} more lines"] if len(lines) > _LINES else [])])


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")
