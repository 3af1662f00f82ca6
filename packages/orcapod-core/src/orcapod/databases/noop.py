"""``NoOpDatabase``: keeps nothing and answers that it has nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import pyarrow as pa

from orcapod.compute import Expression
from orcapod.errors import DatabaseError
from orcapod.protocols.database import Key, OnConflict, RecordPath

__all__ = ["NoOpDatabase"]


class NoOpDatabase:
    """Where records go that nobody wants: everything is accepted, nothing is ever there."""

    __slots__ = ()

    @property
    def max_record_bytes(self) -> None:
        """No limit: nothing is kept."""

    def at(self, *prefix: str) -> Self:
        """Itself: all views of nothing are equal."""
        return self

    def check_writable(self) -> None:
        """Everything is accepted."""

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Nothing is added."""
        return 0

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """A table of no columns."""
        return pa.table({})

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: Expression | None = None
    ) -> pa.Table:
        """A table of no columns."""
        return pa.table({})

    def list_paths(self) -> list[RecordPath]:
        """None."""
        return []

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Nothing was there."""
        return 0

    def flush(self) -> None:
        """Nothing is lost."""

    def close(self) -> None:
        """Nothing is open."""

    def to_config(self) -> Mapping[str, object]:
        """Its type is all there is to know."""
        return {"type": "noop"}

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return one; the only URL is ``noop://``."""
        if url != "noop://":
            raise DatabaseError(f"expected noop://, found {url}; what keeps nothing has no place")
        return cls()

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Self:  # noqa: ARG003  # the protocol's signature
        """One is like another."""
        return cls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "NoOpDatabase()"
