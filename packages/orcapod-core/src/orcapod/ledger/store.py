"""``Store``: what a store of records tells: its pipelines, runs, nodes, rows, logs and code."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.databases.open import open_existing
from orcapod.errors import DatabaseError, LabelError, UnknownRunError
from orcapod.hashing import ContentHash, Part
from orcapod.ledger.duckdb_engine import answer
from orcapod.ledger.lineage import Impact, check_source, descendants, impacts, lineage
from orcapod.ledger.logs import told_in
from orcapod.ledger.node_entries import only_row
from orcapod.ledger.node_rows import with_results
from orcapod.ledger.node_views import named_views, node_paths
from orcapod.ledger.provenance import ComputedRow
from orcapod.ledger.recent_runs import last_run, run_called
from orcapod.ledger.routes import NodeInRun
from orcapod.ledger.run_names import pipelines_in
from orcapod.ledger.run_summary import NodeSummary, RunSummary, ended_runs, environment_of, runs_of, runs_table
from orcapod.ledger.size import store_sizes
from orcapod.ledger.trace import Tracer
from orcapod.protocols import (
    Database,
    MaintainedDatabaseProtocol,
    RecordPath,
    ViewingDatabaseProtocol,
    checked_database,
)
from orcapod.records import CodeRecords, NodeStates

__all__ = ["Store", "open_store"]

_BESIDE = ("-wal", "-shm", "-journal")
"""How files end that SQLite keeps beside its own."""


def open_store(store: Database | str | os.PathLike[str] | Mapping[str, object]) -> Store:
    """Open a store to look at what is in it: runs, rows, logs, code. Nothing of it is written, but by ``compact``.

    Args:
        store: a URL (``sqlite:///lab.db``), the path of an SQLite file, what ``to_config`` of a store gave, or a
            database, which stays open when the store is closed.

    Raises:
        ConfigError: it is nothing of that kind.
        DatabaseError: it cannot be opened.
    """
    if isinstance(store, str | os.PathLike | Mapping):
        return Store(open_existing(store), is_owned=True)
    return Store(checked_database(store), is_owned=False)


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

    def keeps_in(self, path: str | os.PathLike[str]) -> bool:
        """Say whether a path is that of a file in which the store keeps its records, or would be one."""
        match self.database.to_config():
            case {"path": str(home)}:
                store, file = Path(home).resolve(), Path(path).resolve()
                beside = {store.with_name(store.name + ending) for ending in _BESIDE}
                return file in beside or file.is_relative_to(store)
        return False

    def pipelines(self) -> list[str]:
        """Return the names of the pipelines that have run here, their parts joined by ``/``."""
        return ["/".join(name) for name in self._pipelines()]

    def runs(self, pipeline: str | None = None) -> pa.Table:
        """Return a row for each run, in the order in which they began.

        Args:
            pipeline: only those of a pipeline; of all if None.

        Returns:
            ``run_id``, ``pipeline``, ``started``, ``ended``, ``outcome``, ``computed``, ``cached``, ``failed``,
            ``note`` and ``tags``; see ``RunSummary``. What a run that has not ended did is not known: null.
        """
        return runs_table(self._runs(pipeline))

    def run(self, run_id: str) -> RunSummary:
        """Return one run.

        Args:
            run_id: its name, or the beginning of it.

        Raises:
            UnknownRunError: no run, or more than one, is called so.
        """
        return run_called(self.database, Checks("run").text("run_id", run_id))

    def last_run(self) -> RunSummary:
        """Return the last run to end, or, where none has ended, the last one to begin.

        Raises:
            UnknownRunError: none has begun.
        """
        if (run := last_run(self.database, self._pipelines())) is None:
            raise UnknownRunError(f"found no run in {self.database!r}; expected the store of a pipeline that has run")
        return run

    def nodes(self, run_id: str) -> Mapping[str, NodeSummary]:
        """Return the nodes of a run by label, each behind what it is made of.

        Raises:
            UnknownRunError: no run, or more than one, is called so.
        """
        return self.run(run_id).nodes

    def rows(self, pipeline: str, node: str, run: str | None = None) -> pa.Table:
        """Return the rows that a node gave: tags and outputs, and what is known of each.

        Args:
            pipeline: the name of its pipeline.
            node: its label.
            run: the run that gave them; the last one that gave all of its rows if None.

        Returns:
            the tags and the outputs, as they are stored; then the ``record_id`` as text, the ``run_id`` that computed
            it, the ``timestamp`` when and the ``seconds`` how long. A name that a tag or an output bears begins with
            ``_`` there. What is no longer in the store is null.

        Raises:
            UnknownRunError: there is no such run of the pipeline, or none at all.
            LabelError: it had no such node.
            PrunedResultError: values were pruned.
            DamagedRecordError: a result is not there, for another reason, or its large ``bytes`` are not.
            DatabaseError: its pipeline keeps results in another store; ``entries`` gives what is in this one.
        """
        begun, summary = self.node(pipeline, node, run)
        return with_results(self.database, summary, *self.entries_in(node, begun))

    def entries(self, pipeline: str, node: str, run: str | None = None) -> pa.Table:
        """Return the records of the rows that a node gave, as docs/records.md describes them; see ``rows``."""
        begun, _ = self.node(pipeline, node, run)
        return self.entries_in(node, begun)[0]

    def entries_in(self, node: str, *runs: RunSummary, wanted: Callable[[str], bool] | None = None) -> list[pa.Table]:
        """Return the records of the rows that a function node gave in each of some runs that have ended.

        Args:
            node: its label.
            runs: the runs.
            wanted: says which columns are; all if None.
        """
        read: dict[RecordPath, pa.Table] = {}
        tables = []
        for run in runs:
            summary = run.functions[node]
            path = summary.record.path
            states = NodeStates(self.database.at(*run.pipeline), path, node)
            if path not in read:
                read[path] = states.read(wanted)
            tables.append(states.of(read[path], summary.totals.state))
        return tables

    def node(self, pipeline: str, node: str, run: str | None = None) -> tuple[RunSummary, NodeSummary]:
        """Return a run and one of its function nodes; see ``rows``."""
        if run is None:
            return self._last_with(pipeline, node)
        begun = self.ended_run(run)
        if (found := "/".join(begun.pipeline)) != pipeline:
            why = f"run {begun.run_id} is one of pipeline {found!r}, expected one of {pipeline!r}"
            raise UnknownRunError(why, expected=pipeline, found=found)
        if node not in (functions := begun.functions):
            raise LabelError(f"run {begun.run_id} had no function node {node!r}; it had {list(functions)}", node=node)
        return begun, functions[node]

    def ended_run(self, run_id: str) -> RunSummary:
        """Return one run, of which it is known what it gave; see ``run``.

        Raises:
            UnknownRunError: no run, or more than one, is called so; or it goes on, or was killed.
        """
        run = self.run(run_id)
        if run.ended is None:
            raise UnknownRunError(
                f"run {run.run_id} of {'/'.join(run.pipeline)} has not ended, or was killed, so that it is not known "
                "which rows it gave; name one that has ended",
                found=repr(run_id),
            )
        return run

    def _last_with(self, pipeline: str, node: str) -> tuple[RunSummary, NodeSummary]:
        """Return the last run to end that had a function node, and the node."""
        named = [name for name in self._pipelines() if "/".join(name) == pipeline]
        ended = sorted((*end, name) for name in named for end in ended_runs(self.database, name))
        if not named:
            raise UnknownRunError(f"found no run of pipeline {pipeline!r}; found {self.pipelines()}", found=pipeline)
        if not ended:
            told = f"no run of pipeline {pipeline!r} has ended, so that it is not known which rows it gave"
            raise UnknownRunError(f"{told}; wait for its end, or run it again if it was killed", found=pipeline)
        runs = (run for _, run_id, name in reversed(ended) for run in runs_of(self.database, name, [run_id]))
        passed: list[RunSummary] = []
        for run in runs:
            if node in run.functions and run.functions[node].totals.is_complete:
                return run, run.functions[node]
            passed.append(run)
        for run in passed:  # it never gave all of its rows
            if node in run.functions:
                return run, run.functions[node]
        last, found = passed[0].run_id, list(passed[0].functions)
        raise LabelError(f"run {last} had no function node {node!r}; it had {found}", node=node)

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
        views, names = named_views(self.database, self._pipelines(), text)
        if isinstance(self.database, ViewingDatabaseProtocol):
            return self.database.query(text, views)
        return answer(self.database, text, views, names)

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

        Raises:
            UnknownRunError: there is no such run.
            LabelError: no pipeline had such a node.
        """
        success = {} if failed is None else {"__success": not failed}
        return told_in(self.database, self._rooms("_log"), self._of(run, node) | success, tag)

    def statuses(
        self, run: str | None = None, node: str | None = None, tag: Mapping[str, object] | None = None
    ) -> pa.Table:
        """Return what happened to packets, in the order of time; see ``logs``."""
        return told_in(self.database, self._rooms("_status"), self._of(run, node), tag)

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
        return environment_of(self.database, self.run(run))

    def trace(
        self,
        pipeline: str,
        node: str,
        tag: Mapping[str, Any],
        column: str | None = None,
        run: str | None = None,
        *,
        record_id: str | None = None,
    ) -> ComputedRow:
        """Return what a row of a function node was made of, to the rows of sources: a tree, read as it is asked for.

        Args:
            pipeline: the name of the pipeline.
            node: the label of the node.
            tag: tags of the row, as many as tell it from all others.
            column: the output that is meant; all of them if None.
            run: the run that gave the row; the last one that has ended if None.
            record_id: which of the rows of equal tags: the id of its result, or the beginning of it, or a row of a
                source that it was made of, ``visits::row_0`` or ``row_0``.

        Returns:
            a tree. Printed, it is a text with the first members of each group; ``sources()`` gives the rows of sources,
            ``inputs`` what is right below, and ``to_dict()`` all as JSON values.

        Raises:
            UnknownRunError: there is no such run of the pipeline, or none at all.
            LabelError: it had no such node.
            SchemaError: there is no such tag or column, or it is of another type.
            UnknownRowError: there is no such row, or more than one.
        """
        check = Checks("trace")
        tags, output = check.mapping("tag", tag, "{'patient': 1}"), check.text_or_none("column", column)
        tracer, traced = self.tracer("trace", pipeline, node, run)
        entry = only_row(tracer.entries(traced), tags, traced.run, check.text_or_none("record_id", record_id))
        return tracer.row(traced, entry, tracer.outputs(traced, output))

    def impact(self, source_id: str, record_id: str, run: str | None = None) -> list[Impact]:
        """Return what a row of a source has touched: every node with rows that it is among the sources of.

        Args:
            source_id: what the source is called.
            record_id: what provenance calls the row: ``row_3``, or ``patient=1`` after a column that names records.
            run: in which run; in the last one of each pipeline that has ended, if None.

        Returns:
            for each such node, behind those that it is made of, how many ``rows``, and their ``tags()``.

        Raises:
            UnknownRunError: there is no such run.
            UnknownRowError: no run of the store had such a source.
        """
        check = Checks("impact")
        source, record = check.text("source_id", source_id), check.text("record_id", record_id)
        runs = self._runs()
        last = {each.pipeline: each for each in sorted(runs, key=_end) if each.ended is not None}
        tracer = Tracer(self.database, runs)
        chosen = last.values() if run is None else [self.ended_run(run)]
        found = [impact for each in chosen for impact in impacts(tracer, each, source, record)]
        if not found:
            check_source(runs, source)
        return found

    def descendants(
        self, pipeline: str, node: str, tag: Mapping[str, Any], run: str | None = None, *, record_id: str | None = None
    ) -> list[Impact]:
        """Return what was made of a row of a function node, in the run that gave it: every node with such rows.

        Args:
            pipeline: the name of the pipeline.
            node: the label of the node.
            tag: tags of the row; see ``trace``.
            run: the run that gave the row; the last one that has ended if None.
            record_id: which of the rows of equal tags; see ``trace``.

        Returns:
            as ``impact`` does. Rows count that have values made of its values; not those that it was only joined with.
        """
        check = Checks("descendants")
        tags, record = check.mapping("tag", tag, "{'patient': 1}"), check.text_or_none("record_id", record_id)
        tracer, traced = self.tracer("descendants", pipeline, node, run)
        return descendants(tracer, traced, only_row(tracer.entries(traced), tags, traced.run, record))

    def lineage(self, pipeline: str, node: str, run: str | None = None) -> pa.Table:
        """Return which values of sources the rows of a node were made of.

        Args:
            pipeline: the name of the pipeline.
            node: the label of the node.
            run: the run that gave them; the last one that has ended if None.

        Returns:
            for each row of the node its tags, but no lists, ``row``, which of those that ``rows`` gives it is, and for
            each value that it was made of ``source_id``, ``record_id`` and ``column``. Of a source row that it was only
            joined with, none of whose values it has, ``column`` is null.

        Raises:
            UnknownRunError: there is no such run of the pipeline, or none at all.
            LabelError: it had no such node.
        """
        return lineage(*self.tracer("lineage", pipeline, node, run))

    def size(self) -> pa.Table:
        """Return how many rows and bytes there are of each pipeline, node and kind of records.

        Returns:
            ``pipeline`` and ``node``, null for what belongs to the store as a whole (results have the name of their
            function as ``node``); ``kind``: ``results``, ``rows``, ``logs``, ``statuses``, ``states``, ``members``,
            ``runs``, ``code``, ``files``, ``stubs``, ``attempts``, ``sources`` or ``other``; ``rows`` and ``bytes``.
            The bytes are those on the disk for PostgreSQL and Delta, and about those of the values for the others.
        """
        labels: dict[RecordPath, set[str]] = {}
        for run in self._runs(None):
            for label, node in run.nodes.items():
                labels.setdefault((*run.pipeline, *node.record.path), set()).add(label)
        return store_sizes(self.database, self._pipelines(), labels)

    def compact(self) -> None:
        """Give back the space of what was removed, by prune say: the one thing here that writes to the store.

        Runs may go on meanwhile. SQLite: the file is written anew (``VACUUM``), and its log emptied, for which it takes
        as much room again; PostgreSQL: ``VACUUM``, which makes room for new rows; Delta: small files are put together,
        and those removed that nothing has needed for a day.

        Raises:
            ReadOnlyStoreError: it may only be read.
            DatabaseError: it cannot be done now; nothing is lost.
        """
        self.database.check_writable()
        if isinstance(self.database, MaintainedDatabaseProtocol):
            self.database.reclaim()

    def check_in_place(self) -> None:
        """Check that the store is still the one that was opened; of a database that was given, its owner knows.

        Raises:
            DatabaseError: it was closed, deleted or replaced, as far as its kind of store can tell.
        """
        if self._is_owned:
            self.database.flush()  # nothing waits to be written in a store that is only looked at

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
        return pipelines_in(self.database)

    def _runs(self, pipeline: str | None = None) -> list[RunSummary]:
        names = [name for name in self._pipelines() if pipeline in (None, "/".join(name))]
        return sorted((run for name in names for run in runs_of(self.database, name)), key=lambda run: run.run_id)

    def _rooms(self, name: str) -> list[RecordPath]:
        return [(*pipeline, name) for pipeline in self._pipelines()]

    def _of(self, run: str | None, node: str | None) -> dict[str, object]:
        """Return what rows have that are of a run and of a node, where these are given."""
        begun = None if run is None else self.run(run)
        of_run: dict[str, object] = {} if begun is None else {"__run_id": begun.run_id}
        if node is None:
            return of_run
        known = set() if begun is None else {*begun.nodes}
        if node not in known and node not in (known := {label for each in self._runs() for label in each.nodes}):
            why = f"no pipeline had a node {node!r}; found {sorted(known)}"
            raise LabelError(why, node=node, expected=f"one of {sorted(known)}", found=repr(node))
        return {**of_run, "__node_label": node}

    def tracer(self, asker: str, pipeline: str, node: str, run: str | None) -> tuple[Tracer, NodeInRun]:
        """Return what reads provenance, and the node whose rows are asked for; see ``trace``."""
        check = Checks(asker)
        pipeline, node = check.text("pipeline", pipeline), check.text("node", node)
        return Tracer(self.database, self._runs()), NodeInRun(*self.node(pipeline, node, run))


def _end(run: RunSummary) -> datetime:
    return run.ended or run.started
