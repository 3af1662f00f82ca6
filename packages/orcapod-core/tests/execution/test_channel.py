"""``Channel``: rows from one task to another, in order, never more than fit."""

from __future__ import annotations

import asyncio

import pytest

from orcapod.errors import ChannelClosedError, ConfigError
from orcapod.orchestrators import Channel


def test_what_is_sent_is_received_in_order_to_the_end_that_comes_after_it() -> None:
    async def program() -> list[int]:
        channel: Channel[int] = Channel(3)

        async def send() -> None:
            for number in range(100):
                await channel.send(number)
            channel.close()

        sending = asyncio.create_task(send())
        received = [number async for number in channel]
        await sending
        return received

    assert asyncio.run(program()) == list(range(100))


def test_a_full_channel_lets_the_sender_wait() -> None:
    async def program() -> None:
        channel: Channel[int] = Channel(2)
        sent = []

        async def send() -> None:
            for number in range(5):
                await channel.send(number)
                sent.append(number)

        sending = asyncio.create_task(send())
        for _ in range(10):
            await asyncio.sleep(0)
        assert sent == [0, 1]
        assert await channel.receive() == 0
        for _ in range(10):
            await asyncio.sleep(0)
        assert sent == [0, 1, 2]
        sending.cancel()

    asyncio.run(program())


def test_a_closed_channel_says_so_to_both_ends_and_to_who_waits() -> None:
    async def program() -> None:
        channel: Channel[int] = Channel(1)
        await channel.send(1)
        waiting = asyncio.create_task(channel.send(2))
        await asyncio.sleep(0)
        channel.close()
        channel.close()
        with pytest.raises(ChannelClosedError, match="sent"):
            await waiting
        assert await channel.receive() == 1
        with pytest.raises(ChannelClosedError, match="received"):
            await channel.receive()
        assert [row async for row in channel] == []

    asyncio.run(program())


@pytest.mark.parametrize("size", [0, -1, 1.5, None, True])
def test_a_channel_holds_at_least_one(size: int) -> None:
    with pytest.raises(ConfigError, match="buffer_size"):
        Channel(size)
