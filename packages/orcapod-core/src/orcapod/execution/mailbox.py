"""``Mailbox``: the events of one node: what has become of its calls, and what comes from its inputs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from orcapod import interrupts
from orcapod.operators import InputEvent

__all__ = ["Mailbox", "Signal"]

T = TypeVar("T")


class Signal(Enum):
    """Signal that is taken when there is no event."""

    OVER = "all inputs have ended"
    NOTHING = "nothing came in time"


class Mailbox(Generic[T]):
    """Events for one node. Anything may be put from any thread; only the node itself takes.

    Completions, what has become of the node's calls, come before inputs. When a run ends before its time,
    ``take`` raises at once; whoever took takes in the completions that are there then with ``completions``.

    Args:
        next_input: gives the next event of an input that is there now, called with ``changed`` held.

    Attributes:
        changed: is notified of everything that comes.
    """

    def __init__(self, next_input: Callable[[], InputEvent | Signal]) -> None:
        self.changed = threading.Condition()
        self._next_input = next_input
        self._completions: deque[T] = deque()
        self._is_waiting = False
        self._error: BaseException | None = None

    def take(self, *, wants_input: bool, timeout: float | None = None) -> InputEvent | T | Signal:
        """Return the next event: a completion if there is one, else of an input if one is wanted.

        Args:
            wants_input: whether an input's event is wanted.
            timeout: after how many seconds to give up waiting; None for never.

        Raises:
            BaseException: the error of ``stop``.
            KeyboardInterrupt: the user wants the run to end.
        """
        interrupts.check()
        self.check()
        if self._completions:
            return self._completions.popleft()
        with self.changed:
            try:
                while True:
                    self._is_waiting = True  # before looking, or what comes between looking and waiting wakes nobody
                    self.check()
                    if self._completions:
                        return self._completions.popleft()
                    if wants_input and (event := self._next_input()) is not Signal.NOTHING:
                        return event
                    if timeout is not None and timeout <= 0:
                        return Signal.NOTHING
                    waited = interrupts.slice_of(timeout)
                    if not self.changed.wait(waited):
                        interrupts.check()
                        if timeout is not None and waited is not None:
                            timeout -= waited
            finally:
                self._is_waiting = False

    def put(self, completion: T) -> None:
        """Take what has become of a call, or of what a row was waiting for; never blocks for long."""
        self._completions.append(completion)
        if self._is_waiting:
            with self.changed:
                self._is_waiting = False  # once is enough, however long it takes to wake up
                self.changed.notify_all()

    @property
    def has_completions(self) -> bool:
        """True if there is a completion now."""
        return bool(self._completions)

    def completions(self) -> Iterator[T]:
        """Take the completions that are there now."""
        while self._completions:
            yield self._completions.popleft()

    def stop(self, error: BaseException) -> None:
        """Let whoever takes from here, or waits to put something into an input, get this error."""
        with self.changed:
            self._error = error
            self.changed.notify_all()

    def check(self) -> None:
        """Raise the error of ``stop``, if it was called."""
        if self._error is not None:
            raise self._error
