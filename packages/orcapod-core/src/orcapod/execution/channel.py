"""``Channel``: rows from one task to another; what is between threads are ``InputChannels``."""

from __future__ import annotations

from collections import deque
from typing import Generic, Self, TypeVar

from orcapod.errors import ChannelClosedError
from orcapod.execution.channels import checked_buffer_size

__all__ = ["Channel"]

T = TypeVar("T")


class Channel(Generic[T]):
    """Bounded channel between tasks of one event loop: whoever sends into a full one waits until there is room.

    What was sent before it was closed can still be received. Iteration gives what comes, to the end::

        async for tag, packet in channel: ...

    Args:
        buffer_size: how many items wait in it at the most.

    Raises:
        ConfigError: a buffer size below 1.
    """

    def __init__(self, buffer_size: int = 64) -> None:
        import asyncio  # noqa: PLC0415  # whoever uses a channel has loaded it; others need not wait for it

        self._size = checked_buffer_size(buffer_size)
        self._items: deque[T] = deque()
        self._is_closed = False
        self._changed = asyncio.Event()

    async def send(self, item: T) -> None:
        """Put an item in; waits while the channel is full.

        Raises:
            ChannelClosedError: the channel is closed.
        """
        while len(self._items) >= self._size and not self._is_closed:
            await self._change()
        if self._is_closed:
            raise ChannelClosedError("the channel is closed, so nothing more can be sent into it")
        self._items.append(item)
        self._changed.set()

    async def receive(self) -> T:
        """Take the next item out; waits while there is none.

        Raises:
            ChannelClosedError: the channel is closed, and all that was sent has been received.
        """
        while not self._items and not self._is_closed:
            await self._change()
        if not self._items:
            raise ChannelClosedError("the channel is closed, and all that was sent is received")
        item = self._items.popleft()
        self._changed.set()
        return item

    def close(self) -> None:
        """Say that nothing more comes; closing twice is fine."""
        self._is_closed = True
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.receive()
        except ChannelClosedError:
            raise StopAsyncIteration from None
