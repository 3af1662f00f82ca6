"""``Server``: a PostgreSQL server in a folder of its own, gone with the process that started it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Literal, Self

import psycopg
from psycopg import sql

from orcapod_postgres.testing.binaries import Binaries, ServerUnavailableError, find_binaries

__all__ = ["Server", "short_folder"]

_STARTING = 60.0
_LONGEST_SOCKET = 107 - len("/.s.PGSQL.5432")

# Reads until whoever holds the other end of the pipe is gone, however it ended: nothing has to run there.
_GUARD = """
read _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null
tries=0
while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ $tries -lt 100 ]; do sleep 0.05; tries=$((tries + 1)); done
rm -rf "$1"
"""

_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_min_messages": "fatal",
}


class Server:
    """A server that listens on a Unix socket only, with one user, ``postgres``, and no password.

    A context manager: entering starts it, leaving removes it and its folder. If this process ends
    without leaving, even by SIGKILL, a shell that waits on a pipe does the same.

    Args:
        binaries: which programs; those that are found if None.
        options: settings of the server, besides those for speed.

    Raises:
        ServerUnavailableError: it cannot be started here; says why.
    """

    def __init__(self, binaries: Binaries | None = None, **options: str) -> None:
        self._binaries = binaries or find_binaries()
        self._options = _OPTIONS | options
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self.folder = short_folder()
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # an interrupt from the keyboard is not for the guard
        )
        try:
            self._initialise()
        except BaseException:
            self.remove()
            raise

    @property
    def pid(self) -> int:
        """The process of the running server."""
        assert self._process is not None
        return self._process.pid

    def conninfo(self, dbname: str = "postgres") -> str:
        """Return how to connect."""
        return f"host={self.folder} port=5432 user=postgres dbname={dbname}"

    def create_database(self) -> str:
        """Return the name of a new, empty database."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return name

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever still uses it."""
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers."""
        if self._process is not None:
            return
        settings = [f"--{name}={value}" for name, value in self._options.items()]
        command = self._binaries.command("postgres", "-D", str(self.folder / "data"), "-k", str(self.folder), *settings)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                user=self._binaries.user,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _STARTING
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerUnavailableError(f"PostgreSQL does not start: {self._last_words()}")
            time.sleep(0.02)

    def stop(self, how: Literal["fast", "immediate"] = "fast") -> None:
        """Stop it and wait: ``fast`` breaks connections off, ``immediate`` is a crash."""
        if self._process is not None:
            self._process.send_signal(2 if how == "fast" else 3)
            self._process.wait(_STARTING)
            self._process = None

    def remove(self) -> None:
        """Stop it and remove its folder; doing so twice is fine."""
        try:
            self.stop("immediate")
        finally:
            self._guard.communicate(timeout=_STARTING)  # closes the pipe

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    def _initialise(self) -> None:
        if self._binaries.user is not None:
            shutil.chown(self.folder, self._binaries.user)
        arguments = ["--no-sync", "-A", "trust", "-E", "UTF8", "--no-locale", "-U", "postgres"]
        command = self._binaries.command("initdb", *arguments, "-D", str(self.folder / "data"))
        done = subprocess.run(
            command, user=self._binaries.user, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=self.folder
        )
        if done.returncode:
            raise ServerUnavailableError(f"initdb fails: {(done.stderr or done.stdout).strip()}")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _last_words(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-500:].strip() or "it says nothing"


def short_folder() -> Path:
    """Return a new folder whose path leaves room for the name of a socket in it."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        folder = Path(tempfile.mkdtemp(prefix="orcapod-pg-", dir=parent))
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET:
            return folder
        folder.rmdir()
    raise ServerUnavailableError("every folder for temporary files has too long a path for a Unix socket")
