"""``Selection``: which rows of a node a run computes, and which of them though their results are there."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from orcapod.datagrams import Chunk, Tag
from orcapod.execution.where import Where

__all__ = ["EVERYTHING", "Recomputed", "Selection"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of the rows of a node, by their tags.

    Attributes:
        where: the rows that are computed; None for none.
        again: those of them that are computed again where their results are there; None for none.
    """

    where: Where | None = field(default_factory=Where)
    again: Where | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether there may be rows that are not computed."""
        return self.where is None or bool(self.where.wanted)

    def skipped(self, chunk: Chunk) -> Collection[int]:
        """Return the rows that are not computed."""
        if self.where is None:
            return range(chunk.num_rows)
        return set(range(chunk.num_rows)).difference(self.where.rows(chunk)) if self.where.wanted else ()

    def computed_again(self, chunk: Chunk) -> Collection[int]:
        """Return the rows that are computed, though their results may be there."""
        if self.again is None:
            return ()
        return set(self.again.rows(chunk)).difference(self.skipped(chunk))


EVERYTHING = Selection()


@dataclass(slots=True)
class Recomputed:
    """Packets that were computed again.

    Attributes:
        equal: how many gave what they had given before.
        different: the tags of those that did not.
    """

    equal: int = 0
    different: list[Tag] = field(default_factory=list)

    def __str__(self) -> str:
        differing = f"{len(self.different)} different" if self.different else "none different"
        return f"again: {self.equal} equal, {differing}"
