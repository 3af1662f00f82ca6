"""PostgreSQL for orcapod: ``PostgresDatabase`` keeps records, the sources read tables and queries."""

from orcapod_postgres.database import PostgresDatabase
from orcapod_postgres.source import PostgresQuerySource, PostgresTableSource

__all__ = ["PostgresDatabase", "PostgresQuerySource", "PostgresTableSource"]
