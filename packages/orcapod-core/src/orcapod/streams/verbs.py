"""The fluent methods of streams: ``stream.join(other).filter(...)``.

Operators are made of streams, and streams offer operators: this is the one place where the house
looks up, inside the methods, so that everything else can import in one direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the upward look: see above
    from orcapod.streams.stream import Stream

__all__ = ["Verbs"]


class Verbs:
    """Every operator as a method of the stream that is its first input."""

    def join(self, *others: Stream, label: str | None = None) -> Stream:
        """The rows of all streams that agree in the tags they share. See ``orcapod.operators.Join``."""
        return self._apply(label, others, "Join")

    def merge_join(self, *others: Stream, label: str | None = None) -> Stream:
        """The same, packet columns of one name side by side in lists. See ``orcapod.operators.MergeJoin``."""
        return self._apply(label, others, "MergeJoin")

    def semi_join(self, other: Stream, *, label: str | None = None) -> Stream:
        """The rows that agree in the shared tags with a row of ``other``. See ``orcapod.operators.SemiJoin``."""
        return self._apply(label, (other,), "SemiJoin")

    def concat(self, *others: Stream, label: str | None = None) -> Stream:
        """The rows of all streams, which have the same columns. See ``orcapod.operators.Concat``."""
        return self._apply(label, others, "Concat")

    def batch(self, size: int = 0, *, drop_partial: bool = False, label: str | None = None) -> Stream:
        """One row of lists for every ``size`` rows, or for all if 0. See ``orcapod.operators.Batch``."""
        return self._apply(label, (), "Batch", size, drop_partial=drop_partial)

    def group_by(self, *tags: str | Sequence[str], label: str | None = None) -> Stream:
        """One row of lists for all rows that agree in these tags. See ``orcapod.operators.GroupBy``."""
        return self._apply(label, (), "GroupBy", *tags)

    def explode(
        self, columns: str | Sequence[str], *, index_tag: str | None = None, label: str | None = None
    ) -> Stream:
        """One row for every member of the lists in these columns. See ``orcapod.operators.Explode``."""
        return self._apply(label, (), "Explode", columns, index_tag=index_tag)

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

    def filter(self, predicate: Any = None, *, label: str | None = None, **constraints: Any) -> Stream:
        """The rows for which an expression of pyarrow or polars holds. See ``orcapod.operators.Filter``."""
        return self._apply(label, (), "Filter", predicate, **constraints)

    def drop_nulls(self, columns: Sequence[str] | None = None, *, label: str | None = None) -> Stream:
        """The rows without null in these columns. See ``orcapod.operators.DropNulls``."""
        return self._apply(label, (), "DropNulls", columns)

    def _apply(
        self, label: str | None, others: Sequence[Stream], operator: str, *arguments: Any, **options: Any
    ) -> Stream:
        import orcapod.operators

        made: Stream = getattr(orcapod.operators, operator)(*arguments, **options)(self, *others, label=label)
        return made
