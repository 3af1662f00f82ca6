"""Where the numbers of two columns are close, at any depth of lists and records."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import counted, pc
from orcapod.types import encode, holds_kept

__all__ = ["close"]


def close(one: Any, other: Any, rtol: float) -> pa.Array[Any]:
    """Say in which rows two columns of one type have values that are equal but for numbers, which are close.

    NaN is NaN, ``-0.0`` is ``0.0``, and an infinite number is close to itself alone. Arrays and frames, whose elements
    Arrow does not see, are equal or they are not.

    Args:
        one: a column.
        other: the other.
        rtol: numbers are close that differ by no more than this part of the larger one.
    """
    if pat.is_floating(one.type):
        found = _close_floats(one, other, rtol)
    elif pat.is_integer(one.type) and rtol:
        floats = [pc.cast(column, pa.float64(), safe=False) for column in (one, other)]
        found = pc.or_(pc.equal(one, other), _close_floats(floats[0], floats[1], rtol))
    elif pat.is_large_list(one.type):
        found = _close_lists(one, other, rtol)
    elif pat.is_struct(one.type) and one.type.num_fields and not holds_kept(one.type):
        fields = zip(one.flatten(), other.flatten(), strict=True)
        found = pc.and_(pc.and_(one.is_valid(), other.is_valid()), reduce(pc.and_, (close(*f, rtol) for f in fields)))
    else:
        found = pc.equal(encode(one), encode(other)) if pat.is_nested(one.type) else pc.equal(one, other)
    both_null = pc.and_(one.is_null(), other.is_null())
    is_close: pa.Array[Any] = pc.or_(both_null, pc.fill_null(found, False))
    return is_close


def _close_floats(one: Any, other: Any, rtol: float) -> Any:
    most = pc.multiply(pc.max_element_wise(pc.abs(one), pc.abs(other), skip_nulls=False), rtol)
    is_near = pc.and_(pc.is_finite(most), pc.less_equal(pc.abs(pc.subtract(one, other)), most))
    return pc.or_(pc.or_(pc.equal(one, other), is_near), pc.and_(pc.is_nan(one), pc.is_nan(other)))


def _close_lists(one: Any, other: Any, rtol: float) -> Any:
    """Say in which rows two lists have as many members, each close to that of the other."""
    is_alike = pc.fill_null(pc.equal(pc.list_value_length(one), pc.list_value_length(other)), False)
    rows = counted(0, len(one)).filter(is_alike)
    one, other = one.filter(is_alike), other.filter(is_alike)
    members = close(one.flatten(), other.flatten(), rtol)
    apart = pc.list_parent_indices(one).filter(pc.invert(members))
    return pc.and_(is_alike, pc.invert(pc.is_in(counted(0, len(is_alike)), value_set=rows.take(pc.unique(apart)))))
