"""``Description``: what a value or a piece of code says, each object of it visited once and numbered.

Functions, classes, named values and state that are met on the way are *units*, which are described by themselves.
"""

from __future__ import annotations

import functools
import os
import sys
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, time
from enum import Enum
from hashlib import sha256
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, cast

from orcapod.hashing.code.changes import item_name, native_base
from orcapod.hashing.code.classes import CACHED, raw
from orcapod.hashing.code.ignored import own_label
from orcapod.hashing.code.leaves import (
    PLAIN,
    declared_type,
    framed,
    is_generator,
    is_ignorable,
    is_plain,
    leaf,
    numpy_scalars,
    plain_bytes,
)
from orcapod.hashing.code.live import NotTakenApart, live_identity, taken_apart
from orcapod.hashing.code.looks import Look
from orcapod.hashing.code.names import Installed, Sentinel, attributes_of, content
from orcapod.hashing.code.ownership import (
    distribution_of,
    file_of,
    module_of,
    provides,
    public_name,
    version_of,
)
from orcapod.hashing.code.parts import PartKind
from orcapod.hashing.code.rules import READERS, UNSEEN, Note, Rules, State, Unit
from orcapod.hashing.code.syntax import About

__all__ = ["Description"]

_SEQUENCES = (tuple, list, deque)
_SETS = (set, frozenset)
_DICTS = (dict, OrderedDict, Counter, defaultdict, types.MappingProxyType)
_DEEPEST, _LONGEST, _LABEL = 40, 80, 200
_SHARED = (("random", "_inst"), ("numpy.random.mtrand", "_rand"))  # generators of all that has none of its own
_METHODS = (types.BuiltinFunctionType, types.MethodWrapperType)
_DESCRIPTORS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)


class Description:
    """Bytes of a value or of a piece of code, made in one pass over the objects that it holds.

    Attributes:
        units: the units that it refers to, in the order in which they are met.
        notes: what of it is listed.
        about: what it reads of what code says besides what it does.
        size: how many objects it took.
        module: where it is, for what is listed.
    """

    def __init__(self, rules: Rules, module: str, *, inside: object = None, called: tuple[str, str] = ("", "")) -> None:
        self.units: list[Unit] = []
        self.notes: dict[Note, None] = {}
        self.about: set[About] = set()
        self.size = 0
        self.module = module
        self._rules = rules
        self._inside = inside
        self._called = called
        self._indexes: dict[tuple[int, str], int] = {}
        self._code: list[object] = []
        self._hash = sha256()
        self._tokens: dict[int, bytes] = {}
        self._own: dict[int, bool] = {}
        self._orders: dict[tuple[int, int], bytes] = {}
        self._alive: list[object] = []
        self._pending: deque[tuple[object, str]] = deque()
        self._numbered = 0
        self._depth = 0

    def add(self, tag: str, parts: Iterable[bytes]) -> None:
        """Add what tokens say."""
        self._hash.update(framed(tag, parts))

    def digest(self) -> bytes:
        """Return the digest of all that was added, with all objects that it led to."""
        while self._pending:
            item, label = self._pending.popleft()
            try:
                described = self._described(item, label)
            except Exception as error:  # noqa: BLE001 - code of the user's; whatever it raises ends nothing
                described = self._opaque(item, label, f"looking at it raises {type(error).__name__}")
            self._hash.update(b"%d:%b" % (len(described), described))
        return self._hash.digest()

    def look(self) -> Look:
        """Return all of it, as far as it can be said without the units."""
        digest = self.digest()  # on the way, the rest is found
        return Look(digest, tuple(self.units), tuple(self.notes), tuple(self._code), frozenset(self.about), self.size)

    def token(self, item: object, label: str) -> bytes:
        """Return what stands for an object that the code knows by this name: its bytes, or its number."""
        cls, rules = type(item), self._rules
        if rules.ignored.has(item, label, self.module, self._called):
            return self._ignored(item, label)
        if cls in PLAIN:
            return plain_bytes(item)
        if cls is Sentinel:
            return self._sentinel(cast(Sentinel, item), label)
        if (known := self._tokens.get(id(item))) is not None:
            return known
        if (id(item), "") in rules.changes.earlier and item is not self._inside:
            token = self.state(item, "", item, label)
        else:
            try:
                token = self._token(item, cls, label)
            except Exception as error:  # noqa: BLE001 - likewise
                token = self._opaque(item, label, f"looking at it raises {type(error).__name__}")
        self._tokens[id(item)] = token
        self._alive.append(item)  # so that no id is used twice
        return token

    def tokens(self, items: Iterable[object], label: str) -> list[bytes]:
        """Return what stands for objects in a row."""
        return [self.token(item, label) for item in items]

    def unit(self, unit: Unit) -> bytes:
        """Return what stands for a unit."""
        if unit.key not in self._indexes:
            self._indexes[unit.key] = len(self.units)
            self.units.append(unit)
        return b"@%d" % self._indexes[unit.key]

    def state(self, owner: object, name: str, value: object, label: str) -> bytes:
        """Return what stands for something that the code changes."""
        if self._rules.ignored.has(value, label, self.module, self._called):
            return self._ignored(value, label)
        return self.unit(State(self.module, label, "state", value, (id(owner), f"state {name}"), owner, name))

    def installed(self, name: str) -> bytes:
        """Return what stands for something that an installed package provides: its name."""
        for unseen, why in UNSEEN.items():
            if _is_within(name, unseen):
                self._note(name, "unseen", why)
        for reader, about in READERS.items():
            if _is_within(name, reader):
                self.about |= about
        module = name
        while module not in sys.modules and "." in module:
            module = module.rpartition(".")[0]
        parts = [name.encode()]
        if self._rules.packages == "version" and module.partition(".")[0] not in sys.stdlib_module_names:
            distribution = distribution_of(module)
            version = version_of(distribution) if distribution else None
            if version is None:
                self._note(name, "unseen", "installed, of unknown version")
            else:
                parts.append(version.encode())
                self._note(f"{distribution} {version}", "package", "", version.encode())
        if not name.startswith("builtins."):
            self._note(name, "installed", "")
        return framed("installed", parts)

    def unseen(self, name: str, why: str) -> None:
        """List something that no reading of the code can follow."""
        self._note(name, "unseen", why)

    def is_own_function(self, function: FunctionType) -> bool:
        """Say whether a function counts by what it says."""
        return id(function) in self._rules.roots or self._rules.ownership.owns(module_of(function))

    def _note(self, name: str, kind: PartKind, why: str, digest: bytes = b"") -> None:
        if kind != "ignored" and self._rules.ignored.lists(name, self.module, self._called):
            kind, why = "ignored", "does not count, as ignores= says"
        self.notes[Note(own_label(name, self._called), kind, f"module {self.module}", why, digest)] = None

    def _owns(self, cls: type) -> bool:
        known = self._own.get(id(cls))
        if known is None:
            known = self._own[id(cls)] = self._rules.ownership.owns_class(cls)
            self._alive.append(cls)
        return known

    def _token(self, item: Any, cls: type, label: str) -> bytes:
        if cls is FunctionType:
            return self._function(item, label)
        if issubclass(cls, type):
            self._code.append(item)
            return self._class(item)
        if cls is Installed:
            return self.installed(item.name)
        if issubclass(cls, ModuleType):
            return self._module(item, label)
        if cls is tuple and is_plain(item):
            return plain_bytes(item)
        if self._depth < _DEEPEST and (parts := self._inline(item, cls, label)) is not None:
            said = framed(cls.__name__, parts)
            return said if len(said) < _LONGEST else b"=" + sha256(said).digest()
        if issubclass(cls, Enum):
            return framed("member", [self._class(cls), item.name.encode()])
        if not self._owns(cls):
            if public := public_name(item):
                return self.installed(public)
            if cls.__name__ == "cython_function_or_method":
                return self._compiled(item, label)
            if (known := leaf(item)) is not None:
                self.size += getattr(item, "nbytes", 0) // 1000  # of an array
                return known
        self._numbered += 1
        self.size += 1
        self._pending.append((item, label))
        return b"#%d" % self._numbered

    def _inline(self, item: Any, cls: type, label: str) -> list[bytes] | None:
        """Return the parts of what is always written where it is met, since it is made anew at will."""
        self._depth += 1
        try:
            if cls is tuple:
                return self.tokens(item, label)
            if cls is frozenset:
                return self._members(item, label)
            if cls in (functools.partial, functools.partialmethod):
                named = [self.token(value, label) for pair in item.keywords.items() for value in pair]
                return [self.token(item.func, label), *self.tokens(item.args, label), b"", *named]
            if cls in (staticmethod, classmethod):
                return [self.token(item.__func__, label)]
            if cls is property:
                return self.tokens((item.fget, item.fset, item.fdel), label)
            if cls is functools.cached_property:
                return [self.token(item.func, label)]
            if cls is CACHED:
                return [self.token(item.__wrapped__, label)]
            if cls in (datetime, time):
                return [item.isoformat().encode(), b"%d" % item.fold, self.token(item.tzinfo, label)]
            if cls is MethodType or cls in _METHODS:
                return self._method(item, cls, label)
            if cls in _DESCRIPTORS:
                return [item.__name__.encode(), self.token(item.__objclass__, label)]
            if cls.__module__ in ("typing", "types") and typing.get_origin(item) is not None:
                return self.tokens((typing.get_origin(item), *typing.get_args(item)), label)
        finally:
            self._depth -= 1
        return None

    def _method(self, item: Any, cls: type, label: str) -> list[bytes]:
        if public := public_name(item):
            return [self.installed(public)]
        if cls is MethodType:
            self._rules.changes.notice(item.__func__, item.__self__)
            return self.tokens((item.__func__, item.__self__), label)
        if item.__self__ is None or type(item.__self__) is ModuleType:
            return [self._compiled(item, label)]
        return [item.__name__.encode(), self.token(item.__self__, label)]

    def _compiled(self, item: Any, label: str) -> bytes:
        """Return what stands for compiled code of the user's own: its file."""
        file = file_of(str(item.__module__))
        if file is None or not Path(file).is_file():
            return self._opaque(item, label, "compiled code")
        return framed("compiled", [item.__qualname__.encode(), sha256(Path(file).read_bytes()).digest()])

    def _function(self, item: FunctionType, label: str) -> bytes:
        module = module_of(item)
        if not self.is_own_function(item):
            wraps = "__wrapped__" in vars(item)
            if module.partition(".")[0] == "orcapod" and wraps:
                return self.token(vars(item)["__wrapped__"], label)
            if found := public_name(item):
                return self.installed(found)
            if not item.__closure__ and not wraps and item.__name__ != "<lambda>":
                return self.installed(f"{module}.{item.__code__.co_qualname}")
        self._code.append(item)
        name = item.__qualname__
        if "__wrapped__" in vars(item) and self.is_own_function(item):  # it bears the name of what it wraps
            name = f"{item.__code__.co_qualname} around {name}"
        return self.unit(Unit(module, name, "function", item, (id(item), "")))

    def _class(self, cls: type) -> bytes:
        if not self._owns(cls):
            return self.installed(f"{cls.__module__}.{cls.__qualname__}")
        return self.unit(Unit(cls.__module__, cls.__qualname__, "class", cls, (id(cls), "")))

    def _sentinel(self, item: Sentinel, label: str) -> bytes:
        if item is Sentinel.MISSING:
            self._note(label, "unseen", item.value)
        return framed("sentinel", [item.value.encode()])

    def _module(self, module: ModuleType, label: str) -> bytes:
        if not self._rules.ownership.owns(module.__name__):
            return self.installed(module.__name__)
        self._note(label, "unseen", "a module used as a whole: of what it refers to, only its own text counts")
        file = file_of(module.__name__)
        text = Path(file).read_bytes() if file and Path(file).is_file() else b""
        return framed("module", [module.__name__.encode(), text and sha256(text).digest()])

    def _ignored(self, item: object, label: str) -> bytes:
        name = f"{type(item).__module__}.{type(item).__qualname__}".encode()
        self._note(label, "ignored", f"does not count, as ignores= says: {type(item).__qualname__}", name)
        return framed("ignored", [name])

    def _opaque(self, item: object, label: str, why: str) -> bytes:
        if self._rules.is_told and not label.startswith("depends_on"):
            which = f"{label} {type(item).__qualname__}".encode()
        else:
            which = live_identity(item)
        self._note(label, "opaque", why, sha256(which).digest())
        return framed("opaque", [which])

    def _described(self, item: Any, label: str) -> bytes:
        cls = type(item)
        if self._owns(cls):
            return self._instance(item, cls, label)
        if (held := self._held(cls, item, label)) is not None:
            return framed(cls.__name__, held)
        if cls is object:
            return b"sentinel"
        if is_ignorable(item):
            return framed("ignored", [cls.__qualname__.encode()])
        if is_generator(item) and item is not self._inside:
            shared = next((name for name in _SHARED if provides(*name, item)), None)
            return self.installed(".".join(shared)) if shared else self.state(item, "", item, label)
        if item is os.environ:
            return self.installed("os.environ")
        if stands_for := declared_type(item):
            return framed("type name", [item.__name__.encode(), *self.tokens(stands_for, label)])
        return framed("object", [self._class(cls), *self._rebuilt(item, cls, label)])

    def _rebuilt(self, item: Any, cls: type, label: str) -> list[bytes]:
        """Return what stands for that from which an object would be rebuilt."""
        if cls.__module__ == "numpy" and cls.__name__ == "ndarray":
            return [item.dtype.str.encode(), plain_bytes(item.shape), *self.tokens(item.ravel().tolist(), label)]
        try:
            parts = taken_apart(item, cls)
        except NotTakenApart as why:
            return [self._opaque(item, label, str(why))]
        if isinstance(parts, str):
            modules = [str(module) for module in (getattr(item, "__module__", None), cls.__module__)]
            found = [module for module in modules if provides(module, parts, item)]
            return [parts.encode(), found[0].encode()] if found else [self._opaque(item, label, "it has no name")]
        self._alive.append(parts)
        listed = [list(part) if hasattr(type(part), "__next__") else part for part in parts]
        self._alive.append(listed)
        return self.tokens(listed, label)

    def _held(self, native: type, item: Any, label: str) -> list[bytes] | None:
        """Return what a builtin container holds, whatever a class derived from it says of that."""
        if item is sys.modules:
            return [self.installed("sys.modules")]
        if native in _SEQUENCES:
            return self._items(native, item, label)
        if native in _SETS:
            return self._members(item, label)
        if native in _DICTS:
            factory = item.default_factory if native is defaultdict else None
            return [self.token(factory, label), *self._entries(native, item, label)]
        return None

    def _items(self, native: type, item: Any, label: str) -> list[bytes]:
        most = b"%d" % item.maxlen if native is deque and item.maxlen is not None else b""
        values = list(native.__iter__(item))  # type: ignore[attr-defined]
        self.size += len(values)
        places = self._rules.changes.places(item)
        if not places and is_plain(values):
            return [most, plain_bytes(values)]
        if not places and (scalars := numpy_scalars(values)) is not None:
            return [most, scalars]
        tokens = [most, b""]
        for index, value in enumerate(values):
            if (place := item_name(index)) in places:
                tokens.append(self.state(item, place, value, f"{label}{place}"))
            elif type(value) in PLAIN:
                tokens.append(plain_bytes(value))
            else:
                tokens.append(self.token(value, f"{label}[{index}]" if len(label) < _LABEL else label))
        return tokens

    def _entries(self, native: Any, item: Any, label: str) -> list[bytes]:
        """Return what keys and values say in their order, which a program can see; last come those that change."""
        places = self._rules.changes.places(item)
        self.size += len(item)
        if not places and is_plain(native.keys(item)) and is_plain(native.values(item)):
            return [plain_bytes(dict(native.items(item)))]
        tokens, changing = [b""], {}
        for key, value in native.items(item):
            plain = type(key) in PLAIN
            if places and plain and (place := item_name(key)) in places:
                changing[place] = value
                continue
            named = f"{label}[{key!r}]" if plain and len(label) < _LABEL else label
            tokens += [self.token(key, label), self.token(value, named)]
        for place in places:
            if place.startswith("["):
                value = changing.get(place, Sentinel.UNBOUND)
                tokens += [place.encode(), self.state(item, place, value, f"{label}{place}")]
        return tokens

    def _members(self, item: Any, label: str) -> list[bytes]:
        """Return what the members of a set say, in an order that is the same in every process."""
        members = list(set.__iter__(item) if issubclass(type(item), set) else frozenset.__iter__(item))
        self.size += len(members)
        if is_plain(members):
            return sorted(map(plain_bytes, members))
        return self.tokens(sorted(members, key=lambda member: self._order(member, 3)), label)

    def _order(self, item: Any, depth: int) -> bytes:
        """Return a key to sort members of a set by: what can be seen of an object without going far."""
        cls = type(item)
        if cls in PLAIN:
            return plain_bytes(item)
        if (known := self._orders.get((id(item), depth))) is not None:
            return known
        name = f"{cls.__module__}.{cls.__qualname__}"
        inner: list[bytes] = []
        if cls is FunctionType or issubclass(cls, type):
            inner = [f"{item.__module__}.{item.__qualname__}".encode()]
            if cls is FunctionType and depth:
                inner += [self._order(content(cell), depth - 1) for cell in item.__closure__ or ()]
        elif cls in (datetime, time):
            inner = [item.isoformat().encode(), b"%d" % item.fold, str(item.tzinfo).encode()]
        elif issubclass(cls, Enum):
            inner = [item.name.encode()]
        elif not self._owns(cls) and (said := leaf(item)) is not None:
            inner = [said]
        elif depth:
            inner = [self._order(each, depth - 1) for each in self._within(item, cls)]
            if issubclass(cls, _SETS):
                inner.sort()
        key = self._orders[id(item), depth] = framed(name, inner)
        if len(key) > _LONGEST:
            key = self._orders[id(item), depth] = sha256(key).digest()
        return key

    def _within(self, item: Any, cls: type) -> Iterable[object]:
        native = native_base(cls)
        if issubclass(native, dict):
            yield from (each for pair in dict.items(item) for each in pair)
        elif issubclass(native, (*_SEQUENCES, *_SETS)):
            yield from native.__iter__(item)
        if cls is functools.partial:
            yield from (item.func, *item.args, *(each for pair in item.keywords.items() for each in pair))
        elif cls is MethodType:
            yield from (item.__func__, item.__self__)
        elif typing.get_origin(item) is not None:
            yield from (typing.get_origin(item), *typing.get_args(item))
        elif native is object and not self._owns(cls):
            with suppress(Exception):  # code of the user's, or there is nothing to be had
                parts = taken_apart(item, cls)
                self._alive.append(parts)
                yield from (parts,) if isinstance(parts, str) else parts
        if self._owns(cls):
            yield from (value for _, value in sorted(attributes_of(item).items()))

    def _instance(self, item: Any, cls: type, label: str) -> bytes:
        native = native_base(cls)
        held = self._held(native, item, label)
        if held is None and native in PLAIN:
            held = [plain_bytes(native.__getnewargs__(item)[0])]  # type: ignore[attr-defined]
        elif held is None and native is not object:
            held = self._rebuilt(item, native, label)
        places = self._rules.changes.places(item)
        attributes = attributes_of(item)
        parts = []
        unbound = dict.fromkeys(filter(_is_attribute, places), Sentinel.UNBOUND)
        for name, value in sorted({**unbound, **attributes}.items()):
            if type(raw(cls, name)) is not functools.cached_property:
                called = f"{label}.{name}" if len(label) < _LABEL else label
                token = self.state(item, name, value, called) if name in places else self.token(value, called)
                parts += [name.encode(), token]
        return framed("instance", [self._class(cls), framed("held", held or []), *parts])


def _is_within(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.")


def _is_attribute(place: str) -> bool:
    return bool(place) and not place.startswith("[")
