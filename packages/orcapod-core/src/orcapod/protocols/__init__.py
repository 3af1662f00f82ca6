"""What others may supply: stores of records, executors of functions, observers of runs."""

from orcapod.protocols.adapted import adapted, checked_observer
from orcapod.protocols.checked import checked_database, checked_executor
from orcapod.protocols.database import Database, Key, OnConflict, RecordPath
from orcapod.protocols.decoding import decoding
from orcapod.protocols.executor import (
    Call,
    CallSession,
    CapturedOutput,
    ConcurrentExecutorProtocol,
    OnDone,
    Outcome,
    PacketExecutionLoggerProtocol,
    PacketFunctionExecutorProtocol,
    PythonFunctionExecutorProtocol,
)
from orcapod.protocols.existing import ExistingDatabaseProtocol
from orcapod.protocols.files import (
    ClaimsDatabaseProtocol,
    FilesDatabaseProtocol,
    claims_folder_of,
    files_folder_of,
)
from orcapod.protocols.finding import FindingDatabaseProtocol, find_records
from orcapod.protocols.flushing import BufferingDatabaseProtocol, flush_all
from orcapod.protocols.maintained import MaintainedDatabaseProtocol, TableSize
from orcapod.protocols.noop import NoOpObserver, listens
from orcapod.protocols.observer import ExecutionObserver
from orcapod.protocols.scanning import ScanningDatabaseProtocol
from orcapod.protocols.verified import (
    FileTablesDatabaseProtocol,
    IndexedDatabaseProtocol,
    VerifiedDatabaseProtocol,
)
from orcapod.protocols.views import NodeView, ViewingDatabaseProtocol

__all__ = [
    "BufferingDatabaseProtocol",
    "Call",
    "CallSession",
    "CapturedOutput",
    "ClaimsDatabaseProtocol",
    "ConcurrentExecutorProtocol",
    "Database",
    "ExecutionObserver",
    "ExistingDatabaseProtocol",
    "FileTablesDatabaseProtocol",
    "FilesDatabaseProtocol",
    "FindingDatabaseProtocol",
    "IndexedDatabaseProtocol",
    "Key",
    "MaintainedDatabaseProtocol",
    "NoOpObserver",
    "NodeView",
    "OnConflict",
    "OnDone",
    "Outcome",
    "PacketExecutionLoggerProtocol",
    "PacketFunctionExecutorProtocol",
    "PythonFunctionExecutorProtocol",
    "RecordPath",
    "ScanningDatabaseProtocol",
    "TableSize",
    "VerifiedDatabaseProtocol",
    "ViewingDatabaseProtocol",
    "adapted",
    "checked_database",
    "checked_executor",
    "checked_observer",
    "claims_folder_of",
    "decoding",
    "files_folder_of",
    "find_records",
    "flush_all",
    "listens",
]
