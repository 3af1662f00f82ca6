"""The one type of columns that come from several streams."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from orcapod.errors import SchemaError
from orcapod.operators.nested import NestedType
from orcapod.types import ListType, LogicalType, OptionalType

__all__ = ["common_type"]


def common_type(operator: str, column: str, dtypes: Sequence[LogicalType]) -> LogicalType:
    """Return the type of all values of some columns: ``T | None`` if one is, at the top or inside.

    Raises:
        SchemaError: they differ in more than that.
    """

    def pair(one: LogicalType, other: LogicalType) -> LogicalType:
        inner = _common(one.non_null, other.non_null)
        if inner is None:
            raise SchemaError(
                f"{operator}: {column} is {one.name} in one stream and {other.name} in another, expected one type; "
                "convert or rename one of them",
                expected=one.name,
                found=other.name,
            )
        optional = isinstance(one, OptionalType) or isinstance(other, OptionalType)
        return OptionalType(inner) if optional else inner

    return reduce(pair, dtypes)


def _common(one: LogicalType, other: LogicalType) -> LogicalType | None:
    if one.hash_name != other.hash_name:
        return None
    wider = next((each for each in (one, other, one.general) if each.takes(one) and each.takes(other)), None)
    if isinstance(wider, NestedType) and not _same_nesting(one, other):
        return ListType(wider.item)
    return wider


def _same_nesting(one: LogicalType, other: LogicalType) -> bool:
    return isinstance(one, NestedType) and isinstance(other, NestedType) and one.nesting == other.nesting
