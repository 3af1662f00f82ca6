"""The fluent methods of streams: ``stream.join(other).filter(...)``.

Operators are made of streams, and streams offer operators: this is the one place where the house
looks up, inside the methods, so that everything else can import in one direction.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # the upward look: see above
    from orcapod.streams.stream import Stream

__all__ = ["Incomplete", "Missing", "Verbs"]

Incomplete = Literal["skip", "keep", "raise"]
"""What becomes of what is made of several rows, where some of them have failed."""

Missing = Literal["error", "null"]
"""What becomes of a column that not all of several streams have."""


class Verbs:
    """Every operator as a method of the stream that is its first input."""

    def join(
        self,
        *others: Stream,
        on: str | Sequence[str] | None = None,
        how: Literal["inner", "left", "anti"] = "inner",
        validate: Literal["1:1", "1:n", "n:1"] | None = None,
        label: str | None = None,
    ) -> Stream:
        """Return the rows of all streams that agree in the tags they share. See ``operators.Join``."""
        return self._apply(label, others, "Join", on=on, how=how, validate=validate)

    def cross(self, *others: Stream, label: str | None = None) -> Stream:
        """Return every combination of the rows of streams that share no tag. See ``operators.Cross``."""
        return self._apply(label, others, "Cross")

    def merge_join(self, *others: Stream, label: str | None = None) -> Stream:
        """Return the same, packet columns of one name side by side in lists. See ``operators.MergeJoin``."""
        return self._apply(label, others, "MergeJoin")

    def semi_join(self, other: Stream, *, label: str | None = None) -> Stream:
        """Return the rows that have a match in ``other``. See ``operators.SemiJoin``."""
        return self._apply(label, (other,), "SemiJoin")

    def concat(self, *others: Stream, missing: Missing = "error", label: str | None = None) -> Stream:
        """Return the rows of all streams, which have the same columns, or null. See ``operators.Concat``."""
        return self._apply(label, others, "Concat", missing=missing)

    def head(self, n: int = 5, *, incomplete: Incomplete = "skip", label: str | None = None) -> Stream:
        """Return the first rows. See ``operators.Head``."""
        return self._apply(label, (), "Head", n, incomplete=incomplete)

    def sort(
        self,
        *by: str | Sequence[str],
        descending: bool | Sequence[bool] = False,
        incomplete: Incomplete = "skip",
        label: str | None = None,
    ) -> Stream:
        """Return the rows in the order of these columns. See ``operators.Sort``."""
        return self._apply(label, (), "Sort", *by, descending=descending, incomplete=incomplete)

    def sample(
        self,
        *,
        fraction: float | None = None,
        n: int | None = None,
        seed: int = 0,
        incomplete: Incomplete = "skip",
        label: str | None = None,
    ) -> Stream:
        """Return some of the rows, the same ones every time. See ``operators.Sample``."""
        return self._apply(label, (), "Sample", fraction=fraction, n=n, seed=seed, incomplete=incomplete)

    def batch(
        self,
        size: int = 0,
        *,
        drop_partial: bool = False,
        incomplete: Incomplete = "skip",
        label: str | None = None,
    ) -> Stream:
        """Return one row of lists for every ``size`` rows, or for all if 0. See ``operators.Batch``."""
        return self._apply(label, (), "Batch", size, drop_partial=drop_partial, incomplete=incomplete)

    def group_by(
        self,
        *names: str | Sequence[str],
        tags: Literal["list", "drop"] = "list",
        incomplete: Incomplete = "skip",
        label: str | None = None,
    ) -> Stream:
        """Return one row of lists for all rows that agree in these tags. See ``operators.GroupBy``."""
        return self._apply(label, (), "GroupBy", *names, tags=tags, incomplete=incomplete)

    def aggregate(
        self,
        by: str | Sequence[str],
        outputs: Mapping[str, Any] | None = None,
        /,
        *,
        incomplete: Incomplete = "skip",
        **named: Any,
    ) -> Stream:
        """Return one row for all rows that agree in these tags: ``aggregate("subject", rate=("rate", "mean"))``.

        Every other keyword is a new column. To give the node a label, apply the operator:
        ``Aggregate("subject", n="count")(stream, label="sizes")``. See ``operators.Aggregate``.
        """
        return self._apply(None, (), "Aggregate", by, outputs, incomplete=incomplete, **named)

    def index(self, column: str, position: int = 0, *, into: str | None = None, label: str | None = None) -> Stream:
        """Return the rows with one element of the lists in a column. See ``operators.Index``."""
        return self._apply(label, (), "Index", column, position, into=into)

    def pick(self, column: str, key: Hashable, *, into: str | None = None, label: str | None = None) -> Stream:
        """Return the rows with one key of the dicts, or field of the records, in a column. See ``operators.Pick``."""
        return self._apply(label, (), "Pick", column, key, into=into)

    def explode(
        self, columns: str | Sequence[str], *, index_tag: str | None = None, label: str | None = None
    ) -> Stream:
        """Return one row for every member of the lists in these columns. See ``operators.Explode``."""
        return self._apply(label, (), "Explode", columns, index_tag=index_tag)

    def select_tag_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """Return these tag columns alone. See ``operators.SelectTagColumns``."""
        return self._apply(label, (), "SelectTagColumns", columns)

    def select_packet_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """Return these packet columns alone. See ``operators.SelectPacketColumns``."""
        return self._apply(label, (), "SelectPacketColumns", columns)

    def drop_tag_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """Return all tag columns but these. See ``operators.DropTagColumns``."""
        return self._apply(label, (), "DropTagColumns", columns)

    def drop_packet_columns(self, columns: Sequence[str], *, label: str | None = None) -> Stream:
        """Return all packet columns but these. See ``operators.DropPacketColumns``."""
        return self._apply(label, (), "DropPacketColumns", columns)

    def map_tags(self, names: Mapping[str, str], *, label: str | None = None) -> Stream:
        """Rename tag columns, ``{old: new}``. See ``operators.MapTags``."""
        return self._apply(label, (), "MapTags", names)

    def map_packets(self, names: Mapping[str, str], *, label: str | None = None) -> Stream:
        """Rename packet columns, ``{old: new}``. See ``operators.MapPackets``."""
        return self._apply(label, (), "MapPackets", names)

    def filter(self, predicate: Any = None, constraints: Mapping[str, Any] | None = None, /, **columns: Any) -> Stream:
        """Return the rows for which an expression holds, and in which columns have these values.

        Every keyword is a column. To give the node a label, apply the operator:
        ``Filter(sex="f")(stream, label="women")``. See ``operators.Filter``.
        """
        return self._apply(None, (), "Filter", predicate, constraints, **columns)

    def drop_nulls(self, columns: Sequence[str] | None = None, *, label: str | None = None) -> Stream:
        """Return the rows without null in these columns. See ``operators.DropNulls``."""
        return self._apply(label, (), "DropNulls", columns)

    def _apply(
        self, label: str | None, others: Sequence[Stream], operator: str, /, *arguments: Any, **options: Any
    ) -> Stream:
        import orcapod.operators

        stream: Stream = getattr(orcapod.operators, operator)(*arguments, **options)(self, *others, label=label)
        return stream
