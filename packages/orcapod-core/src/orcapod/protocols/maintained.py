"""``MaintainedDatabaseProtocol``: a store that knows how large it is, and can give back what nothing needs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

from orcapod.protocols.database import RecordPath

__all__ = ["MaintainedDatabaseProtocol", "TableSize"]


class TableSize(NamedTuple):
    """Size of the table of a path.

    Attributes:
        path: whose records it has.
        rows: how many they are.
        bytes: how many bytes they take, or about how many where the store cannot say it exactly.
    """

    path: RecordPath
    rows: int
    bytes: int


@runtime_checkable
class MaintainedDatabaseProtocol(Protocol):
    """Database that says how large its tables are without reading them, and shrinks; of others, tables are read."""

    def table_sizes(self) -> Iterable[TableSize]:
        """Give the sizes of all tables with records below this view's prefix, with paths relative to it."""
        ...

    def reclaim(self) -> None:
        """Give back the space of records that were deleted, as far as others who read and write allow it now.

        Raises:
            DatabaseError: it cannot be done; nothing is lost then.
        """
        ...
