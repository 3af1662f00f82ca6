"""What others may supply: stores of records, executors of functions, observers of runs."""

from orcapod.protocols.database import Database, Key, OnConflict, RecordPath
from orcapod.protocols.executor import (
    PacketExecutionLoggerProtocol,
    PacketFunctionExecutorProtocol,
    PythonFunctionExecutorProtocol,
)
from orcapod.protocols.noop import NoOpObserver
from orcapod.protocols.observer import ExecutionObserver

__all__ = [
    "Database",
    "ExecutionObserver",
    "Key",
    "NoOpObserver",
    "OnConflict",
    "PacketExecutionLoggerProtocol",
    "PacketFunctionExecutorProtocol",
    "PythonFunctionExecutorProtocol",
    "RecordPath",
]
