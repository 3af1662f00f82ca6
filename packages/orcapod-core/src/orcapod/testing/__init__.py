"""Suites by which a third party proves a store or an executor: subclass one, and say how to make yours."""

from orcapod.testing.database import DatabaseSuite
from orcapod.testing.executor import ExecutorSuite

__all__ = ["DatabaseSuite", "ExecutorSuite"]
