"""``InputChannels``: bounded channels into one node, from each of its inputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orcapod.checks import Checks
from orcapod.datagrams import Chunk
from orcapod.execution.inputs import Inputs
from orcapod.execution.mailbox import Mailbox, Signal
from orcapod.operators import InputEvent

__all__ = ["ChannelStatistics", "InputChannels", "OrderedInputChannels", "checked_buffer_size"]

_BUFFER_BYTES = 8 * 2**20
_EVENT_ROWS = 65_536


def checked_buffer_size(buffer_size: int) -> int:
    """Return the buffer size.

    Raises:
        ConfigError: it is below 1.
    """
    return Checks().count("buffer_size", buffer_size, least=1)


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Statistics of a channel: what it holds, and has carried.

    Attributes:
        chunks: how many chunks wait in it.
        rows: how many rows they have.
        carried: how many chunks were taken from it.
        blocked: how often a writer had to wait for room.
    """

    chunks: int
    rows: int
    carried: int
    blocked: int


class InputChannels(Inputs):
    """Inputs that come while others work: a bounded channel for each.

    Whoever puts a chunk into a full channel waits until there is room. The node takes all that waits in a
    channel at once, so that it catches up when it is slow and answers at once when it is not.

    Args:
        count: how many inputs the node has.
        buffer_size: how many chunks a channel holds at the most.
        buffer_bytes: how many bytes a channel holds at the most, unless it is one chunk.

    Raises:
        ConfigError: a buffer size below 1.
    """

    def __init__(self, count: int, *, buffer_size: int, buffer_bytes: int = _BUFFER_BYTES) -> None:
        self._size = checked_buffer_size(buffer_size)
        self._bytes = buffer_bytes
        self._channels = [_Channel() for _ in range(count)]
        self._next = 0
        self._mailbox: Mailbox[Any] = Mailbox(self._next_event)
        self._changed = self._mailbox.changed

    def mailbox(self) -> Mailbox[Any]:
        return self._mailbox

    def events(self) -> Iterator[InputEvent]:
        while not isinstance(event := self._mailbox.take(wants_input=True), Signal):
            yield event

    def put(self, index: int, chunk: Chunk) -> None:
        """Put a chunk into a channel; waits while it is full."""
        channel = self._channels[index]
        with self._changed:
            if self._is_full(channel, chunk):
                channel.blocked += 1
                while self._is_full(channel, chunk):
                    self._mailbox.check()
                    self._changed.wait()
            self._mailbox.check()
            channel.chunks.append(chunk)
            channel.bytes += chunk.nbytes
            self._changed.notify_all()

    def close(self, index: int) -> None:
        """Say that nothing more comes into a channel."""
        with self._changed:
            self._channels[index].is_closed = True
            self._changed.notify_all()

    def stop(self, error: BaseException) -> None:
        """Let the node, and whoever waits for room, get this error."""
        self._mailbox.stop(error)

    def statistics(self) -> list[ChannelStatistics]:
        """Return what each channel holds, and has carried."""
        with self._changed:
            return [
                ChannelStatistics(
                    len(each.chunks), sum(chunk.num_rows for chunk in each.chunks), each.carried, each.blocked
                )
                for each in self._channels
            ]

    def _is_full(self, channel: _Channel, chunk: Chunk) -> bool:
        if not channel.chunks:
            return False
        return len(channel.chunks) >= self._size or channel.bytes + chunk.nbytes > self._bytes

    def _next_event(self) -> InputEvent | Signal:
        """Return an event that is there now, the channels taking turns."""
        count = len(self._channels)
        for step in range(count):
            index = (self._next + step) % count
            if (event := self._event(index)) is not Signal.NOTHING:
                self._next = index + 1
                return event
        return Signal.OVER if all(channel.has_ended for channel in self._channels) else Signal.NOTHING

    def _event(self, index: int) -> InputEvent | Signal:
        """Return what a channel has to give now."""
        channel = self._channels[index]
        if channel.chunks:
            taken = channel.take()
            self._changed.notify_all()
            return index, taken
        if channel.is_closed and not channel.has_ended:
            channel.has_ended = True
            return index, None
        return Signal.NOTHING


class OrderedInputChannels(InputChannels):
    """Input channels that are taken one after the other, each to its end.

    The channels of later inputs hold all that comes meanwhile, as a synchronous run does; a bound could
    have two nodes wait for each other.
    """

    def _is_full(self, channel: _Channel, chunk: Chunk) -> bool:
        return channel is self._channels[self._next] and super()._is_full(channel, chunk)

    def _next_event(self) -> InputEvent | Signal:
        while self._channels[self._next].has_ended:
            if self._next == len(self._channels) - 1:
                return Signal.OVER
            self._next += 1
        return self._event(self._next)


class _Channel:
    """Chunks that wait, and what has become of the channel.

    Attributes:
        is_closed: whether nothing more comes.
        has_ended: whether the node was told of the end.
    """

    def __init__(self) -> None:
        self.chunks: deque[Chunk] = deque()
        self.bytes = 0
        self.carried = 0
        self.blocked = 0
        self.is_closed = False
        self.has_ended = False

    def take(self) -> Chunk:
        """Take what waits, as one chunk, up to a bound."""
        taken = [self.chunks.popleft()]
        rows = taken[0].num_rows
        while self.chunks and rows + self.chunks[0].num_rows <= _EVENT_ROWS:
            taken.append(self.chunks.popleft())
            rows += taken[-1].num_rows
        self.bytes = sum(chunk.nbytes for chunk in self.chunks)
        self.carried += len(taken)
        return Chunk.concat(taken)
