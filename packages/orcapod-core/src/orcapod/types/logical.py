"""``LogicalType``: one kind of value, as Python and as Arrow, with exact conversions between the two."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pyarrow as pa

from orcapod.errors import SchemaError, ValueTypeError

__all__ = ["LogicalType", "OptionalType", "TypeRegistry", "mismatch", "quoted", "registry"]


class LogicalType(ABC):
    """One kind of value.

    Every logical type has exactly one Arrow type, so that a column of it looks the same wherever it
    came from, and one name, which is what hashes are made of.

    Attributes:
        name: canonical name, as one would annotate it: ``list[int]``.
        annotation: the Python annotation that stands for it.
        arrow: the Arrow type of its columns.
        plain: whether Arrow's own Python values are the values themselves.
        is_whole: whether every value of the Arrow type is one of this type, in the form in which it is kept.
        is_hashable: whether the values can be keys of a dict.
    """

    name: str
    annotation: Any
    arrow: pa.DataType
    plain: bool = True
    is_whole: bool = True
    is_hashable: bool = True

    @property
    def hash_name(self) -> str:
        """The name that enters hashes: nullability is no part of it, at any depth."""
        return self.name

    @property
    def general(self) -> LogicalType:
        """The type of which this one has some of the values; itself, if there is none."""
        return self

    @abstractmethod
    def accept(self, value: Any) -> Any:
        """The form of a value that Arrow stores.

        Raises:
            ValueTypeError: the value is not of this type and has no exact conversion to it.
        """

    def restore(self, stored: Any) -> Any:
        """The value that was stored; never called with None."""
        return stored

    def takes(self, other: LogicalType) -> bool:
        """Whether every column of the other type is, or converts exactly to, one of this type."""
        return self.name in (other.name, other.general.name)

    def from_python(self, values: Sequence[Any]) -> pa.Array[Any]:
        """A column of values that ``accept`` gave."""
        return pa.array(values, type=self.arrow)

    def to_python(self, column: pa.Array[Any] | pa.ChunkedArray[Any]) -> list[Any]:
        """The values of a column, every one a fresh object."""
        values = column.to_pylist()
        if self.plain:
            return values
        return [None if value is None else self.restore(value) for value in values]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogicalType) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<{self.name}>"


class OptionalType(LogicalType):
    """``T | None``: the values of another type, or nothing."""

    def __init__(self, inner: LogicalType) -> None:
        self.inner = inner
        self.name = f"{inner.name} | None"
        self.annotation = inner.annotation | None if inner.annotation is not None else None
        self.arrow = inner.arrow
        self.plain = inner.plain
        self.is_whole = inner.is_whole
        self.is_hashable = inner.is_hashable

    @property
    def hash_name(self) -> str:
        return self.inner.hash_name

    def accept(self, value: Any) -> Any:
        return None if value is None else self.inner.accept(value)

    def restore(self, stored: Any) -> Any:
        return self.inner.restore(stored)

    def takes(self, other: LogicalType) -> bool:
        return self.inner.takes(other.inner if isinstance(other, OptionalType) else other)


class TypeRegistry:
    """Finds the logical type of an annotation; further types join with ``register``."""

    def __init__(self) -> None:
        self._makers: dict[type, Callable[[Any], LogicalType]] = {}
        self._forms: dict[Any, Callable[[Any], LogicalType]] = {}
        self._made: dict[Any, LogicalType] = {}

    def register(self, python: type, maker: Callable[[Any], LogicalType]) -> None:
        """Let annotations of ``python``, of its subclasses, and of its generic forms be made by ``maker``.

        Args:
            python: the class, as in ``list`` for ``list[int]``.
            maker: given the whole annotation, gives its logical type or raises ``SchemaError``.
        """
        self._makers[python] = maker
        self._made.clear()

    def register_form(self, form: Any, maker: Callable[[Any], LogicalType]) -> None:
        """Let annotations of a special form, such as ``Literal[...]``, be made by ``maker``."""
        self._forms[form] = maker

    def resolve(self, annotation: Any) -> LogicalType:
        """The logical type of an annotation; a logical type is its own.

        Raises:
            SchemaError: no registered type stands for it.
        """
        if isinstance(annotation, LogicalType):
            return annotation
        try:
            return self._made[annotation]
        except (KeyError, TypeError):
            made = self._make(annotation)
        # Equal annotations are not always the same: tuple[()] and Literal[1], Literal[True].
        if isinstance(annotation, type):
            self._made[annotation] = made
        return made

    def _make(self, annotation: Any) -> LogicalType:
        origin = get_origin(annotation)
        if origin in (Union, UnionType):
            members = [member for member in get_args(annotation) if member is not NoneType]
            if len(members) == 1 and len(get_args(annotation)) == 2:
                return OptionalType(self.resolve(members[0]))
            raise SchemaError(f"found {_shown(annotation)}; expected a single type, or 'T | None': choose one")
        if origin is Annotated:
            for mark in get_args(annotation)[1:]:
                if isinstance(mark, LogicalType):
                    return mark
            return self.resolve(get_args(annotation)[0])
        if maker := self._forms.get(origin):
            return maker(annotation)
        kind = origin if origin is not None else annotation
        if isinstance(kind, type):
            # What an IntEnum is, first of all, is an Enum.
            for ancestor in sorted(kind.__mro__, key=lambda base: not issubclass(base, Enum)):
                if maker := self._makers.get(ancestor):
                    return maker(annotation)
            if hasattr(kind, "__required_keys__"):  # a TypedDict keeps no base class
                return self._makers[dict](annotation)
        known = ", ".join(sorted(python.__name__ for python in self._makers))
        raise SchemaError(
            f"no Arrow type is known for {_shown(annotation)}; expected one of {known}, their generic forms, "
            "or 'T | None' of them; register others with orcapod.types.registry.register"
        )


registry = TypeRegistry()
"""The types that this process knows."""


def mismatch(expected: str, value: object, why: str = "") -> ValueTypeError:
    """The error for a value that is not of its declared type."""
    if value is None and not why:
        return ValueTypeError(
            f"expected {expected}, found None; declare '{expected} | None' if there may be none",
            expected=expected,
            found="None",
        )
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + "..."
    kind = type(value).__qualname__
    return ValueTypeError(
        f"expected {expected}, found {shown} of type {kind}" + (f": {why}" if why else ""),
        expected=expected,
        found=f"{shown} of type {kind}",
    )


def quoted(name: str) -> str:
    """A member's name as it can be told from the rest of a type's name."""
    return name if name.isidentifier() else repr(name)


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
