"""``Node``: one element of a compiled pipeline, and a stream of what is known of its rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Iterable, Iterator, Sequence

from orcapod.datagrams import Chunk
from orcapod.execution import Inputs
from orcapod.hashing import ContentHash
from orcapod.nodes.run import Run
from orcapod.protocols import RecordPath
from orcapod.sources import ArrowTableSource
from orcapod.streams import Stream, evaluated

__all__ = ["Node"]


class Node(Stream):
    """One element of a compiled pipeline.

    Read as a stream, it gives its rows as far as they are recorded: reading never computes.

    Attributes:
        pipeline: the name of its pipeline.
        stream: what it does, as planned.
        inputs: the nodes that it is made of.
        path: where its records are kept; empty where nothing is.
    """

    path: RecordPath = ()

    def __init__(self, pipeline: RecordPath, label: str, stream: Stream, inputs: Sequence[Node]) -> None:
        self.pipeline = pipeline
        self.label = label
        self.stream = stream
        self.inputs = tuple(inputs)
        self.schema = stream.schema

    @abstractmethod
    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        """Its rows as far as they are recorded, given those of its inputs; nothing is computed."""

    def chunks(self) -> Iterator[Chunk]:
        return evaluated(self, lambda node: node.inputs, lambda node, inputs: node.known(inputs))

    @abstractmethod
    def process(self, inputs: Inputs, run: Run) -> Iterator[Chunk]:
        """Give its rows, made of the rows of its inputs."""

    def run(self, inputs: Inputs, run: Run) -> Generator[Chunk, None, None]:
        """Process its inputs as part of a run; what it tells is flushed when it ends.

        Args:
            inputs: what comes to it.
            run: what it is part of.
        """
        node_hash = str(self.pipeline_hash())
        run.observer.on_node_start(self.label, node_hash)
        try:
            yield from self.process(inputs, run)
        finally:
            run.observer.on_node_end(self.label, node_hash)
            run.flusher.flush()

    def as_source(self) -> ArrowTableSource:
        """What is recorded now, as a source of its own: provenance starts anew at ``{pipeline}/{label}``."""
        types = self.schema.tags | self.schema.packets
        return ArrowTableSource(
            self.as_table(),
            list(self.schema.tags),
            source_id="/".join([*self.pipeline, self.label]),
            data_schema=dict(types),
        )

    def content_hash(self) -> ContentHash:
        return self.stream.content_hash()

    def pipeline_hash(self) -> ContentHash:
        return self.stream.pipeline_hash()
