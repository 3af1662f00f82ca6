"""``RunRecord``: what is written down of a run, and of each of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Self

__all__ = ["NodeTotals", "RunRecord", "RunStart"]


@dataclass(frozen=True, slots=True)
class NodeTotals:
    """What a node did in a run.

    Attributes:
        taken: how many rows with a packet came from each of its inputs.
        given: how many it gave.
        counts: of a function, how many packets were computed, cached, failed, incomplete and skipped, where any were.
        executor: where its function ran.
        seconds: how long its function took in all, for what was computed.
        saved: how long what was found had taken to compute.
        state: of a function, the number of its state when the run ended.
        is_complete: of a function, whether it gave all of its rows, which are that state then.
    """

    taken: tuple[int, ...] = ()
    given: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    executor: str = ""
    seconds: float = 0.0
    saved: float = 0.0
    state: int | None = None
    is_complete: bool = False

    def fields(self) -> dict[str, Any]:
        """Return them as JSON has them: what there is of each."""
        found = asdict(self).items()
        return {name: value for name, value in found if value or (value is not None and name in ("given", "state"))}

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Return what ``fields`` gave."""
        return cls(**{**fields, "taken": tuple(map(int, fields.get("taken", ())))})


@dataclass(frozen=True, slots=True)
class RunStart:
    """Beginning of a run.

    Attributes:
        run_id: its name, which orders by time.
        pipeline: the pipeline's name, its parts joined by ``/``.
        started: when, with time zone.
        orchestrator: the class that runs it.
        graph_id: what the pipeline is made of, in ``_graphs``.
        note: what its author says of it.
        tags: likewise, by name.
    """

    run_id: str
    pipeline: str
    started: datetime
    orchestrator: str
    graph_id: str = ""
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Record of a run that has ended.

    Attributes:
        start: how it began.
        ended: when, with time zone.
        outcome: ``SUCCESS``, ``FAILED`` (a packet or the run itself) or ``INTERRUPTED``.
        nodes: what each node did, by label.
    """

    start: RunStart
    ended: datetime
    outcome: str
    nodes: Mapping[str, NodeTotals]

    def count(self, kind: str) -> int:
        """Return how many packets of all nodes were ``computed``, ``cached``, ``failed`` or ``incomplete``."""
        return sum(node.counts.get(kind, 0) for node in self.nodes.values())
