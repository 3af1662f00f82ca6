"""``RunResult``: what is left of a run once it has ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from orcapod.checks import Checks
from orcapod.display import duration, html_table, one_line
from orcapod.errors import IncompleteError, LabelError
from orcapod.execution import FailureKind, PacketErrors, Recomputed, failure_kinds
from orcapod.nodes.reasons import Reasons

__all__ = ["Counts", "RowCounts", "RunResult"]

_STATES = ("computed", "cached", "failed", "incomplete", "skipped")
_ALWAYS = ("computed", "cached", "failed")
_SHOWN_KINDS = 10


class RowCounts(NamedTuple):
    """Counts of the rows of a node, as far as they have a packet.

    Attributes:
        taken: how many came from each of its inputs.
        given: how many it gave.
    """

    taken: tuple[int, ...]
    given: int

    def __str__(self) -> str:
        taken = " and ".join(f"{count:,}" for count in self.taken)
        return f"{taken} rows in, {self.given:,} out" if self.taken else f"{self.given:,} rows"


class Counts(dict[str, int]):
    """Counts of packets by what became of them; a kind that it does not list has none.

    ``computed``, ``cached`` and ``failed`` are always listed; ``incomplete`` where there are such: rows of which
    nothing was computed, since what they are made of has failed, and ``skipped``: rows without a result that the run
    was not to compute.
    """

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Counts:
        """Return these counts, in the order in which they are shown."""
        return cls({state: counts[state] for state in _STATES if counts[state] or state in _ALWAYS})

    def __missing__(self, state: str) -> int:
        if state in _STATES:
            return 0
        raise KeyError(state)


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a run did.

    Attributes:
        run_id: its name, in ``_runs`` and in every log and status row.
        errors: the packets that failed, in the order in which they did.
        node_counts: what ``counts`` says of each function node, by label.
        node_rows: what ``rows`` says of each node, by label.
        recomputed: of each function node that was to be computed again, by label, how many packets gave what they had
            given before, ``equal``, and the tags of those that did not, ``different``. Packets that had no result are
            in neither.
        incomplete: of each operator that has left some out, by label, how many rows or groups it gave without a packet,
            since rows that they are made of have failed or are not there.
        is_whole: whether all that was missing was to be computed.
        seconds: how long the function of each function node took in all, by label, for what was computed.
        saved: how long what was found instead had taken.
        explain: gives its ``reasons``.
    """

    run_id: str
    errors: PacketErrors
    node_counts: Mapping[str, Mapping[str, int]]
    node_rows: Mapping[str, RowCounts] = field(default_factory=dict)
    recomputed: Mapping[str, Recomputed] = field(default_factory=dict)
    incomplete: Mapping[str, int] = field(default_factory=dict)
    is_whole: bool = True
    seconds: Mapping[str, float] = field(default_factory=dict)
    saved: Mapping[str, float] = field(default_factory=dict)
    explain: Callable[[], Reasons] = field(default=Reasons, compare=False)

    @cached_property
    def reasons(self) -> Reasons:
        """Why it computed what it did: the reasons of each function node by label; printed, a line for each.

        They are found when they are first asked for, in the store, which has to be open then.
        """
        return self.explain()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "explain": Reasons}  # which goes nowhere without its store

    def rows(self, label: str) -> RowCounts:
        """Return how many rows a node, of whatever kind, has ``taken`` from each of its inputs, and ``given``.

        Raises:
            LabelError: no node bears that label.
        """
        Checks("rows", LabelError).text("the label", label)
        if label not in self.node_rows:
            found = sorted(self.node_rows)
            raise LabelError(f"no node is called {label!r}; found {found}", expected=str(found), found=label)
        return self.node_rows[label]

    def counts(self, label: str) -> dict[str, int]:
        """Return how many packets of a function node were ``computed``, ``cached``, ``failed`` and ``incomplete``.

        Of a source with ``bad_rows="fail"``, the bad rows are ``failed``.

        A row is incomplete if it, or a row of the group that it is, came without a packet: nothing was computed of
        it. If no row is, that is not listed, and asked for, it is 0.

        Raises:
            LabelError: no function node bears that label.
        """
        Checks("counts", LabelError).text("the label", label)
        if label not in self.node_counts:
            found = sorted(self.node_counts)
            raise LabelError(f"no function node is called {label!r}; found {found}", expected=str(found), found=label)
        return Counts(self.node_counts[label])

    @property
    def ok(self) -> bool:
        """Whether no packet failed, and none was left out since another pipeline, whose rows are read, has failed."""
        return not self.errors and not self._incomplete

    def raise_for_errors(self) -> None:
        """Raise the exceptions of all failed packets as one group, if there are any.

        Raises:
            IncompleteError: none failed, but rows of other pipelines that are read here have.
        """
        if self.errors:
            raise BaseExceptionGroup(
                f"{len(self.errors)} packets failed in run {self.run_id}", [error.exception for error in self.errors]
            )

        if self._incomplete:
            raise IncompleteError(
                f"{self._incomplete} rows were not computed in run {self.run_id}, since rows of another pipeline that "
                "they are made of have failed, or are not computed yet; run that pipeline first"
            )

    @property
    def _incomplete(self) -> int:
        if not self.is_whole:  # what they are made of may have been left out on purpose
            return 0
        counted = sum(counts.get("incomplete", 0) for counts in self.node_counts.values())
        return counted or max(self.incomplete.values(), default=0)  # where no function is behind them

    def _repr_html_(self) -> str:
        headings = ["node", *_STATES, "rows in", "rows out", "time", "saved"]
        rows = []
        for label in {**self.node_rows, **self.node_counts}:
            counts, moved = self.node_counts.get(label), self.node_rows.get(label, RowCounts((), 0))
            shown_counts = {"incomplete": self.incomplete.get(label, "")} if counts is None else counts
            states = [str(shown_counts.get(state, "" if counts is None else 0)) for state in _STATES]
            times = [duration(found[label]) if label in found else "" for found in (self.seconds, self.saved)]
            rows.append((label, *states, " + ".join(map(str, moved.taken)), str(moved.given), *times))
        shown = html_table(f"Run {self.run_id}{f': {saved}' if (saved := self._saved()) else ''}", headings, rows)
        if not self.errors:
            return shown
        kinds = failure_kinds(self.errors.to_table())
        told = [
            (f"{kind.count:,}", ", ".join(kind.nodes), *_in_short(kind), dict(self.errors[kind.rows[0]].tag))
            for kind in kinds[:_SHOWN_KINDS]
        ]
        more = f", the {len(told)} kinds of most packets" if len(told) < len(kinds) else ""
        headings = ["packets", "node", "exception", "where", "one of them"]
        return shown + html_table(f"{len(self.errors):,} failed{more}", headings, told)

    def _saved(self) -> str:
        """Return how long the cache has saved in all, in words; nothing where that is next to nothing."""
        saved = sum(self.saved.values())
        return f"the cache saved {duration(saved)}" if saved >= 1 else ""

    def __repr__(self) -> str:
        failed = f"{len(self.errors)} failed" if self.errors else f"{self._incomplete} incomplete"
        lines = [f"<RunResult {self.run_id} {'ok' if self.ok else failed}"]
        for label in {**self.node_rows, **self.node_counts}:
            name = one_line(label)
            if (counts := self.node_counts.get(label)) is None:
                left_out = f", {self.incomplete[label]:,} incomplete" if label in self.incomplete else ""
                lines.append(f"  {name}: {self.node_rows[label]}{left_out}")
            else:
                again = f"; {self.recomputed[label]}" if label in self.recomputed else ""
                shown = ", ".join(f"{count} {state}" for state, count in counts.items())
                saved = self.saved.get(label, 0.0)
                told = f"; the cache saved {duration(saved)}" if saved >= 1 else ""
                lines.append(f"  {name}: {shown}{again}{told}")
        kinds = failure_kinds(self.errors.to_table()) if self.errors else []
        lines += [f"  {one_line(line)}" for kind in kinds[:_SHOWN_KINDS] for line in str(kind).splitlines()]
        if len(kinds) > _SHOWN_KINDS:
            lines.append(f"  and {len(kinds) - _SHOWN_KINDS} more kinds of failures")
        if (saved_in_all := self._saved()) and sum(map(bool, self.saved.values())) > 1:
            lines.append(f"  {saved_in_all} in all")
        return "\n".join(lines) + ">"


def _in_short(kind: FailureKind) -> tuple[str, str]:
    """Return the last line of a failure's message, and where it was raised."""
    location = kind.location
    where = f"{Path(location.file).name}, line {location.line}, in {location.function}" if location else ""
    return one_line(kind.message.strip().rpartition("\n")[2]), where
