"""The PostgreSQL server of this session, for what has to hold on every store."""

from orcapod_postgres.testing.fixtures import postgres_conninfo, postgres_server

__all__ = ["postgres_conninfo", "postgres_server"]
