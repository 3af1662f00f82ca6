"""Views of nodes that a statement names, found in what runs have written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orcapod.databases import view_names
from orcapod.protocols import Database, NodeView, RecordPath
from orcapod.records import RUN_ID, RUN_STARTS, GraphRecords, result_path, states_in

__all__ = ["named_views", "node_paths"]


def named_views(database: Database, pipelines: list[RecordPath], statement: str) -> list[NodeView]:
    """Return the views of nodes whose names are in a statement; maybe more of them than it means."""
    asked = statement.casefold()
    return [
        _view(database, pipeline, label, path)
        for pipeline in pipelines
        for label, path in node_paths(database, pipeline).items()
        if view_names(pipeline, label)[0].replace('"', '""').casefold() in asked
    ]


def node_paths(database: Database, pipeline: RecordPath) -> dict[str, RecordPath]:
    """Return the function nodes that a pipeline ever had, by label, and where the rows of each were last."""
    view = database.at(*pipeline)
    planned = {label: path for _, label, path in sorted(_planned(view))}
    return planned | {label: path for _, label, path in sorted(_placed(view))}


def _placed(database: Database) -> Iterator[tuple[str, str, RecordPath]]:
    """Give which run was the first to give the last rows of a node, and where these are."""
    for (label, path), states in states_in(database).items():
        yield states[-1].run_id, label, path


def _planned(database: Database) -> Iterator[tuple[str, str, RecordPath]]:
    """Give in which run which node was to have its rows where."""
    starts: list[Any] = database.get_records(RUN_STARTS).to_pylist()
    graphs = GraphRecords(database)
    plans = {graph_id: graphs.nodes(graph_id) for graph_id in {start["__graph_id"] for start in starts}}
    for start in starts:
        for node in plans[start["__graph_id"]]:
            if node.kind == "function":
                yield start[RUN_ID], node.label, node.path


def _view(database: Database, pipeline: RecordPath, label: str, path: RecordPath) -> NodeView:
    entries = database.get_records_by_ids((*pipeline, *path), []).column_names
    results = database.get_records_by_ids(result_path(path[:-1]), []).column_names
    tags, outputs = ([name for name in names if not name.startswith("_")] for names in (entries, results))
    sources = [name for name in entries if name.startswith("_source_")]
    return NodeView(pipeline, label, path, tuple(tags), tuple(outputs), tuple(sources))
