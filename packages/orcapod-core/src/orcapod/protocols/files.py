"""``FilesDatabaseProtocol``: a store that has a place for files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

from orcapod.protocols.database import Database

__all__ = ["FilesDatabaseProtocol", "files_folder_of"]


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
