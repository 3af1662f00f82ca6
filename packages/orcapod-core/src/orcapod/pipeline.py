"""``Pipeline``: the front desk. Records what is built, compiles it, runs it; defaults are chosen here only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import Token
from datetime import UTC, datetime
from typing import Any, Self
from uuid import uuid4

from orcapod.databases import MemoryDatabase, open_database
from orcapod.display import html_table
from orcapod.errors import LabelError, PipelineError
from orcapod.executors import LocalExecutor
from orcapod.functions import ErrorPolicy, FirstFailure, PipelineConfig, PodStream, checked_policy
from orcapod.graph import Element, Graph
from orcapod.nodes import Flusher, FunctionNode, Node, OperatorNode, Run, RunResult, SourceNode, labels_in_order
from orcapod.observers import CompositeObserver, NoOpObserver, ProgressObserver, is_terminal
from orcapod.operators import OperatorStream
from orcapod.orchestrators import AsyncPipelineOrchestrator, SyncPipelineOrchestrator
from orcapod.protocols import Database, ExecutionObserver, PythonFunctionExecutorProtocol, RecordPath
from orcapod.records import Environment, RunLedger, RunRecord
from orcapod.streams import DerivedStream, Stream, recording

__all__ = ["Pipeline"]

Orchestrator = SyncPipelineOrchestrator | AsyncPipelineOrchestrator


class Pipeline:
    """A named plan of streams, and the store of everything that it ever computed.

    What is derived inside ``with pipeline:`` becomes its nodes, found by their labels as attributes
    (``pipeline.summary``) or keys (``pipeline["summary"]``). The block may be entered again to add more;
    one that is left with an exception adds nothing.

    Args:
        name: what it is called, or the parts of a hierarchical name; scopes everything that it keeps.
        database: where records are kept: a database, a URL, or the path of an SQLite file; memory if None.
        result_database: where computed packets are kept, unscoped, so that pipelines may share them; with
            the other records if None.
        auto_compile: compile whenever the block is left, so that mistakes show there.
        config: how packets are run where nobody says otherwise.
    """

    def __init__(
        self,
        name: str | tuple[str, ...],
        database: Database | str | os.PathLike[str] | None = None,
        result_database: Database | str | os.PathLike[str] | None = None,
        *,
        auto_compile: bool = False,
        config: PipelineConfig | None = None,
    ) -> None:
        self.config = config or PipelineConfig()
        self.name: RecordPath = (name,) if isinstance(name, str) else tuple(name)
        if not self.name or not all(isinstance(part, str) and part for part in self.name):
            raise PipelineError(f"found the name {name!r}, expected a non-empty string, or several")
        self.database = _opened(database) if database is not None else MemoryDatabase()
        self._records = self.database.at(*self.name)
        self.result_database = self._records if result_database is None else _opened(result_database)
        self._auto_compile = auto_compile
        self._recorded: list[DerivedStream] = []
        self._compiled = 0
        self._nodes: dict[str, Node] = {}
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
        outer = self._blocks[-1][0] if self._blocks else self._recorded
        outer += block
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
        known = {id(node.stream): node for node in self._nodes.values()}
        placed: list[Node] = []
        for element in Graph.of(self._recorded, stands_for=self._planned).elements:
            node = known.get(id(element.stream)) or self._node(element, [placed[at] for at in element.inputs])
            node.label = element.label
            placed.append(node)
        self._nodes = {node.label: node for node in placed}
        self._compiled = len(self._recorded)

    def _planned(self, stream: Stream) -> Stream:
        """What a node of this very pipeline was made of; any other stream as it is."""
        return stream.stream if isinstance(stream, Node) and self._nodes.get(stream.label) is stream else stream

    @property
    def nodes(self) -> Mapping[str, Node]:
        """All nodes by label, each behind what it is made of."""
        self.compile()
        return self._nodes

    def run(
        self,
        orchestrator: Orchestrator | None = None,
        *,
        execution_engine: PythonFunctionExecutorProtocol | None = None,
        execution_engine_opts: Mapping[str, Any] | None = None,
        observer: ExecutionObserver | None = None,
        error_policy: ErrorPolicy | None = None,
        flush_interval: float | None = None,
        progress: bool | None = None,
    ) -> RunResult:
        """Compute what is missing, and keep it.

        Args:
            orchestrator: what walks the nodes; a ``SyncPipelineOrchestrator`` if None.
            execution_engine: where functions run, in this run, unless their node has an executor of its own.
            execution_engine_opts: options of the engine, or of the nodes' executors where there is none.
            observer: who is told what happens; nobody if None.
            error_policy: ``continue`` or ``fail_fast``; the orchestrator's if None.
            flush_interval: after how many seconds, at the latest, a result that exists is stored.
            progress: whether to draw on ``stderr`` how far the run is; if None, where that is a terminal.

        Raises:
            Exception: with ``fail_fast``, what the first failed packet's function raised.
            DatabaseError: something could not be stored.
        """
        driver = orchestrator if orchestrator is not None else SyncPipelineOrchestrator()
        watching = _watching(observer, progress=progress)
        run = self._begun(driver, execution_engine, execution_engine_opts, watching, error_policy, flush_interval)
        return self._run(driver, run)

    async def run_async(
        self,
        orchestrator: Orchestrator | None = None,
        *,
        execution_engine: PythonFunctionExecutorProtocol | None = None,
        execution_engine_opts: Mapping[str, Any] | None = None,
        observer: ExecutionObserver | None = None,
        error_policy: ErrorPolicy | None = None,
        flush_interval: float | None = None,
        progress: bool | None = None,
    ) -> RunResult:
        """The same, awaited: async functions run in the caller's event loop, all else beside it.

        Args:
            orchestrator: what walks the nodes; an ``AsyncPipelineOrchestrator`` if None.
            execution_engine: as for ``run``, and so are the others.
            execution_engine_opts: see ``run``.
            observer: see ``run``.
            error_policy: see ``run``.
            flush_interval: see ``run``.
            progress: see ``run``.

        Raises:
            asyncio.CancelledError: the awaiting task was cancelled; what was finished is stored.
        """
        import asyncio  # noqa: PLC0415  # whoever awaits has loaded it

        driver = orchestrator if orchestrator is not None else AsyncPipelineOrchestrator()
        watching = _watching(observer, progress=progress)
        run = self._begun(driver, execution_engine, execution_engine_opts, watching, error_policy, flush_interval)
        run.loop = asyncio.get_running_loop()
        ending = asyncio.ensure_future(asyncio.to_thread(self._run, driver, run))
        try:
            return await asyncio.shield(ending)
        except asyncio.CancelledError:
            run.stop.set()
            await asyncio.wait([ending])
            raise

    def _begun(
        self,
        driver: Orchestrator,
        engine: PythonFunctionExecutorProtocol | None,
        engine_options: Mapping[str, Any] | None,
        observer: ExecutionObserver,
        error_policy: ErrorPolicy | None,
        flush_interval: float | None,
    ) -> Run:
        return Run(
            run_id=str(uuid4()),
            observer=observer,
            error_policy=checked_policy(error_policy or driver.error_policy),
            # One like it, which this run enters and leaves: the workers of the engine itself outlive the run.
            engine=None if engine is None else engine.with_options(**(engine_options or {})),
            engine_options=engine_options or {},
            flusher=Flusher(self.config.flush_interval if flush_interval is None else flush_interval),
            config=self.config.node,
            labels=tuple(self.nodes),
            overlapping=driver.overlapping,
            ordered=labels_in_order(list(self._nodes.values())) if driver.overlapping else frozenset(),
        )

    def _run(self, driver: Orchestrator, run: Run) -> RunResult:
        stores = (run.observer.flush, self.result_database.flush, self._records.flush)
        with ExitStack() as stack:
            stack.enter_context(run.flusher)
            stack.enter_context(run.flusher.keeping(*stores))
            stack.enter_context(_Recorded(self, run, type(driver).__name__))
            if run.engine is not None:
                stack.enter_context(run.engine)
            failure = None
            try:
                driver.run(list(self._nodes.values()), run)
            except FirstFailure as first:
                failure = first.error
            if failure is not None:
                raise failure
        return run.result()

    def __getitem__(self, label: str) -> Node:
        """The node of a label.

        Raises:
            LabelError: no node bears it.
        """
        self._place_nodes()
        try:
            return self._nodes[label]
        except KeyError:
            numbered = [name for name in self._nodes if re.fullmatch(re.escape(label) + r"_\d+", name)]
            hint = f"there are several: {numbered}" if numbered else f"found {list(self._nodes)}"
            raise LabelError(f"pipeline {'/'.join(self.name)!r} has no node {label!r}; {hint}") from None

    def __getattr__(self, label: str) -> Any:
        if label.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {label!r}")
        return self[label]

    def __dir__(self) -> list[str]:
        self._place_nodes()
        return [*super().__dir__(), *self._nodes]

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes.values())

    def _repr_html_(self) -> str:
        rows = [
            (node.label, type(node).__name__, ", ".join(part.label for part in node.inputs))
            for node in self.nodes.values()
        ]
        return html_table(f"Pipeline {'/'.join(self.name)!r}", ["node", "kind", "made of"], rows)

    def __repr__(self) -> str:
        lines = [f"<Pipeline {'/'.join(self.name)!r}"]
        for node in self.nodes.values():
            made_of = f" <- {', '.join(part.label for part in node.inputs)}" if node.inputs else ""
            lines.append(f"  {node.label}{made_of}")
        return "\n".join(lines) + ">"

    def _node(self, element: Element, inputs: list[Node]) -> Node:
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
                )
            case OperatorStream() as stream:
                return OperatorNode(self.name, element.label, stream, inputs)
            case Stream() as stream:
                return SourceNode(self.name, element.label, stream, inputs)


class _Recorded:
    """Tells the observer when a run starts and ends, and keeps what is left of it, whatever way it ends."""

    def __init__(self, pipeline: Pipeline, run: Run, orchestrator: str) -> None:
        self._pipeline = pipeline
        self._run = run
        self._orchestrator = orchestrator
        self._looking = ThreadPoolExecutor(1)
        self._environment = self._looking.submit(Environment.here)
        self._started = datetime.now(UTC)

    def __enter__(self) -> None:
        try:
            self._run.observer.on_run_start(self._run.run_id)
        except BaseException as error:
            self.__exit__(type(error))
            raise

    def __exit__(self, kind: type[BaseException] | None, *exc_info: object) -> None:
        run, result = self._run, self._run.result()
        if kind is None:
            outcome = "SUCCESS" if result.ok else "FAILED"
        else:
            outcome = "FAILED" if issubclass(kind, Exception | SystemExit) else "INTERRUPTED"
        record = RunRecord(
            run_id=run.run_id,
            pipeline="/".join(self._pipeline.name),
            started=self._started,
            ended=datetime.now(UTC),
            outcome=outcome,
            counts=result.node_counts,
            orchestrator=self._orchestrator,
            executors=run.executors,
        )
        try:
            RunLedger(self._pipeline.log_database).add(record, self._environment.result())
            run.flusher.flush()
        finally:
            self._looking.shutdown()
            run.observer.on_run_end(run.run_id)
            run.observer.flush()


def _watching(observer: ExecutionObserver | None, *, progress: bool | None) -> ExecutionObserver:
    """Whom a run tells: the observer that was given, and who draws its progress."""
    watching = [] if observer is None else [observer]
    if is_terminal() if progress is None else progress:
        watching.append(ProgressObserver())
    match watching:
        case []:
            return NoOpObserver()
        case [one]:
            return one
        case _:
            return CompositeObserver(*watching)


def _opened(database: Database | str | os.PathLike[str]) -> Database:
    return open_database(database) if isinstance(database, str | os.PathLike) else database
