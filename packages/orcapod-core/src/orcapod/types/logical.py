"""``LogicalType``: a type of values, as Python and as Arrow, with exact conversions between the two."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, NewType, Union, get_args, get_origin

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.checks import Checks
from orcapod.display import shown
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.plugins import Registry

__all__ = ["LogicalType", "OptionalType", "TypeRegistry", "mismatch", "not_exported", "quoted", "registry", "unaliased"]


class LogicalType(ABC):
    """A type of values, as Python and as Arrow.

    Every logical type has exactly one Arrow type, so that a column of it looks the same wherever it
    came from, and one name, which is what enters hashes.

    Attributes:
        name: canonical name, as one would annotate it: ``list[int]``.
        annotation: the Python annotation that stands for it.
        arrow: the Arrow type of its columns.
        is_identity: whether ``from_storage`` gives back what it is given: Arrow's own Python values
            are the values themselves.
        is_total: whether every value of the Arrow type is one of this type, as it is stored.
        is_hashable: whether the values can be keys of a dict.
        is_canonical: whether what is stored identifies a value: the same for equal values, and for no others. Where it
            does not, ``identity`` says what does.
        shows_values: whether a frame holds the values themselves, and not what is stored of them.
    """

    name: str
    annotation: Any
    arrow: pa.DataType
    is_identity: bool = True
    is_total: bool = True
    is_hashable: bool = True
    is_canonical: bool = True
    shows_values: bool = False

    @property
    def hash_name(self) -> str:
        """The name that enters hashes: nullability is no part of it, at any depth."""
        return self.name

    @property
    def general(self) -> LogicalType:
        """The type of which this one has some of the values; itself, if there is none."""
        return self

    @property
    def non_null(self) -> LogicalType:
        """The type of the values that are not null; itself, if none is."""
        return self

    @abstractmethod
    def to_storage(self, value: Any) -> Any:
        """Return a value in the form that Arrow stores.

        Raises:
            ValueTypeError: the value is not of this type and has no exact conversion to it.
        """

    def from_storage(self, stored: Any) -> Any:
        """Return the value that was stored; never called with None."""
        return stored

    @property
    def readers(self) -> tuple[object, ...]:
        """The objects whose code makes values of what is stored: a function that takes such depends on it."""
        return (self,)

    def identity(self, column: pa.Array[Any]) -> pa.Array[Any]:
        """Return a column that identifies the values of a stored one, null for null: row hashes are made of it.

        It is equal where values are the same, whatever they are stored as: a file's digest, say, in place of its path.
        Of one type, it is always of one Arrow type. By default, what is stored is what identifies.
        """
        return column

    def takes(self, other: LogicalType) -> bool:
        """Say whether all columns of the other type are, or convert exactly to, such of this."""
        return self.name in (other.name, other.general.name)

    def converts_to(self, other: LogicalType) -> bool:
        """Say whether all columns convert exactly to such of a type that does not know of this one."""
        return False

    def adopted(self, column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
        """Return a column from outside, of another Arrow type, as one of this; as it is, where it is none.

        Raises:
            ValueTypeError: a value has no exact conversion.
        """
        return column

    def narrowed(self, values: Sequence[Any]) -> LogicalType:
        """Return the type, as narrow as it can be declared, that all of these values of this type are of."""
        return self

    def display(self, value: Any) -> Any:
        """Return what a page shows of a value: a short text, or the value for its ``repr``."""
        return value

    def export(self, value: Any, file: Path) -> None:
        """Write a value to a file, in the format that its suffix names.

        Raises:
            SchemaError: values of this type are not written, or not in that format.
        """
        raise not_exported(self, file)

    def from_python(self, values: Sequence[Any]) -> pa.Array[Any]:
        """Return a column of values that ``to_storage`` gave."""
        return array_of(values, self.arrow)

    def to_python(self, column: pa.Array[Any] | pa.ChunkedArray[Any]) -> list[Any]:
        """Return the values of a column, every one a fresh object."""
        try:
            values = column.to_pylist()
        except (OverflowError, ValueError) as error:
            raise ValueTypeError(
                f"expected {self.name}, found a stored value that is none: {error}", expected=self.name
            ) from error
        if self.is_identity:
            return values
        return [None if value is None else self.from_storage(value) for value in values]

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
        self.is_identity = inner.is_identity
        self.is_total = inner.is_total
        self.is_hashable = inner.is_hashable
        self.is_canonical = inner.is_canonical
        self.shows_values = inner.shows_values

    @property
    def hash_name(self) -> str:
        return self.inner.hash_name

    @property
    def non_null(self) -> LogicalType:
        return self.inner

    def identity(self, column: pa.Array[Any]) -> pa.Array[Any]:
        return self.inner.identity(column)

    def adopted(self, column: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
        return self.inner.adopted(column)

    def display(self, value: Any) -> Any:
        return None if value is None else self.inner.display(value)

    def export(self, value: Any, file: Path) -> None:
        self.inner.export(value, file)

    def to_storage(self, value: Any) -> Any:
        try:
            return None if value is None else self.inner.to_storage(value)
        except ValueTypeError:
            if _is_missing(value):
                return None
            raise

    def from_storage(self, stored: Any) -> Any:
        return self.inner.from_storage(stored)

    def takes(self, other: LogicalType) -> bool:
        return self.inner.takes(other.non_null)


_STANDARD = sys.stdlib_module_names | {"__main__"}
_plugins = Registry("orcapod.types", noun="library with types", homes={})
_plugin_names = cache(_plugins.names)


class TypeRegistry:
    """The logical types of annotations; further types join with ``register``.

    Types of other libraries are registered by modules that are imported when a class of the library is met: our own,
    and those that are entry points of the group ``orcapod.types``, named after the library's top-level package.

    Args:
        homes: the modules with types of other libraries, ``{"numpy": ("orcapod.types.arrays",)}``.
    """

    def __init__(self, homes: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> None:
        self._homes = dict(homes)
        self._factories: dict[type, Callable[[Any], LogicalType]] = {}
        self._shapes: list[tuple[Callable[[type], bool], Callable[[Any], LogicalType]]] = []
        self._forms: dict[Any, Callable[[Any], LogicalType]] = {}
        self._resolved: dict[Any, LogicalType] = {}
        self._loaded: set[str] = set()

    def register(self, python: type, factory: Callable[[Any], LogicalType]) -> None:
        """Let ``factory`` resolve annotations of ``python``, its subclasses and its generic forms.

        Args:
            python: the class, as in ``list`` for ``list[int]``.
            factory: given the whole annotation, returns its logical type or raises ``SchemaError``.
        """
        check = Checks("register", SchemaError)
        check.instance("the type", python, type, "a class", "give that of the values")
        self._factories[python] = check.function("the factory", factory)
        self._resolved.clear()

    def register_form(self, form: Any, factory: Callable[[Any], LogicalType]) -> None:
        """Let ``factory`` resolve annotations of a special form, such as ``Literal[...]``."""
        self._forms[form] = factory

    def resolve(self, annotation: Any) -> LogicalType:
        """Return the logical type of an annotation; a logical type is its own.

        Raises:
            SchemaError: no registered type stands for it.
        """
        if isinstance(annotation, LogicalType):
            return annotation
        # Equal annotations are not always the same: tuple[()] and Literal[1], Literal[True].
        if not isinstance(annotation, type):
            return self._create(annotation)
        if annotation not in self._resolved:
            self._resolved[annotation] = self._create(annotation)
        return self._resolved[annotation]

    def register_shape(self, has_shape: Callable[[type], bool], factory: Callable[[Any], LogicalType]) -> None:
        """Let ``factory`` resolve classes of a shape, such as dataclasses have, and of what derives from them.

        A class that was registered is of the type that was registered.
        """
        self._shapes.append((has_shape, factory))

    def is_standard(self, python: type) -> bool:
        """Say whether a class is one of the standard library's that was registered."""
        return python in self._factories and _library(python) in sys.stdlib_module_names

    def is_own(self, python: type) -> bool:
        """Say whether a class, or the nearest that it derives from, was registered beside the standard library's."""
        ancestor, _ = self._nearest(python)
        return ancestor is not None and _library(ancestor) not in sys.stdlib_module_names

    def _nearest(self, python: type) -> tuple[type, Callable[[Any], LogicalType]] | tuple[None, None]:
        """Return the nearest class that a class is, or derives from, of which a type is known; and what makes that."""
        for library in dict.fromkeys(map(_library, python.__mro__)):
            if library not in _STANDARD:
                self._load(library)
        # What an IntEnum is, first of all, is an Enum.
        for ancestor in sorted(python.__mro__, key=lambda base: not issubclass(base, Enum)):
            if factory := self._factories.get(ancestor):
                return ancestor, factory
            for has_shape, factory in self._shapes:
                if has_shape(ancestor):
                    return ancestor, factory
        return None, None

    def _load(self, library: str) -> None:
        """Import the modules that register the types of a library, once."""
        if library in self._loaded:
            return
        for home in self._homes.get(library, ()):
            import_module(home)
        if library in _plugin_names():
            _plugins.load(library)
        self._loaded.add(library)  # not before: another thread would not wait for it

    def _create(self, annotation: Any) -> LogicalType:
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
        if (meant := unaliased(annotation)) is not annotation:
            return self.resolve(meant)
        if factory := self._forms.get(origin):
            return factory(annotation)
        python = origin if origin is not None else annotation
        if isinstance(python, type):
            _, factory = self._nearest(python)
            if factory:
                return factory(annotation)
            if hasattr(python, "__required_keys__"):  # a TypedDict keeps no base class
                return self._factories[dict](annotation)
        known = ", ".join(sorted(each.__name__ for each in self._factories))
        raise SchemaError(
            f"no Arrow type is known for {_shown(annotation)}; expected one of {known}, their generic forms, "
            "or 'T | None' of them; register others with orcapod.types.registry.register"
        )


registry = TypeRegistry(
    {
        "numpy": ("orcapod.types.arrays", "orcapod.types.numpy_times"),
        **dict.fromkeys(("torch", "jax", "jaxlib", "cupy"), ("orcapod.types.foreign_arrays",)),
        "pandas": ("orcapod.types.pandas_frames",),
        "polars": ("orcapod.types.polars_frames",),
        "pyarrow": ("orcapod.types.tables",),
    }
)
"""The types that this process knows."""


def unaliased(annotation: Any) -> Any:
    """Return the annotation that a ``NewType`` or an alias of ``type`` is another name for."""
    if isinstance(annotation, NewType):
        return unaliased(annotation.__supertype__)
    return unaliased(annotation.__value__) if type(annotation).__name__ == "TypeAliasType" else annotation


def mismatch(expected: str, value: object, why: str = "") -> ValueTypeError:
    """Return the error for a value that is not of its declared type."""
    if (value is None and not why) or _is_missing(value):
        return ValueTypeError(
            f"expected {expected}, found {value}; declare '{expected} | None' if there may be none",
            expected=expected,
            found=str(value),
        )
    found = f"{shown(value)} of type {type(value).__qualname__}"
    if not why and isinstance(value, float) and math.isnan(value):
        why = "NaN is a float; give None for what is missing, as pandas does where a column has a dtype such as 'Int64'"
    return ValueTypeError(
        f"expected {expected}, found {found}" + (f": {why}" if why else ""), expected=expected, found=found
    )


def _is_missing(value: object) -> bool:
    """Say whether a value is what stands for none in a frame of pandas, which need not be there."""
    python = type(value)
    return python.__name__ in ("NAType", "NaTType") and python.__module__.partition(".")[0] == "pandas"


def not_exported(dtype: LogicalType, file: Path, *suffixes: str) -> SchemaError:
    """Return the error for a file that a value cannot be written to."""
    if suffixes:
        return SchemaError(f"export: found a file {file.suffix!r}, {dtype.name} is written to {' or '.join(suffixes)}")
    return SchemaError(
        f"export: found a column of {dtype.name}, expected text, bytes, arrays, frames, or a type that says how it is "
        "written; make such a column first"
    )


def quoted(name: str) -> str:
    """Return a member's name as it can be told from the rest of a type's name."""
    return name if name.isidentifier() else repr(name)


def _library(python: type) -> str:
    return python.__module__.partition(".")[0]


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else shown(annotation)
