"""How long an SQLite file is waited for that other programs write to."""

from __future__ import annotations

import sqlite3
from time import monotonic, sleep

from orcapod.interrupts import Patience

__all__ = ["BUSY_SECONDS", "begin_to_write", "error_code", "set_up_log"]

BUSY_SECONDS = 30.0
_BUSY_SLICE, _PAUSE = 0.1, 0.001


def set_up_log(connection: sqlite3.Connection) -> None:
    """Have a file written by way of a log, once others let it: SQLite does not wait for that by itself."""
    deadline = monotonic() + BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error_code(error) != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(0.01)


def begin_to_write(connection: sqlite3.Connection) -> None:
    """Begin a transaction once no other program writes; SQLite waits a moment at a time, deaf to interrupts."""
    patience = Patience(BUSY_SECONDS)
    _wait_for_locks(connection, _BUSY_SLICE)
    try:
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error_code(error) != sqlite3.SQLITE_BUSY or patience.is_over:
                    raise
                patience.pause(_PAUSE)
    finally:
        _wait_for_locks(connection, BUSY_SECONDS)


def _wait_for_locks(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")


def error_code(error: Exception) -> int:
    """Return the code by which SQLite calls an error, 0 for one that is not its own."""
    code: int = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code
