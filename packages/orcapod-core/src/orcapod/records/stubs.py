"""``Stubs``: what is left of results whose values were pruned."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from orcapod.errors import DamagedRecordError, DatabaseError, PrunedResultError
from orcapod.protocols import Database
from orcapod.records.address import RECORD_ID, FunctionUri, stub_path

__all__ = ["PRUNED", "STUB_COLUMNS", "Stubs", "lost_results"]

STUB_COLUMNS = (RECORD_ID, "__packet_hash", "__code", "__run_id", "__timestamp", "__seconds")
"""What stays of a result: what it was made of, by what, when and how long it took."""
PRUNED = "__pruned"


class Stubs:
    """Table ``_pruned/<uri>`` of a store: one row for each result of a function whose values were removed.

    Where the result is there as well, since it was computed again or its removal was cut short, the result counts.

    Args:
        database: the store of the results.
        uri: of the function.
    """

    def __init__(self, database: Database, uri: FunctionUri) -> None:
        self._database = database
        self._path = stub_path(uri)

    def add(self, results: pa.Table) -> None:
        """Store what is to be left of results."""
        now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
        stubs = results.select(list(STUB_COLUMNS)).append_column(PRUNED, pa.repeat(now, results.num_rows))
        self._database.add_records(self._path, stubs)

    def among(self, ids: Sequence[bytes]) -> pa.Table:
        """Return the stubs of these records: ``STUB_COLUMNS``, and ``__pruned``, when the values went."""
        return self._database.get_records_by_ids(self._path, ids)


def lost_results(database: Database, uri: FunctionUri, ids: Sequence[bytes]) -> DatabaseError:
    """Return the error for results that are needed and not there.

    Args:
        database: the store of the results.
        uri: of their function.
        ids: their record ids; at least one.
    """
    pruned = Stubs(database, uri).among(ids)
    if pruned.num_rows:
        keys: list[Any] = pruned.column(0).to_pylist()
        when = pruned.column(PRUNED)[0].as_py()
        return PrunedResultError(
            f"the values of {len(keys)} results of {uri[0]} were pruned, those of {RECORD_ID} {keys[0].hex()} on "
            f"{when:%Y-%m-%d}; what is known of them is below {'/'.join(stub_path(uri))}; a run that needs them "
            "computes them again",
            keys=keys,
            found=keys[0].hex(),
        )
    return DamagedRecordError(
        f"the store no longer holds {len(ids)} results that are needed, {RECORD_ID} {ids[0].hex()} the first; "
        "something has removed them meanwhile; the next run computes them again",
        keys=ids,
        found=ids[0].hex(),
    )
