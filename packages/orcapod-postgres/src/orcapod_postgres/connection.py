"""``PatientConnection``: a connection that does not wait longer than the run that it belongs to."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, Self, TypeVar

from psycopg import Connection, errors, waiting
from psycopg.conninfo import make_conninfo

from orcapod import interrupts

__all__ = ["PatientConnection"]

T = TypeVar("T")

_INTERVAL = 0.1
_SILENT_SECONDS = 10.0
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 10,
    "fallback_application_name": "orcapod",
    "client_encoding": "UTF8",
    "keepalives_idle": 30,  # a server that has vanished is missed after a minute, not after hours
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}


class PatientConnection(Connection[Any]):
    """Connection that gives up, once the run of its thread is to end, where the server does not answer.

    An interrupt breaks it off; the server undoes what it was doing.
    """

    @classmethod
    def to(cls, parameters: dict[str, Any]) -> Self:
        """Return a connection, in autocommit.

        Raises:
            psycopg.Error: there is none to be had.
        """
        return cls.connect(make_conninfo("", **_DEFAULTS | parameters), autocommit=True, prepare_threshold=None)

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        try:
            return waiting.wait(_answered(gen, _SILENT_SECONDS), self.pgconn.socket, interval=_INTERVAL)
        except (KeyboardInterrupt, _SilentError):
            self.pgconn.finish()  # to have the server cancel it could take as long
            raise

    @classmethod
    def _connect_gen(cls, *args: Any, **kwargs: Any) -> Generator[Any, Any, Self]:
        return _answered(super()._connect_gen(*args, **kwargs), 0.0)


class _SilentError(errors.OperationalError):
    """A server that has not answered before the run ended."""


def _answered(gen: Generator[Any, Any, T], silence: float) -> Generator[Any, Any, T]:
    """Wait as ``gen`` does, but not for longer than ``silence`` once a run has no time left to wait for a server."""
    since = time.monotonic()
    try:
        wanted = next(gen)
        while True:
            if ready := (yield wanted):
                since = time.monotonic()
            elif interrupts.is_over() and time.monotonic() - since >= silence:
                raise _SilentError("the run was ended, and the server does not answer")
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
