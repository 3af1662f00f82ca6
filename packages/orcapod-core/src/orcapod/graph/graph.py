"""``Graph``: the plan of a pipeline as a value: which streams are made of which, and what they are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from orcapod.errors import PipelineError
from orcapod.graph.revision import Revisions
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
        is_replaced: whether another has taken its place, and its label, in a later block.
    """

    label: str
    stream: Stream
    inputs: tuple[int, ...]
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Streams in an order in which each stands behind what it is made of.

    The same stream derived twice under the same name is one element, so running a notebook's cell
    again adds nothing.
    """

    elements: tuple[Element, ...]

    @classmethod
    def of(
        cls,
        *blocks: Iterable[Stream],
        stands_for: Callable[[Stream], Stream] = lambda stream: stream,
    ) -> Graph:
        """Return the graph of these streams and all that they are made of.

        Several of one label are called ``{label}_1``, ``{label}_2``, ... in the order of the graph; what comes
        from outside leaves its label to what is derived. What a later block derives anew takes the place of what
        an earlier one derived: see ``Revisions``. The earlier goes, unless something that stays is made of it: then
        it is called ``{label}_old``.

        Args:
            blocks: what is planned, in the order in which it was.
            stands_for: the stream of the plan that an input means, where it is not itself part of it.

        Raises:
            PipelineError: two different sources are called by one name, and neither took the other's place.
        """

        def inputs(stream: Stream) -> list[Stream]:
            return [stands_for(part) for part in inputs_of(stream)]

        blocks = tuple(list(block) for block in blocks)
        found = _Collection()
        for stream in inputs_first((stream for block in blocks for stream in block), inputs):
            found.add(stream, inputs(stream))
        revisions = Revisions()
        latest = {found.place_of(stream): number for number, block in enumerate(blocks) for stream in block}
        for place, (stream, parts) in enumerate(zip(found.streams, found.inputs, strict=True)):
            revisions.add(stream, found.made[place], parts, block=latest.get(place))
        replaced = revisions.replaced()
        wanted = [place for place in latest if place not in replaced]
        _check_sources(found, wanted, replaced)
        return cls(_elements(found, wanted, replaced))


class _Collection:
    """Streams as they are found, each once.

    Attributes:
        streams: what was found, each behind what it is made of.
        inputs: the places of what each is made of.
        made: what identifies what makes each; None for what comes from outside.
    """

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.inputs: list[tuple[int, ...]] = []
        self.made: list[object] = []
        self._places: dict[int, int] = {}
        self._derived: dict[object, int] = {}

    def add(self, stream: Stream, parts: Sequence[Stream]) -> None:
        """Take a stream that is made of others which are there already."""
        inputs = tuple(self._places[id(part)] for part in parts)
        made: object = None
        if isinstance(stream, DerivedStream):
            made = stream.producer.content_hash()
            place = self._derived.setdefault((made, inputs, stream.label), len(self.streams))
        else:
            place = next((at for at, other in enumerate(self.streams) if _same_root(other, stream)), len(self.streams))
        if place == len(self.streams):
            self.streams.append(stream)
            self.inputs.append(inputs)
            self.made.append(made)
        self._places[id(stream)] = place

    def place_of(self, stream: Stream) -> int:
        """Return the place of a stream, or of the one that says the same."""
        return self._places[id(stream)]


def _check_sources(found: _Collection, wanted: Sequence[int], replaced: frozenset[int]) -> None:
    """Check that provenance leads to one source: no two of one name are behind what is current.

    Raises:
        PipelineError: two are.
    """
    current = set(wanted)
    known: dict[str, tuple[int, Stream]] = {}
    for place in reversed(range(len(found.streams))):
        if place not in current or place in replaced:
            continue
        current.update(found.inputs[place])
        stream = found.streams[place]
        roots = {} if isinstance(stream, DerivedStream) else stream.sources()
        for name, source in roots.items():
            at, other = known.setdefault(name, (place, source))
            if source is not other and source.content_hash() != other.content_hash():
                made = [_readers(found, each) for each in (place, at)]
                raise PipelineError(
                    f"found two different sources called {name!r}, behind {made[0]} and behind {made[1]}, expected "
                    "one, so that provenance leads to its rows; give one of them another source_id, or build anew what "
                    "is made of the one that you no longer mean",
                    source_id=name,
                )


def _readers(found: _Collection, place: int) -> str:
    return ", ".join(
        sorted({stream.label for stream, parts in zip(found.streams, found.inputs, strict=True) if place in parts})
    )


def _elements(found: _Collection, wanted: Sequence[int], replaced: frozenset[int]) -> tuple[Element, ...]:
    """Return what is wanted and what that is made of, labelled."""
    needed = set(wanted)
    for place in reversed(range(len(found.streams))):
        if place in needed:
            needed.update(found.inputs[place])
    kept = sorted(needed)
    places = {place: index for index, place in enumerate(kept)}
    labels = _labelled([(found.streams[place], place in replaced) for place in kept])
    return tuple(
        Element(
            label,
            found.streams[place],
            tuple(places[part] for part in found.inputs[place]),
            place in replaced,
        )
        for label, place in zip(labels, kept, strict=True)
    )


def _same_root(one: Stream, other: Stream) -> bool:
    """Say whether two sources say the same; their data is only hashed when all else agrees."""
    return (
        isinstance(one, Source)
        and isinstance(other, Source)
        and (one.label, one.source_id) == (other.label, other.source_id)
        and one.pipeline_hash() == other.pipeline_hash()
        and one.content_hash() == other.content_hash()
    )


def _labelled(streams: Sequence[tuple[Stream, bool]]) -> list[str]:
    """Return a label of its own for every stream, given whether it is replaced.

    What a pipeline makes comes before what was replaced in it, and that before what it is made of.
    """
    derived = [index for index, (stream, _) in enumerate(streams) if isinstance(stream, DerivedStream)]
    roots = [index for index, (stream, _) in enumerate(streams) if not isinstance(stream, DerivedStream)]
    current = [index for index in derived if not streams[index][1]]
    replaced = [index for index in derived if streams[index][1]]
    labels: dict[int, str] = {}
    for indices, ending in ((current, ""), (replaced, "_old"), (roots, "")):
        wanted = [streams[index][0].label + ending for index in indices]
        labels |= zip(indices, _distinct(wanted, frozenset(labels.values())), strict=True)
    return [labels[index] for index in range(len(streams))]


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
