"""The server for tests: there is one, it is alone, and it leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from orcapod_postgres.testing import ServerUnavailableError, configured_server, find_binaries

_PROGRAM = """
import sys
from orcapod_postgres.testing import Server
with Server() as server:
    print(server.folder, server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.postgres
def test_it_is_gone_after_a_kill() -> None:
    """Process, folder and socket, though nobody was left to remove them."""
    try:
        find_binaries()
    except ServerUnavailableError as error:
        pytest.skip(str(error))
    user = subprocess.Popen([sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert user.stdout is not None
        folder, pid = user.stdout.readline().split()
        with psycopg.connect(f"host={folder} user=postgres dbname=postgres"):
            user.kill()
    finally:
        user.kill()
        user.communicate()
    deadline = time.monotonic() + 30
    while Path(folder).exists() or _runs(int(pid)):
        assert time.monotonic() < deadline, f"{folder} or process {pid} is still there"


def test_connection_variables_have_the_defaults_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert configured_server() is None
    monkeypatch.setenv("PGPASSWORD", "something")
    server = configured_server()
    assert server is not None
    assert server.conninfo == "host=localhost port=5432 dbname=testdb user=postgres"
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGDATABASE", "lab")
    server = configured_server()
    assert server is not None
    assert server.conninfo == "host=elsewhere port=5432 dbname=lab user=postgres"


def _runs(pid: int) -> bool:
    """Whether a process is alive; one that nobody waits for any more is not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")
