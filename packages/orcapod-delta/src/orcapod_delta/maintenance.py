"""``Maintenance``: keeps a table fast and small, however many commits it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import time

from deltalake.exceptions import CommitFailedError

from orcapod_delta.snapshot import WRITER, Snapshot

__all__ = ["RETENTION", "Maintenance"]

RETENTION = timedelta(days=1)
"""Age at which files that no longer belong to a table go: others may still read or write them."""

_SMALL = 32 << 20
_TARGET = 64 << 20
_MANY = 100


class Maintenance:
    """Maintenance of one Delta table; deltalake itself writes a checkpoint of its log every 50 commits.

    Args:
        snapshot: the table.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._swept = False

    def size(self) -> tuple[int, int]:
        """Return how many rows are committed, and the bytes of their files."""
        return self._snapshot.num_rows, sum(each.file.size for each in self._snapshot.files)

    def after_commit(self) -> None:
        """Do what normal use does: compact many small files, and then, or at first, remove orphans."""
        small = sum(each.file.size < _SMALL for each in self._snapshot.files)
        if small >= _MANY:
            self.compact()
        if small >= _MANY or not self._swept:
            self._swept = True
            self.vacuum(RETENTION)

    def compact(self) -> int:
        """Put small files together; return how many fewer there are."""
        table = self._snapshot.table
        assert table is not None
        with suppress(CommitFailedError):  # somebody else did it, or deleted rows: the next one will find it again
            done = table.optimize.compact(target_size=_TARGET, writer_properties=WRITER)
            return int(done["numFilesRemoved"]) - int(done["numFilesAdded"])
        return 0

    def move_damaged_files_aside(self) -> list[str]:
        """Take the files that cannot be read out of the table; return which."""
        return self._snapshot.move_damaged_files_aside()

    def checkpoint(self) -> int:
        """Sum up the log in one file, so that opening the table reads little."""
        table = self._snapshot.table
        assert table is not None
        table.create_checkpoint()
        return 0

    def orphans(self, older_than: timedelta) -> list[str]:
        """Return the files which the table does not need and which are older than this, by their names below it.

        They come from compaction, from deleting, and from writers that were killed before their commit.
        """
        folder = self._snapshot.location.folder
        staged = [] if folder is None else [str(file.relative_to(folder)) for file in _staged(folder, older_than)]
        return [*self._vacuumed(older_than, dry_run=True), *staged]

    def vacuum(self, older_than: timedelta) -> int:
        """Remove these files; return how many."""
        # Looked for first, because a vacuum leaves two commits in the log also when there is nothing.
        if found := self._vacuumed(older_than, dry_run=True):
            self._vacuumed(older_than, dry_run=False)
        removed, folder = len(found), self._snapshot.location.folder
        for file in [] if folder is None else _staged(folder, older_than):
            with suppress(FileNotFoundError):  # another process may be as tidy
                file.unlink()
                removed += 1
        return removed

    def _vacuumed(self, older_than: timedelta, *, dry_run: bool) -> list[str]:
        table = self._snapshot.table
        assert table is not None
        hours = older_than // timedelta(hours=1)
        return table.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True)


def _staged(folder: Path, older_than: timedelta) -> Iterator[Path]:
    """Give what was being written to a local disk, and never got its name, when its writer was killed."""
    for pattern in ("*#[0-9]*", "_delta_log/*#[0-9]*", "_delta_log/*.tmp"):
        for file in folder.glob(pattern):
            with suppress(FileNotFoundError):  # another process may be as tidy
                if time() - file.stat().st_mtime >= older_than.total_seconds():
                    yield file
