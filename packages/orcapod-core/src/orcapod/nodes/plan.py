"""``Plan``: what a run would compute, node by node, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from orcapod.checks import Checks
from orcapod.display import html_table, one_line, printable, text_table
from orcapod.errors import LabelError
from orcapod.nodes.reasons import Cause, Changed, Failed, Lost, New, Reason, Unknown

__all__ = ["NodePlan", "Plan"]

_COLUMNS = ("cached", "new", "stale", "failed", "unknown")


@dataclass(frozen=True, repr=False)
class NodePlan:
    """What a run would find and compute of a function node. Packets are counted by rows: equal ones are computed once.

    Attributes:
        label: the node.
        cached: how many packets have their results.
        calls: how many calls would be made of the function, as far as is known: packets that a node before with the
            same function has are computed there, and equal ones that fail are each tried.
        reasons: why the others have none, one for all packets of which it is the same: what is computed again comes
            first, and of these what concerns most packets.
        failed_before: how many packets failed in the last run; None if it has not run.
        notes: what else is to be said.
    """

    label: str
    cached: int
    calls: int
    reasons: Sequence[Reason]
    failed_before: int | None = None
    notes: Sequence[str] = ()

    @property
    def new(self) -> int:
        """How many packets nothing like was ever computed of."""
        return self._count(New)

    @property
    def stale(self) -> int:
        """How many packets are computed again, since code or input have changed, or their results are lost."""
        return self._count(Changed, Lost)

    @property
    def failed(self) -> int:
        """How many packets are known to have failed in the last run, and are tried again, or cannot be computed."""
        return self._count(Failed)

    @property
    def unknown(self) -> int:
        """How many rows are made of what is not computed yet: what becomes of them nobody can say before."""
        return self._count(Unknown)

    @property
    def rows(self) -> int:
        """How many rows come to the node, as far as is known."""
        return self.cached + sum(reason.count for reason in self.reasons)

    def _count(self, *causes: type[Cause]) -> int:
        return sum(reason.count for reason in self.reasons if isinstance(reason.cause, causes))

    def _why(self) -> list[str]:
        return [printable(f"{one_line(self.label)}: {each}") for each in (*self.reasons, *self.notes)]

    def __repr__(self) -> str:
        return repr(Plan({self.label: self}))

    def _repr_html_(self) -> str:
        return Plan({self.label: self})._repr_html_()


class Plan(Mapping[str, NodePlan]):
    """What a run would find and compute, by the labels of function nodes; printed, a table and the reasons."""

    def __init__(self, nodes: Mapping[str, NodePlan]) -> None:
        self._nodes = dict(nodes)

    def __getitem__(self, label: str) -> NodePlan:
        """Return what would become of a function node.

        Raises:
            LabelError: no function node bears that label.
        """
        Checks("explain", LabelError).text("the label", label)
        if label not in self._nodes:
            found = list(self._nodes)
            raise LabelError(f"no function node is called {label!r}; found {found}", expected=str(found), found=label)
        return self._nodes[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be computed."""
        return not any(node.reasons for node in self._nodes.values())

    def _rows(self) -> list[tuple[str, ...]]:
        return [(label, *(f"{getattr(node, column):,}" for column in _COLUMNS)) for label, node in self._nodes.items()]

    def _why(self) -> list[str]:
        return [line for node in self._nodes.values() for line in node._why()]

    def __repr__(self) -> str:
        return "\n".join([text_table(["node", *_COLUMNS], self._rows()), *self._why()])

    def _repr_html_(self) -> str:
        why = "\n".join(self._why())
        return html_table("What a run would do", ["node", *_COLUMNS], self._rows()) + f"<pre>{escape(why)}</pre>"
