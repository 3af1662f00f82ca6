"""Views of nodes that a statement names, found in what runs have written."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter

from orcapod.arrow import rows_of
from orcapod.databases import view_names
from orcapod.protocols import Database, NodeView, RecordPath
from orcapod.records import RUN_ID, RUN_STARTS, RUNS, GraphRecords, result_path, totals_in

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
    """Return the function nodes that a pipeline ever had, as they came, by label, and where present rows of each are.

    That is where they were in the last run to end that gave all of them; if there is none, in the last that began.
    """
    view = database.at(*pipeline)
    planned = {(run_id, label): path for run_id, label, path in sorted(_planned(view), key=itemgetter(0))}
    paths = {label: path for (_, label), path in planned.items()}
    ends = rows_of(view.get_records(RUNS))
    for row in sorted(ends, key=lambda end: (end["__ended"], end[RUN_ID])):
        run_id = row[RUN_ID]
        complete = [label for label, node in totals_in(row).items() if node.is_complete]
        paths |= {label: planned[run_id, label] for label in complete if (run_id, label) in planned}
    return paths


def _planned(database: Database) -> Iterator[tuple[str, str, RecordPath]]:
    """Give in which run which node was to have its rows where."""
    starts = rows_of(database.get_records(RUN_STARTS))
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
