"""A PostgreSQL server for tests and benchmarks: one that is there, or one of our own that leaves nothing behind."""

from orcapod_postgres.testing.binaries import Account, Binaries, ServerUnavailableError, find_binaries
from orcapod_postgres.testing.place import Place, found_place, given_place
from orcapod_postgres.testing.server import Server

__all__ = [
    "Account",
    "Binaries",
    "Place",
    "Server",
    "ServerUnavailableError",
    "find_binaries",
    "found_place",
    "given_place",
]
