"""``DerivedStream``: what an operator or a function pod makes of other streams."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, StreamSchema, with_packets
from orcapod.hashing import ContentHash, recipes
from orcapod.streams.evaluation import evaluated, inputs_first
from orcapod.streams.stream import Stream

__all__ = ["DerivedStream", "Producer", "inputs_of", "recording"]


class Producer(ABC):
    """Function pod or operator: makes streams of streams.

    Attributes:
        symmetric: whether the order of its inputs means nothing.
        default_label: what its streams are called where nobody gives them a label.
    """

    symmetric: bool = False
    default_label: str

    @abstractmethod
    def content_hash(self) -> ContentHash:
        """Return its identity, the code of a function included."""

    @abstractmethod
    def pipeline_hash(self, inputs: Sequence[Stream]) -> ContentHash:
        """Return its part in the pipeline hash of what it makes of these streams, without the code of a function."""

    @abstractmethod
    def output_schema(self, inputs: Sequence[Stream]) -> StreamSchema:
        """Return the schema of what it makes of these streams.

        Raises:
            SchemaError: it cannot be applied to them.
        """


class DerivedStream(Stream):
    """A stream made of other streams. It is a plan: rows are made when someone asks for them.

    One that is made inside ``with pipeline:`` is recorded there.

    Attributes:
        producer: the operator or function pod that makes it.
        inputs: what it is made of.
        is_labelled: whether its label was given to it.
    """

    def __init__(self, producer: Producer, inputs: Sequence[Stream], *, label: str | None) -> None:
        self.producer = producer
        self.inputs = tuple(inputs)
        given = Checks(producer.default_label).text_or_none("label", label)
        self.label = given or producer.default_label
        self.is_labelled = bool(given)
        self.schema = producer.output_schema(self.inputs)
        self._pipeline_hash = recipes.stream_pipeline(
            producer.pipeline_hash(self.inputs),
            [stream.pipeline_hash() for stream in self.inputs],
            symmetric=producer.symmetric,
        )
        if (record := recording.get()) is not None:
            record.append(self)

    @abstractmethod
    def made_of(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        """Return its rows, given those of its inputs."""

    def chunks(self) -> Iterator[Chunk]:
        return with_packets(self.all_chunks())

    def all_chunks(self) -> Iterator[Chunk]:
        this: Stream = self
        return evaluated(this, inputs_of, _rows)

    def content_hash(self) -> ContentHash:
        """Return the identity of the stream, taken anew each time: in a notebook, code may change."""
        this: Stream = self
        hashes: dict[int, ContentHash] = {}
        for part in inputs_first([this], inputs_of):
            inputs = [hashes[id(each)] for each in inputs_of(part)]
            hashes[id(part)] = part._content_of(inputs) if isinstance(part, DerivedStream) else part.content_hash()
        return hashes[id(self)]

    def pipeline_hash(self) -> ContentHash:
        return self._pipeline_hash

    def sources(self) -> Mapping[str, Stream]:
        this: Stream = self
        roots = [part for part in inputs_first([this], inputs_of) if not isinstance(part, DerivedStream)]
        return {name: source for root in roots for name, source in root.sources().items()}

    def _content_of(self, inputs: list[ContentHash]) -> ContentHash:
        return recipes.stream_content(self.producer.content_hash(), inputs, symmetric=self.producer.symmetric)


def inputs_of(stream: Stream) -> Sequence[Stream]:
    """Return what a stream is made of; nothing, if it comes from outside."""
    return stream.inputs if isinstance(stream, DerivedStream) else ()


def _rows(stream: Stream, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
    return stream.made_of(inputs) if isinstance(stream, DerivedStream) else stream.all_chunks()


recording: ContextVar[list[DerivedStream] | None] = ContextVar("recording", default=None)
"""Where the calling thread or task writes down the streams that it derives; nowhere if None."""
