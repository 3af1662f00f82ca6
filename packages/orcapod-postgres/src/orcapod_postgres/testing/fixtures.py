"""Fixtures for tests that need a server.

A ``conftest.py`` imports them: ``from orcapod_postgres.testing.fixtures import postgres_conninfo, postgres_place``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orcapod_postgres.testing.binaries import ServerUnavailableError
from orcapod_postgres.testing.place import Place, found_place

__all__ = ["postgres_conninfo", "postgres_place"]


@pytest.fixture(scope="session")
def postgres_place() -> Iterator[Place]:
    """The server of this session; tests are skipped where there is none, and fail where ``CI`` is set."""
    try:
        place = found_place()
        found = place.__enter__()
    except ServerUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    try:
        yield found
    finally:
        place.__exit__(None, None, None)


@pytest.fixture
def postgres_conninfo(postgres_place: Place) -> Iterator[str]:
    """How to connect to an empty database of this test's own."""
    with postgres_place.database() as conninfo:
        yield conninfo
