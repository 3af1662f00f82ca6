"""``Revisions``: which streams of a plan took the place of others when a cell was run again."""

from __future__ import annotations

from typing import NamedTuple

from orcapod.pods import PodStream
from orcapod.sources import Source
from orcapod.streams import DerivedStream, Stream

__all__ = ["Revisions"]


class _Version(NamedTuple):
    """A stream, by its place in the plan, and the last block that derived it."""

    place: int
    block: int


class Revisions:
    """Streams by what they are to the user, who runs the cells of a notebook again and again.

    A stream takes the place of one from an earlier block

    - that was given the same label, whatever either is made of;
    - without a label of their own: when both are what the same definition of a function, edited since, makes
      of the same, or what the same operator makes of what took the other's place. A source is the same as one of
      its name, whatever its rows are today.

    Two functions that one definition made (closures, say) are two.
    """

    def __init__(self) -> None:
        self._identities: list[int] = []
        self._numbers: dict[object, int] = {}
        self._versions: dict[int, list[_Version]] = {}
        self._closures: dict[object, object] = {}

    def add(self, stream: Stream, made: object, inputs: tuple[int, ...], *, block: int | None) -> None:
        """Take the next stream of a plan.

        Args:
            stream: what it is.
            made: what identifies what makes it.
            inputs: the places of what it is made of.
            block: the last one that derived it; None if none did.
        """
        place = len(self._identities)
        identity = self._identity(stream, made, tuple(self._identities[part] for part in inputs))
        number = self._numbers.setdefault(identity, len(self._numbers))
        self._identities.append(number)
        if block is not None:
            self._versions.setdefault(number, []).append(_Version(place, block))

    def replaced(self) -> frozenset[int]:
        """Return the places of the streams that another stands for now."""
        found: set[int] = set()
        for versions in self._versions.values():
            latest = max(version.block for version in versions)
            found.update(version.place for version in versions if version.block < latest)
        return frozenset(found)

    def _identity(self, stream: Stream, made: object, inputs: tuple[int, ...]) -> object:
        if isinstance(stream, Source):
            return "source", stream.source_id
        if not isinstance(stream, DerivedStream):
            return "root", len(self._identities)
        if stream.is_labelled:
            return "label", stream.label
        if not isinstance(stream, PodStream):
            return "operator", made, stream.label, inputs
        function = stream.producer.packet_function.function
        defined = function.__module__, getattr(function, "__qualname__", None)
        identity = "function", defined, stream.label, inputs
        code = getattr(function, "__code__", None)
        is_first = self._closures.setdefault((identity, code), made) == made
        return identity if is_first else ("closure", made, identity)
