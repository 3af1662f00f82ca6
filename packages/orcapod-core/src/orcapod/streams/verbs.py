"""The fluent methods of streams: ``stream.join(other).filter(...)``.

Operators are made of streams, and streams offer operators: this is the one place where the house
looks up, inside the methods, so that everything else can import in one direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orcapod.compute import Expression

if TYPE_CHECKING:  # the upward look: see above
    from orcapod.streams.stream import Stream

__all__ = ["Verbs"]


class Verbs:
    """Every operator as a method of the stream that is its first input."""

    def join(self, *others: Stream, label: str | None = None) -> Stream:
        """The rows of all streams that agree in the tags they share. See ``orcapod.operators.Join``."""
        return self._apply(label, others, "Join")

    def select_tag_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """These tag columns alone. See ``orcapod.operators.SelectTagColumns``."""
        return self._apply(label, (), "SelectTagColumns", columns)

    def select_packet_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """These packet columns alone. See ``orcapod.operators.SelectPacketColumns``."""
        return self._apply(label, (), "SelectPacketColumns", columns)

    def drop_tag_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """All tag columns but these. See ``orcapod.operators.DropTagColumns``."""
        return self._apply(label, (), "DropTagColumns", columns)

    def drop_packet_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """All packet columns but these. See ``orcapod.operators.DropPacketColumns``."""
        return self._apply(label, (), "DropPacketColumns", columns)

    def map_tags(self, names: Mapping[str, str], *, label: str | None = None) -> Stream:
        """Tag columns renamed, ``{old: new}``. See ``orcapod.operators.MapTags``."""
        return self._apply(label, (), "MapTags", names)

    def map_packets(self, names: Mapping[str, str], *, label: str | None = None) -> Stream:
        """Packet columns renamed, ``{old: new}``. See ``orcapod.operators.MapPackets``."""
        return self._apply(label, (), "MapPackets", names)

    def filter(self, predicate: Expression | None = None, *, label: str | None = None, **constraints: Any) -> Stream:
        """The rows for which all of this holds. See ``orcapod.operators.Filter``."""
        return self._apply(label, (), "Filter", predicate, **constraints)

    def drop_nulls(self, columns: Sequence[str] | None = None, *, label: str | None = None) -> Stream:
        """The rows without null in these columns. See ``orcapod.operators.DropNulls``."""
        return self._apply(label, (), "DropNulls", columns)

    def _apply(
        self, label: str | None, others: Sequence[Stream], operator: str, *arguments: Any, **constraints: Any
    ) -> Stream:
        import orcapod.operators

        made: Stream = getattr(orcapod.operators, operator)(*arguments, **constraints)(self, *others, label=label)
        return made
