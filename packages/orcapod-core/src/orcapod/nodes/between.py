"""``run_between``: a node between channels of tasks, driven by hand. Loaded by whoever awaits: it needs asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Protocol

from orcapod.datagrams import Chunk, StreamSchema
from orcapod.execution import InputChannels, OrderedInputChannels
from orcapod.nodes.rows import Row, fitting, rows_of

__all__ = ["RowSender", "run_between"]

_BUFFER_SIZE = 64


class RowSender(Protocol):
    """What rows are sent into: a ``Channel``, or a stream of anyio's."""

    async def send(self, item: Row) -> None: ...

    def close(self) -> None: ...


async def run_between(
    run: Callable[[InputChannels], Generator[Chunk, None, None]],
    inputs: Sequence[AsyncIterable[Row]],
    output: RowSender,
    *,
    schemas: Sequence[StreamSchema],
    label: str,
) -> None:
    """Send what a node makes of the rows that come, as soon as it is there; close the output at the end.

    The node works in a thread of its own, and the event loop goes on meanwhile.

    Args:
        run: gives the node's chunks, made of what comes to it.
        inputs: where rows come from, one for each input.
        output: where rows go.
        schemas: of the inputs.
        label: what the node is called.
    """
    loop = asyncio.get_running_loop()
    waiting = OrderedInputChannels(len(inputs), buffer_size=_BUFFER_SIZE)
    chunks = run(waiting)
    context = copy_context()

    async def feed(index: int) -> None:
        try:
            async for row in inputs[index]:
                for chunk in fitting([row], schemas[index], node=label):
                    await asyncio.to_thread(waiting.put, index, chunk)
        except BaseException as error:
            waiting.stop(error)
            raise
        finally:
            waiting.close(index)

    with ThreadPoolExecutor(1, f"orcapod-{label}") as thread:

        async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
            return await loop.run_in_executor(thread, context.run, function, *arguments)

        feeding = [asyncio.ensure_future(feed(index)) for index in range(len(inputs))]
        try:
            while (chunk := await in_thread(next, chunks, None)) is not None:
                for row in rows_of(chunk):
                    await output.send(row)
        except BaseException as error:
            waiting.stop(error)
            raise
        finally:
            for each in feeding:
                each.cancel()
            await asyncio.gather(*feeding, return_exceptions=True)
            await in_thread(chunks.close)
            output.close()
