"""``SourceNode``: what comes from outside a pipeline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from orcapod.datagrams import Chunk
from orcapod.execution import Inputs, PacketError, PacketTally
from orcapod.functions import ErrorPolicy
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run
from orcapod.protocols import ExecutionObserver, RecordPath
from orcapod.sources import Source, TableSource

__all__ = ["SourceNode"]


@dataclass
class _Reading(PacketTally):
    """Rows that are read, of which some may be bad."""

    observer: ExecutionObserver
    label: str
    path: RecordPath
    error_policy: ErrorPolicy
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[PacketError] = field(default_factory=list)


class SourceNode(Node):
    """A stream that comes from outside the pipeline: a source, or a node of another pipeline."""

    kind = "source"

    @property
    def _name(self) -> str:
        return self.stream.source_id if isinstance(self.stream, Source) else self.stream.label

    @property
    def path(self) -> RecordPath:  # type: ignore[override]  # of logs and statuses of bad rows alone
        return ("source", f"schema:{self.pipeline_hash().short}") if self._may_fail else ()

    @property
    def _may_fail(self) -> bool:
        return isinstance(self.stream, Source) and self.stream.bad_rows == "fail"

    @property
    def is_repeatable(self) -> bool:  # type: ignore[override]  # others may give other rows by then
        return isinstance(self.stream, TableSource)

    def process(self, inputs: Inputs, run: Run, observer: ExecutionObserver) -> Iterator[Chunk]:
        if not isinstance(source := self.stream, Source) or source.bad_rows == "raise":
            return source.all_chunks()
        run.steps[self.label] = reading = _Reading(observer, self.label, self.path, run.error_policy)
        return source.read(reading.refuse)

    def known(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self.stream.all_chunks()
