"""Integrity: whether a store is as it was written."""

from orcapod.integrity.report import Finding, StoreReport
from orcapod.integrity.verify import verify_store

__all__ = ["Finding", "StoreReport", "verify_store"]
