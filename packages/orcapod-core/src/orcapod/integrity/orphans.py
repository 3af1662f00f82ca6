"""``remove_orphans``: files that functions made and that no record needs."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from orcapod.checks import Checks
from orcapod.databases.open import open_existing
from orcapod.errors import ConfigError
from orcapod.files import FileStore, files_folder
from orcapod.protocols import Database, checked_database, files_folder_of
from orcapod.types import holds_files, paths_in

__all__ = ["remove_orphans"]

_HOUR = 3600.0


def remove_orphans(
    *stores: Database | str | os.PathLike[str] | Mapping[str, object],
    files: str | os.PathLike[str] | None = None,
    hours: float = 24.0,
) -> list[Path]:
    """Remove the files that functions made and that no record needs; return where they were.

    A run that was killed leaves such: files that were half made, and whole ones of which nothing was recorded.

    Args:
        stores: all stores whose files lie in the folder: databases, or what ``open_database`` takes.
        files: the folder for files, or its URL; that of the first store if None.
        hours: how long ago a file was made at least, since what a run makes just now is not recorded yet.

    Raises:
        ConfigError: an argument is not what it has to be, or the store has no folder for files.
        DatabaseError: there is no such store, or it cannot be read; nothing was removed.
    """
    check = Checks("remove_orphans")
    seconds = check.seconds("hours", hours, unit="hours") * _HOUR
    if not stores:
        raise ConfigError("remove_orphans: found no store, expected all whose files lie in the folder")
    with ExitStack() as opened:
        databases = [
            opened.enter_context(open_existing(store))
            if isinstance(store, str | os.PathLike | Mapping)
            else checked_database(store)
            for store in stores
        ]
        folder = files_folder_of(databases[0]) if files is None else files_folder(check, files)
        if folder is None:
            raise ConfigError("remove_orphans: found a store that has no folder for files; give it as files='...'")
        needed = {place for database in databases for place in _needed(database)}
        _check_belongs(folder, needed)
        return FileStore(folder).remove(lambda place: place not in needed, before=time.time() - seconds)


def _check_belongs(folder: Path, needed: Collection[tuple[str, ...]]) -> None:
    """Check that stores name some file of a folder, if there is one: others would lose all of theirs.

    Raises:
        ConfigError: they name none.
    """
    whole = {FileStore.place(path) for path in FileStore(folder).whole()}
    if whole and whole.isdisjoint(needed):
        raise ConfigError(
            f"remove_orphans: found {len(whole)} files in {folder}, none of which any record of these stores names; "
            "check which stores the files are of, and give all of them; if they are of none, delete the folder"
        )


def _needed(database: Database) -> Iterator[tuple[str, ...]]:
    """Give the places of all files that records name."""
    for path in database.list_paths():
        schema = database.get_records_by_ids(path, []).schema
        if names := [field.name for field in schema if holds_files(field.type)]:
            for column in database.get_records(path, names).select(names).columns:
                for chunk in column.chunks:
                    yield from map(FileStore.place, paths_in(chunk))
