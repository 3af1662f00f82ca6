"""``Run``: what every node of a run shares, and ``RunResult``: what is left of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from traceback import format_exception_only
from typing import Any

from orcapod.checks import Checks
from orcapod.display import html_table
from orcapod.errors import LabelError
from orcapod.execution import InFlight, PacketErrors, RunLoop, Step
from orcapod.functions import ErrorPolicy, NodeConfig
from orcapod.hashing import Fingerprint
from orcapod.interrupts import Stop
from orcapod.nodes.flusher import Flusher
from orcapod.protocols import ExecutionObserver, PythonFunctionExecutorProtocol

__all__ = ["Run", "RunResult"]

_STATES = ("computed", "cached", "failed")
_SHOWN_ERRORS = 10
_FORMS = 16  # arguments, what was returned, Arrow's, the store's, that of the next node, each with a copy at times


@dataclass
class Run:
    """One run of a pipeline, while it happens.

    Attributes:
        run_id: its name.
        observer: who is told.
        error_policy: what a failed packet does.
        engine: where functions run, for this run; None leaves it to the nodes.
        engine_options: options of the engine, or of the nodes' own executors where there is none.
        flusher: has what is finished stored.
        config: how packets are run in nodes without a configuration of their own.
        labels: of all nodes, each behind what it is made of.
        memory: about how many bytes of values are in flight.
        note: what is to be said of it.
        tags: likewise, by name.
        writers: the function nodes that new rows are counted for, one for each table.
        is_overlapping: whether nodes run at the same time, and the calls of a node too.
        awaits_together: whether calls of an async function are made at the same time.
        share_work: whether processes that run the same on one store each compute a part of it.
        ordered: the nodes that give their rows in the order of a synchronous run all the same, by label.
        loop: the asyncio event loop where async functions run.
        in_flight: what is being computed.
        stop: set when the run is to end before its time.
        assigned: where the functions of the function nodes run, by label.
        code: what these functions say, by label, as it was before anything of the run was computed.
        steps: the function nodes at work, by label.
        executors: what kind of executor each of them runs on.
    """

    run_id: str
    observer: ExecutionObserver
    error_policy: ErrorPolicy
    engine: PythonFunctionExecutorProtocol | None
    engine_options: Mapping[str, Any]
    flusher: Flusher
    config: NodeConfig
    labels: tuple[str, ...]
    memory: int
    note: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    writers: set[str] = field(default_factory=set)
    is_overlapping: bool = False
    awaits_together: bool = True
    share_work: bool = False
    ordered: frozenset[str] = frozenset()
    loop: RunLoop = field(default_factory=RunLoop)
    in_flight: InFlight = field(default_factory=InFlight)
    stop: Stop = field(default_factory=Stop)
    assigned: dict[str, PythonFunctionExecutorProtocol] = field(default_factory=dict)
    code: dict[str, Fingerprint] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    executors: dict[str, str] = field(default_factory=dict)

    @property
    def chunk_bytes(self) -> int:
        """How many bytes a chunk has at most, or it is one row: what is computed is held in several forms at a time."""
        return self.memory // _FORMS // (len(self.assigned) or 1 if self.is_overlapping else 1)

    def result(self) -> RunResult:
        """Return what the run did so far."""
        steps = {label: self.steps[label] for label in self.labels if label in self.steps}
        counts = {label: {state: step.counts[state] for state in _STATES} for label, step in steps.items()}
        return RunResult(self.run_id, PacketErrors(error for step in steps.values() for error in step.errors), counts)


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a run did.

    Attributes:
        run_id: its name, in ``_runs`` and in every log and status row.
        errors: the packets that failed, in the order in which they did.
    """

    run_id: str
    errors: PacketErrors
    node_counts: Mapping[str, Mapping[str, int]]

    def counts(self, label: str) -> dict[str, int]:
        """Return how many packets of a function node were ``computed``, ``cached`` and ``failed``.

        Raises:
            LabelError: no function node bears that label.
        """
        Checks("counts", LabelError).text("the label", label)
        if label not in self.node_counts:
            found = sorted(self.node_counts)
            raise LabelError(f"no function node is called {label!r}; found {found}", expected=str(found), found=label)
        return dict(self.node_counts[label])

    @property
    def ok(self) -> bool:
        """Whether no packet failed."""
        return not self.errors

    def raise_for_errors(self) -> None:
        """Raise the exceptions of all failed packets as one group, if there are any."""
        if self.errors:
            raise BaseExceptionGroup(
                f"{len(self.errors)} packets failed in run {self.run_id}", [error.exception for error in self.errors]
            )

    def _repr_html_(self) -> str:
        headings = ["node", *_STATES]
        rows = [(label, *(str(counts[state]) for state in _STATES)) for label, counts in self.node_counts.items()]
        shown = html_table(f"Run {self.run_id}", headings, rows)
        if not self.errors:
            return shown
        failed = [
            (error.node_label, dict(error.tag), "".join(format_exception_only(error.exception)).strip())
            for error in self.errors[:_SHOWN_ERRORS]
        ]
        more = len(self.errors) - len(failed)
        caption = f"{len(self.errors)} failed" + (f", the first {len(failed)} of them" if more else "")
        return shown + html_table(caption, ["node", "tag", "exception"], failed)

    def __repr__(self) -> str:
        lines = [f"<RunResult {self.run_id} {'ok' if self.ok else f'{len(self.errors)} failed'}"]
        lines += [
            f"  {label}: " + ", ".join(f"{count} {state}" for state, count in counts.items())
            for label, counts in self.node_counts.items()
        ]
        return "\n".join(lines) + ">"
