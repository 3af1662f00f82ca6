"""The one type of columns that come from several streams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from orcapod.errors import SchemaError
from orcapod.operators.collected import CollectedType
from orcapod.types import ListType, LogicalType, OptionalType

__all__ = ["united"]


def united(operator: str, column: str, kinds: Sequence[LogicalType]) -> LogicalType:
    """The type of all values of some columns: ``T | None`` if one of them is, whether at the top or inside.

    Raises:
        SchemaError: they differ in more than that.
    """

    def pair(one: LogicalType, other: LogicalType) -> LogicalType:
        inner = _united(_present(one), _present(other))
        if inner is None:
            raise SchemaError(
                f"{operator}: {column} is {one.name} in one stream and {other.name} in another, expected one type; "
                "convert or rename one of them",
                expected=one.name,
                found=other.name,
            )
        optional = isinstance(one, OptionalType) or isinstance(other, OptionalType)
        return OptionalType(inner) if optional else inner

    return reduce(pair, kinds)


def _present(kind: LogicalType) -> LogicalType:
    return kind.inner if isinstance(kind, OptionalType) else kind


def _united(one: LogicalType, other: LogicalType) -> LogicalType | None:
    if one.hash_name != other.hash_name:
        return None
    wider = one if one.takes(other) else other if other.takes(one) else None
    if isinstance(wider, CollectedType) and not _same_collecting(one, other):
        return ListType(wider.item)
    return wider


def _same_collecting(one: LogicalType, other: LogicalType) -> bool:
    return isinstance(one, CollectedType) and isinstance(other, CollectedType) and one.by == other.by
