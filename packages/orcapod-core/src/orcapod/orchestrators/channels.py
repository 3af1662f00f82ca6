"""``Inbox``: bounded channels into one node, from each of its inputs."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from orcapod.datagrams import Chunk
from orcapod.errors import ConfigError
from orcapod.functions import Intake, Signal
from orcapod.operators import InputEvent

__all__ = ["ChannelStatistics", "Inbox", "OrderedInbox"]

_CHANNEL_BYTES = 8 * 2**20
_EVENT_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """What a channel holds, and has carried.

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


class Inbox(Intake):
    """What comes to a node while others work: a bounded channel for each of its inputs.

    Whoever puts a chunk into a full channel waits until there is room. The node takes all that waits in a
    channel at once, so that it catches up when it is slow and answers at once when it is not.

    Args:
        inputs: how many inputs the node has.
        buffer_size: how many chunks a channel holds; also, unless it is empty, some megabytes at the most.

    Raises:
        ConfigError: a buffer size below 1.
    """

    def __init__(self, inputs: int, *, buffer_size: int) -> None:
        super().__init__()
        if type(buffer_size) is not int or buffer_size < 1:
            raise ConfigError(f"found buffer_size {buffer_size!r}, expected an int from 1 on")
        self._size = buffer_size
        self._channels = [_Channel() for _ in range(inputs)]
        self._next = 0

    def put(self, index: int, chunk: Chunk) -> None:
        """Put a chunk into a channel; waits while it is full."""
        channel = self._channels[index]
        with self._changed:
            if self._is_full(channel, chunk):
                channel.blocked += 1
                self._changed.wait_for(lambda: self._stopped is not None or not self._is_full(channel, chunk))
            if self._stopped is not None:
                raise self._stopped
            channel.chunks.append(chunk)
            channel.bytes += chunk.batch.nbytes
            self._changed.notify_all()

    def close(self, index: int) -> None:
        """Say that nothing more comes into a channel."""
        with self._changed:
            self._channels[index].closed = True
            self._changed.notify_all()

    def statistics(self) -> list[ChannelStatistics]:
        """What each channel holds, and has carried."""
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
        return len(channel.chunks) >= self._size or channel.bytes + chunk.batch.nbytes > _CHANNEL_BYTES

    def _input(self) -> InputEvent | Signal:
        count = len(self._channels)
        for step in range(count):
            index = (self._next + step) % count
            if (event := self._event(index)) is not Signal.NOTHING:
                self._next = index + 1
                return event
        return Signal.OVER if all(channel.told for channel in self._channels) else Signal.NOTHING

    def _event(self, index: int) -> InputEvent | Signal:
        """What a channel has to give now."""
        channel = self._channels[index]
        if channel.chunks:
            taken = channel.take()
            self._changed.notify_all()
            return index, taken
        if channel.closed and not channel.told:
            channel.told = True
            return index, None
        return Signal.NOTHING


class OrderedInbox(Inbox):
    """An inbox that gives its inputs one after the other, each to its end.

    The channels of later inputs hold all that comes meanwhile, as a synchronous run does; a bound could
    have two nodes wait for each other.
    """

    def _is_full(self, channel: _Channel, chunk: Chunk) -> bool:
        return channel is self._channels[self._next] and super()._is_full(channel, chunk)

    def _input(self) -> InputEvent | Signal:
        while self._channels[self._next].told:
            if self._next == len(self._channels) - 1:
                return Signal.OVER
            self._next += 1
        return self._event(self._next)


class _Channel:
    def __init__(self) -> None:
        self.chunks: deque[Chunk] = deque()
        self.bytes = 0
        self.carried = 0
        self.blocked = 0
        self.closed = False
        self.told = False

    def take(self) -> Chunk:
        """What waits, as one chunk, up to a bound."""
        taken = [self.chunks.popleft()]
        rows = taken[0].num_rows
        while self.chunks and rows + self.chunks[0].num_rows <= _EVENT_ROWS:
            taken.append(self.chunks.popleft())
            rows += taken[-1].num_rows
        self.bytes = sum(chunk.batch.nbytes for chunk in self.chunks)
        self.carried += len(taken)
        return Chunk.concat(taken)
