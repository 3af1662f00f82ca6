"""``ReachableServer``: the server of the connection variables, else one that is started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from orcapod_postgres.testing.server import Server

__all__ = ["ReachableServer", "configured_server", "find_server"]

_DEFAULTS = {
    "PGHOST": "localhost",
    "PGPORT": "5432",
    "PGDATABASE": "testdb",
    "PGUSER": "postgres",
    "PGPASSWORD": "postgres",
}


@dataclass(frozen=True, slots=True)
class ReachableServer:
    """A server that databases can be created on.

    Attributes:
        conninfo: how to connect to a database that is there. It has no password: that is in ``PGPASSWORD``.
    """

    conninfo: str
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Have the connection string of a new, empty database, which is removed at the end."""
        name = f"orcapod_test_{os.getpid()}_{next(self._numbers)}"
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name)))
        try:
            yield make_conninfo(self.conninfo, dbname=name)
        finally:
            self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            connection.execute(statement)


def configured_server() -> ReachableServer | None:
    """Return the server that the connection variables name, None if none of them is set.

    Variables that are not set while others are get the defaults ``localhost``, ``5432``, ``testdb``, ``postgres``
    and ``postgres``, in the environment too, so that child processes find the same.
    """
    if not any(os.environ.get(name) for name in _DEFAULTS):
        return None
    for name, default in _DEFAULTS.items():
        os.environ.setdefault(name, default)
    host, port, dbname, user = (os.environ[name] for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER"))
    return ReachableServer(make_conninfo("", host=host, port=port, dbname=dbname, user=user))


@contextmanager
def find_server() -> Iterator[ReachableServer]:
    """Have the server that the connection variables name, else one of our own for the context.

    Raises:
        ServerUnavailableError: there is none, and none can be started; says why.
    """
    if (server := configured_server()) is not None:
        yield server
    else:
        with Server() as started:
            yield ReachableServer(started.conninfo())
