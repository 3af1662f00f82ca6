"""``SyncPipelineOrchestrator``: one node after the other, in this thread."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from orcapod import interrupts
from orcapod.checks import Checks
from orcapod.datagrams import Chunk
from orcapod.execution import WholeInputs
from orcapod.functions import ErrorPolicy, checked_policy
from orcapod.nodes import Node, Run
from orcapod.protocols import ExecutionObserver, checked_observer

__all__ = ["SyncPipelineOrchestrator"]


class SyncPipelineOrchestrator:
    """Orchestrator that runs every node to its end before the next, inputs first.

    Unless an executor has workers, one call is made after the other, in this thread.

    Args:
        await_together: make the calls of an async function together, as many as ``max_concurrency`` says; rows
            stay in order. ``Pipeline.run`` does, where it is given no orchestrator.
        error_policy: ``continue`` leaves failed packets out; ``fail_fast`` raises the first one's own
            exception.
        observer: who is told what happens in every run, beside the one that a run is given.

    Raises:
        ConfigError: an error policy that there is not, or an observer that is none.
    """

    is_overlapping = False

    def __init__(
        self,
        *,
        await_together: bool = False,
        error_policy: ErrorPolicy = "continue",
        observer: ExecutionObserver | None = None,
    ) -> None:
        self.awaits_together = Checks("SyncPipelineOrchestrator").flag("await_together", await_together)
        self.error_policy = checked_policy(error_policy)
        self.observer = None if observer is None else checked_observer(observer)

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
