"""``Inputs``: what comes to a node, whole or as it is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from orcapod.datagrams import Chunk
from orcapod.execution.mailbox import Mailbox, Signal
from orcapod.operators import InputEvent, in_turn

__all__ = ["Inputs", "WholeInputs"]

_CHUNK_BYTES = 32 * 2**20


class Inputs(ABC):
    """Rows that come to a node from each of its inputs. They are taken once."""

    @abstractmethod
    def events(self) -> Iterator[InputEvent]:
        """Give chunks of the inputs, and their ends, as they come."""

    @abstractmethod
    def mailbox(self) -> Mailbox[Any]:
        """Return where the same events are taken together with the completions of calls."""

    def discard(self) -> None:
        """Take what may still come, for nobody: whoever makes it need not wait for room."""
        for _ in self.events():
            pass

    def chunks(self) -> Iterator[Chunk]:
        """Give the rows of all inputs."""
        for _, chunk in self.events():
            if chunk is not None:
                yield chunk


class WholeInputs(Inputs):
    """Inputs that are there, given one after the other.

    Args:
        inputs: the rows of each.
        chunk_bytes: how many bytes a chunk has at most, or it is one row.
    """

    def __init__(self, inputs: Sequence[Iterable[Chunk]], *, chunk_bytes: int = _CHUNK_BYTES) -> None:
        self._events = in_turn(inputs, size=chunk_bytes)

    def events(self) -> Iterator[InputEvent]:
        return self._events

    def discard(self) -> None:
        """Do nothing: nobody waits."""

    def mailbox(self) -> Mailbox[Any]:
        return Mailbox(lambda: next(self._events, Signal.OVER))
