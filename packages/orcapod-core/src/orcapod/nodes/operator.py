"""``OperatorNode``: an operator between nodes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from orcapod.datagrams import Chunk, Tag
from orcapod.execution import Inputs
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run
from orcapod.operators import InputEvent, OperatorStream, ordered
from orcapod.protocols import ExecutionObserver
from orcapod.records import NodeRecord

__all__ = ["OperatorNode", "labels_in_order"]

_SHOWN = 500  # characters of what an operator was told


def labels_in_order(nodes: Sequence[Node]) -> frozenset[str]:
    """Return the nodes whose rows go, on some way, into an operator to which their order matters.

    Args:
        nodes: of a pipeline, each behind what it is made of.
    """
    found: set[Node] = set()
    for node in reversed(nodes):
        if node in found or (isinstance(node, OperatorNode) and node.stream.producer.order_matters):
            found.update(node.inputs)
    return frozenset(node.label for node in found)


def _noting(events: Iterable[InputEvent], firsts: dict[int, Chunk]) -> Iterator[InputEvent]:
    """Give the events, and note the first row of each input."""
    for index, chunk in events:
        if chunk is not None and index not in firsts:
            firsts[index] = chunk.slice(0, 1)
        yield index, chunk


class OperatorNode(Node):
    """An operator between nodes."""

    stream: OperatorStream
    kind = "operator"
    is_repeatable = True

    @property
    def _name(self) -> str:
        return self.stream.producer.name

    def record(self, run: Run) -> NodeRecord:
        return replace(super().record(run), arguments=repr(self.stream.producer.arguments())[:_SHOWN])

    def process(self, inputs: Inputs, run: Run, observer: ExecutionObserver) -> Iterator[Chunk]:
        events = inputs.events()
        events = ordered(events, len(self.inputs)) if self.label in run.ordered else events
        firsts: dict[int, Chunk] = {}
        is_empty = True
        for chunk in self.stream.run(_noting(events, firsts), is_part=not run.is_whole):
            is_empty = False
            run.incomplete[self.label] += chunk.num_rows - chunk.num_packets
            yield chunk
        inputs.discard()
        if is_empty and len(firsts) == len(self.inputs) > 1:
            self._warn_of_nothing(firsts, run)

    def _warn_of_nothing(self, firsts: Mapping[int, Chunk], run: Run) -> None:
        """Warn that rows came from all inputs, and none agreed with those of the others."""
        keys, taken = self.stream.producer.meeting_tags(self.stream.inputs), run.moved(self.label).taken
        if not keys or not all(taken):
            return
        rows = " and ".join(f"{count:,}" for count in taken)
        samples = [
            ", ".join(f"{name}={Tag(chunk, 0)[name]!r}" for name in keys if name in chunk.schema.tags)
            for _, chunk in sorted(firsts.items())
        ]
        warnings.warn(
            f"node {self.label!r}: of {rows} rows none agree in {', '.join(map(repr, keys))}, so that it gave no row; "
            f"the first ones have {' and '.join(samples)}; check how the values are written",
            stacklevel=2,
        )

    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self.stream.made_of(inputs)
