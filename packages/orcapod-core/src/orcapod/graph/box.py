"""``Box``: an element of a plan as a picture shows it, with what a run made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

from orcapod.display import one_line
from orcapod.graph.graph import Element
from orcapod.operators import OperatorStream
from orcapod.pods import PodStream

__all__ = ["COLOURS", "DASHED", "Box", "Colours", "Kind", "Outcome"]

Kind = Literal["source", "function", "operator"]
Outcome = Literal["plain", "computed", "cached", "failed", "incomplete", "skipped", "not run"]

_WORST_FIRST: tuple[Outcome, ...] = ("failed", "incomplete", "computed", "cached", "skipped")


class Colours(NamedTuple):
    """Colours of a box."""

    fill: str
    border: str
    dark_fill: str
    dark_border: str


COLOURS: Mapping[Outcome, Colours] = {
    "plain": Colours("#f3f5f8", "#7b8694", "#21262d", "#8b949e"),
    "computed": Colours("#dff5e5", "#2a8a4a", "#12351f", "#3fb562"),
    "cached": Colours("#ddecfb", "#2f74b8", "#10294a", "#58a6ff"),
    "failed": Colours("#fde2e0", "#c9302c", "#471816", "#ff7b72"),
    "incomplete": Colours("#fcefcf", "#a8720b", "#3d2d08", "#e3b341"),
    "skipped": Colours("#ffffff", "#8c959f", "#0d1117", "#7d8590"),
    "not run": Colours("#ffffff", "#8c959f", "#0d1117", "#7d8590"),
}

DASHED: frozenset[Outcome] = frozenset({"skipped", "not run"})
"""What has a broken border."""


@dataclass(frozen=True, slots=True)
class Box:
    """An element of a plan as a picture shows it.

    Attributes:
        label: what it is called; unique in its plan.
        kind: what it is, which its shape says.
        detail: the class of a source or operator, or ``function``, with its name where that is not the label.
        inputs: the numbers of the boxes that it is made of, all before its own.
        outcome: what became of it, which its colour says.
        counts: the same in numbers: ``3 computed``, ``1 failed``.
    """

    label: str
    kind: Kind
    detail: str
    inputs: tuple[int, ...] = ()
    outcome: Outcome = "plain"
    counts: tuple[str, ...] = ()

    @classmethod
    def of(cls, element: Element) -> Self:
        """Return the box of an element of a plan, without a run."""
        kind: Kind
        match element.stream:
            case PodStream(producer=pod):
                kind, detail = "function", f"function {pod.packet_function.name}"
            case OperatorStream(producer=operator):
                kind, detail = "operator", type(operator).__name__
            case source:
                kind, detail = "source", type(source).__name__
        detail = "function" if detail == f"function {element.label}" else detail
        return cls(element.label, kind, f"{detail}, replaced" if element.is_replaced else detail, element.inputs)

    @property
    def heading(self) -> tuple[str, str]:
        """What it is called and what it is, each in one line."""
        return one_line(self.label), one_line(self.detail)

    def after(self, counts: Mapping[str, int] | None, rows: int | None) -> Self:
        """Return it with what became of it in a run.

        Args:
            counts: of its packets, by what became of them; None where none are counted.
            rows: how many it gave; None if it had no part in the run.
        """
        if counts is None and rows is None:
            return replace(self, outcome="not run", counts=("not run",))
        found = {state: count for state, count in (counts or {}).items() if count}
        outcome: Outcome = next((state for state in _WORST_FIRST if state in found), "plain")
        shown = [f"{count:,} {state}" for state, count in found.items()]
        if rows is not None and (self.kind != "function" or not shown):
            shown = [f"{rows:,} row{'' if rows == 1 else 's'}", *shown]
        return replace(self, outcome=outcome, counts=tuple(shown))
