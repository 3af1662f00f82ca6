"""``FunctionNode``: a packet function between nodes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, source_info_name
from orcapod.errors import ExecutionError, UnknownOptionError
from orcapod.execution import (
    ConcurrentDriver,
    FunctionSpec,
    Inputs,
    Selection,
    SequentialDriver,
    SharedWork,
    Step,
    StoredRows,
    checked_where,
    local_session,
    receiver,
)
from orcapod.functions import NodeConfig, PipelineConfig, PythonPacketFunction
from orcapod.hashing import ContentHash, Fingerprint
from orcapod.nodes.failures import recorded_failures
from orcapod.nodes.node import Node
from orcapod.nodes.past import Past
from orcapod.nodes.run import Run
from orcapod.pods import PodStream
from orcapod.protocols import (
    CallSession,
    ConcurrentExecutorProtocol,
    Database,
    ExecutionObserver,
    NodeView,
    NoOpObserver,
    OnDone,
    PythonFunctionExecutorProtocol,
    RecordPath,
    ViewingDatabaseProtocol,
    checked_executor,
    files_folder_of,
)
from orcapod.records import (
    Attempts,
    Claims,
    CodeRecords,
    FunctionUri,
    GivenEntries,
    NodeHistory,
    NodeRecord,
    NodeStates,
    PastRuns,
    PipelineRecords,
    ResultCache,
    States,
    claims_in,
    node_path,
    record_ids_in,
    result_path,
)
from orcapod.streams import evaluated

__all__ = ["FunctionNode"]

_LEASE = 15.0  # seconds, after which a process that is not heard of is taken for dead


class FunctionNode(Node):
    """A packet function between nodes: looks up, computes what is missing, and keeps it.

    Args:
        pipeline: the name of its pipeline.
        label: what it is called.
        stream: the function applied to its input, as planned.
        inputs: the one node that it is made of.
        results: where computed packets are kept.
        records: where it is kept which rows they stand for.
        executor: where the function runs if nobody says otherwise.
        config: how packets are run where nobody says otherwise.
        files: where files are kept that its function makes; beside the results if None.

    Attributes:
        function: what makes its packets.
        executor: where the function runs; once set, it holds against the one that a run is given.
        node_config: how its packets are run; the pipeline's defaults if None.
    """

    stream: PodStream
    kind = "function"

    def __init__(
        self,
        pipeline: RecordPath,
        label: str,
        stream: PodStream,
        inputs: Sequence[Node],
        *,
        results: Database,
        records: Database,
        executor: PythonFunctionExecutorProtocol,
        config: PipelineConfig | None = None,
        files: Path | None = None,
    ) -> None:
        super().__init__(pipeline, label, stream, inputs, config=config)
        self._files = files_folder_of(results) if files is None else files
        self._results = results
        self._records = records
        self._default_executor = executor
        self._own_executor = stream.producer.executor
        self.node_config = stream.producer.node_config
        self.function = stream.producer.packet_function
        self.path = node_path(self.function.uri, self.pipeline_hash())

    @property
    def uri(self) -> FunctionUri:
        """What its function is called in records."""
        return self.function.uri

    @property
    def executor(self) -> PythonFunctionExecutorProtocol:
        return self._own_executor or self._default_executor

    @executor.setter
    def executor(self, executor: PythonFunctionExecutorProtocol | None) -> None:
        self._own_executor = None if executor is None else checked_executor(executor)

    def executor_for(self, run: Run) -> PythonFunctionExecutorProtocol:
        """Return where the function runs in a run, with the run's options.

        Raises:
            ExecutionError: the executor does not run functions of this kind.
            UnknownOptionError: the executor does not know an option.
        """
        executor = self._own_executor or run.engine or self._default_executor
        takes_options = executor is run.engine or run.engine is None
        # Also without options: what a node enters and leaves is one like it, whose workers outlive the run.
        executor = self._with_options(executor, run.engine_options if takes_options else {})
        if not executor.supports(self.function.type_id):
            raise ExecutionError(
                f"node {self.label!r}: the executor {executor.executor_type_id!r} does not run functions of type "
                f"{self.function.type_id!r}; give the node another one"
            )
        return executor

    def _with_options(
        self, executor: PythonFunctionExecutorProtocol, options: Mapping[str, Any]
    ) -> PythonFunctionExecutorProtocol:
        try:
            return executor.with_options(**options)
        except ExecutionError as error:
            raise UnknownOptionError(
                f"execution_engine_opts, node {self.label!r}: {error}",
                node=self.label,
                found=str(sorted(options)),
            ) from error

    def lookup(self, code: Fingerprint) -> Step:
        """Return what looks up the results of code, and computes and stores nothing."""
        return self._step(code.hash, "", None, NoOpObserver(), Attempts(self._results, self.uri))

    def history_before(self, runs: PastRuns) -> NodeHistory:
        """Return what the store holds of its past."""
        return NodeHistory(self._results, self._records, self.uri, self.label, runs)

    def has_records(self) -> bool:
        return self.path in self._records.list_paths()

    def errors(self) -> pa.Table:
        """Return the packets that failed in its last run, as far as logs or statuses were kept of them.

        The columns are those of ``RunResult.errors.to_table()``, and ``traceback``: node, the tags as text, error,
        message, file, line, function. ``to_pandas()`` makes a frame of it.

        Raises:
            PipelineError: it has not run, or packets failed and nothing was kept of them in the pipeline's
                ``log_database``.
        """
        return self.errors_in(None)

    def errors_in(self, run: tuple[str, Mapping[str, int]] | None) -> pa.Table:
        """Return the same of a run, given with what the node counted in it; of its last one if None."""
        return recorded_failures(self._records, self.path, self.label, run, has_retries=self._has_retries)

    @property
    def _has_retries(self) -> bool:
        return (self.node_config or self.config.node).retries > 0

    def prepare(self, run: Run) -> None:
        run.assigned[self.label] = self.executor_for(run)
        run.code[self.label] = self.function.code("begins")
        run.attempts[self.label] = self._attempts(run)
        run.attempts[self.label].load()
        run.writers.setdefault(self.path, self.label)

    @property
    def _name(self) -> str:
        return self.function.name

    def record(self, run: Run) -> NodeRecord:
        code = run.code.get(self.label)
        return replace(super().record(run), code="" if code is None else str(code.hash))

    def state(self, run: Run, known: States, *, is_complete: bool) -> int:
        """Return the number of its state after a run; a complete one makes it what it gave."""
        states, step = NodeStates(self._records, self.path, self.label, known), run.steps.get(self.label)
        if is_complete and isinstance(step, Step):
            if (left := states.left(known)) is not None:
                states.close(left, GivenEntries())
                states = NodeStates(self._records, self.path, self.label)
            return states.close(run.run_id, step.spec.records.given)
        return states.last().number

    def place_view(self) -> None:
        """Have a store with an SQL engine of its own show its rows there, under its label."""
        if isinstance(self._records, ViewingDatabaseProtocol):
            self._records.place_view(self._view(), self._results)

    def _view(self) -> NodeView:
        """Return what other tools are to see of its rows."""
        columns = self.function.packet_columns(self.inputs[0].schema)
        sources = tuple(map(source_info_name, columns))
        return NodeView((), self.label, self.path, tuple(self.schema.tags), tuple(self.schema.packets), sources)

    def at(self, run_id: str) -> pa.Table:
        """Return the rows that it gave in a run: tags and outputs, in the order in which they were first stored.

        A run that was interrupted, or ended by its first failure, shows what the last whole one before it gave.

        Args:
            run_id: the name of a run that has ended; of the pipeline that it belongs to.

        Raises:
            UnknownRunError: there is no such run.
            LabelError: the run had no function node of this label.
            PrunedResultError: values were pruned.
            DamagedRecordError: a result is no longer there, for another reason.
        """
        return self._past.at(run_id)

    def history(self, **tags: Any) -> pa.Table:
        """Return the rows that it ever gave, and in which runs.

        Args:
            tags: only those with these tags, as in ``filter``.

        Returns:
            the tags and outputs, null where values were pruned; ``__since``, the run that gave the row first, and
            ``__until``, the first one that gave it no longer, null if it is there. A row that went and came back is
            there once for each time. In the order of the runs.

        Raises:
            SchemaError: it has no such tag, or the tag never has such a value.
            DamagedRecordError: a result is no longer there, for another reason.
        """
        return self._past.history(tags)

    @property
    def _past(self) -> Past:
        return Past(self, self._records, self._cache("", "", None))

    def invalidate(self, /, **tags: Any) -> int:
        """Have results computed again by the next run; return how many, and warn of values that no row has.

        Nothing is removed: ``at`` reads what runs gave before. Until that run, the node gives no such rows. Results
        belong to the store, so the same packets of other pipelines on it are computed again as well.

        Args:
            tags: the rows whose results these are, ``subject="3"`` or ``subject=["3", "4"]``; of a tag that is a list,
                ``subject=["3", "4"]`` is one value, and ``subject="3"`` any with that member. All rows if there are
                none.

        Raises:
            LabelError: no row has such a tag.
            ReadOnlyStoreError: the store may only be read.
        """
        again = checked_where(Checks(f"node {self.label!r}"), "invalidate", tags, [self.inputs[0].schema.tags])
        self._results.check_writable()
        attempts = Attempts(self._results, self.uri)
        step = self._step(self.function.fingerprint(), "", None, NoOpObserver(), attempts)
        step.selection = Selection(again=again)
        firsts = list(step.ids_again(evaluated(self.inputs[0], lambda node: node.inputs, _as_before)))
        if unmet := again.unmet():
            warnings.warn(unmet, stacklevel=2)
        newest = attempts.newest(firsts)
        there = self._cache("", "", None).there(newest)
        valid = [first for first, record_id in zip(firsts, newest, strict=True) if record_id in there]
        attempts.invalidate(valid)
        self._results.flush()
        return len(valid)

    def stores(self) -> Sequence[Database]:
        return self._results, self._records

    def released(self, chunk: Chunk) -> Iterable[Chunk]:
        (provenance,) = chunk.provenance_columns()
        names: list[Any] = chunk.column(provenance).to_pylist()
        ids = record_ids_in(names)
        cache = self._cache("", "", None)
        stored = [record_id for record_id in ids if record_id is not None]
        return StoredRows(cache, chunk, ids) if cache.holds(stored) else [chunk]

    def process(self, inputs: Inputs, run: Run, observer: ExecutionObserver) -> Iterator[Chunk]:
        code = run.code[self.label]
        with run.assigned[self.label] as executor, self.function.running(code):
            run.flusher.with_retries(lambda: CodeRecords(self._results).store(self.function.name, code))
            step = self._step(code.hash, run.run_id, executor, observer, run.attempts[self.label], self._writer(run))
            step.error_policy = run.error_policy
            step.with_retries = run.flusher.with_retries
            step.chunk_bytes = run.chunk_bytes
            step.config = self.node_config or run.config
            step.selection = run.selection(self.label)
            if step.selection.again:  # rows that nobody named may have the packets of those
                step.again_ids = step.ids_again(self.inputs[0].all_chunks())
            run.steps[self.label], run.executors[self.label] = step, executor.executor_type_id
            mailbox = inputs.mailbox()
            session = self._session(executor, receiver(step, mailbox), step.config, run)
            is_awaited = run.is_overlapping
            with self._sharing(run, step.config) as shared:
                if session is None:
                    sequential = SequentialDriver(step, is_awaited=is_awaited, shared=shared)
                    yield from sequential.run(inputs.chunks(), autoflush=run.flusher.calling)
                else:
                    in_order = not run.is_overlapping or self.label in run.ordered
                    concurrent = ConcurrentDriver(
                        step, mailbox, session, run.in_flight, in_order=in_order, is_awaited=is_awaited, shared=shared
                    )
                    yield from concurrent.run(autoflush=run.flusher.calling)

    @contextmanager
    def _sharing(self, run: Run, config: NodeConfig) -> Iterator[SharedWork | None]:
        """Share the work with other processes meanwhile, if that is wanted."""
        if not self._is_shared(run, config) or run.selection(self.label).where is None:
            yield None
            return
        with SharedWork(self._claims(run)) as shared, run.flusher.calling(shared.beat):
            yield shared

    def _is_shared(self, run: Run, config: NodeConfig) -> bool:
        return run.share_work or config.share_work

    def _claims(self, run: Run) -> Claims:
        return claims_in(self._results, f"{run.run_id}/{self.label}", lease=max(_LEASE, 5 * run.flusher.interval))

    def _writer(self, run: Run) -> str:
        """Return the run for which rows are counted that are new in its table; where nodes share one, for the first."""
        return run.run_id if run.writers[self.path] == self.label else ""

    def _attempts(self, run: Run) -> Attempts:
        """Return which results were computed again, and by whom a run computes them again."""
        sharing: list[str] = []
        if run.selection(self.label).again is not None and self._is_shared(run, self.node_config or run.config):
            sharing = [holder.partition("/")[0] for holder in self._claims(run).beats()]
        return Attempts(self._results, self.uri, run_id=run.run_id, sharing=sharing)

    def _session(
        self, executor: PythonFunctionExecutorProtocol, on_done: OnDone, config: NodeConfig, run: Run
    ) -> CallSession | None:
        """Return what makes the calls; None where they are best made here, one after the other."""
        if run.selection(self.label).where is None:
            return None
        function = self._running_function().function
        concurrency, timeout = config.max_concurrency, config.timeout
        if isinstance(executor, ConcurrentExecutorProtocol):
            own = executor.open_session(function, on_done, concurrency=concurrency, timeout=timeout)
            if own is not None:
                return own
        return local_session(
            executor,
            function,
            on_done,
            concurrency=concurrency if run.awaits_together else 1,
            timeout=timeout,
            loop=run.loop,
            is_overlapping=run.is_overlapping,
        )

    def _running_function(self) -> PythonPacketFunction:
        return self.function.with_files(self._files)

    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self._known(inputs, Attempts(self._results, self.uri))

    def known_before(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        """Return the same, but as if no result had been invalidated."""
        return self._known(inputs, Attempts(self._results, self.uri, among=self._cache("", "", None).there))

    def _known(self, inputs: Sequence[Iterable[Chunk]], attempts: Attempts) -> Iterator[Chunk]:
        (chunks,) = inputs
        return self._step(self.function.fingerprint(), "", None, NoOpObserver(), attempts).stored_results(chunks)

    def _cache(self, code: str, run_id: str, attempts: Attempts | None) -> ResultCache:
        outputs = self.function.signature.outputs
        path = result_path(self.uri)
        return ResultCache(self._results, path, outputs, code=code, run_id=run_id, files=self._files, attempts=attempts)

    def _step(
        self,
        fingerprint: ContentHash,
        run_id: str,
        executor: PythonFunctionExecutorProtocol | None,
        observer: ExecutionObserver,
        attempts: Attempts,
        writer: str = "",
    ) -> Step:
        function = self._running_function()
        cache = self._cache(str(fingerprint), run_id, attempts)
        columns = function.packet_columns(self.inputs[0].schema)
        records = PipelineRecords(self._records, self.path, columns, run_id=writer)
        spec = FunctionSpec(function, fingerprint, self.schema, cache, records)
        return Step(spec, executor, observer, self.label, self.path)


def _as_before(node: Node, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
    """Give the rows of a node as they were before results were invalidated."""
    return node.known_before(inputs) if isinstance(node, FunctionNode) else node.known(inputs)
