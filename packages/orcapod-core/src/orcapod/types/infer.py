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
    """Return the one logical type that all values are of; ints among floats are floats.

    Raises:
        SchemaError: they are of several types, of none that is known, or there is none to look at.
    """
    classes = set(map(_scalar_of, set(map(type, values))))
    if NoneType in classes:
        return OptionalType(_single(classes - {NoneType}, [value for value in values if value is not None]))
    return _single(classes, values)


def _scalar_of(cls: type) -> type:
    """Return the scalar type that a class is derived from; an ``Enum``, or another, is its own."""
    if issubclass(cls, Enum) or registry.is_own(cls):
        return cls
    return next((base for base in cls.__mro__ if base in SCALARS or base is datetime), cls)


class _NoValueError(SchemaError):
    """There may be a type, but no value tells it."""


def misfit(values: Sequence[Any]) -> int | None:
    """Return the first row that cannot be of one type with those before it; None without such."""

    def fits(rows: int) -> bool:
        try:
            type_of_values(values[:rows])
        except SchemaError as error:
            return isinstance(error, _NoValueError)
        return True

    if fits(len(values)):
        return None
    return bisect_left(range(len(values)), True, key=lambda row: not fits(row + 1))


def _single(classes: set[type], values: Sequence[Any]) -> LogicalType:
    if len(classes) == 1:
        (cls,) = classes
        if scalar := SCALARS.get(cls):
            return scalar
        if registry.is_own(cls):
            return registry.resolve(cls).narrowed(values)
    if classes == {int, float}:
        return FLOAT
    if any(hasattr(cls, "dtype") for cls in classes):
        standard = [as_standard(value) for value in values]
        if set(map(type, standard)) != classes:
            return type_of_values(standard)
    if not classes:
        raise _NoValueError("there is no value to take the type from; declare it in data_schema")
    if all(issubclass(cls, datetime) for cls in classes):
        aware = {value.utcoffset() is not None for value in values}
        if len(aware) == 2:
            raise SchemaError("datetimes with and without a time zone are mixed; use one kind")
        return AWARE_DATETIME if aware == {True} else DATETIME
    if all(issubclass(cls, list) for cls in classes):
        return ListType(type_of_values(list(chain.from_iterable(values))))
    if all(issubclass(cls, tuple) for cls in classes):
        return _tuple(values)
    for python in (set, frozenset):
        if all(issubclass(cls, python) for cls in classes):
            return SetType(type_of_values(list(chain.from_iterable(values))), python)
    if all(issubclass(cls, Mapping) for cls in classes):
        return _mapping(values)
    if len(classes) > 1:
        names = ", ".join(sorted(cls.__qualname__ for cls in classes))
        raise SchemaError(f"values of several types are mixed: {names}; convert them to one")
    return registry.resolve(classes.pop())


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
