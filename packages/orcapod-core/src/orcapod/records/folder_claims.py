"""``FolderClaims``: claims as files of a folder, for a store to which every row is a commit."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from orcapod.protocols import Database, claims_folder_of
from orcapod.records.claims import Claims, TableClaims

__all__ = ["FolderClaims", "beats_in", "claims_in"]

_HOLDER = ".holder"


def claims_in(database: Database, holder: str, *, lease: float) -> Claims:
    """Return the claims of a holder: in the folder that the store has for them, if it has one; else in a table."""
    folder = claims_folder_of(database)
    if folder is not None and _has_links(folder):
        return FolderClaims(folder, database, holder, lease=lease)
    return TableClaims(database, holder, lease=lease)


def beats_in(database: Database) -> dict[str, tuple[int, float]]:
    """Return how many heartbeats every holder had, and its lease, wherever the claims of the store are."""
    beats, folder = TableClaims(database, "", lease=0.0).beats(), claims_folder_of(database)
    return beats if folder is None else beats | FolderClaims(folder, database, "", lease=0.0).beats()


class FolderClaims(Claims):
    """Claims as files: a claim is a hard link to the file of its holder, since only one of many can make a link.

    The file of a holder has one line, who it is, and a dot for every heartbeat.

    Args:
        folder: where they are, on a file system that has hard links.
        database: the store.
        holder: the name of this holder, which no other has.
        lease: after how many seconds without a heartbeat it is to be taken for dead.
    """

    def __init__(self, folder: Path, database: Database, holder: str, *, lease: float) -> None:
        super().__init__(database, holder, lease=lease)
        self._folder = folder
        self._file = self._file_of(holder)
        self._count = 0

    def _claim(self, names: Sequence[str]) -> None:
        for name in names:
            with suppress(FileExistsError):
                try:
                    os.link(self._file, self._folder / name)
                except FileNotFoundError:  # others took this one for dead
                    self._write()
                    os.link(self._file, self._folder / name)

    def holders(self, names: Sequence[str]) -> dict[str, str]:
        found = {}
        for name in names:
            if read := _read(self._folder / name):
                found[name] = read[0]
        return found

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def beat(self) -> None:
        self._count += 1
        try:
            with self._file.open("r+b") as file:
                file.seek(0, os.SEEK_END)
                file.write(b".")
        except FileNotFoundError:
            self._write()

    def _write(self) -> None:
        """Write the file of this holder, all at once."""
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        fresh.write_bytes(json.dumps([self.holder, self.lease]).encode() + b"\n" + b"." * self._count)
        fresh.replace(self._file)

    def beats(self) -> dict[str, tuple[int, float]]:
        read = (_read(file) for file in self._folder.glob(f"*{_HOLDER}"))
        return {holder: (beats, lease) for holder, lease, beats in filter(None, read)}

    def bury(self, holder: str, beats: int) -> None:
        self._file_of(holder).unlink(missing_ok=True)

    def _leave(self) -> None:
        self._file.unlink(missing_ok=True)
        if not self.beats():
            for claim in self._folder.glob("*"):
                if not claim.suffix:  # the file of a holder may be of one that is just coming
                    claim.unlink(missing_ok=True)

    def _file_of(self, holder: str) -> Path:
        return self._folder / f"{sha256(holder.encode()).hexdigest()}{_HOLDER}"


def _read(file: Path) -> tuple[str, float, int] | None:
    """Return whose file this is, the lease, and how many heartbeats are in it; None if it is gone."""
    try:
        line, _, beats = file.read_bytes().partition(b"\n")
        holder, lease = json.loads(line)
    except (FileNotFoundError, ValueError):
        return None
    return holder, lease, len(beats)


def _has_links(folder: Path) -> bool:
    """Say whether files there can have several names."""
    one, two = (folder / f"{os.urandom(8).hex()}.link" for _ in range(2))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        one.touch()
        os.link(one, two)
    except OSError:
        return False
    finally:
        for each in (one, two):
            with suppress(OSError):
                each.unlink(missing_ok=True)
    return True
