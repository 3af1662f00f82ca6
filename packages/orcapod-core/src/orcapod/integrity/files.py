"""``StoredFiles``: files that the records of a store name, and whether they are as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.files import FileStore, located, mirrored, reread_content
from orcapod.integrity.report import Finding
from orcapod.protocols import RecordPath
from orcapod.types import files_in, holds_files

__all__ = ["StoredFiles"]


class StoredFiles:
    """Files that the records of a store name, each read once.

    Args:
        folder: where files are that functions made; None if there is no such folder.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._wrong: dict[tuple[Path, str], str] = {}
        self._needed: set[tuple[str, ...]] = set()

    def changed(self, path: RecordPath, table: pa.Table) -> Iterator[Finding]:
        """Give the records whose files are lost, or have changed."""
        keys: list[Any] = table.column(0).to_pylist()
        for name, column in _columns(table):
            if not any(map(self._what_is_wrong, files_in(column))):
                continue
            for row, key in enumerate(keys):
                if wrong := list(filter(None, map(self._what_is_wrong, files_in(column.slice(row, 1))))):
                    yield Finding("damaged file", path, key, name, wrong[0])

    def need(self, table: pa.Table) -> None:
        """Note which files the records of a table name."""
        for _, column in _columns(table):
            self._needed.update(FileStore.place(path) for path, _ in files_in(column))

    def unneeded(self) -> list[Path]:
        """Return the files in the folder that no record names."""
        return [] if self._folder is None else FileStore(self._folder).orphans(lambda place: place not in self._needed)

    def _place_of(self, path: Path) -> Path:
        """Return where a file of this store is, on this machine."""
        path = path if self._folder is None else FileStore(self._folder).current(path)
        return path if path.exists() or mirrored(path) is None else located(path)

    def _what_is_wrong(self, file: tuple[Path, str]) -> str:
        if file not in self._wrong:
            path, digest = file
            try:
                found = reread_content(self._place_of(path)).digest
                self._wrong[file] = "" if found == digest else f"{path} has changed: found {found}, expected {digest}"
            except (OSError, ValueError) as error:  # a name may be anything, if that is what was damaged
                self._wrong[file] = f"{path} cannot be read: {error}"
        return self._wrong[file]


def _columns(table: pa.Table) -> Iterator[tuple[str, Any]]:
    """Give the columns that hold files, in one chunk."""
    for field in table.schema:
        if holds_files(field.type):
            yield field.name, pa.concat_arrays(table.column(field.name).chunks)
