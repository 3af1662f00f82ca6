"""``Run``: what every node of a run shares, while it happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orcapod.checks import Checks
from orcapod.execution import EVERYTHING, InFlight, PacketErrors, PacketTally, RunLoop, Selection, Step
from orcapod.functions import ErrorPolicy, NodeConfig
from orcapod.hashing import Fingerprint
from orcapod.interrupts import Stop
from orcapod.nodes.flusher import Flusher
from orcapod.nodes.reasons import Reasons
from orcapod.nodes.run_result import Counts, RowCounts, RunResult
from orcapod.protocols import ExecutionObserver, PythonFunctionExecutorProtocol, RecordPath
from orcapod.records import Attempts, NodeTotals

__all__ = ["Run", "checked_tags"]

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
        writers: the function nodes, by the path of their table, for which rows are counted that are new there.
        is_overlapping: whether nodes run at the same time, and the calls of a node too.
        awaits_together: whether calls of an async function are made at the same time.
        share_work: whether processes that run the same on one store each compute a part of it.
        ordered: the nodes that give their rows in the order of a synchronous run all the same, by label.
        loop: the asyncio event loop where async functions run.
        in_flight: what is being computed.
        stop: set when the run is to end before its time.
        assigned: where the functions of the function nodes run, by label.
        code: what these functions say, by label, as it was before anything of the run was computed.
        steps: the tallies of the function nodes at work, and of sources of which rows may be bad, by label.
        executors: what kind of executor each of them runs on.
        rows: how many rows with a packet each node has given, by label.
        incomplete: how many rows without one each operator has given, by label.
        inputs: of what each node is made, by label.
        selections: what is computed of function nodes, by label, where that is not all that is missing.
        is_whole: whether all that is missing is computed.
        attempts: which results were computed again before the run, by the label of the function node.
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
    writers: dict[RecordPath, str] = field(default_factory=dict)
    is_overlapping: bool = False
    awaits_together: bool = True
    share_work: bool = False
    ordered: frozenset[str] = frozenset()
    loop: RunLoop = field(default_factory=RunLoop)
    in_flight: InFlight = field(default_factory=InFlight)
    stop: Stop = field(default_factory=Stop)
    assigned: dict[str, PythonFunctionExecutorProtocol] = field(default_factory=dict)
    code: dict[str, Fingerprint] = field(default_factory=dict)
    steps: dict[str, PacketTally] = field(default_factory=dict)
    executors: dict[str, str] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    incomplete: Counter[str] = field(default_factory=Counter)
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    selections: Mapping[str, Selection] = field(default_factory=dict)
    is_whole: bool = True
    attempts: dict[str, Attempts] = field(default_factory=dict)

    def selection(self, label: str) -> Selection:
        """Return what is computed of a function node."""
        return self.selections.get(label, EVERYTHING)

    @property
    def is_complete(self) -> bool:
        """Whether every node that it goes through gives all of its rows."""
        return not any(selection.leaves_out for selection in self.selections.values())

    @property
    def chunk_bytes(self) -> int:
        """How many bytes a chunk has at most, or it is one row: what is computed is held in several forms at a time."""
        return self.memory // _FORMS // (len(self.assigned) or 1 if self.is_overlapping else 1)

    def moved(self, label: str) -> RowCounts:
        """Return how many rows a node has taken and given so far."""
        return RowCounts(tuple(self.rows[each] for each in self.inputs.get(label, ())), self.rows[label])

    def tell_rows(self, label: str, observer: ExecutionObserver) -> None:
        """Tell the observer of a node of the rows that it has moved."""
        step = self.steps.get(label)
        incomplete = self.incomplete[label] if step is None else step.counts["incomplete"]
        observer.on_node_rows(label, *self.moved(label), incomplete)

    def counts(self, label: str) -> Counts:
        """Return how many packets of a node there were so far, by what became of them."""
        step = self.steps.get(label)
        return Counts() if step is None else Counts.of(step.counts)

    def totals(self, label: str, *, state: int | None, is_complete: bool) -> NodeTotals:
        """Return what a node did so far."""
        step, moved = self.steps.get(label), self.moved(label)
        spent = (step.seconds, step.saved) if isinstance(step, Step) else (0.0, 0.0)
        return NodeTotals(*moved, self.counts(label), self.executors.get(label, ""), *spent, state, is_complete)

    def result(self, explain: Callable[[], Reasons] = Reasons) -> RunResult:
        """Return what the run did so far.

        Args:
            explain: gives why it computed what it did, when somebody asks.
        """
        steps = {label: self.steps[label] for label in self.labels if label in self.steps}
        counts = {label: Counts.of(step.counts) for label, step in steps.items()}
        errors = PacketErrors(error for step in steps.values() for error in step.errors)
        functions = {label: step for label, step in steps.items() if isinstance(step, Step)}
        again = {label: step.recomputed for label, step in functions.items() if self.selection(label).again is not None}
        rows = {label: self.moved(label) for label in self.labels}
        incomplete = {label: count for label, count in self.incomplete.items() if count}
        return RunResult(
            self.run_id,
            errors,
            counts,
            rows,
            again,
            incomplete,
            is_whole=self.is_whole,
            seconds={label: step.seconds for label, step in functions.items()},
            saved={label: step.saved for label, step in functions.items()},
            explain=explain,
        )


def checked_tags(tags: Mapping[str, str] | None) -> dict[str, str]:
    """Return what is to be said of a run, by name.

    Raises:
        ConfigError: it is no mapping of texts to texts.
    """
    given = Checks().mapping_or_empty("tags", tags, "{'reason': 'nightly'}")
    for name, value in given.items():
        Checks().text("a tag", name)
        Checks().text(f"tag {name!r}", value)
    return dict(given)
