"""``Constants``: the values that code refers to: constants by value, installed code by name, the rest is opaque."""

import functools
import sys
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import FunctionType, MethodType, ModuleType
from typing import Any, Literal
from uuid import UUID

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.code.changes import Changes
from orcapod.hashing.code.classes import CACHED, raw
from orcapod.hashing.code.names import Installed, Sentinel
from orcapod.hashing.code.ownership import is_heap_type, is_own, is_own_type, module_of, public_name, version_of
from orcapod.hashing.content_hash import ContentHash

__all__ = ["Constants"]

_UNSEEN = {"builtins.eval", "builtins.exec", "builtins.globals", "builtins.__import__", "importlib.import_module"}
_PLAIN = {type(None), bool, int, float, complex, str, bytes, date, timedelta, Decimal, UUID, range, ContentHash}
_PLAIN |= {type(Path()), PurePosixPath, PureWindowsPath}
_DICTS = (dict, OrderedDict, Counter, defaultdict, types.MappingProxyType)
_DEEPEST = 60
_ODD = "Odd"  # the name under which sentinels are hashed, whatever their class is called


def _array(item: Any) -> tuple[object, ...] | None:
    if item.dtype.hasobject:
        return None
    return (type(item).__name__, item.dtype.str, repr(item.dtype.descr), item.shape, sha256(item.tobytes()).digest())


def _schema(item: Any) -> str:
    return str(item.to_string(truncate_metadata=False))


_LIBRARY: Mapping[
    str, Callable[[Any], tuple[object, ...] | None]
] = {  # by the names of types, so that nothing is imported for it
    "builtins.ellipsis": lambda _: ("sentinel", "ellipsis"),
    "builtins.NotImplementedType": lambda _: ("sentinel", "NotImplementedType"),
    "datetime.timezone": lambda item: ("timezone", str(item)),
    "zoneinfo.ZoneInfo": lambda item: ("ZoneInfo", str(item)),
    "fractions.Fraction": lambda item: ("fraction", item.numerator, item.denominator),
    "logging.Logger": lambda _: ("logger",),
    "logging.RootLogger": lambda _: ("logger",),
    "re.Pattern": lambda item: ("pattern", item.pattern, item.flags),
    "numpy.ndarray": _array,
    "numpy.generic": _array,
    "numpy.dtype": lambda item: ("numpy.dtype", item.str, repr(item.descr)),
    "pyarrow.lib.Schema": lambda item: ("pyarrow", "Schema", _schema(item)),
    "pyarrow.lib.Field": lambda item: ("pyarrow", "Field", _schema(sys.modules["pyarrow"].schema([item]))),
    "pyarrow.lib.DataType": lambda item: ("pyarrow", "type", _schema(sys.modules["pyarrow"].schema([("", item)]))),
}
_WITH_SUBCLASSES = {"numpy.generic", "numpy.dtype", "pyarrow.lib.DataType"}


class Constants:
    """Description of values, and a work list of the user's own functions and classes among them.

    Attributes:
        work_list: what is to be described in its turn; each once, so that recursion ends.
        opaque: what could not be seen into.
        state: what the code changes.
        here: where the walk is, for what is listed.
    """

    def __init__(self, changes: Changes, packages: Literal["name", "version"]) -> None:
        self.work_list: list[FunctionType | type] = []
        self.opaque: set[str] = set()
        self.state: set[str] = set()
        self.here = "given"
        self._changes = changes
        self._packages = packages
        self._numbers: dict[int, int] = {}
        self._within: list[int] = []

    def value(self, item: object, name: str) -> bytes:
        """Return what a value says that the code knows by this name."""
        if (id(item), "") in self._changes.earlier:
            return self.changed(name, type(item).__name__)
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

    def values(self, items: Iterable[object], name: str) -> tuple[bytes, ...]:
        """Return what values in a row say."""
        return tuple(self.value(item, f"{name}[{index}]") for index, item in enumerate(items))

    def items(self, items: Iterable[tuple[object, object]], name: str) -> tuple[bytes, ...]:
        """Return what keys and values say in their order, which a program can see."""
        labelled = ((key, item, f"{name}[{key!r}]" if type(key) in _PLAIN else name) for key, item in items)
        return tuple(part for key, item, label in labelled for part in (self.value(key, name), self.value(item, label)))

    def bound(self, owner: object, attribute: str, value: object, name: str) -> bytes:
        """Return what an attribute says, unless the code assigns to it."""
        if (id(owner), attribute) in self._changes.earlier:
            return self.changed(name, "")
        return self.value(value, name)

    def changed(self, name: str, type_name: str) -> bytes:
        """List what the code changes; it counts by its type."""
        self._list(self.state, name, Sentinel.CHANGED.value)
        return canonical_bytes(("state", type_name))

    def installed(self, name: str) -> tuple[object, ...]:
        """Return what an installed package provides counts by name, and if asked for by version."""
        top = name.partition(".")[0]
        if name in _UNSEEN:
            self._list(self.opaque, name, "reaches code by text")
        if self._packages == "name" or top in sys.stdlib_module_names:
            return ("installed", top, name)
        version = version_of(top)
        if version is None:
            self._list(self.opaque, name, "installed, of unknown version")
        return ("installed", top, name, version)

    def _parts(self, item: object, name: str) -> tuple[object, ...]:
        cls = type(item)
        match item:
            case Installed():
                return self.installed(item.name)
            case Sentinel():
                return ("about",) if item is Sentinel.ABOUT else self._opaque(item, name, item.value)
            case FunctionType():
                return self._function(item)
            case type():
                library = f"{item.__module__.partition('.')[0]}.{item.__qualname__}"
                return self._enqueue(item) if is_own_type(item) else self.installed(library)
            case ModuleType():
                if not is_own(item.__name__):
                    return self.installed(item.__name__)
                return self._opaque(item, name, "a module used as a whole")
            case functools.partial() | functools.partialmethod():
                arguments = self.values(item.args, name), self.items(item.keywords.items(), name)
                return ("partial", self.value(item.func, name), *arguments)
            case staticmethod() | classmethod():
                return (cls.__name__, self.value(item.__func__, name))
            case property():
                return ("property", *self.values((item.fget, item.fset, item.fdel), name))
            case functools.cached_property():
                return ("cached_property", self.value(item.func, name))
            case CACHED():
                return ("cached", self.value(item.__wrapped__, name))
            case _ if public := public_name(item):
                return self.installed(public)
            case MethodType():
                self._changes.notice(item.__func__, item.__self__)
                return ("method", self.value(item.__func__, name), self.value(item.__self__, name))
            case types.BuiltinFunctionType() | types.MethodWrapperType():
                if item.__self__ is None or isinstance(item.__self__, ModuleType):
                    return self._opaque(item, name, "compiled code")
                return ("method", item.__name__, self.value(item.__self__, name))
            case types.MethodDescriptorType() | types.WrapperDescriptorType() | types.ClassMethodDescriptorType():
                return ("method", item.__name__, self.value(item.__objclass__, name))
            case datetime() | time() if cls in (datetime, time):
                return (cls.__name__, item.isoformat(), item.fold, self.value(item.tzinfo, name))
            case Enum():
                return ("member", self.value(cls, name), item.name)
            case _ if is_own_type(cls):
                return self._instance(item, name)
            case _ if (held := self._held(cls, item, name)) is not None:
                return (cls.__name__, *held)
            case _ if cls is object:
                return ("sentinel", cls.__name__)
            case _ if typing.get_origin(item) is not None:
                return ("alias", self.value(typing.get_origin(item), name), *self.values(typing.get_args(item), name))
            case _ if cls.__module__ in ("typing", "types") and cls is not types.SimpleNamespace:
                return ("typing", getattr(item, "__name__", repr(item)))
        return self._library(item) or self._opaque(item, name, None)

    def _held(self, native: type, item: Any, name: str) -> tuple[object, ...] | None:
        """Return what a builtin container holds, whatever a class derived from it says of that."""
        if native in (tuple, list, deque):
            return (getattr(item, "maxlen", None), *self.values(native.__iter__(item), name))
        if native in (set, frozenset):
            return tuple(sorted(self.value(one, name) for one in sorted(native.__iter__(item), key=_order)))
        if native in _DICTS:
            factory = self.value(getattr(item, "default_factory", None), name)
            return (factory, *self.items(native.items(item), name))
        return None

    def _library(self, item: object) -> tuple[object, ...] | None:
        for base in type(item).__mro__:
            name = f"{base.__module__}.{base.__qualname__}"
            if name in _LIBRARY and (base is type(item) or name in _WITH_SUBCLASSES):
                return _LIBRARY[name](item)
        return None

    def _instance(self, item: object, name: str) -> tuple[object, ...]:
        cls = type(item)
        native = next(base for base in cls.__mro__ if not is_heap_type(base))
        held = self._held(native, item, name)
        if held is None and isinstance(item, int | float | complex | str | bytes):
            held = (canonical_bytes(item),)
        elif held is None and native is not object:
            held = self._opaque(item, name, f"with state of its base {native.__qualname__}")
        attributes = {
            slot: descriptor.__get__(item)
            for base in reversed(cls.__mro__)
            for slot, descriptor in vars(base).items()
            if isinstance(descriptor, types.MemberDescriptorType) and hasattr(item, slot)
        } | getattr(item, "__dict__", {})
        parts = [
            (key, self.bound(item, key, value, f"{name}.{key}"))
            for key, value in sorted(attributes.items())
            if not isinstance(raw(cls, key), functools.cached_property)
        ]
        return ("instance", self.value(cls, name), held or (), *parts)

    def _function(self, function: FunctionType) -> tuple[object, ...]:
        module = module_of(function)
        if not is_own(module):
            top, wraps = module.partition(".")[0], "__wrapped__" in vars(function)
            if top == "orcapod" and wraps:
                return ("wrapped", self.value(vars(function)["__wrapped__"], function.__name__))
            if found := public_name(function):
                return self.installed(found)
            if not function.__closure__ and not wraps:
                return self.installed(f"{top}.{function.__code__.co_qualname}")
        return self._enqueue(function)

    def _enqueue(self, item: FunctionType | type) -> tuple[object, ...]:
        if id(item) not in self._numbers:
            self._numbers[id(item)] = len(self.work_list)
            self.work_list.append(item)
        return ("unit", self._numbers[id(item)])

    def _opaque(self, item: object, name: str, why: str | None) -> tuple[object, ...]:
        cls = type(item)
        self._list(self.opaque, name, why or f"a live object of type {cls.__qualname__}")
        wrapped = getattr(item, "__wrapped__", None) if callable(item) else None
        inner = self.value(wrapped, name) if isinstance(wrapped, FunctionType) else b""
        return ("opaque", name, _ODD if isinstance(item, Sentinel) else cls.__qualname__, inner)

    def _list(self, where: set[str], name: str, why: str) -> None:
        where.add(f"{name} ({self.here}, {why})")


def _order(item: object) -> tuple[str, str, bytes]:
    """Return a key that puts the members of a set in one order in every process."""
    named = item if isinstance(item, type | FunctionType) else type(item)
    plain = type(item) in _PLAIN
    return (named.__module__, named.__qualname__, canonical_bytes(item) if plain else b"")
