"""The type of a column of Python values, when nobody declared it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from itertools import chain
from types import NoneType
from typing import Any

from orcapod.errors import SchemaError
from orcapod.types.containers import DictType, ListType, SetType, TupleType, VariadicTupleType, record_type
from orcapod.types.logical import LogicalType, OptionalType, registry
from orcapod.types.scalars import AWARE_DATETIME, DATETIME, FLOAT, SCALARS, STR, as_standard

__all__ = ["misfit", "type_of_values"]


def type_of_values(values: Sequence[Any]) -> LogicalType:
    """The one logical type that all values are of; ints among floats are floats.

    Raises:
        SchemaError: they are of several types, of none that is known, or there is none to look at.
    """
    kinds = set(map(_scalar_of, set(map(type, values))))
    if NoneType in kinds:
        return OptionalType(_single(kinds - {NoneType}, [value for value in values if value is not None]))
    return _single(kinds, values)


def _scalar_of(kind: type) -> type:
    """The scalar type of which a kind of value is a subclass, or the kind itself; an ``Enum`` is its own."""
    if issubclass(kind, Enum):
        return kind
    return next((base for base in kind.__mro__ if base in SCALARS or base is datetime), kind)


class _NoValueError(SchemaError):
    """There may be a type, but no value tells it."""


def misfit(values: Sequence[Any]) -> int | None:
    """The first row that cannot be of one type with the rows before it; None if there is no such row."""

    def fits(rows: int) -> bool:
        try:
            type_of_values(values[:rows])
        except SchemaError as error:
            return isinstance(error, _NoValueError)
        return True

    if fits(len(values)):
        return None
    return bisect_left(range(len(values)), True, key=lambda row: not fits(row + 1))


def _single(kinds: set[type], values: Sequence[Any]) -> LogicalType:
    if len(kinds) == 1:
        (kind,) = kinds
        if scalar := SCALARS.get(kind):
            return scalar
    if kinds == {int, float}:
        return FLOAT
    if any(hasattr(kind, "dtype") for kind in kinds):
        standard = [as_standard(value) for value in values]
        if set(map(type, standard)) != kinds:
            return type_of_values(standard)
    if not kinds:
        raise _NoValueError("there is no value to take the type from; declare it in data_schema")
    if all(issubclass(kind, datetime) for kind in kinds):
        aware = {value.utcoffset() is not None for value in values}
        if len(aware) == 2:
            raise SchemaError("datetimes with and without a time zone are mixed; use one kind")
        return AWARE_DATETIME if aware == {True} else DATETIME
    if all(issubclass(kind, list) for kind in kinds):
        return ListType(type_of_values(list(chain.from_iterable(values))))
    if all(issubclass(kind, tuple) for kind in kinds):
        return _tuple(values)
    for python in (set, frozenset):
        if all(issubclass(kind, python) for kind in kinds):
            return SetType(type_of_values(list(chain.from_iterable(values))), python)
    if all(issubclass(kind, Mapping) for kind in kinds):
        return _mapping(values)
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__qualname__ for kind in kinds))
        raise SchemaError(f"values of several types are mixed: {names}; convert them to one")
    return registry.resolve(kinds.pop())


def _tuple(values: Sequence[tuple[Any, ...]]) -> LogicalType:
    try:
        return VariadicTupleType(type_of_values(list(chain.from_iterable(values))))
    except SchemaError:
        if len(set(map(len, values))) != 1:
            raise
    return TupleType(tuple(type_of_values(members) for members in zip(*values, strict=True)))


def _mapping(values: Sequence[Mapping[Any, Any]]) -> LogicalType:
    key = type_of_values(list(chain.from_iterable(values)))
    try:
        return DictType(key, type_of_values(list(chain.from_iterable(value.values() for value in values))))
    except SchemaError:
        names = values[0].keys()
        if key != STR or any(value.keys() != names for value in values):
            raise
    return record_type({name: type_of_values([value[name] for value in values]) for name in names})
