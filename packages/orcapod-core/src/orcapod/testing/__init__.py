"""Suites by which a third party proves a store, an executor, an operator or a type: subclass one; say what is yours.

``argument_faults`` calls something with every kind of wrong argument.
"""

from orcapod.testing.arguments import argument_faults
from orcapod.testing.database import DatabaseSuite
from orcapod.testing.executor import ExecutorSuite
from orcapod.testing.hostile import HostileStoreSuite, hostile_bytes, hostile_schema, hostile_text
from orcapod.testing.integrity import IntegritySuite
from orcapod.testing.observer import ObserverSuite
from orcapod.testing.operator import OperatorSuite
from orcapod.testing.pipeline import PipelineSuite
from orcapod.testing.session import SessionSuite
from orcapod.testing.values import TypeSuite

__all__ = [
    "DatabaseSuite",
    "ExecutorSuite",
    "HostileStoreSuite",
    "IntegritySuite",
    "ObserverSuite",
    "OperatorSuite",
    "PipelineSuite",
    "SessionSuite",
    "TypeSuite",
    "argument_faults",
    "hostile_bytes",
    "hostile_schema",
    "hostile_text",
]
