"""``ScanningDatabaseProtocol``: a store that gives the records of a path some at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import pyarrow as pa

from orcapod.protocols.database import RecordPath

__all__ = ["ScanningDatabaseProtocol"]


@runtime_checkable
class ScanningDatabaseProtocol(Protocol):
    """Database that reads a table in the order in which it lies there; of others, records are looked up key by key."""

    def scan_records(self, path: RecordPath) -> Iterator[pa.Table]:
        """Give all records of a path, with all columns, in tables of a few megabytes; nothing for an unknown path.

        Each comes as it is stored: also a key that is there twice. Between two tables nothing is held, so that whoever
        reads them may write to the same store; what is written meanwhile may be among the records or not.

        Raises:
            DatabaseError: the next records cannot be read.
        """
        ...
