"""``Graph``: the plan of a pipeline as a value: which streams are made of which, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orcapod.hashing import hash_structure
from orcapod.sources import Source
from orcapod.streams import DerivedStream, Stream, inputs_first, inputs_of

__all__ = ["Element", "Graph"]


@dataclass(frozen=True, slots=True)
class Element:
    """One stream of a plan.

    Attributes:
        label: what it is called; unique in its graph.
        stream: what it is.
        inputs: the places of the elements that it is made of, all before its own.
    """

    label: str
    stream: Stream
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Graph:
    """Streams in an order in which each stands behind what it is made of.

    The same stream derived twice under the same name is one element, so running a notebook's cell
    again adds nothing.
    """

    elements: tuple[Element, ...]

    @classmethod
    def of(cls, streams: Iterable[Stream], *, stands_for: Callable[[Stream], Stream] = lambda stream: stream) -> Graph:
        """The graph of these streams and all that they are made of.

        Several of one label are called ``{label}_1``, ``{label}_2``, ... in the order of the graph; what comes
        from outside leaves its label to what is derived.

        Args:
            streams: what is planned.
            stands_for: the stream of the plan that an input means, where it is not itself part of it.
        """

        def inputs(stream: Stream) -> list[Stream]:
            return [stands_for(part) for part in inputs_of(stream)]

        found = _Collection()
        for stream in inputs_first(streams, inputs):
            found.add(stream, inputs(stream))
        labels = _labelled(found.streams)
        return cls(
            tuple(
                Element(label, stream, inputs)
                for label, stream, inputs in zip(labels, found.streams, found.inputs, strict=True)
            )
        )


class _Collection:
    """Streams as they are found, each once."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.inputs: list[tuple[int, ...]] = []
        self._places: dict[int, int] = {}
        self._derived: dict[object, int] = {}

    def add(self, stream: Stream, parts: Sequence[Stream]) -> None:
        """Take a stream that is made of others which are there already."""
        inputs = tuple(self._places[id(part)] for part in parts)
        if isinstance(stream, DerivedStream):
            made = hash_structure(stream.producer.content_structure())
            place = self._derived.setdefault((made, inputs, stream.label), len(self.streams))
        else:
            place = next((at for at, other in enumerate(self.streams) if _same_root(other, stream)), len(self.streams))
        if place == len(self.streams):
            self.streams.append(stream)
            self.inputs.append(inputs)
        self._places[id(stream)] = place


def _same_root(one: Stream, other: Stream) -> bool:
    """Whether two sources say the same; their data is only hashed when all else agrees."""
    return (
        isinstance(one, Source)
        and isinstance(other, Source)
        and one.label == other.label
        and one.pipeline_hash() == other.pipeline_hash()
        and one.content_hash() == other.content_hash()
    )


def _labelled(streams: Sequence[Stream]) -> list[str]:
    """A label of its own for every stream; what a pipeline makes comes before what it is made of."""
    own = [stream for stream in streams if isinstance(stream, DerivedStream)]
    roots = [stream for stream in streams if not isinstance(stream, DerivedStream)]
    made = _distinct([stream.label for stream in own], frozenset())
    given = _distinct([stream.label for stream in roots], frozenset(made))
    labels = {id(stream): label for stream, label in zip([*own, *roots], [*made, *given], strict=True)}
    return [labels[id(stream)] for stream in streams]


def _distinct(labels: Sequence[str], others: frozenset[str]) -> list[str]:
    count = Counter(labels) + Counter(others)
    taken = {label for label in labels if count[label] == 1} | others
    made, number = [], Counter[str]()
    for label in labels:
        name = label
        while count[label] > 1 and (name == label or name in taken):
            number[label] += 1
            name = f"{label}_{number[label]}"
        taken.add(name)
        made.append(name)
    return made
