"""``Store``: what a store of records tells: its pipelines, runs, nodes, rows, logs and code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import reduce
from operator import and_
from typing import Any, NamedTuple, Self

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import Expression, pc
from orcapod.databases import open_database
from orcapod.errors import DatabaseError, LabelError, UnknownRunError
from orcapod.hashing import ContentHash, Part
from orcapod.ledger.duckdb_engine import answer
from orcapod.ledger.node_views import named_views, node_paths
from orcapod.ledger.run_summary import NodeSummary, RunSummary, runs_of
from orcapod.protocols import Database, RecordPath, ViewingDatabaseProtocol, checked_database
from orcapod.records import ENVIRONMENTS, RECORD_ID, RUN_STARTS, CodeRecords, NodeStates, result_path

__all__ = ["GivenRows", "Store", "open_store"]

_MADE = {"__run_id": "run_id", "__timestamp": "timestamp", "__seconds": "seconds"}
"""What is told of a result beside its outputs, and under which name."""


def open_store(store: Database | str | os.PathLike[str] | Mapping[str, object]) -> Store:
    """Open a store to look at what is in it: runs, rows, logs, code. Nothing of it is ever written.

    Args:
        store: a URL (``sqlite:///lab.db``), the path of an SQLite file, what ``to_config`` of a store gave, or a
            database, which stays open when the store is closed.

    Raises:
        ConfigError: it is nothing of that kind.
        DatabaseError: it cannot be opened.
    """
    if isinstance(store, str | os.PathLike | Mapping):
        return Store(open_database(store), is_owned=True)
    return Store(checked_database(store), is_owned=False)


class GivenRows(NamedTuple):
    """Rows that a node gave in a run.

    Attributes:
        tags: the names of their tags.
        outputs: the names of what the function gave.
        table: the rows.
    """

    tags: list[str]
    outputs: list[str]
    table: pa.Table


class Store:
    """A store of records, opened to be looked at; a context manager that closes itself.

    Runs are named by their ``run_id``, or by a beginning of it that no other run has.

    Args:
        database: where the records are.
        is_owned: whether it is closed with the store.
    """

    def __init__(self, database: Database, *, is_owned: bool) -> None:
        self.database = database
        self._is_owned = is_owned

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines that have run here, their parts joined by ``/``."""
        return ["/".join(name) for name in self._pipelines()]

    def runs(self, pipeline: str | None = None) -> pa.Table:
        """Return a row for each run, in the order in which they began.

        Args:
            pipeline: only those of a pipeline; of all if None.

        Returns:
            ``run_id``, ``pipeline``, ``started``, ``ended``, ``outcome``, ``computed``, ``cached``, ``failed``,
            ``note`` and ``tags``; see ``RunSummary``.
        """
        instant, text, number = pa.timestamp("us", "UTC"), pa.large_string(), pa.int64()
        types: dict[str, pa.DataType] = {"run_id": text, "pipeline": text, "started": instant, "ended": instant}
        types |= {"outcome": text, "computed": number, "cached": number, "failed": number, "note": text}
        types |= {"tags": pa.map_(text, text)}
        rows = [
            {
                **{name: getattr(run, name) for name in ("run_id", "started", "ended", "outcome", "note")},
                "pipeline": "/".join(run.pipeline),
                "tags": list(run.tags.items()),
                **{
                    state: sum(node.counts.get(state, 0) for node in run.nodes.values())
                    for state in ("computed", "cached", "failed")
                },
            }
            for run in self._runs(pipeline)
        ]
        return pa.Table.from_pylist(rows, schema=pa.schema(types))

    def run(self, run_id: str) -> RunSummary:
        """Return one run.

        Args:
            run_id: its name, or the beginning of it.

        Raises:
            UnknownRunError: no run, or more than one, is called so.
        """
        name = Checks("run").text("run_id", run_id)
        runs = self._runs()
        if found := [run for run in runs if run.run_id == name]:
            return found[0]
        found = [run for run in runs if run.run_id.startswith(name)] if name else runs
        if len(found) != 1:
            names = [run.run_id for run in (found or runs)[-3:]]
            raise UnknownRunError(
                f"found {len(found)} runs whose name begins with {run_id!r}, expected one; the last of "
                f"{'them' if found else 'all'}: {', '.join(names) or 'none'}",
                found=repr(run_id),
            )
        return found[0]

    def nodes(self, run_id: str) -> Mapping[str, NodeSummary]:
        """Return the function nodes of a run by label.

        Raises:
            UnknownRunError: no run, or more than one, is called so.
        """
        return self.run(run_id).nodes

    def rows(self, pipeline: str, node: str, run: str | None = None) -> pa.Table:
        """Return the rows that a node gave: tags and outputs, and what is known of each.

        Args:
            pipeline: the name of its pipeline.
            node: its label.
            run: the run that gave them; the last whole one if None.

        Returns:
            the tags and the outputs, as they are stored; then the ``record_id`` as text, the ``run_id`` that computed
            it, the ``timestamp`` when and the ``seconds`` how long.

        Raises:
            UnknownRunError: there is no such run of the pipeline, or none at all.
            LabelError: it had no such node.
        """
        return self.given_rows(pipeline, node, run).table

    def given_rows(self, pipeline: str, node: str, run: str | None = None) -> GivenRows:
        """Return the same, and which columns are tags and which are outputs."""
        _, summary = self.node(pipeline, node, run)
        entries = self.entries(pipeline, node, run)
        tags = [name for name in entries.column_names if not name.startswith("_")]
        ids: list[Any] = entries.column(RECORD_ID).to_pylist() if entries.num_columns else []
        results = self.database.get_records_by_ids(result_path(summary.path[:-1]), ids)
        if not results.num_rows:
            return GivenRows(tags, [], entries.select(tags))
        outputs = [name for name in results.column_names if not name.startswith("__")]
        known = results.column(RECORD_ID).combine_chunks()
        given = results.take(pc.index_in(entries.column(RECORD_ID), value_set=known))
        columns: dict[str, Any] = {name: entries.column(name) for name in tags}
        columns |= {name: given.column(name) for name in outputs}
        columns["record_id"] = pa.array([record_id.hex() for record_id in ids], pa.large_string())
        columns |= {shown: given.column(name) for name, shown in _MADE.items()}
        return GivenRows(tags, outputs, pa.table(columns))

    def entries(self, pipeline: str, node: str, run: str | None = None) -> pa.Table:
        """Return the records of the rows that a node gave, as docs/records.md describes them; see ``rows``."""
        begun, summary = self.node(pipeline, node, run)
        return NodeStates(self.database.at(*begun.pipeline), summary.path, node).entries(summary.state)

    def node(self, pipeline: str, node: str, run: str | None = None) -> tuple[RunSummary, NodeSummary]:
        """Return a run and one of its function nodes; see ``rows``."""
        ended = [each for each in self._runs(pipeline) if each.ended is not None]
        if run is not None:
            begun = self.run(run)
        elif ended:
            begun = ended[-1]
        else:
            raise UnknownRunError(f"found no run of pipeline {pipeline!r} that has ended; found {self.pipelines()}")
        if node not in begun.nodes:
            raise LabelError(f"run {begun.run_id} had no function node {node!r}; it had {list(begun.nodes)}", node=node)
        return begun, begun.nodes[node]

    def results(self, node: str, pipeline: str | None = None) -> pa.Table:
        """Return the rows that a node gave in its last whole run; see ``rows``.

        Args:
            node: its label.
            pipeline: the name of its pipeline; may be left out where one alone has such a node.

        Raises:
            LabelError: no pipeline has such a node, or several have.
        """
        check = Checks("results", LabelError)
        check.text("the label", node)
        if pipeline is not None:
            check.text("the pipeline", pipeline)
        names = [name for name in self._pipelines() if pipeline in (None, "/".join(name))]
        having = ["/".join(name) for name in names if node in node_paths(self.database, name)]
        if len(having) != 1:
            raise LabelError(
                f"found {len(having)} pipelines with a function node {node!r}, expected one; "
                f"{'say which' if having else 'there are'}: {having or self.pipelines()}",
                node=node,
                found=str(having),
            )
        return self.rows(having[0], node)

    def sql(self, statement: str) -> pa.Table:
        """Return the answer to an SQL statement that reads: tables of the store, and views of its nodes.

        A node has two, by the name of its pipeline and its label: ``"study.bmi"`` has its present rows and
        ``"study.bmi_history"`` all that it ever gave; both names are quoted. See docs/records.md.

        Args:
            statement: one SELECT, in the words of the store's own engine, SQLite or PostgreSQL; in those of DuckDB
                for every other store.

        Raises:
            DatabaseError: it is no such statement.
            PluginError: DuckDB is needed, and not installed.
        """
        text = Checks("sql", DatabaseError).text("the statement", statement)
        views = named_views(self.database, self._pipelines(), text)
        if isinstance(self.database, ViewingDatabaseProtocol):
            return self.database.query(text, views)
        return answer(self.database, text, views)

    def logs(
        self,
        run: str | None = None,
        node: str | None = None,
        tag: Mapping[str, object] | None = None,
        *,
        failed: bool | None = None,
    ) -> pa.Table:
        """Return what functions wrote, and how they failed, in the order of time.

        Args:
            run: only in one run.
            node: only of one node.
            tag: only of rows with these tags; some of them are enough.
            failed: only of packets that failed, or only of those that did not.
        """
        success = None if failed is None else pc.field("__success") == pc.scalar(not failed)
        return self._told("_log", run, node, tag, success)

    def statuses(
        self, run: str | None = None, node: str | None = None, tag: Mapping[str, object] | None = None
    ) -> pa.Table:
        """Return what happened to packets, in the order of time; see ``logs``."""
        return self._told("_status", run, node, tag, None)

    def failures(self, run: str) -> pa.Table:
        """Return what the functions of a run wrote whose packets failed."""
        return self.logs(run, failed=True)

    def code(self, fingerprint: str | ContentHash) -> tuple[Part, ...]:
        """Return the parts of a function's code, each with its source, given its fingerprint.

        Raises:
            UnknownCodeError: the store does not know it.
        """
        given = fingerprint if isinstance(fingerprint, ContentHash) else ContentHash.parse(fingerprint)
        return CodeRecords(self.database).parts(given)

    def environment(self, run: str) -> Mapping[str, Any]:
        """Return what a run ran on: Python, platform, packages (JSON) and state of git; nothing while it goes on."""
        begun = self.run(run)
        view = self.database.at(*begun.pipeline)
        found: list[Any] = view.get_records_by_ids(ENVIRONMENTS, [begun.environment_id]).to_pylist()
        return {name.removeprefix("__"): value for name, value in found[0].items()} if found else {}

    def close(self) -> None:
        """Let go of the store; a database that was given stays open."""
        if self._is_owned:
            self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.database!r}>"

    def _pipelines(self) -> list[RecordPath]:
        return [path[:-1] for path in self.database.list_paths() if path[-1:] == RUN_STARTS]

    def _runs(self, pipeline: str | None = None) -> list[RunSummary]:
        names = [name for name in self._pipelines() if pipeline in (None, "/".join(name))]
        return sorted((run for name in names for run in runs_of(self.database, name)), key=lambda run: run.run_id)

    def _told(
        self,
        room: str,
        run: str | None,
        node: str | None,
        tag: Mapping[str, object] | None,
        condition: Expression | None,
    ) -> pa.Table:
        """Return rows of logs or statuses of all pipelines."""
        wanted = [] if condition is None else [condition]
        if run is not None:
            wanted.append(pc.field("__run_id") == self.run(run).run_id)
        if node is not None:
            wanted.append(pc.field("__node_label") == node)
        tags = {name: str(value) for name, value in (tag or {}).items()}
        tables = []
        for path in self.database.list_paths():
            if not any(path[: len(name) + 1] == (*name, room) for name in self._pipelines()):
                continue
            if tags and not tags.keys() <= {*self.database.get_records_by_ids(path, []).column_names}:
                continue
            where = [*wanted, *(pc.field(name) == value for name, value in tags.items())]
            tables.append(self.database.get_records(path, where=reduce(and_, where) if where else None))
        found = pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
        return found.sort_by("__timestamp") if found.num_columns else found
