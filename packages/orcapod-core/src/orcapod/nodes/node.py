"""``Node``: one element of a compiled pipeline, and a stream of what is known of its rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from orcapod import interrupts
from orcapod.checks import Checks
from orcapod.datagrams import Chunk, with_packets
from orcapod.errors import InputValidationError, PipelineError
from orcapod.execution import FirstFailure, Inputs, RunLoop, WholeInputs
from orcapod.functions import ErrorPolicy, PipelineConfig, checked_policy
from orcapod.hashing import ContentHash
from orcapod.nodes.flusher import Flusher, discarding
from orcapod.nodes.rows import Row, fitting, rows_of
from orcapod.nodes.run import Run
from orcapod.protocols import Database, ExecutionObserver, NoOpObserver, RecordPath, adapted
from orcapod.records import NodeRecord, new_run_id
from orcapod.sources import LiveSource
from orcapod.streams import Stream, evaluated, inputs_first

__all__ = ["Node"]


class Node(Stream):
    """One element of a compiled pipeline.

    Read as a stream, it gives its rows as far as they are recorded: reading never computes.

    Attributes:
        pipeline: the name of its pipeline.
        stream: what it does, as planned.
        inputs: the nodes that it is made of.
        config: how packets are run where nobody says otherwise.
        path: where its records are kept; empty where nothing is.
        kind: ``source``, ``function`` or ``operator``.
        is_repeatable: whether ``known`` gives what it gave in a run as often as it is asked.
    """

    kind: str
    path: RecordPath = ()
    is_repeatable = False

    def __init__(
        self,
        pipeline: RecordPath,
        label: str,
        stream: Stream,
        inputs: Sequence[Node],
        *,
        config: PipelineConfig | None = None,
    ) -> None:
        self.config = config or PipelineConfig()
        self.pipeline = pipeline
        self.label = label
        self.stream = stream
        self.inputs = tuple(inputs)
        self.schema = stream.schema

    @abstractmethod
    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        """Its rows, given those of its inputs; without a packet where none is recorded, as nothing is computed."""

    def record(self, run: Run) -> NodeRecord:
        """Return what is written down of it for a run."""
        inputs = tuple(node.label for node in self.inputs)
        return NodeRecord(self.label, self.kind, self._name, inputs, self.path)

    @property
    @abstractmethod
    def _name(self) -> str:
        """What makes its rows."""

    def has_records(self) -> bool:
        """Say whether it has recorded any row, if it records rows."""
        return True

    def not_run(self) -> list[str]:
        """Return the labels of those nodes, of it and all that it is made of, that have recorded nothing yet."""
        nodes = inputs_first([self], lambda node: node.inputs)
        return [node.label for node in nodes if not node.has_records()]

    def chunks(self) -> Iterator[Chunk]:
        return with_packets(self.all_chunks())

    def all_chunks(self) -> Iterator[Chunk]:
        return evaluated(self, lambda node: node.inputs, lambda node, inputs: node.known(inputs))

    def released(self, chunk: Chunk) -> Iterable[Chunk]:
        """Return rows that it gave, to be read again from the store where they are there; else as they are."""
        return [chunk]

    def prepare(self, run: Run) -> None:  # most nodes need nothing
        """Check what it needs for a run, before anything of the run is computed."""

    @abstractmethod
    def process(self, inputs: Inputs, run: Run, observer: ExecutionObserver) -> Iterator[Chunk]:
        """Give its rows, made of the rows of its inputs, and tell the node's observer."""

    def run(self, inputs: Inputs, run: Run) -> Generator[Chunk, None, None]:
        """Process its inputs as part of a run; what it tells is flushed when it ends.

        Args:
            inputs: what comes to it.
            run: what it is part of.
        """
        node_hash = str(self.pipeline_hash())
        observer = adapted(run.observer.contextualize(node_hash, self.label, node_path=self.path))
        observer.on_node_start(self.label, node_hash)
        try:
            with interrupts.noticed():
                for chunk in self.process(inputs, run, observer):
                    run.rows[self.label] += chunk.num_packets
                    run.tell_rows(self.label, observer)
                    yield chunk
            run.tell_rows(self.label, observer)
        except BaseException:
            run.flusher.stop_retrying()
            raise
        finally:
            observer.on_node_end(self.label, node_hash)
            run.flusher.flush()

    def execute(
        self,
        *input_streams: Stream | Iterable[Row],
        observer: ExecutionObserver | None = None,
        error_policy: ErrorPolicy = "continue",
    ) -> list[Row]:
        """Return the rows that it makes of its inputs; computed, stored and told as in a run of the pipeline.

        What a run keeps beyond its nodes is the caller's: nothing is written to ``_runs``, and the observer's
        ``on_run_start`` and ``on_run_end`` are not called.

        Args:
            input_streams: a stream for each input, or its rows, as another node's ``execute`` gives them.
            observer: who is told what happens; nobody if None.
            error_policy: ``continue`` leaves failed packets out; ``fail_fast`` raises the first one's exception.

        Raises:
            SchemaError: an input has other columns than what the node is made of.
        """
        self._check_count(input_streams, "input streams")
        run = self._own_run(observer, error_policy)
        inputs = [
            fitting(rows, part.schema, node=self.label) for rows, part in zip(input_streams, self.inputs, strict=True)
        ]
        try:
            with interrupts.deferred(run.stop):
                whole = WholeInputs(inputs, chunk_bytes=run.chunk_bytes)
                return [row for chunk in self._run_alone(whole, run) for row in rows_of(chunk)]
        except FirstFailure as first:
            failure = first.error
        raise failure

    async def async_execute(
        self,
        *channels: Any,
        observer: ExecutionObserver | None = None,
        error_policy: ErrorPolicy = "continue",
    ) -> None:
        """Do the same between channels: rows are sent on as they are there, in the order of ``execute``.

        Async functions run in the caller's event loop, all else beside it. The output is closed at the end.

        Args:
            channels: one for each input, which gives (tag, packet) rows, and at last that of the output: each
                an ``orcapod.orchestrators.Channel``, or an object stream of anyio's.
            observer: see ``execute``.
            error_policy: see ``execute``.

        Raises:
            SchemaError: an input has other columns than what the node is made of.
        """
        import asyncio  # noqa: PLC0415  # whoever awaits has loaded it

        from orcapod.nodes.between import run_between  # noqa: PLC0415  # likewise

        self._check_count(channels[:-1], "input channels, and one for the output")
        check, advice = Checks(f"node {self.label!r}"), "give orcapod.orchestrators.Channel()"
        for channel in channels[:-1]:
            check.instance("an input channel", channel, AsyncIterable, "one that gives rows", advice)
        if not all(callable(getattr(channels[-1], name, None)) for name in ("send", "close")):
            raise check.wrong("the output channel", channels[-1], "one that rows are sent into", advice)
        run = self._own_run(observer, error_policy)
        run.is_overlapping, run.ordered = True, frozenset([self.label])
        run.loop = RunLoop(asyncio.get_running_loop())
        try:
            return await run_between(
                lambda inputs: self._run_alone(inputs, run),
                channels[:-1],
                channels[-1],
                schemas=[part.schema for part in self.inputs],
                label=self.label,
            )
        except FirstFailure as first:
            failure = first.error
        raise failure

    def _own_run(self, observer: ExecutionObserver | None, error_policy: ErrorPolicy) -> Run:
        run = Run(
            run_id=new_run_id(),
            observer=NoOpObserver() if observer is None else adapted(observer),
            error_policy=checked_policy(error_policy),
            engine=None,
            engine_options={},
            flusher=Flusher(self.config.flush_interval),
            config=self.config.node,
            labels=(self.label,),
            memory=self.config.memory_bytes,
        )
        self.prepare(run)
        return run

    def _run_alone(self, inputs: Inputs, run: Run) -> Generator[Chunk, None, None]:
        stores = self.stores()
        flushes = [run.observer.flush, *(store.flush for store in stores)]
        with discarding(*stores), run.flusher, run.flusher.calling(*flushes):
            try:
                yield from self.run(inputs, run)
            finally:
                run.loop.close()

    def stores(self) -> Sequence[Database]:
        """Return where it writes."""
        return ()

    def _check_count(self, found: Sequence[object], noun: str) -> None:
        if len(found) != len(self.inputs):
            labels = [part.label for part in self.inputs]
            raise PipelineError(
                f"node {self.label!r} was given {len(found)}, expected {len(labels)} {noun}; it is made of {labels}",
                node=self.label,
                expected=str(len(labels)),
                found=str(len(found)),
            )

    def as_source(self, source_id: str | None = None) -> LiveSource:
        """Return it as a source, which gives what is recorded when it is read, now or later.

        Args:
            source_id: if given, provenance starts anew: rows are ``row_0``, ``row_1``, ... of this source. If None,
                rows keep their provenance and system tags.
        """
        check = Checks("as_source", InputValidationError)
        label = check.text_or_none("source_id", source_id) or "/".join([*self.pipeline, self.label])
        return LiveSource(self, source_id=source_id, label=label)

    def content_hash(self) -> ContentHash:
        return self.stream.content_hash()

    def pipeline_hash(self) -> ContentHash:
        return self.stream.pipeline_hash()

    def sources(self) -> Mapping[str, Stream]:
        return self.stream.sources()
