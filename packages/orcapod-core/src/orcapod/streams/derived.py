"""``DerivedStream``: what an operator or a function pod makes of other streams, and who writes it down."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextvars import ContextVar

from orcapod.datagrams import StreamSchema
from orcapod.hashing import ContentHash
from orcapod.streams.stream import Stream

__all__ = ["DerivedStream", "Producer", "recording"]


class Producer(ABC):
    """What makes streams of streams: a function pod or an operator.

    Attributes:
        symmetric: whether the order of its inputs means nothing.
    """

    symmetric: bool = False

    @abstractmethod
    def content_structure(self) -> object:
        """What identifies it, the code of a function included."""

    @abstractmethod
    def pipeline_structure(self) -> object:
        """What identifies its place and schema, without the code of a function."""

    @abstractmethod
    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        """The schema of what it makes of these streams.

        Raises:
            SchemaError: it cannot be applied to them.
        """


class DerivedStream(Stream):
    """A stream made of other streams. It is a plan: rows are made when someone asks for them.

    One that is made inside ``with pipeline:`` is recorded there.

    Attributes:
        producer: the operator or function pod that makes it.
        inputs: what it is made of.
    """

    def __init__(self, producer: Producer, inputs: Sequence[Stream], *, label: str) -> None:
        self.producer = producer
        self.inputs = tuple(inputs)
        self.label = label
        self.schema = producer.output_schema(self.inputs)
        if (record := recording.get()) is not None:
            record.append(self)

    def content_structure(self) -> object:
        return self.producer.content_structure(), self._parts([stream.content_hash() for stream in self.inputs])

    def pipeline_structure(self) -> object:
        return self.producer.pipeline_structure(), self._parts([stream.pipeline_hash() for stream in self.inputs])

    def _parts(self, hashes: list[ContentHash]) -> list[ContentHash]:
        return sorted(hashes, key=str) if self.producer.symmetric else hashes


recording: ContextVar[list[DerivedStream] | None] = ContextVar("recording", default=None)
"""Where the calling thread or task writes down the streams that it derives; nowhere if None."""
