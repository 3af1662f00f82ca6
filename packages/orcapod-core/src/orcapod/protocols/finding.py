"""``FindingDatabaseProtocol``: a store that looks for values of columns where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa

from orcapod.compute import pc
from orcapod.protocols.database import Database, RecordPath

__all__ = ["FindingDatabaseProtocol", "find_records"]

_MOST_VALUES = 1000  # beyond which a store is better read as a whole


@runtime_checkable
class FindingDatabaseProtocol(Protocol):
    """Database that finds the few records that are wanted without handing on all others; others are read as a whole."""

    def find_records(
        self, path: RecordPath, values: Mapping[str, pa.Array[Any]], columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Return the records in which these columns have one of these values, in the order they were added.

        Args:
            path: where to look; an unknown one gives no columns.
            values: for each column some values of its type, at most a thousand: texts, bytes, integers, booleans,
                dates, times, or lists of such; no nulls.
            columns: the columns wanted, all if None; the key comes first in any case.

        Raises:
            RecordSchemaError: a column that is wanted or named is not there.
        """
        ...


def find_records(
    database: Database, path: RecordPath, values: Mapping[str, pa.Array[Any]], columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the same of any store, and of any number of values that are no lists."""
    if isinstance(database, FindingDatabaseProtocol) and all(len(some) <= _MOST_VALUES for some in values.values()):
        return database.find_records(path, values, columns)
    conditions = [pc.field(name).isin(some) for name, some in values.items()]
    return database.get_records(path, columns, reduce(and_, conditions) if conditions else None)
