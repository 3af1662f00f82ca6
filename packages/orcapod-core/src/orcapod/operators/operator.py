"""``Operator``: a rearrangement of streams, which makes no value, but for ``Aggregate``."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any

import pyarrow as pa

from orcapod.arrow import scalar_of
from orcapod.compute import pc
from orcapod.datagrams import Chunk, Completeness, StreamSchema, regroup
from orcapod.errors import SchemaError
from orcapod.hashing import ContentHash, recipes
from orcapod.streams import DerivedStream, Incomplete, Producer, Stream, checked_streams

__all__ = ["InputEvent", "Operator", "OperatorStream", "RowwiseOperator", "in_turn", "ordered", "run_operator"]

_PUSH_ROWS = 65_536
_PUSH_BYTES = 32 * 2**20


class PushOperator(ABC):
    """Operator at work: takes chunks as they are pushed and returns chunks; it waits for nothing.

    Inputs are pushed in any order and any chunking; the rows returned in all are the same.

    Attributes:
        is_complete: whether nothing that may still come adds a row.
    """

    is_complete: bool = False

    @abstractmethod
    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        """Take a chunk of input ``index``; return what can be said now."""

    @abstractmethod
    def close(self, index: int) -> Iterable[Chunk]:
        """Take the end of input ``index``, once; return what can be said now."""


class Operator(Producer):
    """Rearrangement of one or more streams into one.

    Called with streams, it returns the stream it makes of them, checked and with its schema known, without
    looking at a row.
    """

    name: str
    """The name in messages and hashes. It is the operator's for good, whatever becomes of the class; one that does
    not say its own is known by the place of the class, and is another when that changes."""

    inputs: tuple[int, int | None] = (1, 1)
    """How many streams it takes: at least, and at most (None: any number)."""

    order_matters: bool = False
    """Whether what it makes depends on the order in which the rows of an input come."""

    sees_missing: bool = False
    """Whether it is given rows that have no packet, too, and says what becomes of them. Otherwise they pass it by, and
    if there were any, all that it makes is missing like them, unless it answers row by row."""

    incomplete: Incomplete = "skip"
    """What becomes of what it makes of several rows of which some are missing, where it has the choice."""

    def __call__(self, *streams: Stream, label: str | None = None) -> OperatorStream:
        """Return the stream that this operator makes of ``streams``.

        Raises:
            SchemaError: it cannot be applied to them; says which column, and why.
        """
        checked_streams(streams, named=self.name)
        least, most = self.inputs
        if len(streams) < least or (most is not None and len(streams) > most):
            expected = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise SchemaError(f"{self.name} takes {expected} streams, found {len(streams)}; call it with as many")
        return OperatorStream(self, streams, label=label)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}.{cls.__qualname__}"

    @property
    def default_label(self) -> str:  # type: ignore[override]  # made of the name
        _, _, last = self.name.rpartition(".")
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", last).lower()

    def meeting_tags(self, inputs: Sequence[Stream]) -> Sequence[str]:
        """Return the tags in which rows of its inputs have to agree, or it gives nothing."""
        return ()

    @abstractmethod
    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        """Return a fresh push operator for these inputs."""

    def lenient(self) -> Operator:
        """Return the operator for rows of which some were not wanted: it does not raise for what is missing."""
        if self.incomplete != "raise":
            return self
        operator = copy(self)
        operator.incomplete = "skip"
        return operator

    @abstractmethod
    def arguments(self) -> object:
        """Return what, beside its name, tells this operator from another."""

    def content_hash(self) -> ContentHash:
        return recipes.operator(self.name, self.arguments())

    def pipeline_hash(self, inputs: Sequence[Stream]) -> ContentHash:
        return self.content_hash()


class OperatorStream(DerivedStream):
    """Stream that an operator makes of other streams, row by row as someone asks."""

    producer: Operator

    def made_of(self, inputs: Sequence[Iterable[Chunk]]) -> Iterator[Chunk]:
        return self.run(in_turn(inputs), is_part=True)

    def run(self, events: Iterable[InputEvent], *, is_part: bool = False) -> Iterator[Chunk]:
        """Return its rows, given those of its inputs in whatever order they come.

        Args:
            events: the rows, and the ends of the inputs.
            is_part: whether rows may be missing because nobody wanted them.
        """
        producer = self.producer.lenient() if is_part else self.producer
        push_operator = producer.push_operator(self.inputs)
        if not self.producer.sees_missing and not isinstance(self.producer, RowwiseOperator):
            push_operator = _Shielded(push_operator, self.schema, len(self.inputs))
        return run_operator(push_operator, events)


class _Shielded(PushOperator):
    """A push operator that is given only rows with a packet; the others pass it by.

    What it returns is given on when all inputs have ended, as complete as the least complete row of them.
    """

    def __init__(self, inner: PushOperator, schema: StreamSchema, count: int) -> None:
        self._inner = inner
        self._schema = schema
        self._open = count
        self._level = Completeness.WHOLE
        self._held: list[Chunk] = []

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        present = chunk.with_packets()
        if chunk.completeness is not None:
            self._level = max(self._level, Completeness(pc.max(chunk.completeness).as_py()))
        if present.num_rows:
            self._held += self._inner.push(index, present)
        if present.num_rows < chunk.num_rows:
            yield chunk.with_batch(chunk.batch.filter(chunk.missing)).without_packets(self._schema)

    def close(self, index: int) -> Iterable[Chunk]:
        self._held += self._inner.close(index)
        self._open -= 1
        if self._open:
            return
        level = Completeness.UNCERTAIN if self._level >= Completeness.MISSING else self._level
        for chunk in self._held:
            yield _marked(chunk, level)


def _marked(chunk: Chunk, level: Completeness) -> Chunk:
    return chunk.completed(pa.repeat(scalar_of(level, pa.int8()), chunk.num_rows))


class RowwiseOperator(Operator):
    """An operator that answers every chunk of its one input at once."""

    @abstractmethod
    def apply(self, chunk: Chunk, schema: StreamSchema) -> Chunk:
        """Return the rows that it makes of a chunk, in its output schema."""

    def push_operator(self, inputs: Sequence[Stream]) -> PushOperator:
        return _PushRowwise(self, self.output_schema(inputs))


class _PushRowwise(PushOperator):
    def __init__(self, operator: RowwiseOperator, schema: StreamSchema) -> None:
        self._operator = operator
        self._schema = schema

    def push(self, index: int, chunk: Chunk) -> Iterable[Chunk]:
        levels = chunk.completeness
        if levels is None or self._operator.sees_missing:
            rows = self._operator.apply(chunk, self._schema)
            return [rows] if rows.num_rows else []
        return [rows for rows in self._by_level(chunk, levels) if rows.num_rows]

    def _by_level(self, chunk: Chunk, levels: pa.Array[Any]) -> Iterator[Chunk]:
        """Return what becomes of consecutive rows that are equally complete."""
        start = 0
        runs = pc.run_end_encode(levels)
        for end, level in zip(runs.run_ends.to_pylist(), runs.values.to_pylist(), strict=True):
            part = chunk.slice(start, end - start)
            if level >= Completeness.MISSING:
                yield part.without_packets(self._schema)
            else:
                yield _marked(self._operator.apply(part, self._schema), level)
            start = end

    def close(self, index: int) -> Iterable[Chunk]:
        return []


InputEvent = tuple[int, Chunk | None]
"""A chunk of the input of that index; None for its end."""


def in_turn(inputs: Sequence[Iterable[Chunk]], *, size: int = _PUSH_BYTES) -> Iterator[InputEvent]:
    """Yield whole inputs, one after the other, in large chunks of that many bytes at most, or of one row."""
    for index, chunks in enumerate(inputs):
        for chunk in regroup(chunks, rows=_PUSH_ROWS, size=size):
            yield index, chunk
        yield index, None


def ordered(events: Iterable[InputEvent], count: int) -> Iterator[InputEvent]:
    """Return the events of ``count`` inputs that come in turn, in the portions of whole inputs."""
    coming = iter(events)

    def rows() -> Iterator[Chunk]:
        for _, chunk in coming:
            if chunk is None:
                return
            yield chunk

    return in_turn([rows() for _ in range(count)])


def run_operator(operator: PushOperator, events: Iterable[InputEvent]) -> Iterator[Chunk]:
    """Yield what an operator returns for what comes; no more is taken than it needs."""
    if operator.is_complete:
        return
    for index, chunk in events:
        yield from operator.close(index) if chunk is None else operator.push(index, chunk)
        if operator.is_complete:
            return
