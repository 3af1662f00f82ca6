"""``RunPart``: which nodes of a pipeline a run goes through, and what of them it computes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orcapod.checks import Checks
from orcapod.errors import LabelError
from orcapod.execution import Selection, checked_where
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.node import Node
from orcapod.streams import inputs_first

__all__ = ["RunPart"]


@dataclass(frozen=True, slots=True)
class RunPart:
    """Part of a pipeline that a run computes.

    Attributes:
        nodes: those that it goes through, each behind what it is made of.
        selections: what it computes of function nodes, by label, where that is not all that is missing.
        is_whole: whether it computes all that is missing of all nodes.
    """

    nodes: Sequence[Node]
    selections: Mapping[str, Selection] = field(default_factory=dict)
    is_whole: bool = True

    @classmethod
    def of(cls, nodes: Mapping[str, Node], *, recompute: Any, only: Any, until: Any, where: Any) -> RunPart:
        """Return the part that the arguments of ``Pipeline.run`` name.

        Raises:
            LabelError: one names a node or a tag that there is not.
            ConfigError: one is not what it has to be.
        """
        check = Checks("run")
        ends = _known("until", check.names_or_none("until", until), nodes, "node")
        through = list(nodes.values())
        if ends is not None:
            wanted = set(inputs_first([nodes[label] for label in ends], lambda node: node.inputs))
            through = [node for node in through if node in wanted]
        functions = {node.label: node for node in through if isinstance(node, FunctionNode)}
        computing = _known("only", check.names_or_none("only", only), functions, "function node of this run")
        rows = checked_where(check, "where", where, [node.inputs[0].schema.tags for node in functions.values()])
        again = dict.fromkeys(check.names("recompute", recompute)) if _is_names(recompute) else recompute
        wheres = check.mapping_or_empty("recompute", again, "{'rates': {'subject': 's1'}}")
        _known("recompute", wheres, functions, "function node of this run")
        selections = {}
        for label, node in functions.items():
            computed = rows if computing is None or label in computing else None
            named, its_tags = f"recompute of {label!r}", node.inputs[0].schema.tags
            anew = checked_where(check, named, wheres[label], [its_tags]) if label in wheres else None
            if computed is None or computed.wanted or anew is not None:
                selections[label] = Selection(computed, anew)
        return cls(through, selections, is_whole=ends is None and computing is None and not rows.wanted)

    def warn_of_unmet(self) -> None:
        """Warn of rows that a run was to compute, and that it has not met."""
        chosen = [each for selection in self.selections.values() for each in (selection.where, selection.again)]
        for where in dict.fromkeys(each for each in chosen if each is not None):
            if unmet := where.unmet():
                warnings.warn(unmet, stacklevel=5)


def _is_names(recompute: Any) -> bool:
    return recompute is not None and not isinstance(recompute, Mapping)


def _known(argument: str, labels: Iterable[str] | None, nodes: Mapping[str, Node], noun: str) -> frozenset[str] | None:
    """Return the labels, which have to be among these."""
    if labels is None:
        return None
    for label in labels:
        if label not in nodes:
            raise LabelError(
                f"{argument} names {label!r}, which is no {noun}; found {list(nodes)}",
                node=label,
                expected=f"one of {list(nodes)}",
                found=repr(label),
            )
    return frozenset(labels)
