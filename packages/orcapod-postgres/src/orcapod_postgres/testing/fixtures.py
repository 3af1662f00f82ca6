"""Fixtures for tests that need a server.

A ``conftest.py`` imports them: ``from orcapod_postgres.testing.fixtures import postgres_conninfo, postgres_server``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orcapod_postgres.testing.binaries import ServerUnavailableError
from orcapod_postgres.testing.reachable_server import ReachableServer, find_server

__all__ = ["postgres_conninfo", "postgres_server"]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[ReachableServer]:
    """Yield the server of this session; without one tests are skipped, and fail with ``CI`` set."""
    try:
        server = find_server()
        found = server.__enter__()
    except ServerUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    try:
        yield found
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def postgres_conninfo(postgres_server: ReachableServer) -> Iterator[str]:
    """Yield how to connect to an empty database of this test's own."""
    with postgres_server.database() as conninfo:
        yield conninfo
