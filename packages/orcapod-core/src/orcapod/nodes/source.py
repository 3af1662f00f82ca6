"""``SourceNode``: what comes from outside a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orcapod.datagrams import Chunk
from orcapod.execution import Inputs
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run
from orcapod.protocols import ExecutionObserver
from orcapod.sources import TableSource

__all__ = ["SourceNode"]


class SourceNode(Node):
    """A stream that comes from outside the pipeline: a source, or a node of another pipeline."""

    @property
    def is_repeatable(self) -> bool:  # type: ignore[override]  # others may give other rows by then
        return isinstance(self.stream, TableSource)

    def process(self, inputs: Inputs, run: Run, observer: ExecutionObserver) -> Iterator[Chunk]:
        return self.stream.all_chunks()

    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self.stream.all_chunks()
