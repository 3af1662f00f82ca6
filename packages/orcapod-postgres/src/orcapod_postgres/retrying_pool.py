"""``RetryingPool``: connections to one database, and calls that outlive them.

A connection that breaks, a server that restarts, a deadlock: the call is made again, on another connection, for as
long as the timeout allows. Where a connection breaks in a COMMIT nobody can tell whether there was one: a server that
crashed gives the transaction's number to another, so that asking about it is of no use. The transaction is done again,
and has to be of a kind for which that makes no difference.
"""

from __future__ import annotations

import os
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import psycopg
import pyarrow as pa
from psycopg import Connection, errors
from psycopg.pq import TransactionStatus

from orcapod.databases import check_process, closed_store
from orcapod.errors import DamagedRecordError, DatabaseError, ReadOnlyStoreError
from orcapod.interrupts import Patience
from orcapod_postgres.connection import PatientConnection
from orcapod_postgres.conninfo import shown
from orcapod_postgres.statements import register_packed

__all__ = ["WHO_MAY_WRITE", "RetryingPool", "transaction"]

T = TypeVar("T")

_RETRY_SECONDS = 30.0
_FIRST_PAUSE = 0.03
_LONGEST_PAUSE = 0.5
_IDLE_SECONDS = 300.0
_CONFLICTS = (errors.SerializationFailure, errors.DeadlockDetected)
_INTERRUPTED = (errors.AdminShutdown, errors.CrashShutdown, errors.CannotConnectNow, errors.TooManyConnections)
_NO_ROOM = "53"  # the class of errors of a disk or a memory that is full
_READ_ONLY = (errors.InsufficientPrivilege, errors.ReadOnlySqlTransaction)

_MOST_BREAKS = 8  # of connections that could be made, in one call: then it is the call that the server dies of
_UNDECODABLE = (UnicodeDecodeError, OverflowError, pa.ArrowException)  # of a value, whatever it was on the disk
_UNREAD = "nothing was read"
_UNWRITTEN = "nothing of this call was written"
WHO_MAY_WRITE = (
    "connect as a user who may write, to a server that takes writes; where several write, as a role that they have in "
    "common, since only the role that owns a table or a view may change it: options='-c role=...'"
)

_Idle = deque[tuple[float, PatientConnection]]


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
        self._parameters = parameters
        self._slots = threading.Semaphore(pool_size)
        self._idle: _Idle = deque()  # those used last are at the right
        self._closer = weakref.finalize(self, _close, self._idle, self._process)
        self.database = shown(parameters)
        try:
            connection = self._connect()
        except psycopg.Error as error:
            raise DatabaseError(self._unreachable(error)) from error
        self._idle.append((time.monotonic(), connection))
        info = connection.info
        encoding = info.parameter_status("server_encoding")
        if encoding != "UTF8":
            self.close()
            raise DatabaseError(
                f"{self.database}: expected a database in UTF8, found {encoding}; "
                "create one: CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8'"
            )
        self.resolved = {"host": info.host, "port": info.port, "dbname": info.dbname, "user": info.user}

    def read(self, action: Callable[[Connection[Any]], T], *, table: str = "") -> T:
        """Return what the action reads, made again on another connection if one breaks.

        Args:
            action: reads.
            table: what it reads, for messages; the catalog if nothing is said.
        """
        return self._retried(action, _UNREAD, f", table {table}" * bool(table))

    def write(self, action: Callable[[Connection[Any], T | None], T], *, otherwise: str = _UNWRITTEN) -> T:
        """Return what the action returns, in a transaction that is committed, or not at all if this raises.

        Args:
            action: is given what it returned the last time, where it is not known whether that was committed. It
                makes no difference then whether it was.
            otherwise: what has become of it if this raises.
        """
        answer: T | None = None

        def committed(connection: Connection[Any]) -> T:
            nonlocal answer
            with transaction(connection):
                answer = action(connection, answer)
            return answer

        return self._retried(committed, otherwise)

    def close(self) -> None:
        """Let go of all connections; closing twice is fine."""
        self._closer()

    def check(self) -> None:
        """Check that the store was not closed, and belongs to this process."""
        check_process(self._process, self.database, "PostgresDatabase")
        if not self._closer.alive:
            raise closed_store(self.database)

    def _retried(self, action: Callable[[Connection[Any]], T], otherwise: str, table: str = "") -> T:
        patience, pause, breaks = Patience(_RETRY_SECONDS), _FIRST_PAUSE, 0
        while True:
            with self._slot(patience, otherwise):
                connection = None
                try:
                    connection = self._idle_connection() or self._connect()
                    return action(connection)
                except psycopg.Error as error:
                    breaks += connection is not None and connection.broken
                    if patience.is_over or breaks >= _MOST_BREAKS or not _passes(error, connection):
                        failure = self._failure(error, connection, otherwise)
                        failure.is_transient = breaks < _MOST_BREAKS and _may_pass_later(error, connection)
                        raise failure from error
                except _UNDECODABLE as error:
                    raise DamagedRecordError(
                        f"{self.database}{table}: found a value that the server does not hold as it was stored: "
                        f"{error!s:.200}; {otherwise}; restore the database from a copy"
                    ) from error
                finally:
                    if connection is not None:
                        self._give_back(connection)
            patience.pause(pause * (1 + random.random()))  # two that met shall not meet again
            pause = min(2 * pause, _LONGEST_PAUSE)

    @contextmanager
    def _slot(self, patience: Patience, otherwise: str) -> Iterator[None]:
        """Be one of those who may have a connection now."""
        self.check()
        while not self._slots.acquire(timeout=0.1):
            if patience.is_over:
                raise DatabaseError(
                    f"{self.database}: no connection became free within {_RETRY_SECONDS:.0f} seconds; {otherwise}; "
                    "give the store a larger pool_size"
                )
        try:
            self.check()
            yield
        finally:
            self._slots.release()

    def _idle_connection(self) -> PatientConnection | None:
        with suppress(IndexError):  # another thread was faster
            while time.monotonic() - self._idle[0][0] > _IDLE_SECONDS:
                self._idle.popleft()[1].close()
            return self._idle.pop()[1]
        return None

    def _connect(self) -> PatientConnection:
        connection = PatientConnection.to(self._parameters)
        try:
            register_packed(connection)
            if self._timeout is not None:
                limit = str(max(1, round(self._timeout * 1000)))
                connection.execute("SELECT set_config('statement_timeout', %s, false)", [limit])
        except BaseException:
            connection.close()
            raise
        return connection

    def _give_back(self, connection: PatientConnection) -> None:
        """Keep a connection for the next call, or close it, and those that may well be broken too."""
        if connection.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            with suppress(psycopg.Error):
                connection.rollback()
        if connection.info.transaction_status is TransactionStatus.IDLE:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.close()
            _close(self._idle, self._process)
        if not self._closer.alive:  # closed meanwhile
            _close(self._idle, self._process)

    def _failure(self, error: psycopg.Error, connection: Connection[Any] | None, otherwise: str) -> DatabaseError:
        if connection is None:
            return DatabaseError(f"{self._unreachable(error)}; {otherwise}")
        if isinstance(error, errors.QueryCanceled):
            limit = "the server allows" if self._timeout is None else f"statement_timeout={self._timeout} allows"
            return DatabaseError(f"{self.database}: a statement took longer than {limit}; {otherwise}")
        said = f"{self.database}: {str(error).strip()}; {otherwise}"
        if otherwise is not _UNREAD and isinstance(error, _READ_ONLY):
            return ReadOnlyStoreError(f"{said}; {WHO_MAY_WRITE}")
        return DatabaseError(said)

    def _unreachable(self, error: psycopg.Error) -> str:
        return f"cannot connect to {self.database}: {str(error).strip()}"


@contextmanager
def transaction(connection: Connection[Any]) -> Iterator[None]:
    """Do what follows in one transaction; whoever gives the connection back undoes it if it is not committed."""
    connection.execute("BEGIN")
    yield
    connection.execute("COMMIT")


def _passes(error: psycopg.Error, connection: Connection[Any] | None) -> bool:
    """Say whether the same call can succeed when it is made again."""
    if isinstance(error, errors.QueryCanceled):
        return False
    return connection is None or connection.broken or isinstance(error, (*_CONFLICTS, *_INTERRUPTED))


def _may_pass_later(error: psycopg.Error, connection: Connection[Any] | None) -> bool:
    """Say whether the same call can succeed once the server has room, or is there again."""
    return _passes(error, connection) or (error.sqlstate or "").startswith(_NO_ROOM)


def _close(idle: _Idle, process: int) -> None:
    if os.getpid() == process:
        with suppress(IndexError):
            while True:
                idle.pop()[1].close()
