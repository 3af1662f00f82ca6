"""``NodeView``: rows of a node for other tools to see; ``ViewingDatabaseProtocol``: a store that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import pyarrow as pa

from orcapod.protocols.database import Database, RecordPath

__all__ = ["NodeView", "ViewingDatabaseProtocol"]


@dataclass(frozen=True, slots=True)
class NodeView:
    """View of the rows of a function node: which columns of which tables.

    Attributes:
        pipeline: under which path its pipeline's tables are.
        label: what the node is called.
        path: where its rows are, below that.
        tags: the names of their tags.
        outputs: the names of what the function gives.
        sources: the columns that say where its inputs come from.
    """

    pipeline: RecordPath
    label: str
    path: RecordPath
    tags: tuple[str, ...]
    outputs: tuple[str, ...]
    sources: tuple[str, ...]


@runtime_checkable
class ViewingDatabaseProtocol(Protocol):
    """Database that has an SQL engine of its own, in which other tools read it; of others, DuckDB reads the tables."""

    def place_view(self, view: NodeView, results: Database) -> None:
        """Show the rows of a node under its name, at present and ever, to whoever asks in SQL; nothing if they are.

        Args:
            view: what is to be shown.
            results: where its results are; not shown if that is another store.

        Raises:
            DatabaseError: the store does not take it.
        """
        ...

    def query(self, statement: str, views: Sequence[NodeView]) -> pa.Table:
        """Return the answer to an SQL statement, which may only read.

        Args:
            statement: in the words of the engine.
            views: those that it may name.

        Raises:
            DatabaseError: it is no statement that the engine understands, or one that would write.
        """
        ...
