"""The identity of user code: what a function is made of, followed as far as the user's own code goes.

A function is its normalised syntax, its defaults, and what each name in it that comes from outside leads
to: functions and classes of the user's own modules with all that they refer to in turn, and constants by
value. Code of installed packages, the standard library and orcapod among them, counts by name. What cannot
be seen into is *opaque*: it counts by name and type, and is listed.

What the followed code visibly changes is *state*, not a constant, and is listed apart. A container is state
if a changing method (``append``, ``update``, ...) is called on it or an item of it is set or deleted; a name
or an attribute, if it is assigned to (``global``, ``nonlocal``, ``thing.name = ...``); an attribute of an
instance, if a method that the code calls on that instance changes it. State counts by its name and not its
contents, so a fingerprint is the same before and after the function has run. All else counts by value: what
is changed in a way that cannot be seen changes the fingerprint, and nothing worse.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.metadata
import importlib.util
import logging
import operator
import os
import re
import sys
import sysconfig
import types
import typing
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from hashlib import sha256
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.content_hash import ContentHash
from orcapod.hashing.syntax import Change, Imported, NamePath, Syntax, class_syntax, code_syntax

__all__ = ["CODE_METHOD", "Fingerprint", "fingerprint_function"]

CODE_METHOD = "code-v1"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of a piece of user code.

    Attributes:
        hash: equal for equal code, in every process and on every supported Python.
        opaque: what could not be seen into, by dotted name, each with why; sorted. A change there goes unnoticed.
        state: what the code itself changes, by dotted name, each with where; sorted. Its contents do not count.
    """

    hash: ContentHash
    opaque: tuple[str, ...]
    state: tuple[str, ...]


def fingerprint_function(
    function: Callable[..., object],
    *,
    depends_on: Sequence[object] = (),
    packages: Literal["name", "version"] = "name",
) -> Fingerprint:
    """The fingerprint of a function and of all that it refers to in the user's own code.

    Ask once the module of the function has been executed to its end: names are followed as they are bound now.

    Args:
        function: a function, a method, a class, or whatever else can be called.
        depends_on: functions, classes or values that count too, for what cannot be seen from the function.
        packages: what counts of installed packages besides the names taken from them.

    Raises:
        Exception: a module of the user's own that the function imports when called fails to be imported.
    """
    changed: dict[_Place, object] = {}
    while True:  # what is found to change in one walk is state in the next; rarely more than two
        walk = _Walk(packages, frozenset(changed))
        digest = walk.digest([function, *depends_on])
        if walk.changed.keys() <= changed.keys():
            return Fingerprint(ContentHash(CODE_METHOD, digest), tuple(sorted(walk.opaque)), tuple(sorted(walk.state)))
        changed |= walk.changed


_Place = tuple[int, str]
"""Something that may change: the contents of an object, ``(id, "")``, or a name in one, ``(id, name)``."""


@dataclass(frozen=True, slots=True)
class _Installed:
    """Something that an installed package provides, by the name it was taken by."""

    name: str


class _Odd(Enum):
    MISSING = "no such name"
    CHANGED = "changed by the code itself"
    ABOUT = "about the module, not of it"


_ABOUT = frozenset({"__name__", "__file__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__"})
_UNSEEN = {"builtins.eval", "builtins.exec", "builtins.globals", "builtins.__import__", "importlib.import_module"}
_PLAIN = {type(None), bool, int, float, complex, str, bytes, date, timedelta, Decimal, UUID, range, ContentHash}
_PLAIN |= {type(Path()), PurePosixPath, PureWindowsPath}
_SCALARS = (int, float, complex, str, bytes)
_SEQUENCES = (tuple, list, deque)
_SETS = (set, frozenset)
_MUTABLE = (list, dict, set, bytearray, deque, array)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_WITHOUT_MEANING = _ABOUT | {
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__dataclass_fields__",
    "__dataclass_params__", "__dict__", "__firstlineno__", "__match_args__", "__module__", "__orig_bases__",
    "__parameters__", "__qualname__", "__slots__", "__static_attributes__", "__weakref__", "_abc_impl",
}  # fmt: skip
_Cached = type(functools.lru_cache(lambda: None))
_DEEPEST = 60


@dataclass(frozen=True, slots=True)
class _Names:
    """What names mean inside a function: its parameters as far as known, its closure, its module."""

    globals: dict[str, object]
    cells: Mapping[str, CellType]
    imports: Mapping[str, Imported]
    known: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a path leads: ``name`` in ``owner`` is ``value``; ``rest`` is what could not be followed."""

    owner: object
    name: str
    value: object
    rest: tuple[str, ...]


class _Walk:
    """One walk over everything that the roots refer to; ``state`` is taken as known."""

    def __init__(self, packages: Literal["name", "version"], state: frozenset[_Place]) -> None:
        self.opaque: set[str] = set()
        self.state: set[str] = set()
        self.changed: dict[_Place, object] = {}  # holds the objects, so that no id is used twice
        self._packages = packages
        self._known_state = state
        self._units: list[FunctionType | type] = []  # each described once, so recursion ends
        self._numbers: dict[int, int] = {}
        self._noticed: set[tuple[int, int]] = set()
        self._within: list[int] = []
        self._here = "given"

    def digest(self, roots: Sequence[object]) -> bytes:
        names = ["function", *(f"depends_on[{index}]" for index in range(len(roots) - 1))]
        parts = [self._value(root, name) for root, name in zip(roots, names, strict=True)]
        units = []
        for unit in self._units:  # grows while it is walked
            described = self._class(unit) if isinstance(unit, type) else self._function(unit)
            units.append(canonical_bytes(described))
        return sha256(canonical_bytes((CODE_METHOD, tuple(parts), tuple(units)))).digest()

    # Values

    def _value(self, item: object, name: str) -> bytes:
        if (id(item), "") in self._known_state:
            return self._changed(name, type(item).__name__)
        if type(item) in _PLAIN:
            return canonical_bytes(item)
        if id(item) in self._within:
            return canonical_bytes(("cycle", len(self._within) - self._within.index(id(item))))
        if len(self._within) > _DEEPEST:
            return canonical_bytes(self._opaque(item, name, "nested too deep"))
        self._within.append(id(item))
        parts = self._parts(item, name)
        self._within.pop()
        return canonical_bytes(parts)

    def _values(self, items: Iterable[object], name: str) -> tuple[bytes, ...]:
        return tuple(self._value(item, f"{name}[{index}]") for index, item in enumerate(items))

    def _items(self, items: Iterable[tuple[object, object]], name: str) -> tuple[bytes, ...]:
        # In their order, which a program can see.
        parts: list[bytes] = []
        for key, item in items:
            label = f"{name}[{key!r}]" if type(key) in _PLAIN else name
            parts += (self._value(key, name), self._value(item, label))
        return tuple(parts)

    def _parts(self, item: object, name: str) -> tuple[object, ...]:
        kind = type(item)
        match item:
            case _Installed():
                return self._installed(item.name)
            case _Odd.MISSING:
                return self._opaque(item, name, item.value)
            case _Odd.ABOUT:
                return ("about",)
            case FunctionType():
                return self._unit_or_name(item)
            case type():
                return self._unit(item) if _is_own_type(item) else self._installed(_type_name(item))
            case ModuleType():
                if not _is_own(item.__name__):
                    return self._installed(item.__name__)
                return self._opaque(item, name, "a module used as a whole")
            case functools.partial() | functools.partialmethod():
                arguments = self._values(item.args, name), self._items(item.keywords.items(), name)
                return ("partial", self._value(item.func, name), *arguments)
            case staticmethod() | classmethod():
                return (kind.__name__, self._value(item.__func__, name))
            case property():
                return ("property", *self._values((item.fget, item.fset, item.fdel), name))
            case functools.cached_property():
                return ("cached_property", self._value(item.func, name))
            case _Cached():
                return ("cached", self._value(item.__wrapped__, name))
        if found := _public_name(item):
            return self._installed(found)
        match item:
            case MethodType():
                self._notice(item.__func__, item.__self__)
                return ("method", self._value(item.__func__, name), self._value(item.__self__, name))
            case types.BuiltinFunctionType() | types.MethodWrapperType():
                if item.__self__ is None or isinstance(item.__self__, ModuleType):
                    return self._opaque(item, name, "compiled code")
                return ("method", item.__name__, self._value(item.__self__, name))
            case types.MethodDescriptorType() | types.WrapperDescriptorType() | types.ClassMethodDescriptorType():
                return ("method", item.__name__, self._value(item.__objclass__, name))
            case datetime() | time() if kind in (datetime, time):
                return (kind.__name__, item.isoformat(), item.fold, self._value(item.tzinfo, name))
            case Enum():
                return ("member", self._value(kind, name), item.name)
        if _is_own_type(kind):
            return self._instance(item, name)
        return self._container(item, name) or self._library(item, name) or self._opaque(item, name, None)

    def _container(self, item: object, name: str) -> tuple[object, ...] | None:
        kind = type(item)
        match item:
            case tuple() | list() | deque() if kind in _SEQUENCES:
                return (kind.__name__, getattr(item, "maxlen", None), *self._values(item, name))
            case set() | frozenset() if kind in _SETS:
                return (kind.__name__, *sorted(self._value(one, name) for one in sorted(item, key=_order)))
            case dict() | types.MappingProxyType() if kind in (
                dict,
                OrderedDict,
                Counter,
                defaultdict,
                types.MappingProxyType,
            ):
                factory = self._value(getattr(item, "default_factory", None), name)
                return (kind.__name__, factory, *self._items(item.items(), name))
            case types.SimpleNamespace():
                return (kind.__name__, *self._items(sorted(vars(item).items()), name))
            case bytearray():
                return ("bytearray", bytes(item))
            case array():
                return ("array", item.typecode, *map(canonical_bytes, item))
        return None

    def _library(self, item: object, name: str) -> tuple[object, ...] | None:
        kind = type(item)
        match item:
            case re.Pattern():
                return ("pattern", item.pattern, item.flags)
            case Fraction() if kind is Fraction:
                return ("fraction", item.numerator, item.denominator)
            case timezone() | ZoneInfo():
                return ("zone", str(item))
            case logging.Logger():
                return ("logger",)
            case slice():
                return ("slice", *self._values((item.start, item.stop, item.step), name))
            case operator.itemgetter() | operator.attrgetter() | operator.methodcaller():
                return ("operator", kind.__name__, *self._values(item.__reduce__()[1:], name))
        if kind is object or item is Ellipsis or item is NotImplemented:
            return ("sentinel", kind.__name__)
        if typing.get_origin(item) is not None:
            return ("alias", self._value(typing.get_origin(item), name), *self._values(typing.get_args(item), name))
        if kind.__module__ in ("typing", "types"):
            return ("typing", getattr(item, "__name__", repr(item)))
        match kind.__module__.partition(".")[0]:
            case "numpy":
                return self._numpy(sys.modules["numpy"], item, name)
            case "pyarrow":
                return self._pyarrow(sys.modules["pyarrow"], item, name)
        return None

    def _numpy(self, numpy: typing.Any, item: typing.Any, name: str) -> tuple[object, ...] | None:
        if isinstance(item, numpy.dtype):
            return ("numpy.dtype", item.str, repr(item.descr))
        if type(item) is not numpy.ndarray and not isinstance(item, numpy.generic):
            return None
        content = self._value(item.tolist(), name) if item.dtype.hasobject else sha256(item.tobytes()).digest()
        return ("numpy", type(item).__name__, self._value(item.dtype, name), item.shape, content)

    def _pyarrow(self, pyarrow: typing.Any, item: typing.Any, name: str) -> tuple[object, ...] | None:
        kind = type(item).__name__
        if isinstance(item, pyarrow.Schema):
            return ("pyarrow", kind, item.to_string(truncate_metadata=False))
        if isinstance(item, pyarrow.DataType | pyarrow.Field):
            return ("pyarrow", kind, str(item))
        try:
            if isinstance(item, pyarrow.Table | pyarrow.RecordBatch):
                return ("pyarrow", kind, self._value(item.schema, name), self._value(item.to_pylist(), name))
            if isinstance(item, pyarrow.Array | pyarrow.ChunkedArray):
                return ("pyarrow", kind, str(item.type), self._value(item.to_pylist(), name))
            if isinstance(item, pyarrow.Scalar):
                return ("pyarrow", kind, str(item.type), self._value(item.as_py(), name))
        except ValueError as error:  # no Python value holds it, nanoseconds for example
            return self._opaque(item, name, str(error))
        return None

    def _instance(self, item: object, name: str) -> tuple[object, ...]:
        kind = type(item)
        content: tuple[object, ...] = ()
        native = next(base for base in kind.__mro__ if not _is_heap_type(base))
        match item:  # not by what the class itself says of its contents
            case tuple():
                content = self._values(tuple.__iter__(item), name)
            case list():
                content = self._values(list.__iter__(item), name)
            case deque():
                content = self._values(deque.__iter__(item), name)
            case set() | frozenset():
                members = set.__iter__(item) if isinstance(item, set) else frozenset.__iter__(item)
                content = tuple(sorted(self._value(one, name) for one in sorted(members, key=_order)))
            case dict():
                content = self._items(dict.items(item), name)
            case int() | float() | complex() | str() | bytes():
                content = (canonical_bytes(item),)
            case _ if native is not object:
                content = self._opaque(item, name, f"with state of its base {native.__qualname__}")
        attributes = dict(getattr(item, "__dict__", {}))
        for base in kind.__mro__:
            for slot, descriptor in vars(base).items():
                if isinstance(descriptor, types.MemberDescriptorType) and hasattr(item, slot):
                    attributes.setdefault(slot, descriptor.__get__(item))
        parts = [
            (key, self._bound(item, key, value, f"{name}.{key}"))
            for key, value in sorted(attributes.items())
            if not isinstance(_class_attribute(kind, key)[1], functools.cached_property)
        ]
        return ("instance", self._value(kind, name), content, *parts)

    def _bound(self, owner: object, attribute: str, value: object, name: str) -> bytes:
        if (id(owner), attribute) in self._known_state:
            return self._changed(name, "")
        return self._value(value, name)

    def _installed(self, name: str) -> tuple[object, ...]:
        top = name.partition(".")[0]
        if name in _UNSEEN:
            self._list(self.opaque, name, "reaches code by text")
        if self._packages == "name" or top in sys.stdlib_module_names:
            return ("installed", top, name)
        version = _version(top)
        if version is None:
            self._list(self.opaque, name, "installed, of unknown version")
        return ("installed", top, name, version)

    def _opaque(self, item: object, name: str, why: str | None) -> tuple[object, ...]:
        kind = type(item)
        self._list(self.opaque, name, why or f"a live object of type {kind.__qualname__}")
        wrapped = getattr(item, "__wrapped__", None) if callable(item) else None
        inner = self._value(wrapped, name) if isinstance(wrapped, FunctionType) else b""
        return ("opaque", name, kind.__qualname__, inner)

    def _changed(self, name: str, kind: str) -> bytes:
        self._list(self.state, name, _Odd.CHANGED.value)
        return canonical_bytes(("state", kind))

    def _list(self, where: set[str], name: str, why: str) -> None:
        where.add(f"{name} ({self._here}, {why})")

    # Code

    def _unit(self, item: FunctionType | type) -> tuple[object, ...]:
        if id(item) not in self._numbers:
            self._numbers[id(item)] = len(self._units)
            self._units.append(item)
        return ("unit", self._numbers[id(item)])

    def _unit_or_name(self, function: FunctionType) -> tuple[object, ...]:
        module = _module_of(function)
        if not _is_own(module):
            top = module.partition(".")[0]
            if top == "orcapod" and "__wrapped__" in vars(function):
                return ("wrapped", self._value(vars(function)["__wrapped__"], function.__name__))
            if found := _public_name(function):
                return self._installed(found)
            if not function.__closure__ and "__wrapped__" not in vars(function):
                return self._installed(f"{top}.{function.__code__.co_qualname}")
        return self._unit(function)

    def _function(self, function: FunctionType) -> tuple[object, ...]:
        self._here = f"module {_module_of(function)}"
        wrapped = self._value(vars(function).get("__wrapped__"), function.__name__)
        if not _is_own(_module_of(function)):
            return (*self._wrapper(function), wrapped)
        syntax = code_syntax(function.__code__)
        names = _names_of(function, syntax)
        self._notice(function, None)
        positional = self._values(function.__defaults__ or (), f"{function.__name__}: default")
        keyword = self._items(sorted((function.__kwdefaults__ or {}).items()), f"{function.__name__}: default")
        own_class = self._reference(("__class__",), names) if "__class__" in names.cells else b""
        references = tuple(self._reference(path, names) for path in syntax.references)
        return ("function", syntax.digest, positional, keyword, references, own_class, wrapped)

    def _wrapper(self, function: FunctionType) -> tuple[object, ...]:
        """A function that an installed package made around what it was given."""
        top, name = _module_of(function).partition(".")[0], function.__code__.co_qualname
        if name.startswith("singledispatch."):
            return ("wrapper", name, *self._items(vars(function)["registry"].items(), function.__name__))
        inner = []
        for variable, cell in _cells(function).items():
            label, value = f"{function.__name__}: {variable}", _content(cell)
            is_store = isinstance(value, Mapping | _MUTABLE)  # what the package keeps there is its own business
            known = self._changed(label, type(value).__name__) if is_store else self._value(value, label)
            inner.append((variable, known))
        return ("wrapper", self._installed(f"{top}.{name}"), *inner)

    def _class(self, cls: type) -> tuple[object, ...]:
        self._here = f"module {cls.__module__}"
        functions = {name: found for name, raw in vars(cls).items() for found in _functions_in(raw)}
        written = [item for item in functions.values() if item.__qualname__.startswith(f"{cls.__qualname__}.")]
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        files = dict.fromkeys([*([file] if file else []), *(item.__code__.co_filename for item in written)])
        lines = [item.__code__.co_firstlineno for item in written if item.__code__.co_filename in files]
        first = vars(cls).get("__firstlineno__")
        syntax = class_syntax(cls.__qualname__, files, [first] if isinstance(first, int) else lines)
        names = _Names(
            globals=vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {},
            cells={name: cell for item in functions.values() for name, cell in _cells(item).items()},
            imports=syntax.imports if syntax else {},
        )
        parts: list[object] = [syntax.digest if syntax else b""]
        if syntax:
            parts += [self._reference(path, names) for path in syntax.references]
            hints = [(path, self._follow(path, names)) for path in syntax.hints]
            parts += [self._reference(path, names) for path, target in hints if target.value is not _Odd.MISSING]
        for name in sorted(_class_attributes(cls, syntax)):
            for function in _functions_in(vars(cls)[name]):
                self._notice(function, cls)
            parts += [name, self._bound(cls, name, vars(cls)[name], f"{cls.__qualname__}.{name}")]
        if issubclass(cls, Enum):
            parts += self._items(((name, member.value) for name, member in cls.__members__.items()), cls.__qualname__)
        if syntax is None:
            parts += [self._value(item, cls.__qualname__) for item in _dataclass_fields(cls)]
        return ("class", self._values(cls.__bases__, f"{cls.__qualname__}: base"), *parts)

    def _reference(self, path: NamePath, names: _Names) -> bytes:
        target = self._follow(path, names)
        name = _text(path, target)
        if target.value is _Odd.CHANGED:
            return self._changed(name, "")
        self._notice_call(target)
        return self._value(target.value, name)

    def _follow(self, path: NamePath, names: _Names) -> _Target:
        """Follows a path through the user's modules, classes and instances, running none of their code."""
        root, *rest = path
        name = root if isinstance(root, str) else root.attribute or ""
        owner, value = self._root(root, names)
        while True:
            if (id(owner), name) in self._known_state:
                return _Target(owner, name, _Odd.CHANGED, tuple(rest))
            match value:
                case _Installed() if rest:
                    return _Target(owner, name, _Installed(".".join((value.name, *rest))), ())
                case ModuleType() if rest and not _is_own(value.__name__):
                    return _Target(owner, name, _Installed(".".join((value.__name__, *rest))), ())
                case ModuleType() if rest:
                    owner, name, value = vars(value), rest[0], _member(value, rest[0])
                case _ if rest and (found := _attribute(value, rest[0])):
                    owner, name, value = found[0], rest[0], found[1]
                case _:
                    return _Target(owner, name, value, tuple(rest))
            rest = rest[1:]

    def _root(self, root: str | Imported, names: _Names) -> tuple[object, object]:
        if isinstance(root, Imported):
            return _imported(root, names.globals)
        if root in names.known:
            return names.known, names.known[root]
        if root in names.cells:
            return names.cells[root], _content(names.cells[root])
        if root in names.globals:
            value = names.globals[root]
            if root in _ABOUT:
                return names.globals, _Odd.ABOUT
            source = names.imports.get(root)
            if source and not _is_own(source.module) and _provides(source.module, source.attribute, value):
                # The name it was imported by is the same in all versions, that of the object is not.
                value = _Installed(f"{source.module}.{source.attribute}")
            return names.globals, value
        if hasattr(builtins, root):
            return builtins, _Installed(f"builtins.{root}")
        return names.globals, _Odd.ABOUT if root in _ABOUT else _Odd.MISSING

    # Changes

    def _notice(self, function: object, receiver: object) -> None:
        """Notes what a function changes, where its first parameter is ``receiver`` (``None``: not known)."""
        if not isinstance(function, FunctionType) or not _is_own(_module_of(function)):
            return
        if (id(function), id(receiver)) in self._noticed:
            return
        self._noticed.add((id(function), id(receiver)))
        syntax = code_syntax(function.__code__)
        known = dict(_defaults(function))
        first = function.__code__.co_varnames[0] if function.__code__.co_argcount else ""
        if receiver is not None and first:
            known[first] = receiver
        names = _names_of(function, syntax, known)
        stands_in = isinstance(receiver, type) and not _is_classmethod(receiver, function)
        for change in syntax.changes:
            if change.what == "contents" or not (stands_in and change.path[0] == first):
                self._note(change, names)
        for path in syntax.uses:
            if path[0] in known and not stands_in:
                self._notice_call(self._follow(path, names))

    def _notice_call(self, target: _Target) -> None:
        if _is_own_type(type(target.value)) and not isinstance(target.value, _Odd | _Installed):
            method = _class_attribute(type(target.value), (*target.rest, "__call__")[0])[1]
            for function in _functions_in(method):
                self._notice(function, target.value)

    def _note(self, change: Change, names: _Names) -> None:
        if change.what == "contents" or len(change.path) == 1:
            target = self._follow(change.path, names)
            if target.rest:
                self._place(target.value, target.rest[0])
            elif change.what == "binding":
                self._place(target.owner, target.name)
            elif isinstance(target.value, _MUTABLE) or _is_array(target.value) or _is_own_type(type(target.value)):
                self._place(target.value, "")
            return
        root, *attributes = change.path
        target = self._follow((root, *attributes[:-1]), names)
        if not target.rest:
            owner = vars(target.value) if isinstance(target.value, ModuleType) else target.value
            self._place(owner, attributes[-1])

    def _place(self, owner: object, name: str) -> None:
        if not isinstance(owner, _Odd | _Installed):
            self.changed[id(owner), name] = owner


def _text(path: NamePath, target: _Target) -> str:
    """A path as far as it could be followed."""
    root, *attributes = path
    if isinstance(root, Imported):
        root = ".".join(filter(None, ("." * root.level + root.module, root.attribute)))
    return ".".join((root, *attributes[: len(attributes) - len(target.rest)]))


def _module_of(function: FunctionType) -> str:
    # Not its __module__: a wrapper takes over that of what it wraps.
    return str(function.__globals__.get("__name__", "__main__"))


def _cells(function: FunctionType) -> dict[str, CellType]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _Odd.MISSING


def _names_of(function: FunctionType, syntax: Syntax, known: Mapping[str, object] | None = None) -> _Names:
    return _Names(function.__globals__, _cells(function), syntax.imports, known or {})


def _defaults(function: FunctionType) -> Iterator[tuple[str, object]]:
    code, defaults = function.__code__, function.__defaults__ or ()
    yield from zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True)
    yield from (function.__kwdefaults__ or {}).items()


def _functions_in(raw: object) -> list[FunctionType]:
    """The plain functions in what a class holds under a name."""
    match raw:
        case FunctionType():
            return [raw]
        case staticmethod() | classmethod():
            return _functions_in(raw.__func__)
        case property():
            return [found for each in (raw.fget, raw.fset, raw.fdel) for found in _functions_in(each)]
        case functools.cached_property():
            return _functions_in(raw.func)
        case _Cached():
            return _functions_in(raw.__wrapped__)
    return []


def _is_classmethod(cls: type, function: FunctionType) -> bool:
    return isinstance(_class_attribute(cls, function.__name__)[1], classmethod)


def _class_attribute(cls: type, name: str) -> tuple[type, object]:
    """The class that holds the attribute, and what it holds."""
    return next(((base, vars(base)[name]) for base in cls.__mro__ if name in vars(base)), (cls, _Odd.MISSING))


def _class_attributes(cls: type, syntax: Syntax | None) -> Iterator[str]:
    """Names of what a class holds that its author wrote, or put there later."""
    members = cls.__members__ if issubclass(cls, Enum) else {}
    named_tuple = issubclass(cls, tuple) and "_fields" in vars(cls)
    for name, value in vars(cls).items():
        if name in members or name in _WITHOUT_MEANING or isinstance(value, _SLOTS):
            continue
        if syntax and name in syntax.bound:
            if type(value).__name__ != "_tuplegetter":
                yield name
        elif named_tuple:
            if name in ("_fields", "_field_defaults"):
                yield name
        elif isinstance(value, FunctionType) and value.__code__.co_filename == "<string>" and name.startswith("__"):
            continue  # made by dataclasses
        elif syntax is None or any(_is_own(_module_of(function)) for function in _functions_in(value)):
            yield name


def _dataclass_fields(cls: type) -> Iterator[object]:
    fields: Mapping[str, typing.Any] = vars(cls).get("__dataclass_fields__", {})
    for name, each in fields.items():
        yield (name, each.default, each.default_factory, each.init, each.compare, each.kw_only)
    if parameters := vars(cls).get("__dataclass_params__"):
        yield tuple(getattr(parameters, name) for name in ("eq", "order", "frozen", "unsafe_hash"))


def _attribute(value: object, name: str) -> tuple[object, object] | None:
    """The holder and the value of an attribute that is plain data; ``None`` if getting it might run code."""
    if isinstance(value, FunctionType):
        return (value, vars(value)[name]) if name in vars(value) else None
    cls = value if isinstance(value, type) else type(value)
    if not _is_own_type(cls) or isinstance(value, _Odd | _Installed):
        return None
    holder, raw = _class_attribute(cls, name)
    getting = _class_attribute(cls, "__getattribute__")[0]
    if hasattr(type(raw), "__set__") or isinstance(raw, functools.cached_property) or getting is not object:
        return None
    if cls is not value and name in getattr(value, "__dict__", {}):
        return value, vars(value)[name]
    return None if raw is _Odd.MISSING or hasattr(type(raw), "__get__") else (holder, raw)


def _member(module: ModuleType, name: str) -> object:
    if name in _ABOUT:
        return _Odd.ABOUT
    value = getattr(module, name, _Odd.MISSING)
    if value is _Odd.MISSING and hasattr(module, "__path__"):
        return _import(f"{module.__name__}.{name}")
    return value


def _imported(source: Imported, around: Mapping[str, object]) -> tuple[object, object]:
    """What an import inside a function will bind; modules of installed packages are not imported for that."""
    module = source.module
    if source.level:
        package = str(around.get("__package__") or around.get("__name__", ""))
        module = importlib.util.resolve_name("." * source.level + module, package)
    top = module.partition(".")[0]
    if top not in sys.modules and (spec := importlib.util.find_spec(top)) is not None:
        places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
        is_own = any(_is_own_file(place) for place in places if place)
    else:
        is_own = _is_own(top)
    if not is_own:
        return None, _Installed(".".join(filter(None, (module, source.attribute))))
    loaded = _import(module)
    if source.attribute is None or not isinstance(loaded, ModuleType):
        return None, loaded
    return vars(loaded), _member(loaded, source.attribute)


def _import(module: str) -> object:
    try:
        return importlib.import_module(module)
    except ImportError:
        return _Odd.MISSING


def _public_name(item: object) -> str | None:
    """The name by which an installed module provides this very object."""
    if not callable(item):
        return None
    name = getattr(item, "__name__", None)
    receiver = getattr(item, "__self__", None)
    for module in (getattr(item, "__module__", None), type(item).__module__, type(receiver).__module__):
        if isinstance(module, str) and not _is_own(module) and _provides(module, name, item):
            return f"{module.partition('.')[0]}.{name}"
    return None


def _provides(module: str, name: str | None, item: object) -> bool:
    return isinstance(name, str) and getattr(sys.modules.get(module), name, _Odd.MISSING) is item


def _type_name(cls: type) -> str:
    return f"{cls.__module__.partition('.')[0]}.{cls.__qualname__}"


def _is_heap_type(cls: type) -> bool:
    return bool(cls.__flags__ & (1 << 9))


def _is_own_type(cls: type) -> bool:
    if cls.__module__ == "builtins":  # also the module of a class made where there is no module
        return _is_heap_type(cls) and not hasattr(builtins, cls.__qualname__)
    return _is_own(cls.__module__)


def _is_array(value: object) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"


def _is_own(module: str) -> bool:
    """Whether a module is the user's own code."""
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__"):
        return True
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", ())), None)
    if top == "orcapod":
        return False
    return _is_own_file(file) if isinstance(file, str) else top not in sys.stdlib_module_names


@functools.cache
def _is_own_file(path: str) -> bool:
    real = os.path.realpath(path)
    if not {"site-packages", "dist-packages"}.isdisjoint(Path(real).parts):
        return False
    return not any(real.startswith(folder + os.sep) for folder in _library_folders())


@functools.cache
def _library_folders() -> frozenset[str]:
    paths = sysconfig.get_paths()
    return frozenset(os.path.realpath(paths[key]) for key in ("stdlib", "platstdlib", "purelib", "platlib"))


@functools.cache
def _version(top: str) -> str | None:
    names = ["orcapod-core"] if top == "orcapod" else [top, *importlib.metadata.packages_distributions().get(top, ())]
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _order(item: object) -> tuple[str, str, bytes]:
    """A key that puts the members of a set in one order in every process."""
    named = item if isinstance(item, type | FunctionType) else type(item)
    plain = type(item) in _PLAIN
    return (named.__module__, named.__qualname__, canonical_bytes(item) if plain else b"")
