"""Delta Lake for orcapod: ``DeltaDatabase`` keeps records in Delta tables, ``DeltaTableSource`` reads rows from one."""

from orcapod_delta.database import DeltaDatabase
from orcapod_delta.source import DeltaTableSource

__all__ = ["DeltaDatabase", "DeltaTableSource"]
