"""What is stored of records that are known by their ids, and of what rows are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.datagrams import SOURCE_INFO
from orcapod.protocols import Database, RecordPath, files_folder_of
from orcapod.records import PRUNED, RECORD_ID, Members, Stubs, result_path
from orcapod.types import with_current_files

__all__ = ["has_values", "provenance_at", "results_at"]

_MANY = 100_000


def results_at(
    database: Database, path: RecordPath, ids: pa.ChunkedArray[Any], columns: Sequence[str] | None = None
) -> pa.Table:
    """Return what is stored of records of a node at a path, in their order; null where nothing is.

    Of results whose values were pruned, what is left of them; then there is a column that says when that was.

    Args:
        database: the store.
        path: of the node.
        ids: the records.
        columns: which of their columns are read, the id first in any case; all if None.
    """
    wanted: list[Any] = pc.unique(ids).to_pylist()
    results = result_path(path[:-1])
    if len(wanted) < _MANY:
        found = database.get_records_by_ids(results, wanted, columns)
    else:  # as many are found sooner by reading all
        found = database.get_records(results, columns)
    found = with_current_files(found, files_folder_of(database))
    if not found.num_columns:
        return pa.table({RECORD_ID: pa.nulls(len(ids), pa.large_binary())})
    gone = pc.unique(ids.filter(pc.invert(pc.is_in(ids, value_set=found.column(RECORD_ID).combine_chunks()))))
    if (stubs := Stubs(database, path[:-1]).among(gone.to_pylist())).num_rows:
        found = pa.concat_tables([found, stubs], promote_options="default")
    return found.take(pc.index_in(ids, value_set=found.column(RECORD_ID).combine_chunks()))


def has_values(results: pa.Table) -> Any:
    """Say of which results, as ``results_at`` gives them, the values are there."""
    there = results.column(RECORD_ID).is_valid()
    return pc.and_(there, results.column(PRUNED).is_null()) if PRUNED in results.column_names else there


def provenance_at(view: Database, path: RecordPath, keys: pa.ChunkedArray[Any]) -> pa.Table:
    """Return what the rows of a node are made of whose records have these keys, in their order.

    Args:
        view: where their pipeline keeps its records.
        path: under which path.
        keys: of their records.
    """
    wanted: list[Any] = pc.unique(keys).to_pylist()
    found = Members(view).unpack(view.get_records_by_ids(path, wanted))
    names = [name for name in found.column_names if name.startswith(SOURCE_INFO)]
    return found.select(names).take(pc.index_in(keys, value_set=found.column(0).combine_chunks()))
