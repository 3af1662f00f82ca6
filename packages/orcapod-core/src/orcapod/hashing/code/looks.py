"""Looks at what the code itself changes: it counts by what it held when a run began, not by what runs made of it.

So a memo that fills up while a pipeline runs changes no key, and what a module put into a container before anything
ran (a setting beside a counter, the entries of a registry) counts like any constant. What is found when a run begins
is compared with what the run before left: if it is the same, only runs have changed it, and it still counts by what
it held at first; if not, somebody else has, and it counts anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from orcapod.hashing.code.names import Location
from orcapod.hashing.code.rules import Note, RunStage, State, Unit
from orcapod.hashing.code.syntax import About

__all__ = ["Look", "counted"]


@dataclass(frozen=True, slots=True)
class Look:
    """Contents of a location as they were found.

    Attributes:
        digest: of what it said.
        units: the functions, classes and values that it referred to.
        notes: what of it is listed.
        code: the functions and classes that it held itself.
        about: what it reads of what code says besides what it does.
        size: how many objects it took.
    """

    digest: bytes
    units: tuple[Unit, ...]
    notes: tuple[Note, ...]
    code: tuple[object, ...]
    about: frozenset[About]
    size: int

    def finds_the_same(self, other: Look) -> bool:
        """Say whether another look found the very same."""
        return self.digest == other.digest and list(map(id, self._objects())) == list(map(id, other._objects()))

    def _objects(self) -> list[object]:
        """Return the objects in it that its digest does not tell."""
        return [*self.code, *(unit.owner for unit in self.units if isinstance(unit, State))]


@dataclass(slots=True)
class _State:
    """State at a location: what counts, and what was last found there; with its owner, so that no id is used twice."""

    owner: object
    counts: Look
    last: Look


_states: dict[Location, _State] = {}


def counted(location: Location, owner: object, found: Look, stage: RunStage | None) -> Look:
    """Return the look at a location that counts, given what is found there now.

    Args:
        location: where.
        owner: the object that holds it.
        found: what is there now.
        stage: whether a run begins or has ended; None for neither, which leaves everything as it is.
    """
    state = _states.get(location)
    if state is None:
        if stage is not None:
            _states[location] = _State(owner, found, found)
        return found
    if stage == "begins" and not state.last.finds_the_same(found):
        state.counts = found
    if stage is not None:
        state.last = found
    return state.counts
