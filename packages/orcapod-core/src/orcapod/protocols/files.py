"""``FilesDatabaseProtocol``, ``ClaimsDatabaseProtocol``: stores that have places for files beside their records."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from orcapod.protocols.database import Database

__all__ = ["ClaimsDatabaseProtocol", "FilesDatabaseProtocol", "claims_folder_of", "files_folder_of"]


@runtime_checkable
class FilesDatabaseProtocol(Protocol):
    """A store that has a place for the files that functions make; stores on servers have none."""

    @property
    def files_folder(self) -> Path | None:
        """The folder, which need not be there yet; None for a store that has no place for files."""
        ...


def files_folder_of(database: Database) -> Path | None:
    """Return the folder for files of a store, if it has one."""
    return database.files_folder if isinstance(database, FilesDatabaseProtocol) else None


@runtime_checkable
class ClaimsDatabaseProtocol(Protocol):
    """A store that has a place for the claims of programs that share its work; in others they are records."""

    @property
    def claims_folder(self) -> Path | None:
        """The folder, which need not be there yet; None where claims are records, too."""
        ...


def claims_folder_of(database: Database) -> Path | None:
    """Return the folder for claims of a store, if it has one."""
    return database.claims_folder if isinstance(database, ClaimsDatabaseProtocol) else None
