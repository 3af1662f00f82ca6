"""``PipelineRecords``: the rows of a node, and the computed record of each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of, scalar_of
from orcapod.compute import pc
from orcapod.datagrams import Chunk, source_info_name
from orcapod.hashing import recipes
from orcapod.protocols import Database, RecordPath
from orcapod.records.members import Members
from orcapod.records.result_cache import RECORD_ID
from orcapod.records.states import RUN_ID, GivenEntries
from orcapod.types import Schema

__all__ = ["INCOMPLETE", "NoOpRecords", "PipelineRecords"]

ROW_ID = "__entry_id"
INCOMPLETE = "__incomplete"


class PipelineRecords:
    """Records of the rows of a function node: tags, id of the result, and provenance of the inputs.

    The same packet under two tags is one result and two records. A row that is made of what is left of an incomplete
    group is another than the same row made of a whole one, and says so.

    Args:
        database: where they are stored.
        path: under which path.
        columns: those that the function takes; the provenance of others is no part of a record, and
            a stream may have thousands.
        run_id: the run that writes what is new; nobody's, if it is empty.

    Attributes:
        given: which rows were given on.
    """

    def __init__(self, database: Database, path: RecordPath, columns: Collection[str], *, run_id: str = "") -> None:
        self.given = GivenEntries(is_certain=not getattr(database, "adds_late", False))
        self._database = database
        self._members = Members(database)
        self._path = path
        self._columns = tuple(columns)
        self._run_id = run_id

    def add(self, rows: Chunk, ids: Sequence[bytes], *, fresh: bool) -> None:
        """Store the rows that are not there yet.

        Args:
            rows: input rows of the node.
            ids: the record that was computed from each.
            fresh: whether none of the records was there before, so that no row can be.
        """
        batch, keys = _entries(rows, ids)
        inputs = [name for name in self._columns if name in rows.schema.packets]
        columns: dict[str, Any] = {ROW_ID: array_of(keys, pa.large_binary())}
        columns |= dict(zip(batch.schema.names, batch.columns, strict=True))
        columns |= {source_info_name(name): rows.source_info(name) for name in inputs}
        columns[RUN_ID] = pa.repeat(scalar_of(self._run_id or None, pa.large_string()), len(keys))
        records, new = pa.table(columns), keys
        if not fresh:
            existing = self._existing(keys)
            rows_left = [row for row, key in enumerate(keys) if key not in existing]
            new = [keys[row] for row in rows_left]
            if len(new) < len(keys):
                records = records.take(array_of(rows_left, pa.int64()))
        own = set(new)
        if own and self._database.add_records(self._path, self._members.pack(records)) < len(
            own
        ):  # another run was first with some
            own &= self._existing(new, self._run_id)
        self.given.add(keys, own=own if self._run_id else ())

    def count(self, rows: Chunk, ids: Sequence[bytes]) -> int:
        """Return how many of these rows are recorded, with these results."""
        _, keys = _entries(rows, ids)
        existing = self._existing(keys)
        return sum(key in existing for key in keys)

    def _existing(self, keys: Sequence[bytes], run_id: str = "") -> set[bytes]:
        """Return which of these keys are there; which this run has written, if it is named."""
        there = self._database.get_records_by_ids(self._path, keys, [RUN_ID] if run_id else [])
        if run_id and there.num_rows:
            there = there.filter(pc.equal(there.column(RUN_ID), scalar_of(run_id, pa.large_string())))
        existing: list[Any] = there.column(0).to_pylist() if there.num_rows else []
        return set(existing)


class NoOpRecords:
    """Records of functions that are used outside a pipeline: their rows are nobody's."""

    def __init__(self) -> None:
        self.given = GivenEntries()

    def add(self, rows: Chunk, ids: Sequence[bytes], *, fresh: bool) -> None:
        pass

    def count(self, rows: Chunk, ids: Sequence[bytes]) -> int:
        return 0


def _entries(rows: Chunk, ids: Sequence[bytes]) -> tuple[pa.RecordBatch, list[bytes]]:
    """Return what identifies rows with their results, and its hashes."""
    identifying = rows.schema.tags | rows.schema.system_tags | Schema({RECORD_ID: bytes})
    batch = rows.batch.select([*rows.schema.tags, *rows.schema.system_tags])
    batch = batch.append_column(RECORD_ID, array_of(ids, pa.large_binary()))
    keys = recipes.entry_ids(batch, identifying)
    if rows.completeness is not None and pc.any(partial := rows.completeness.cast(pa.bool_())).as_py():
        batch = batch.append_column(INCOMPLETE, partial)
        marked = recipes.entry_ids(batch, identifying | Schema({INCOMPLETE: bool}))
        keys = [
            new if is_partial else key for key, new, is_partial in zip(keys, marked, partial.to_pylist(), strict=True)
        ]
    return batch, keys
