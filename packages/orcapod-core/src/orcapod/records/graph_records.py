"""``GraphRecords``: what pipelines are made of, written down once for all runs of which it is the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.errors import UnknownRunError
from orcapod.hashing import hash_structure
from orcapod.protocols import Database, RecordPath, decoding
from orcapod.records.address import GRAPHS

__all__ = ["GraphRecords", "NodeRecord"]


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Record of a node: what it is, whatever its rows are.

    Attributes:
        label: what it is called.
        kind: ``source``, ``function`` or ``operator``.
        name: the function's name, the operator's, or the id of the source.
        inputs: the labels of the nodes that it is made of.
        path: where its rows are, below the pipeline; empty where it has none.
        arguments: what an operator was told, as text.
        code: the fingerprint of what a function said.
    """

    label: str
    kind: str
    name: str
    inputs: tuple[str, ...] = ()
    path: RecordPath = ()
    arguments: str = ""
    code: str = ""


class GraphRecords:
    """Table ``_graphs`` of a pipeline: a row for each distinct plan, which runs refer to."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def store(self, nodes: Sequence[NodeRecord]) -> str:
        """Store a plan, each node behind what it is made of, unless it is there already; return its id."""
        text = json.dumps([asdict(node) for node in nodes])
        graph_id = str(hash_structure(text))
        if not self._database.get_records_by_ids(GRAPHS, [graph_id], []).num_rows:
            columns = {"__graph_id": graph_id, "__nodes": text}
            self._database.add_records(
                GRAPHS, pa.table({name: array_of([value], pa.large_string()) for name, value in columns.items()})
            )
        return graph_id

    def nodes(self, graph_id: str) -> tuple[NodeRecord, ...]:
        """Return the nodes of a plan.

        Raises:
            UnknownRunError: there is no such plan.
        """
        found: list[Any] = self._database.get_records_by_ids(GRAPHS, [graph_id]).to_pylist()
        if not found:
            raise UnknownRunError(f"found no plan {graph_id!r}, which a run had; restore the store from a copy")
        with decoding(GRAPHS, graph_id, "__nodes"):
            return tuple(_node(row) for row in json.loads(found[0]["__nodes"]))


def _node(row: dict[str, Any]) -> NodeRecord:
    return NodeRecord(**row | {"inputs": tuple(map(str, row["inputs"])), "path": tuple(map(str, row["path"]))})
