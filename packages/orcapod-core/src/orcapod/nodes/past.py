"""``Past``: what a function node gave in runs that have ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, StreamSchema
from orcapod.errors import LabelError, SchemaError
from orcapod.execution import found_results
from orcapod.nodes.node import Node
from orcapod.operators import Filter
from orcapod.protocols import Database
from orcapod.records import RECORD_ID, SINCE, UNTIL, NodeStates, ResultCache, RunLedger
from orcapod.types import Schema

__all__ = ["Past"]

_NOTHING = Schema({})


class Past:
    """Rows that a function node gave, as tables of tags and outputs.

    Args:
        node: the node.
        database: where its pipeline keeps records.
        results: where its results are.
    """

    def __init__(self, node: Node, database: Database, results: ResultCache) -> None:
        self._node = node
        self._database = database
        self._results = results
        self._states = NodeStates(database, node.path, node.label)

    def at(self, run_id: str) -> pa.Table:
        """Return the rows that it gave in a run; see ``FunctionNode.at``."""
        states, label = RunLedger(self._database).states(Checks("at").text("run_id", run_id)), self._node.label
        if label not in states:
            raise LabelError(f"run {run_id} had no function node {label!r}; it had {list(states)}", node=label)
        path, number = states[label]
        if path != self._node.path:
            raise LabelError(
                f"run {run_id} had another node {label!r}, with other columns or made of others: its rows are "
                f"below {'/'.join(path)}",
                node=label,
            )
        return self._rows(self._states.entries(number, self._needed))

    def history(self, tags: Mapping[str, Any]) -> pa.Table:
        """Return the rows that it ever gave, and in which runs; see ``FunctionNode.history``."""
        known = self._node.schema.tags
        if unknown := [name for name in tags if name not in known]:
            raise SchemaError(
                f"history: node {self._node.label!r} has no tag {unknown[0]!r}; found {list(known)}, name some "
                "of these",
                column=unknown[0],
                found=str(list(known)),
            )
        filtered = Filter(tags) if tags else None
        if filtered is not None:
            filtered.output_schema([self._node])
        entries = self._states.unpacked(self._states.read(self._needed))
        if filtered is not None and entries.num_rows:
            schema = StreamSchema(known, _NOTHING, _NOTHING, _NOTHING)
            chunks = [filtered.apply(Chunk(batch, schema, {}), schema) for batch in entries.to_batches()]
            entries = pa.Table.from_batches([chunk.batch for chunk in chunks], entries.schema)
        past = self._states.history(entries)
        rows = self._rows(past, shows_pruned=True)
        for name in (SINCE, UNTIL):
            rows = rows.append_column(name, past.column(name))
        return rows

    def _needed(self, column: str) -> bool:
        return column == RECORD_ID or column in self._node.schema.tags

    def _rows(self, entries: pa.Table, *, shows_pruned: bool = False) -> pa.Table:
        """Return the tags and outputs of entries; of those that were pruned nulls, if these are to be shown."""
        tags, packets = self._node.schema.tags.arrow, self._node.schema.packets.arrow
        if shows_pruned:
            packets = pa.schema([field.with_nullable(True) for field in packets])
        schema = pa.schema([*tags, *packets])
        if not entries.num_rows:
            return schema.empty_table()
        ids: list[Any] = entries.column(RECORD_ID).to_pylist()
        if shows_pruned and (pruned := self._results.pruned(ids)):
            ids = [None if record_id in pruned else record_id for record_id in ids]
        found = found_results(self._results, ids)
        columns = [entries.column(name) for name in self._node.schema.tags]
        columns += [found.column(name) for name in self._node.schema.packets]
        return pa.Table.from_arrays(columns, schema=schema)
