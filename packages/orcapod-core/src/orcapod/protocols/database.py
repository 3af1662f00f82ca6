"""What a store of records must be able to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, Self, runtime_checkable

import pyarrow as pa

from orcapod.compute import Expression

__all__ = ["Database", "Key", "OnConflict", "RecordPath"]

RecordPath = tuple[str, ...]
"""Where records are kept: one or more non-empty strings, of any characters."""

Key = str | bytes
"""What identifies a record within its path."""

OnConflict = Literal["skip", "raise"]
"""What to do with a record whose key is already there."""


@runtime_checkable
class Database(Protocol):
    """Arrow tables of records, kept under paths and found by key.

    The **first column** of every table is its key: strings or bytes, never null. The first writer
    wins: a key, once there, keeps its row. A path comes into being with its first records; later
    ones may bring new columns (older rows read null there) or leave some out (null), but a column
    keeps its type. Any Arrow type comes back as it went in, unions excepted; metadata and nullability of
    fields are not kept.

    ``at`` gives a view of the same store below a prefix; all views see what any of them wrote. Every
    method may be called from any thread. A database is a context manager that closes itself.
    """

    @property
    def max_record_bytes(self) -> int | None:
        """The bytes of the largest record that the store takes; None if there is no limit.

        The bytes are those of its values as the store keeps them. May be asked of a closed store, too.
        """
        ...

    def at(self, *prefix: str) -> Database:
        """Return a view of this store in which every path starts with ``prefix``."""
        ...

    def check_writable(self) -> None:
        """Check that records can be added here; a run does so before it computes anything.

        Raises:
            ReadOnlyStoreError: the store may only be read; says why, and what to do.
        """
        ...

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Add the rows whose keys are not there yet; give back how many were added.

        All rows are added, or, when this raises, none. A key that occurs twice in ``table`` is in
        conflict with itself: its first row wins.

        Raises:
            DuplicateKeyError: with ``on_conflict="raise"``, a key is there already, or twice in ``table``.
            RecordSchemaError: the columns do not fit what the path holds, or the first one is no key.
            ReadOnlyStoreError: the store may only be read.
            RecordTooLargeError: a record has more than ``max_record_bytes``. However many bytes all records
                have together, they are added.
        """
        ...

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records of these keys that are there, in no particular order; an unknown path gives no columns.

        Args:
            path: where to look.
            ids: keys; duplicates and unknown ones are fine.
            columns: the columns wanted, all if None; the key comes first in any case.
        """
        ...

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: Expression | None = None
    ) -> pa.Table:
        """Return all records of a path, in the order they were added; an unknown path gives no columns.

        Args:
            path: where to look.
            columns: the columns wanted, all if None; the key comes first in any case.
            where: only the rows for which this holds; it may name columns that are not wanted.

        Raises:
            RecordSchemaError: a column that is wanted or named is not there.
        """
        ...

    def list_paths(self) -> list[RecordPath]:
        """Return the paths that hold records below this view's prefix, relative to it, sorted."""
        ...

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Remove the records of these keys; give back how many were there."""
        ...

    def flush(self) -> None:
        """Return when everything added so far survives the end of the process, even ``kill -9``.

        Raises:
            DatabaseError: something could not be written, and is tried again by the next flush; everything else was.
                A run goes on for a while if the error ``is_transient``. A store that holds rows in memory until it is
                flushed has ``discard_failed``, too: see ``BufferingDatabaseProtocol``.
        """
        ...

    def close(self) -> None:
        """Flush, and let go of files and connections, for all views; closing twice is fine.

        Any other use of a closed store is a DatabaseError that says so.
        """
        ...

    def to_config(self) -> Mapping[str, object]:
        """Return what it takes to open this view again, as JSON values; never a secret.

        Its ``type`` is the name under which ``open_database`` finds the class.
        """
        ...

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the database at a URL whose scheme is a name under which ``open_database`` finds the class.

        Raises:
            DatabaseError: the URL is not of the form that the class expects, or the store cannot be opened.
        """
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Self:
        """Return the database that ``to_config`` described."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...
