"""Types of values that are one of a few: members of an ``Enum``, and ``Literal``."""

from __future__ import annotations

from enum import Enum, Flag
from typing import Any, Literal, get_args

import pyarrow as pa

from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.logical import LogicalType, OptionalType, mismatch, quoted, registry
from orcapod.types.scalars import SCALARS, as_standard

__all__ = ["EnumType", "LiteralType"]

_PLAIN = (int, str, float, bytes, type(None))


class EnumType(LogicalType):
    """The members of an ``Enum``, stored by name.

    What makes two enums the same type is the name of the class, and the names and values of its members; the
    module is no part of it, so that a class may move from a notebook into one.

    Args:
        python: the class; its values are plain, or tuples of plain values.

    Raises:
        SchemaError: it is a ``Flag``, has no members, or has values that cannot be written down.
    """

    is_identity = False
    is_total = False

    def __init__(self, python: type[Enum]) -> None:
        if issubclass(python, Flag):
            raise SchemaError(f"found the Flag {python.__name__}; its values have no names of their own: take int")
        if not len(python):
            raise SchemaError(f"found {python.__name__}, an Enum without members; expected one that has some")
        for member in python:
            if not _is_plain(member.value):
                raise SchemaError(
                    f"found {python.__name__}.{member.name} of value {member.value!r}, expected numbers, text, bytes, "
                    "or tuples of them: take another value, and look this one up in the function"
                )
        self.python = python
        members = ", ".join(f"{quoted(member.name)}={member.value!r}" for member in python)
        self.name = f"{python.__name__}({members})"
        self.annotation = python
        self.arrow = pa.large_string()

    def to_storage(self, value: Any) -> Any:
        if isinstance(value, self.python) or self._was_defined_again(type(value)):
            return str(value.name)
        raise mismatch(self.name, value)

    def _was_defined_again(self, python: type) -> bool:
        """Say whether a class is this enum, defined again by a cell of a notebook or in a process."""
        return issubclass(python, Enum) and python.__name__ == self.python.__name__ and registry.resolve(python) == self

    def from_storage(self, stored: Any) -> Any:
        try:
            return self.python[stored]
        except KeyError:
            raise mismatch(self.name, stored, "there is no member of that name") from None


class LiteralType(LogicalType):
    """``Literal["a", "b"]``: some values of a plain type. Which ones there are is no part of a hash.

    Args:
        members: the values, all of the type ``inner``.
        inner: their type.
    """

    is_total = False

    def __init__(self, members: tuple[Any, ...], inner: LogicalType) -> None:
        self.members = frozenset(members)
        self.inner = inner
        self.name = f"Literal[{', '.join(sorted(map(repr, self.members)))}]"
        self.annotation = Literal[members]
        self.arrow = inner.arrow

    @property
    def hash_name(self) -> str:
        return self.inner.hash_name

    @property
    def general(self) -> LogicalType:
        return self.inner

    def takes(self, other: LogicalType) -> bool:
        return isinstance(other, LiteralType) and self.inner == other.inner and other.members <= self.members

    def to_storage(self, value: Any) -> Any:
        standard = as_standard(value)
        if type(standard) is self.inner.annotation and standard in self.members:
            return standard
        raise mismatch(self.name, value)


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN) and not isinstance(value, Enum)


def _literal(annotation: Any) -> LogicalType:
    members = get_args(annotation)
    values = tuple(member for member in members if member is not None)
    classes = set(map(type, values))
    if len(classes) != 1 or not classes <= {bool, int, str, bytes}:
        raise SchemaError(f"found {annotation}; expected values of one type, all bool, int, str or bytes, and None")
    inner = SCALARS[classes.pop()]
    for value in values:
        try:
            inner.to_storage(value)
        except ValueTypeError as error:
            raise SchemaError(f"{annotation} has a member that no column can hold: {error}") from None
    literal = LiteralType(values, inner)
    return OptionalType(literal) if len(values) < len(members) else literal


registry.register(Enum, EnumType)
registry.register_form(Literal, _literal)
