"""``Pipeline``: the front desk. Records what is built, compiles it, runs it; defaults are chosen here only."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextvars import Token
from datetime import timedelta
from typing import Any, Self, overload
from weakref import WeakSet

from orcapod import graph as plans
from orcapod import interrupts
from orcapod.checks import Checks
from orcapod.databases import MemoryDatabase, open_database
from orcapod.datagrams import column_called
from orcapod.display import one_line
from orcapod.errors import LabelError, PipelineError
from orcapod.execution import RunLoop
from orcapod.executors import LocalExecutor
from orcapod.files import files_folder
from orcapod.functions import (
    ErrorPolicy,
    PipelineConfig,
    checked_config,
)
from orcapod.nodes import (
    FunctionNode,
    Node,
    NodePlan,
    OperatorNode,
    Plan,
    RecordedRun,
    Run,
    RunPart,
    RunResult,
    SourceNode,
    checked_tags,
    explain,
)
from orcapod.operators import OperatorStream
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.pods import PodStream
from orcapod.protocols import (
    Database,
    ExecutionObserver,
    PythonFunctionExecutorProtocol,
    RecordPath,
    checked_database,
)
from orcapod.records import Keep, PruneReport, prune
from orcapod.running import Orchestrator, begun, carried_out, checked_orchestrator, surprises, watching
from orcapod.streams import DerivedStream, Stream, recording

__all__ = ["Pipeline"]

_DEFAULT = SyncPipelineOrchestrator(await_together=True)


class Pipeline(Mapping[str, Node]):
    """Named plan of streams, and the store of everything that it ever computed: a mapping of labels to nodes.

    What is derived inside ``with pipeline:`` becomes its nodes, found by their labels as attributes
    (``pipeline.summary``) or keys (``pipeline["summary"]``, also where the label is that of a method). The block may be
    entered again to add more; one that is left with an exception adds nothing.

    In a notebook, a cell with such a block may be run again: what a later block derives under a label that was given
    before takes the place of what bore it, and what an edited function makes of the same takes the place of
    what it made before. A function that was edited in a cell of its own is to be applied again; a run warns where it
    was not. What was replaced goes when nothing is made of it any more. Streams are values: those
    that other cells have built on the old one keep reading it, as ``{label}_old``, until their cells are run
    again; a run says so.

    Args:
        name: what it is called, or the parts of a hierarchical name; scopes what it keeps of its nodes and runs.
        database: where records are kept: a database, a URL, or the path of an SQLite file; memory if None.
        result_database: where computed packets are kept; in the same store if None. They belong to the store, whatever
            the pipelines on it are called, so that no other computes them again.
        auto_compile: compile whenever the block is left, so that mistakes show there.
        config: how packets are run where nobody says otherwise.
        files: the folder for files that functions make, under a path that all workers see, or on object storage,
            ``s3://bucket/folder``; if None, beside the store, ``lab.db.files`` beside ``lab.db``. A store on a server
            has no such place.
    """

    def __init__(
        self,
        name: str | tuple[str, ...],
        database: Database | str | os.PathLike[str] | None = None,
        result_database: Database | str | os.PathLike[str] | None = None,
        *,
        auto_compile: bool = False,
        config: PipelineConfig | None = None,
        files: str | os.PathLike[str] | None = None,
    ) -> None:
        self.config = checked_config(config)
        self._files = files_folder(Checks(), files)
        self.name: RecordPath = Checks("Pipeline", PipelineError).names("the name", name)
        if not self.name or not all(part and part[0] != "_" for part in self.name):
            raise PipelineError(
                f"found the name {name!r}, expected a non-empty string that does not start with '_', or several"
            )
        self.database = _opened(database) if database is not None else MemoryDatabase()
        self._records = self.database.at(*self.name)
        self.result_database = self.database if result_database is None else _opened(result_database)
        self._auto_compile = Checks("Pipeline").flag("auto_compile", auto_compile)
        self._recorded: list[list[DerivedStream]] = []
        self._compiled = 0
        self._graph = plans.Graph(())
        self._nodes: dict[str, Node] = {}
        self._made: WeakSet[Node] = WeakSet()
        self._replaced: dict[str, list[str]] = {}
        self._blocks: list[tuple[list[DerivedStream], Token[Any]]] = []

    @property
    def log_database(self) -> Database:
        """Where its logs and statuses belong: ``LoggingObserver(pipeline.log_database)``."""
        return self._records

    def __enter__(self) -> Self:
        block: list[DerivedStream] = []
        self._blocks.append((block, recording.set(block)))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        block, token = self._blocks.pop()
        recording.reset(token)
        if kind is not None:
            return
        if self._blocks:
            self._blocks[-1][0].extend(block)
        else:
            self._recorded.append(block)
        if self._auto_compile and not self._blocks:
            self.compile()

    def compile(self) -> None:
        """Make nodes of what was recorded; those that are there already stay as they are.

        Raises:
            PipelineError: the block is not left yet.
        """
        if self._blocks:
            raise PipelineError(f"pipeline {'/'.join(self.name)!r} is still being built; leave its with block first")
        self._place_nodes()

    def _place_nodes(self) -> None:
        if self._compiled == len(self._recorded):
            return
        known = {id(node.stream): node for node in self._made}
        placed: list[Node] = []
        self._graph = plans.Graph.of(*self._recorded, stands_for=self._planned)
        elements = self._graph.elements
        for element in elements:
            node = known.get(id(element.stream)) or self._node(element, [placed[at] for at in element.inputs])
            node.label = element.label
            placed.append(node)
        self._nodes = {node.label: node for node in placed}
        self._made.update(placed)
        self._replaced = {
            element.label: [node.label for node in placed if placed[at] in node.inputs]
            for at, element in enumerate(elements)
            if element.is_replaced
        }
        self._compiled = len(self._recorded)

    def _planned(self, stream: Stream) -> Stream:
        """Return what a node of this very pipeline was made of, or any other stream as it is."""
        return stream.stream if isinstance(stream, Node) and stream in self._made else stream

    @property
    def nodes(self) -> Mapping[str, Node]:
        """All nodes by label, each behind what it is made of."""
        self.compile()
        return self._nodes

    def graph(self, run: RunResult | None = None) -> plans.Picture:
        """Return a picture of it, for notebooks, browsers and terminals: ``pipeline.graph().show()``.

        Args:
            run: a result of its ``run``, by which the picture is coloured and numbered; the plan alone if None.

        Raises:
            PipelineError: the block is not left yet, or the result is of something else.
        """
        self.compile()
        picture = plans.Picture.of("/".join(self.name), self._graph)
        if run is None:
            return picture
        advice = "give what pipeline.run() returned"
        result = Checks("graph").instance("the run", run, RunResult, "a RunResult", advice)
        return picture.after(result.node_counts, {label: moved.given for label, moved in result.node_rows.items()})

    def run(
        self,
        orchestrator: Orchestrator | None = None,
        *,
        execution_engine: PythonFunctionExecutorProtocol | str | None = None,
        execution_engine_opts: Mapping[str, Any] | None = None,
        observer: ExecutionObserver | None = None,
        error_policy: ErrorPolicy | None = None,
        flush_interval: float | None = None,
        share_work: bool = False,
        recompute: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None] | None = None,
        only: str | Sequence[str] | None = None,
        until: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        note: str = "",
        tags: Mapping[str, str] | None = None,
        progress: bool | None = None,
    ) -> RunResult:
        """Compute what is missing, and keep it.

        Args:
            orchestrator: what walks the nodes; a ``SyncPipelineOrchestrator(await_together=True)`` if None.
            execution_engine: where functions run, in this run, unless their node has an executor of its own: an
                executor, or its name, such as ``local`` or ``ray``.
            execution_engine_opts: options of the engine, or of the nodes' executors where there is none.
            observer: who is told what happens, beside the orchestrator's observer. It need not inherit from
                anything, nor have all methods.
            error_policy: ``continue`` or ``fail_fast``; the orchestrator's if None.
            flush_interval: after how many seconds, at the latest, a result that exists is stored; a day at most.
            share_work: whether processes that run the same at the same time, on one store, each compute a part of it.
            recompute: labels of function nodes that are computed again, though their results are there; or with the
                tags of the rows that are, ``{"rates": {"subject": "s1"}}``. The old results stay, the new ones are
                given from then on, and ``RunResult.recomputed`` says which are equal.
            only: labels of the function nodes that compute; all others give what is there.
            until: labels of nodes beyond which the run does not go.
            where: the rows that are computed, by values of their tags, ``{"subject": ["s1", "s2"]}``; of all others
                what is there is given. A value that no row has is warned of, as in ``recompute``. Where tags are lists,
                as those of groups, a list is one value, and so is any of its members.
            note: what is to be said of the run, in ``_run_starts``.
            tags: likewise, by name: ``{"reason": "nightly"}``.
            progress: whether to draw how far the run is; if None, on a terminal, as ``stderr``, and in a notebook.

        Raises:
            ConfigError: an argument is not what it has to be; nothing was computed then.
            LabelError: there is no such node or tag; nothing was computed then.
            Exception: with ``fail_fast``, what the first failed packet's function raised.
            ReadOnlyStoreError: a store may only be read; nothing was computed.
            DatabaseError: something could not be stored, though it was tried again for 30 seconds where that may help;
                an ``ExceptionGroup`` of several.
        """
        driver = _DEFAULT if orchestrator is None else checked_orchestrator(orchestrator)
        told = watching(driver.observer, observer, progress=progress)
        part = RunPart.of(self.nodes, recompute=recompute, only=only, until=until, where=where)
        self._check_writable()
        engine = execution_engine, execution_engine_opts
        run = begun(driver, part, self.config, engine, told, error_policy, flush_interval, share_work=share_work)
        run.note, run.tags = Checks().text("note", note), checked_tags(tags)
        self._warn()
        return self._run(driver, part, run)

    async def run_async(
        self,
        orchestrator: Orchestrator | None = None,
        *,
        execution_engine: PythonFunctionExecutorProtocol | str | None = None,
        execution_engine_opts: Mapping[str, Any] | None = None,
        observer: ExecutionObserver | None = None,
        error_policy: ErrorPolicy | None = None,
        flush_interval: float | None = None,
        share_work: bool = False,
        recompute: str | Sequence[str] | Mapping[str, Mapping[str, Any] | None] | None = None,
        only: str | Sequence[str] | None = None,
        until: str | Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        note: str = "",
        tags: Mapping[str, str] | None = None,
        progress: bool | None = None,
    ) -> RunResult:
        """Return the same, awaited: async functions run in the caller's event loop, all else beside it.

        Args:
            orchestrator: what walks the nodes; an ``AsyncPipelineOrchestrator`` if None.
            execution_engine: as for ``run``, and so are the others.
            execution_engine_opts: see ``run``.
            observer: see ``run``.
            error_policy: see ``run``.
            flush_interval: see ``run``.
            share_work: see ``run``.
            recompute: see ``run``.
            only: see ``run``.
            until: see ``run``.
            where: see ``run``.
            note: see ``run``.
            tags: see ``run``.
            progress: see ``run``.

        Raises:
            asyncio.CancelledError: the awaiting task was cancelled; what was finished is stored.
        """
        import asyncio  # noqa: PLC0415  # whoever awaits has loaded it

        driver = AsyncPipelineOrchestrator() if orchestrator is None else checked_orchestrator(orchestrator)
        told = watching(driver.observer, observer, progress=progress)
        part = RunPart.of(self.nodes, recompute=recompute, only=only, until=until, where=where)
        self._check_writable()
        engine = execution_engine, execution_engine_opts
        run = begun(driver, part, self.config, engine, told, error_policy, flush_interval, share_work=share_work)
        run.note, run.tags = Checks().text("note", note), checked_tags(tags)
        self._warn()
        run.loop = RunLoop(asyncio.get_running_loop())
        ending = asyncio.ensure_future(asyncio.to_thread(self._run, driver, part, run))
        try:
            return await asyncio.shield(ending)
        except asyncio.CancelledError as cancelled:
            run.stop.set()
            await asyncio.wait([ending])
            # Taken, or asyncio would print it: the cancellation says it all, but for what could not be stored.
            if not ending.cancelled() and isinstance(failure := ending.exception(), Exception):
                interrupts.add_failure_notes(cancelled, failure)
            raise

    def _check_writable(self) -> None:
        self.result_database.check_writable()
        self._records.check_writable()

    def _run(self, driver: Orchestrator, part: RunPart, run: Run) -> RunResult:
        nodes, results, records = self._nodes.values(), self.result_database, self._records
        recorded = RecordedRun(run, nodes, self.name, records, orchestrator=type(driver).__name__)
        return carried_out(driver, part, run, recorded, results=results, records=records)

    def _warn(self) -> None:
        for surprise in surprises(self._nodes, self._replaced):
            warnings.warn(surprise, stacklevel=3)

    @overload
    def explain(self) -> Plan: ...

    @overload
    def explain(self, node: str, tag: Mapping[str, Any] | None = None) -> NodePlan: ...

    def explain(self, node: str | None = None, tag: Mapping[str, Any] | None = None) -> Plan | NodePlan:
        """Return what a run would find and compute, and why, by the label of each function node; nothing is written.

        Args:
            node: the label of the one function node that is wanted.
            tag: which of its rows, by values of their tags, as ``where`` of a run; some of these are enough.

        Raises:
            LabelError: there is no such function node, or no such tag.
            ConfigError: a tag is given and no node.
        """
        nodes = self.nodes
        self._warn()
        return explain(nodes, self._records, node, tag)

    plan = explain

    def prune(
        self, keep: Keep = "present", older_than: str | timedelta = "90d", *, dry_run: bool = True, logs: bool = False
    ) -> PruneReport:
        """Remove the values of results that are old and not needed, or say what would go; see docs/growth.md.

        The bytes of the report are those of values in memory: a store that compresses them gives back fewer.

        Args:
            keep: what stays, however old it is: ``present``, what the present rows of all pipelines on the store need.
            older_than: how long ago a result was computed at least, ``90d``, ``12h``, ``2w`` or a ``timedelta``.
            dry_run: whether to say what would go, and remove nothing.
            logs: whether logs and statuses of this pipeline go, too, of runs of which no result is left.

        Raises:
            ConfigError: an argument is not what it has to be.
            ReadOnlyStoreError: a store may only be read.
        """
        options: dict[str, Any] = {"keep": keep, "older_than": older_than, "dry_run": dry_run, "logs": logs}
        return prune(self.database, self.result_database, self.name, **options)

    def __getitem__(self, label: str) -> Node:
        """Return the node of a label.

        Raises:
            LabelError: no node bears it.
        """
        Checks(f"pipeline {'/'.join(self.name)!r}", LabelError).text("the label", label)
        self._place_nodes()
        try:
            return self._nodes[label]
        except KeyError:
            numbered = [name for name in self._nodes if re.fullmatch(re.escape(label) + r"_\d+", name)]
            hint = f"there are several: {numbered}" if numbered else f"found {list(self._nodes)}"
            raise LabelError(
                f"pipeline {'/'.join(self.name)!r} has no node {label!r}; {hint}",
                node=label,
                expected=f"one of {list(self._nodes)}",
                found=repr(label),
            ) from None

    def __getattr__(self, label: str) -> Any:
        if label.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {label!r}")
        self._place_nodes()
        return self[column_called(label, self._nodes) or label]  # labels are found like columns

    def __dir__(self) -> list[str]:
        self._place_nodes()
        return [*super().__dir__(), *self._nodes]

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    # Two pipelines of equal nodes are two; so is one that grows.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def _repr_svg_(self) -> str:
        return self.graph()._repr_svg_()

    def _repr_html_(self) -> str | None:
        return self.graph()._repr_html_()

    def __repr__(self) -> str:
        lines = [f"<Pipeline {'/'.join(self.name)!r}"]
        for node in self.nodes.values():
            made_of = f" <- {', '.join(one_line(part.label) for part in node.inputs)}" if node.inputs else ""
            lines.append(f"  {one_line(node.label)}{made_of}")
        return "\n".join(lines) + ">"

    def _node(self, element: plans.Element, inputs: list[Node]) -> Node:
        match element.stream:
            case PodStream() as stream:
                return FunctionNode(
                    self.name,
                    element.label,
                    stream,
                    inputs,
                    results=self.result_database,
                    records=self._records,
                    executor=LocalExecutor(),
                    config=self.config,
                    files=self._files,
                )
            case OperatorStream() as stream:
                return OperatorNode(self.name, element.label, stream, inputs, config=self.config)
            case Stream() as stream:
                return SourceNode(self.name, element.label, stream, inputs, config=self.config)


def _opened(database: Database | str | os.PathLike[str]) -> Database:
    if isinstance(database, str | os.PathLike):
        return open_database(database)
    return checked_database(database)
