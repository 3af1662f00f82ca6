"""A PostgreSQL server for tests and benchmarks: one that is there, or one of our own that leaves nothing behind."""

from orcapod_postgres.testing.binaries import Account, Binaries, ServerUnavailableError, find_binaries
from orcapod_postgres.testing.reachable_server import ReachableServer, configured_server, find_server
from orcapod_postgres.testing.relay import Relay
from orcapod_postgres.testing.server import Server

__all__ = [
    "Account",
    "Binaries",
    "ReachableServer",
    "Relay",
    "Server",
    "ServerUnavailableError",
    "configured_server",
    "find_binaries",
    "find_server",
]
