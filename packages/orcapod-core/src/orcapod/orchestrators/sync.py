"""``SyncPipelineOrchestrator``: one node after the other, in this thread."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from orcapod import interrupts
from orcapod.datagrams import Chunk
from orcapod.execution import WholeInputs
from orcapod.functions import ErrorPolicy, checked_policy
from orcapod.nodes import Node, Run

__all__ = ["SyncPipelineOrchestrator"]


class SyncPipelineOrchestrator:
    """Orchestrator that runs every node to its end before the next, inputs first.

    Args:
        error_policy: ``continue`` leaves failed packets out; ``fail_fast`` raises the first one's own
            exception.

    Raises:
        ConfigError: an error policy that there is not.
    """

    is_overlapping = False

    def __init__(self, *, error_policy: ErrorPolicy = "continue") -> None:
        self.error_policy = checked_policy(error_policy)

    def run(self, nodes: Sequence[Node], run: Run) -> None:
        """Execute the nodes; what is between them is held as long as a node still reads it."""
        readers = Counter(part for node in nodes for part in node.inputs)
        rows: dict[Node, list[Chunk]] = {}
        for node in nodes:
            chunks = node.run(WholeInputs([rows[part] for part in node.inputs]), run)
            interrupts.check()
            if readers[node]:
                rows[node] = list(chunks)
            else:
                deque(chunks, maxlen=0)
            for part in node.inputs:
                readers[part] -= 1
                if not readers[part]:
                    rows.pop(part, None)
