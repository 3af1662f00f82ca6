"""``Maintenance``: keeps a table fast and small, however many commits it gets."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
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

    def checkpoint(self) -> int:
        """Sum up the log in one file, so that opening the table reads little."""
        table = self._snapshot.table
        assert table is not None
        table.create_checkpoint()
        return 0

    def vacuum(self, older_than: timedelta) -> int:
        """Remove files which the table does not need, once older than this; return how many.

        They come from compaction, from deleting, and from writers that were killed before their commit.
        """
        table = self._snapshot.table
        assert table is not None
        hours = older_than // timedelta(hours=1)
        # Looked for first, because a vacuum leaves two commits in the log also when there is nothing.
        if found := table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True):
            table.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
        return len(found) + self._remove_staged(older_than)

    def _remove_staged(self, older_than: timedelta) -> int:
        """Remove what was being written to a local disk, and never got its name, when its writer was killed."""
        folder = self._snapshot.location.folder
        if folder is None:
            return 0
        removed = 0
        for file in [*folder.glob("*#[0-9]*"), *folder.glob("_delta_log/*#[0-9]*"), *folder.glob("_delta_log/*.tmp")]:
            with suppress(FileNotFoundError):  # another process may be as tidy
                if time() - file.stat().st_mtime >= older_than.total_seconds():
                    file.unlink()
                    removed += 1
        return removed
