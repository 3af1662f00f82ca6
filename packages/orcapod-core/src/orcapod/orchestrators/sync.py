"""``SyncPipelineOrchestrator``: one node after the other, in this thread."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from orcapod import interrupts
from orcapod.checks import Checks
from orcapod.execution import WholeInputs
from orcapod.functions import ErrorPolicy, checked_policy
from orcapod.nodes import HeldRows, Node, Run
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
        """Execute the nodes; what is between them is held, or can be read again, as long as a node still reads it."""
        readers = Counter(part for node in nodes for part in node.inputs)
        rows: dict[Node, HeldRows] = {}
        for node in nodes:
            inputs = [rows[part] for part in node.inputs]
            chunks = node.run(WholeInputs(inputs, chunk_bytes=run.chunk_bytes), run)
            interrupts.check()
            if readers[node]:
                room = run.memory // 2 - sum(held.bytes for held in rows.values())
                rows[node] = HeldRows(node, chunks, inputs, room=room)
            else:
                deque(chunks, maxlen=0)
            for part in node.inputs:
                readers[part] -= 1
                if not readers[part]:
                    rows.pop(part, None)
