"""``Intake``: what waits for a node: chunks of its inputs, and outcomes of the calls that it has made.

A node takes one event after the other. Where the events come from is all that differs between the
orchestrators: a ``Supply`` has whole inputs at hand, and gives them one after the other.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum

from orcapod.datagrams import Chunk
from orcapod.functions.claims import Kept, Turn
from orcapod.operators import InputEvent, in_turn
from orcapod.protocols import Outcome

__all__ = ["Intake", "Signal", "Supply"]


class Signal(Enum):
    """What there is to take when there is no event."""

    OVER = "all inputs have ended"
    NOTHING = "nothing came in time"


class Intake(ABC):
    """Events for one node. Everything may be called from any thread; only the node itself takes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcomes: deque[Outcome | Kept | Turn] = deque()
        self._waiting = False
        self._stopped: BaseException | None = None

    @abstractmethod
    def _input(self) -> InputEvent | Signal:
        """The next event of an input that is there now; called with the lock held."""

    def take(self, *, hungry: bool, timeout: float | None = None) -> InputEvent | Outcome | Kept | Turn | Signal:
        """The next event: an outcome if there is one, else of an input if the node is hungry.

        Args:
            hungry: whether an input's event is wanted.
            timeout: after how many seconds to give up waiting; None for never.
        """
        if self._outcomes:
            return self._outcomes.popleft()
        with self._changed:
            try:
                while True:
                    self._waiting = True  # before looking, or what comes between looking and waiting wakes nobody
                    if self._stopped is not None:
                        raise self._stopped
                    if self._outcomes:
                        return self._outcomes.popleft()
                    if hungry and (event := self._input()) is not Signal.NOTHING:
                        return event
                    if not self._changed.wait(timeout):
                        return Signal.NOTHING
            finally:
                self._waiting = False

    def deliver(self, outcome: Outcome | Kept | Turn) -> None:
        """Take the outcome of a call, or of what a row was waiting for; never blocks for long."""
        self._outcomes.append(outcome)
        if self._waiting:
            with self._changed:
                self._waiting = False  # once is enough, however long it takes to wake up
                self._changed.notify_all()

    def at_hand(self) -> Iterator[Outcome | Kept | Turn]:
        """The outcomes that are there now."""
        while self._outcomes:
            yield self._outcomes.popleft()

    def stop(self, error: BaseException) -> None:
        """Let whoever takes from here, or waits to put something here, get this error."""
        with self._changed:
            self._stopped = error
            self._changed.notify_all()

    def inputs(self) -> Iterator[InputEvent]:
        """The events of the inputs, to the end."""
        while True:
            match self.take(hungry=True):
                case (index, chunk):
                    yield index, chunk
                case Signal.OVER:
                    return
                case unexpected:
                    raise AssertionError(f"no calls were made, found {unexpected!r}")

    def chunks(self) -> Iterator[Chunk]:
        """The rows of all inputs."""
        for _, chunk in self.inputs():
            if chunk is not None:
                yield chunk


class Supply(Intake):
    """Whole inputs, given one after the other."""

    def __init__(self, inputs: Sequence[Iterable[Chunk]]) -> None:
        super().__init__()
        self._events = in_turn(inputs)

    def _input(self) -> InputEvent | Signal:
        return next(self._events, Signal.OVER)
