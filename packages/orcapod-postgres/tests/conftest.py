"""The server of this session, servers that may be ill-treated, and one hypothesis profile for all laws."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from orcapod_postgres.testing import Server, ServerUnavailableError
from orcapod_postgres.testing.fixtures import postgres_conninfo, postgres_server

__all__ = ["own_conninfo", "own_server", "postgres_conninfo", "postgres_server"]

settings.register_profile(
    "orcapod", deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.load_profile("orcapod")

# In the background and under nohup, SIGINT is ignored here and in the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def own_server() -> Iterator[Server]:
    """A server that tests may stop, starve and break off, whatever the connection variables say."""
    try:
        server = Server()
    except ServerUnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with server:
        yield server


@pytest.fixture
def own_conninfo(own_server: Server) -> Iterator[str]:
    """How to connect to an empty database there."""
    name = own_server.create_database()
    yield own_server.conninfo(name)
    own_server.drop_database(name)
