"""``OperatorNode``: an operator between nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orcapod.datagrams import Chunk
from orcapod.execution import Inputs
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run
from orcapod.operators import OperatorStream, ordered
from orcapod.protocols import ExecutionObserver

__all__ = ["OperatorNode", "labels_in_order"]


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


class OperatorNode(Node):
    """An operator between nodes."""

    stream: OperatorStream
    is_repeatable = True

    def process(self, inputs: Inputs, run: Run, observer: ExecutionObserver) -> Iterator[Chunk]:
        events = inputs.events()
        yield from self.stream.run(ordered(events, len(self.inputs)) if self.label in run.ordered else events)
        inputs.discard()

    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self.stream.made_of(inputs)
