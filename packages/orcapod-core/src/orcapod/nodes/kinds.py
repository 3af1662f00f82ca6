"""The three kinds of nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orcapod.datagrams import Chunk
from orcapod.functions import PodStream, Step
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run
from orcapod.operators import OperatorStream, drive
from orcapod.protocols import (
    Database,
    ExecutionObserver,
    NoOpObserver,
    PythonFunctionExecutorProtocol,
    RecordPath,
)
from orcapod.records import EntryLog, ResultCache, node_path, result_path

__all__ = ["FunctionNode", "OperatorNode", "SourceNode"]


class SourceNode(Node):
    """A stream that comes from outside the pipeline: a source, or a node of another pipeline."""

    def work(self, inputs: Sequence[Iterable[Chunk]], run: Run) -> Iterator[Chunk]:
        return self.stream.chunks()

    def chunks(self) -> Iterator[Chunk]:
        return self.stream.chunks()


class OperatorNode(Node):
    """An operator between nodes."""

    stream: OperatorStream

    def work(self, inputs: Sequence[Iterable[Chunk]], run: Run) -> Iterator[Chunk]:
        return drive(self.stream.producer.machine(self.stream.inputs), inputs)

    def chunks(self) -> Iterator[Chunk]:
        return drive(self.stream.producer.machine(self.stream.inputs), [node.chunks() for node in self.inputs])


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

    Attributes:
        executor: where the function runs; once set, it holds against the one that a run is given.
    """

    stream: PodStream

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
    ) -> None:
        super().__init__(pipeline, label, stream, inputs)
        self._results = results
        self._records = records
        self._default_executor = executor
        self._own_executor: PythonFunctionExecutorProtocol | None = None
        self._function = stream.producer.packet_function
        self.path = node_path(self._function.uri, self.pipeline_hash())

    @property
    def executor(self) -> PythonFunctionExecutorProtocol:
        return self._own_executor or self._default_executor

    @executor.setter
    def executor(self, executor: PythonFunctionExecutorProtocol) -> None:
        self._own_executor = executor

    def executor_for(self, run: Run) -> PythonFunctionExecutorProtocol:
        """Where the function runs in a run."""
        return self._own_executor or run.executor or self._default_executor

    def work(self, inputs: Sequence[Iterable[Chunk]], run: Run) -> Iterator[Chunk]:
        (chunks,) = inputs
        observer = run.observer.contextualize(str(self.pipeline_hash()), self.label, node_path=self.path)
        with self.executor_for(run) as executor:
            step = self._step(run.run_id, executor, observer)
            step.error_policy = run.error_policy
            run.steps[self.label] = step
            yield from step.run(chunks, keeping=run.keeping)

    def chunks(self) -> Iterator[Chunk]:
        (node,) = self.inputs
        return self._step("", None, NoOpObserver()).known(node.chunks())

    def _step(
        self, run_id: str, executor: PythonFunctionExecutorProtocol | None, observer: ExecutionObserver
    ) -> Step:
        function = self._function
        cache = ResultCache(
            self._results,
            result_path(function.uri),
            function.signature.outputs,
            code=str(function.fingerprint),
            run_id=run_id,
        )
        entries = EntryLog(self._records, self.path)
        return Step(function, self.schema, cache, entries, executor, observer, self.label, self.path)
