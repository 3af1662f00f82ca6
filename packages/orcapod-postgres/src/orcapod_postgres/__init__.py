"""PostgreSQL for orcapod: ``PostgresDatabase`` keeps records, ``PostgresTableSource`` reads tables and queries."""

from orcapod_postgres.database import PostgresDatabase
from orcapod_postgres.source import PostgresTableSource

__all__ = ["PostgresDatabase", "PostgresTableSource"]
