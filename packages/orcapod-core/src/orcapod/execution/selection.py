"""``Selection``: which rows of a node a run computes, and which of them though their results are there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import eq
from typing import Any

from orcapod.checks import Checks
from orcapod.datagrams import Chunk, Tag
from orcapod.errors import LabelError

__all__ = ["EVERYTHING", "Recomputed", "Selection", "Where", "checked_where"]

Where = Mapping[str, Sequence[Any]]
"""The values that tags of a row may have; a tag that a stream does not have may have any."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Selection of the rows of a node, by their tags.

    Attributes:
        where: the rows that are computed; None for none.
        again: those of them that are computed again where their results are there; None for none.
    """

    where: Where | None = field(default_factory=dict)
    again: Where | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether there may be rows that are not computed."""
        return self.where is None or bool(self.where)

    def skipped(self, chunk: Chunk) -> Collection[int]:
        """Return the rows that are not computed."""
        if self.where is None:
            return range(chunk.num_rows)
        return () if not self.where else set(range(chunk.num_rows)).difference(_matching(chunk, self.where))

    def computed_again(self, chunk: Chunk) -> Collection[int]:
        """Return the rows that are computed, though their results may be there."""
        if self.again is None:
            return ()
        return set(_matching(chunk, self.again)).difference(self.skipped(chunk))


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


def checked_where(check: Checks, argument: str, where: Any, tags: Sequence[str]) -> Where:
    """Return the values wanted of tags, which have to be among these.

    Raises:
        LabelError: one is not.
        ConfigError: it is no mapping of tags to values.
    """
    wanted = {}
    for name, values in check.mapping_or_empty(argument, where, "{'subject': ['s1', 's2']}").items():
        if name not in tags:
            raise LabelError(
                f"{argument} names the tag {name!r}, which no row here has; found {list(tags)}",
                column=name,
                expected=f"one of {list(tags)}",
                found=repr(name),
            )
        several = isinstance(values, list | tuple | set | frozenset)
        wanted[name] = tuple(values) if several else (values,)
        for each in wanted[name]:
            try:
                bool(eq(each, each))
            except Exception as error:  # whatever its class makes of it
                raise check.wrong(f"{argument}, tag {name!r},", each, "a value that can be compared") from error
    return wanted


def _matching(chunk: Chunk, where: Where) -> Collection[int]:
    """Return the rows whose tags have one of the values; of rows of a group, one member's tag is enough."""
    rows: Collection[int] = range(chunk.num_rows)
    for name, wanted in where.items():
        if name in chunk.schema.tags:
            values = chunk.schema.tags.types[name].to_python(chunk.column(name))
            rows = [row for row in rows if _is_wanted(values[row], wanted)]
    return rows


def _is_wanted(value: Any, wanted: Sequence[Any]) -> bool:
    members = [value, *value] if isinstance(value, list) else [value]
    return any(member == each for member in members for each in wanted)
