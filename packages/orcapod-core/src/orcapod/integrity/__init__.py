"""Integrity: whether a store is as it was written."""

from orcapod.integrity.orphans import remove_orphans
from orcapod.integrity.report import Finding, StoreReport
from orcapod.integrity.verify import verify_store

__all__ = ["Finding", "StoreReport", "remove_orphans", "verify_store"]
