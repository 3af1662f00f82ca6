"""``Operator``: rearranges streams, and never makes a value."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence

from orcapod.datagrams import Chunk, StreamSchema, regroup
from orcapod.errors import SchemaError
from orcapod.streams import DerivedStream, Producer, Stream, checked_streams

__all__ = ["InputEvent", "Machine", "Operator", "OperatorStream", "RowwiseOperator", "drive", "in_turn", "ordered"]

_PUSH_ROWS = 65_536
_PUSH_BYTES = 256 * 2**20


class Machine(ABC):
    """An operator at work: takes chunks as they come and gives chunks, without waiting for anything.

    Inputs are pushed in any order and any chunking; the rows given in all are the same.
    """

    @abstractmethod
    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        """Take a chunk of input ``index``; give what can be said now."""

    @abstractmethod
    def close(self, index: int) -> Iterable[Chunk]:
        """Take the end of input ``index``, once; give what can be said now."""


class Operator(Producer):
    """Rearranges one or more streams into one.

    Called with streams, it gives the stream it makes of them, checked and with its schema known, without
    looking at a row.
    """

    inputs: tuple[int, int | None] = (1, 1)
    """How many streams it takes: at least, and at most (None: any number)."""

    order_matters: bool = False
    """Whether what it makes depends on the order in which the rows of an input come."""

    def __call__(self, *streams: Stream, label: str | None = None) -> OperatorStream:
        """The stream that this operator makes of ``streams``.

        Raises:
            SchemaError: it cannot be applied to them; says which column, and why.
        """
        checked_streams(streams, named=self.name)
        least, most = self.inputs
        if len(streams) < least or (most is not None and len(streams) > most):
            expected = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise SchemaError(f"{self.name} takes {expected} streams, found {len(streams)}; call it with as many")
        return OperatorStream(self, streams, label=label)

    @property
    def name(self) -> str:
        """What it is called in messages and hashes."""
        return type(self).__name__

    @property
    def default_label(self) -> str:  # type: ignore[override]  # made of the class's name
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.name).lower()

    @abstractmethod
    def machine(self, inputs: Sequence[Stream]) -> Machine:
        """A fresh machine for these inputs."""

    @abstractmethod
    def arguments(self) -> object:
        """What, beside its kind, makes this operator differ from another."""

    def content_structure(self) -> object:
        return "operator", self.name, self.arguments()

    def pipeline_structure(self) -> object:
        return self.content_structure()


class OperatorStream(DerivedStream):
    """What an operator makes of other streams, row by row as someone asks."""

    producer: Operator

    def made_of(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self.driven(in_turn(inputs))

    def driven(self, events: Iterable[InputEvent]) -> Iterator[Chunk]:
        """Its rows, given those of its inputs in whatever order they come."""
        return drive(self.producer.machine(self.inputs), events)


class RowwiseOperator(Operator):
    """An operator that answers every chunk of its one input at once."""

    @abstractmethod
    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        """The rows that it makes of a chunk, in its output schema."""

    def machine(self, inputs: Sequence[Stream]) -> Machine:
        return _Rowwise(self, self.output_schema(inputs))


class _Rowwise(Machine):
    def __init__(self, operator: RowwiseOperator, schema: StreamSchema) -> None:
        self._operator = operator
        self._schema = schema

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        made = self._operator.apply(chunk, self._schema)
        return [made] if made.num_rows else []

    def close(self, index: int) -> Iterable[Chunk]:
        return []


InputEvent = tuple[int, Chunk | None]
"""A chunk of the input of that index; None for its end."""


def in_turn(inputs: Sequence[Iterable[Chunk]]) -> Iterator[InputEvent]:
    """Whole inputs, one after the other, in large chunks."""
    for index, chunks in enumerate(inputs):
        for chunk in regroup(chunks, rows=_PUSH_ROWS, size=_PUSH_BYTES):
            yield index, chunk
        yield index, None


def ordered(events: Iterable[InputEvent], count: int) -> Iterator[InputEvent]:
    """The events of ``count`` inputs that end one after the other, in the portions in which whole inputs come."""
    coming = iter(events)

    def rows() -> Iterator[Chunk]:
        for _, chunk in coming:
            if chunk is None:
                return
            yield chunk

    return in_turn([rows() for _ in range(count)])


def drive(machine: Machine, events: Iterable[InputEvent]) -> Iterator[Chunk]:
    """What a machine gives for what comes."""
    for index, chunk in events:
        yield from machine.close(index) if chunk is None else machine.push(index, chunk)
