"""Views of nodes that a statement names, found in what runs have written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from operator import itemgetter

from orcapod.arrow import rows_of
from orcapod.databases import free_view_name, view_names
from orcapod.protocols import Database, NodeView, RecordPath
from orcapod.records import RUN_ID, RUN_STARTS, RUNS, GraphRecords, result_path, totals_in

__all__ = ["ViewNames", "named_views", "node_paths"]

_Since = tuple[datetime, int]
"""When a node gave all of its rows for the first time, and which of its pipeline it is."""
_NEVER = datetime.max.replace(tzinfo=UTC)


ViewNames = Mapping[tuple[RecordPath, str], tuple[str, str]]
"""What the two views of each node of a store are called, by pipeline and label."""


def named_views(database: Database, pipelines: list[RecordPath], statement: str) -> tuple[list[NodeView], ViewNames]:
    """Return the views of nodes whose names are in a statement, maybe more of them than it means; and all names.

    The names are those of a store that keeps what it has called a view: who came first, with a whole run, keeps it.
    """
    nodes = {pipeline: _nodes(database, pipeline) for pipeline in pipelines}
    in_order = sorted(
        (since, pipeline, label) for pipeline, found in nodes.items() for label, (_, since) in found.items()
    )
    taken: list[str] = []
    for _, pipeline, label in in_order:
        for wanted in view_names(pipeline, label):
            taken.append(free_view_name(wanted, taken))
    pairs = zip(taken[::2], taken[1::2], strict=True)
    names = {(pipeline, label): pair for (_, pipeline, label), pair in zip(in_order, pairs, strict=True)}
    asked = statement.casefold()
    views = [
        _view(database, pipeline, label, nodes[pipeline][label][0])
        for pipeline, label in names
        if view_names(pipeline, label)[0].replace('"', '""').casefold() in asked
    ]
    return views, names


def node_paths(database: Database, pipeline: RecordPath) -> dict[str, RecordPath]:
    """Return the function nodes that a pipeline ever had, as they came, by label, and where present rows of each are.

    That is where they were in the last run to end that gave all of them; if there is none, in the last that began.
    """
    return {label: path for label, (path, _) in _nodes(database, pipeline).items()}


def _nodes(database: Database, pipeline: RecordPath) -> dict[str, tuple[RecordPath, _Since]]:
    """Return the function nodes of a pipeline by label: where their rows are, and since when they are there."""
    view = database.at(*pipeline)
    planned = {(run_id, label): path for run_id, label, path in sorted(_planned(view), key=itemgetter(0))}
    paths = {label: path for (_, label), path in planned.items()}
    order = {label: at for at, label in enumerate(paths)}
    found = {label: (path, (_NEVER, order[label])) for label, path in paths.items()}
    ends = rows_of(view.get_records(RUNS))
    for row in sorted(ends, key=lambda end: (end["__ended"], end[RUN_ID])):
        run_id = row[RUN_ID]
        for label, node in totals_in(row).items():
            if node.is_complete and (run_id, label) in planned:
                since = min(found[label][1], (row["__ended"], order[label]))
                found[label] = planned[run_id, label], since
    return found


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
