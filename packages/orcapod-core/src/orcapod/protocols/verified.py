"""Protocols of stores that ``verify_store`` asks for what is beside their records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from orcapod.protocols.database import RecordPath

__all__ = ["FileTablesDatabaseProtocol", "IndexedDatabaseProtocol", "VerifiedDatabaseProtocol"]


@runtime_checkable
class VerifiedDatabaseProtocol(Protocol):
    """Database that looks for damage by itself; of others, records are read, and nothing else."""

    def find_damage(self) -> Iterable[tuple[RecordPath, str]]:
        """Give what is wrong with the store beside its records, with the path of the table where it is one's."""
        ...


@runtime_checkable
class IndexedDatabaseProtocol(Protocol):
    """Database with indexes of its own, which may be damaged where records are not."""

    def rebuild_indexes(self) -> None:
        """Make the indexes anew, of the records that are there."""
        ...


@runtime_checkable
class FileTablesDatabaseProtocol(Protocol):
    """Database whose tables are folders of files."""

    def find_orphans(self) -> Iterable[tuple[RecordPath, str]]:
        """Give the files that no table of this view needs, with the path of the table whose folder they are in."""
        ...

    def move_damage_aside(self) -> Iterable[tuple[RecordPath, str]]:
        """Move aside what keeps tables of this view from being read, and give what it was, with their paths.

        Raises:
            DatabaseError: it cannot be moved.
        """
        ...
