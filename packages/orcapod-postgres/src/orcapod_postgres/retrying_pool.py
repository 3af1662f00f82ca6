"""``RetryingPool``: connections to one database, and calls that outlive them.

A connection that breaks, a server that restarts, a deadlock: the call is made again, on another connection, for as
long as the timeout allows. A transaction of which nobody knows whether it was committed is looked up by its number
first, so that none is lost and none is done twice.
"""

from __future__ import annotations

import os
import random
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, errors
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from orcapod.databases import check_process, closed_store
from orcapod.errors import DatabaseError, ReadOnlyStoreError
from orcapod_postgres.conninfo import shown
from orcapod_postgres.statements import register_packed

__all__ = ["WHO_MAY_WRITE", "RetryingPool"]

T = TypeVar("T")

_RETRY_SECONDS = 30.0
_POOL_SECONDS = 2.0
_IDLE_AFTER = 300.0
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected)
_INTERRUPTED = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.TooManyConnections)
_READ_ONLY = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)

WHO_MAY_WRITE = "connect as a user who may write, to a server that takes writes"


class RetryingPool:
    """Pool of up to ``pool_size`` connections, which makes calls again that a broken one ended.

    Args:
        parameters: how to connect.
        pool_size: how many threads can use the store at the same time; further ones wait.
        statement_timeout: seconds that one statement may take; None for what the server says.

    Raises:
        DatabaseError: the server cannot be reached, or lets nobody in.
    """

    def __init__(self, parameters: dict[str, Any], *, pool_size: int, statement_timeout: float | None) -> None:
        self._timeout = statement_timeout
        self._process = os.getpid()
        self._parameters = {"connect_timeout": 10, "fallback_application_name": "orcapod", **parameters}
        self.database = shown(parameters)
        with self._connected() as connection:
            encoding = connection.info.parameter_status("server_encoding")
            if encoding != "UTF8":
                raise DatabaseError(
                    f"{self.database}: expected a database in UTF8, found {encoding}; "
                    "create one: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'"
                )
            info = connection.info
            self.resolved = {"host": info.host, "port": info.port, "dbname": info.dbname, "user": info.user}
        self._pool = ConnectionPool(
            make_conninfo("", **self._parameters),
            kwargs={"autocommit": True, "prepare_threshold": None, "client_encoding": "UTF8"},
            configure=self._configure,
            min_size=1,
            max_size=pool_size,
            max_idle=_IDLE_AFTER,
            reconnect_timeout=1.0,  # then the next call tries; the pool's own pauses become longer than our timeout
            num_workers=1,
            open=True,
        )
        self._closer = weakref.finalize(self, _close, self._pool, self._process)

    def read(self, action: Callable[[Connection[Any]], T]) -> T:
        """Return what the action reads, made again on another connection if one breaks."""
        return self._tried(lambda connection, deadline: action(connection), "nothing was read")

    def write(self, action: Callable[[Connection[Any]], T]) -> T:
        """Return what the action returns, in a transaction done once, or not at all if this raises."""
        return self._tried(lambda connection, deadline: self._transaction(connection, action, deadline), _UNWRITTEN)

    def close(self) -> None:
        """Let go of all connections; closing twice is fine."""
        self._closer()

    def check(self) -> None:
        """Check that the store was not closed, and belongs to this process."""
        check_process(self._process, self.database, "PostgresDatabase")
        if not self._closer.alive:
            raise closed_store(self.database)

    def _tried(self, attempt: Callable[[Connection[Any], float], T], otherwise: str) -> T:
        deadline, pause = time.monotonic() + _RETRY_SECONDS, 0.01
        while True:
            self.check()
            try:
                with self._pool.connection(timeout=_POOL_SECONDS) as connection:
                    try:
                        return attempt(connection, deadline)
                    except psycopg.Error as error:
                        if not _passes(error, connection) or time.monotonic() + pause > deadline:
                            raise
            except PoolClosed:
                raise closed_store(self.database) from None
            except PoolTimeout:
                if time.monotonic() < deadline:
                    continue
                raise DatabaseError(f"{self.database}: {self._why_not()}; {otherwise}") from None
            except errors.QueryCanceled as error:
                limit = "the server allows" if self._timeout is None else f"statement_timeout={self._timeout} allows"
                raise DatabaseError(f"{self.database}: a statement took longer than {limit}; {otherwise}") from error
            except psycopg.Error as error:
                raise self._failure(error, otherwise) from error
            time.sleep(pause * (1 + random.random()))  # two that met shall not meet again
            pause = min(2 * pause, 1.0)
            self._drop_broken()

    def _transaction(self, connection: Connection[Any], action: Callable[[Connection[Any]], T], deadline: float) -> T:
        number = None
        try:
            begun = connection.execute("BEGIN; SELECT pg_current_xact_id()::text")
            begun.nextset()
            number = _only(begun)
            answer = action(connection)
        except BaseException:
            with suppress(psycopg.Error):  # the pool drops it then
                connection.rollback()
            raise
        try:
            connection.execute("COMMIT")
        except psycopg.Error as error:
            if connection.broken and self._committed(number, deadline):
                return answer
            raise error from None
        return answer

    def _committed(self, number: str, deadline: float) -> bool:
        """Say whether a transaction was committed whose connection broke before it could tell.

        Raises:
            DatabaseError: nobody can tell.
        """
        while time.monotonic() < deadline:
            try:
                with self._connected() as connection:
                    status = _only(connection.execute("SELECT pg_xact_status(%s::text::xid8)", [number]))
                if status != "in progress":
                    return bool(status == "committed")
            except (DatabaseError, psycopg.Error):
                pass  # not back yet
            time.sleep(0.1)
        raise DatabaseError(
            f"{self.database}: the connection broke while a transaction was being committed, and the server did not "
            "come back to tell whether it was; run again: what is there already is found"
        )

    @contextmanager
    def _connected(self) -> Iterator[Connection[Any]]:
        """Have a connection beside the pool."""
        try:
            connection = psycopg.connect(make_conninfo("", **self._parameters), autocommit=True)
        except psycopg.Error as error:
            raise DatabaseError(f"cannot connect to {self.database}: {str(error).strip()}") from error
        try:
            yield connection
        finally:
            connection.close()

    def _configure(self, connection: Connection[Any]) -> None:
        register_packed(connection)
        if self._timeout is not None:
            connection.execute(
                "SELECT set_config('statement_timeout', %s, false)", [str(max(1, round(self._timeout * 1000)))]
            )

    def _failure(self, error: psycopg.Error, otherwise: str) -> DatabaseError:
        said = f"{self.database}: {str(error).strip()}; {otherwise}"
        if otherwise is _UNWRITTEN and isinstance(error, _READ_ONLY):
            return ReadOnlyStoreError(f"{said}; {WHO_MAY_WRITE}")
        return DatabaseError(said)

    def _drop_broken(self) -> None:
        """Forget the connections that a restart of the server has broken."""
        try:
            self._pool.check()
        except PoolClosed:
            raise closed_store(self.database) from None

    def _why_not(self) -> str:
        """Return why the pool has no connection to give."""
        try:
            with self._connected():
                return (
                    f"no connection became free within {_RETRY_SECONDS:.0f} seconds; give the store a larger pool_size"
                )
        except DatabaseError as error:
            return str(error)


_UNWRITTEN = "nothing of this call was written"


def _passes(error: psycopg.Error, connection: Connection[Any]) -> bool:
    """Say whether the same call can succeed when it is made again."""
    if isinstance(error, errors.QueryCanceled):
        return False
    return connection.broken or connection.closed or isinstance(error, (*_CONFLICTS, *_INTERRUPTED))


def _only(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None
    return row[0]


def _close(pool: ConnectionPool[Connection[Any]], process: int) -> None:
    if os.getpid() == process:
        pool.close()
