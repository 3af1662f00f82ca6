"""``Run``: what every node of a run shares, and ``RunResult``: what is left of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from orcapod.errors import PipelineError
from orcapod.functions import ErrorPolicy, PacketError, Step
from orcapod.protocols import ExecutionObserver, PythonFunctionExecutorProtocol

__all__ = ["Flusher", "Run", "RunResult"]


@dataclass
class Run:
    """One run of a pipeline, while it happens.

    Attributes:
        run_id: its name.
        observer: who is told.
        error_policy: what a failed packet does.
        executor: where functions run, for this run; None leaves it to the nodes.
        keeping: given a function that stores what is finished, has it called at the latest one flush
            interval after something was finished, for as long as the context lasts.
        steps: the function nodes at work, by label.
    """

    run_id: str
    observer: ExecutionObserver
    error_policy: ErrorPolicy
    executor: PythonFunctionExecutorProtocol | None
    keeping: Callable[[Callable[[], None]], AbstractContextManager[None]]
    steps: dict[str, Step] = field(default_factory=dict)


class Flusher:
    """A thread that has what is finished stored, so that at most one interval of computing is ever lost.

    Args:
        interval: seconds between two rounds.

    An error in a round ends the rounds, and is raised where the flusher is used next.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._stores: list[Callable[[], None]] = []
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._rounds, name="orcapod-flusher", daemon=True)

    @contextmanager
    def keeping(self, store: Callable[[], None]) -> Iterator[None]:
        """Have ``store`` called in every round while the context lasts."""
        self.check()
        self._stores.append(store)
        try:
            yield
        finally:
            self._stores.remove(store)

    def check(self) -> None:
        """Raise what went wrong in a round."""
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            self.check()

    def _rounds(self) -> None:
        while not self._stop.wait(self._interval):
            for store in list(self._stores):
                try:
                    store()
                except BaseException as error:
                    self._error = error
                    return


@dataclass(frozen=True, repr=False)
class RunResult:
    """What a run did.

    Attributes:
        run_id: its name, in ``_runs`` and in every log and status row.
        errors: the packets that failed, in the order in which they did.
    """

    run_id: str
    errors: tuple[PacketError, ...]
    node_counts: Mapping[str, Mapping[str, int]]

    def counts(self, label: str) -> dict[str, int]:
        """How many packets of a function node were ``computed``, ``cached`` and ``failed``.

        Raises:
            PipelineError: no function node bears that label.
        """
        if label not in self.node_counts:
            raise PipelineError(f"no function node is called {label!r}; found {sorted(self.node_counts)}")
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

    def __repr__(self) -> str:
        lines = [f"<RunResult {self.run_id} {'ok' if self.ok else f'{len(self.errors)} failed'}"]
        lines += [
            f"  {label}: " + ", ".join(f"{count} {state}" for state, count in counts.items())
            for label, counts in self.node_counts.items()
        ]
        return "\n".join(lines) + ">"
