"""``Receiver``: takes the answers that workers send directly."""

from __future__ import annotations

import asyncio
import hmac
import os
import pickle
import secrets
from collections.abc import Callable

import ray

from orcapod_ray.batch import Direct, Group

__all__ = ["Receiver"]

_SECONDS = 5.0
_SIGNATURE = 32  # bytes


class Receiver:
    """A server for answers of calls that have ended, of batches in which another call goes on.

    Nothing depends on it: what does not get through comes through Ray when that call has ended.

    Args:
        on_group: called in the event loop with the number of a batch and answers.
    """

    def __init__(self, on_group: Callable[[int, Group], None]) -> None:
        self._on_group = on_group
        self._key = secrets.token_bytes()
        self._server: asyncio.Server | None = None
        self._address: tuple[str, int] | None = None

    async def open(self) -> None:
        """Listen where workers find this process; not at all where Ray is to encrypt what it sends."""
        if os.environ.get("RAY_USE_TLS", "0").lower() not in ("0", "false"):
            return
        host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]  # untyped in Ray
        try:
            self._server = await asyncio.start_server(self._receive, host, 0)
        except OSError:
            return  # an address of this node that it does not have itself, as behind a proxy
        self._address = self._server.sockets[0].getsockname()[:2]

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def direct(self, batch: int) -> Direct | None:
        """Return where a batch with this number can send answers to."""
        return None if self._address is None else (*self._address, self._key, batch)

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                message = await reader.read()
                signature, content = message[:_SIGNATURE], message[_SIGNATURE:]
                if hmac.compare_digest(signature, hmac.digest(self._key, content, "sha256")):
                    self._on_group(*pickle.loads(content))  # noqa: S301  # signed by our worker
                    writer.write(b"1")
                    await writer.drain()
        except (OSError, TimeoutError):
            return  # it was not taken, and the worker hears so
        finally:
            writer.close()
