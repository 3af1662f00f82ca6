"""``Maintenance``: keeps a table fast and small, however many commits it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from time import monotonic, time
from zlib import crc32

from deltalake.exceptions import CommitFailedError, DeltaError

from orcapod_delta.checkpoint import write_checkpoint
from orcapod_delta.faults import is_refusal
from orcapod_delta.snapshot import NO_CLEAN_UP, WRITER, Snapshot

__all__ = ["RETENTION", "Maintenance"]

RETENTION = timedelta(days=1)
"""Age at which files that no longer belong to a table go: others may still read or write them."""

_COMMITS = 4
"""Commits from one maintenance to the next: so many, at most, are read one by one by whoever opens the table."""

_MANY = 4
_TARGET = 64 << 20
"""Bytes of a file that is large enough."""

_SWEEP_SECONDS = 3600.0


class Maintenance:
    """Maintenance of one Delta table.

    Normal use does it at every fourth commit, tables taking turns: so what it costs to open a table and to look for
    keys in its files stays the same however many commits there were, and no run has to maintain all tables.

    Args:
        snapshot: the table.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._phase = crc32(snapshot.location.uri.encode())
        self._swept = -_SWEEP_SECONDS

    def size(self) -> tuple[int, int]:
        """Return how many rows are committed, and the bytes of their files."""
        return self._snapshot.num_rows, sum(each.file.size for each in self._snapshot.files)

    def after_commit(self) -> None:
        """Do what normal use does: remove orphans now and then, put small files together, and sum up the log."""
        version = self._snapshot.version
        assert version is not None
        is_due = version >= _COMMITS and (version + self._phase) % _COMMITS == 0
        is_near = self._snapshot.location.folder is not None
        if (is_due or is_near) and monotonic() - self._swept >= _SWEEP_SECONDS:
            self._swept = monotonic()
            # A vacuum reads the log, which in object storage takes longer than to list the files.
            if is_near or self._snapshot.may_have_orphans(time() - RETENTION.total_seconds()):
                self.vacuum(RETENTION)
            if is_near and not is_due:
                self._clean_log()
        if is_due:
            self._compact_small()
            with suppress(DeltaError, OSError):  # the next one will do it
                self.checkpoint()

    def _compact_small(self) -> None:
        """Put small files together, once there are some, and each larger one that the smaller ones outweigh.

        So files at least double with each time that their rows are written anew; and of what was put together, which
        others may read for a day, there is little at any time.
        """
        sizes = sorted(each.file.size for each in self._snapshot.files if each.file.size < _TARGET)
        sums = list(accumulate(sizes, initial=0))
        several = max((count for count, size in enumerate(sizes, 1) if size <= sums[count - 1]), default=0)
        if several >= _MANY:
            self._compact(min(_TARGET, sums[several] * 21 // 20))

    def compact(self) -> int:
        """Put small files together; return how many fewer there are."""
        return self._compact(_TARGET)

    def _compact(self, target_size: int) -> int:
        table = self._snapshot.table
        assert table is not None
        try:
            done = table.optimize.compact(
                target_size=target_size, writer_properties=WRITER, post_commithook_properties=NO_CLEAN_UP
            )
        except CommitFailedError as error:
            if is_refusal(error):
                raise
            return 0  # somebody else did it, or deleted rows: the next one will find it again
        return int(done["numFilesRemoved"]) - int(done["numFilesAdded"])

    def move_damaged_files_aside(self) -> list[str]:
        """Take the files that cannot be read out of the table; return which."""
        return self._snapshot.move_damaged_files_aside()

    def checkpoint(self) -> int:
        """Sum up the log in one file, so that opening the table reads little, and remove what is expired of it."""
        table, folder = self._snapshot.table, self._snapshot.location.folder
        assert table is not None
        if folder is None:
            table.create_checkpoint()
        else:
            write_checkpoint(folder)
        self._clean_log()
        return 0

    def _clean_log(self) -> None:
        """Remove what the log has of before the last checkpoint that is older than the retention."""
        table = self._snapshot.table
        assert table is not None
        with suppress(DeltaError, OSError):  # the next one will do it
            table.cleanup_metadata()

    def orphans(self, older_than: timedelta) -> list[str]:
        """Return the files which the table does not need and which are older than this, by their names below it.

        They come from compaction, from deleting, and from writers that were killed before their commit.
        """
        folder = self._snapshot.location.folder
        staged = [] if folder is None else [str(file.relative_to(folder)) for file in _staged(folder, older_than)]
        return [*self._unneeded(older_than), *staged]

    def vacuum(self, older_than: timedelta) -> int:
        """Remove these files; return how many."""
        removed, filesystem = 0, self._snapshot.location.filesystem()
        for name in self.orphans(older_than):  # not by deltalake, which leaves two commits in the log
            with suppress(FileNotFoundError):  # another process may be as tidy
                filesystem.delete_file(name)
                removed += 1
        return removed

    def _unneeded(self, older_than: timedelta) -> list[str]:
        table = self._snapshot.table
        assert table is not None
        hours = older_than // timedelta(hours=1)
        return table.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True)


def _staged(folder: Path, older_than: timedelta) -> Iterator[Path]:
    """Give what was being written to a local disk, and never got its name, when its writer was killed."""
    for pattern in ("*#[0-9]*", "_delta_log/*#[0-9]*", "_delta_log/*.tmp"):
        for file in folder.glob(pattern):
            with suppress(FileNotFoundError):  # another process may be as tidy
                if time() - file.stat().st_mtime >= older_than.total_seconds():
                    yield file
