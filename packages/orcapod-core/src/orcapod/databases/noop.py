"""``NoOpDatabase``: a store of nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import Expression
from orcapod.display import discreet
from orcapod.errors import DatabaseError
from orcapod.protocols.database import Key, OnConflict, RecordPath

__all__ = ["NoOpDatabase"]


class NoOpDatabase:
    """Store of nothing: everything is accepted, nothing is ever there."""

    __slots__ = ()

    @property
    def max_record_bytes(self) -> None:
        """No limit: nothing is stored."""

    def at(self, *prefix: str) -> Self:
        """Return itself: all views of nothing are equal."""
        return self

    def check_writable(self) -> None:
        """Raise nothing: everything is accepted."""

    def add_records(self, path: RecordPath, table: pa.Table, *, on_conflict: OnConflict = "skip") -> int:
        """Add nothing."""
        return 0

    def get_records_by_ids(
        self, path: RecordPath, ids: Sequence[Key], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return a table of no columns."""
        return pa.table({})

    def get_records(
        self, path: RecordPath, columns: Sequence[str] | None = None, where: Expression | None = None
    ) -> pa.Table:
        """Return a table of no columns."""
        return pa.table({})

    def list_paths(self) -> list[RecordPath]:
        """Return no path."""
        return []

    def delete_records(self, path: RecordPath, ids: Sequence[Key]) -> int:
        """Delete nothing."""
        return 0

    def flush(self) -> None:
        """Do nothing: there is nothing to lose."""

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def to_config(self) -> Mapping[str, object]:
        """Return its type, which is all there is to know."""
        return {"type": "noop"}

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return one; the only URL is ``noop://``."""
        if Checks("NoOpDatabase", DatabaseError).text("the URL", url) != "noop://":
            raise DatabaseError(f"expected noop://, found {discreet(url)}; what keeps nothing has no place")
        return cls()

    @classmethod
    def from_config(cls, config: Mapping[str, object]) -> Self:  # noqa: ARG003  # the protocol's signature
        """Return one: all are alike."""
        return cls()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "NoOpDatabase()"
