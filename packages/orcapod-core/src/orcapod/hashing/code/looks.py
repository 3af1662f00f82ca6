"""First looks: what the code itself changes counts by what it held when it was first looked at in this process.

So a memo that fills up while a pipeline runs changes no key, and what a module put into a container before
anything ran (a setting beside a counter, the entries of a registry) counts like any constant. Where other functions or
classes are found in it than at the last look, the author has put them there, and it is looked at anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orcapod.hashing.code.names import Location

__all__ = ["Look", "first_look"]


@dataclass(frozen=True, slots=True)
class Look:
    """Contents of a location as they were found.

    Attributes:
        digest: of what it said.
        uses: the functions, classes and values that it referred to.
        notes: what of it is listed.
        code: the functions and classes that it held itself.
    """

    digest: bytes
    uses: tuple[object, ...]
    notes: tuple[object, ...]
    code: tuple[object, ...]


_looks: dict[Location, tuple[object, Look]] = {}  # with the objects, so that no id is used twice


def first_look(location: Location, owner: object, look: Callable[[], Look]) -> Look:
    """Return what was first found at a location."""
    found = look()
    _, first = _looks.get(location, (None, found))
    if len(first.code) != len(found.code) or any(a is not b for a, b in zip(first.code, found.code, strict=True)):
        first = found
    _looks[location] = owner, first
    return first
