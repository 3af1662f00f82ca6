"""``Routes``: the ways from the nodes of runs to the functions and sources that their rows are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from orcapod.ledger.run_summary import NodeSummary, RunSummary
from orcapod.records import NodeRecord
from orcapod.streams import inputs_first

__all__ = ["NodeInRun", "Routes"]

_PASSING_ON = frozenset(
    [
        *("Concat", "Cross", "DropNulls", "DropPacketColumns", "DropTagColumns", "Filter", "Head", "Index", "Join"),
        *("MapPackets", "MapTags", "MergeJoin", "Pick", "Sample", "SelectPacketColumns", "SelectTagColumns"),
        *("SemiJoin", "Sort"),
    ]
)
"""The operators that neither nest source rows nor unnest them."""


class NodeInRun(NamedTuple):
    """Function or source of a run.

    Attributes:
        run: the run.
        summary: the node.
        operators: those between it and what is made of its rows, nearest to it first.
    """

    run: RunSummary
    summary: NodeSummary
    operators: tuple[NodeRecord, ...] = ()

    @property
    def record(self) -> NodeRecord:
        return self.summary.record

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by, whatever is made of it."""
        return self.run.run_id, self.record.label

    @property
    def producer(self) -> str:
        """What provenance calls its records by: the uri of a function, the id of a source."""
        return ":".join(self.record.path[:-1]) if self.record.kind == "function" else self.record.name


class Routes:
    """Ways between the nodes of runs, by their plans.

    Args:
        runs: all runs of a store, in the order in which they began.
    """

    def __init__(self, runs: Sequence[RunSummary]) -> None:
        self._runs = runs
        self._above: dict[tuple[str, str], list[NodeInRun]] = {}
        self._passing_on: dict[tuple[str, str], bool] = {}
        self._spread: dict[tuple[str, str], bool] = {}

    def above(self, node: NodeInRun) -> list[NodeInRun]:
        """Return the functions and sources whose rows a node is made of, with the operators on the way.

        A source that gives the rows of a node of a pipeline in this store is followed by what is above it there.
        """
        if (above := self._above.get(node.key)) is not None:
            return above
        passes_on, found = True, list[NodeInRun]()
        seen: set[tuple[str, str]] = set()
        waiting: list[tuple[RunSummary, str, tuple[NodeRecord, ...]]]
        waiting = [(node.run, each, ()) for each in node.record.inputs]
        for within, name, operators in waiting:  # which grows
            summary = within.nodes.get(name)
            if summary is None or (within.run_id, name) in seen:
                continue
            seen.add((within.run_id, name))
            record = summary.record
            if record.kind == "operator":
                passes_on &= record.name in _PASSING_ON
                waiting += [(within, each, (record, *operators)) for each in record.inputs]
                continue
            found.append(NodeInRun(within, summary, operators))
            if record.kind == "source" and (there := self._node_called(record.name, within)) is not None:
                waiting.append((*there, operators))
        self._above[node.key], self._passing_on[node.key] = found, passes_on
        return found

    def functions_above(self, node: NodeInRun) -> list[NodeInRun]:
        """Return the functions whose rows a node is made of."""
        return [each for each in self.above(node) if each.record.kind == "function"]

    def is_spread(self, node: NodeInRun) -> bool:
        """Say whether values of a row may be made of source rows of which the row itself does not have the ids."""
        for each in inputs_first([node], self.functions_above) if node.key not in self._spread else ():
            self._spread[each.key] = any(
                self._spread.get(above.key, False) or any(operator.name == "Explode" for operator in above.operators)
                for above in self.above(each)
            )
        return self._spread[node.key]

    def is_passed_on(self, node: NodeInRun) -> bool:
        """Say whether rows have the lists of source rows that the rows of functions above have, and no others."""
        self.above(node)
        return self._passing_on[node.key]

    def _node_called(self, name: str, before: RunSummary) -> tuple[RunSummary, str] | None:
        """Return the node of a pipeline whose rows a source of this name gave, in the pipeline's last run before."""
        for run in reversed(self._runs):
            pipeline, _, label = name.rpartition("/")
            if run.run_id < before.run_id and run.ended and "/".join(run.pipeline) == pipeline and label in run.nodes:
                return run, label
        return None
