"""What the names in a function mean: following them through the user's own modules without running code."""

import builtins
import functools
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import Enum
from importlib.machinery import ModuleSpec
from types import CellType, FunctionType, MemberDescriptorType, ModuleType
from typing import TypeGuard, cast

from orcapod.hashing.code.classes import holder_of
from orcapod.hashing.code.ownership import Ownership, is_own, is_own_file, provides
from orcapod.hashing.code.scopes import Imported, NamePath
from orcapod.hashing.code.syntax import Syntax

__all__ = [
    "Installed",
    "Location",
    "Names",
    "Sentinel",
    "Target",
    "attributes_of",
    "cells_of",
    "content",
    "defaults_of",
    "is_module",
    "names_of",
]

Location = tuple[int, str]
"""Something that may change: the contents of an object, ``(id, "")``, or a name in one, ``(id, name)``."""

_ABOUT = frozenset({"__name__", "__file__", "__package__", "__spec__", "__loader__", "__builtins__"})


@dataclass(frozen=True, slots=True)
class Installed:
    """Object that an installed package provides, by the name it was taken by."""

    name: str


class Sentinel(Enum):
    """Sentinel that a name may lead to in place of a value."""

    MISSING = "no such name"
    CHANGED = "changed by the code itself"
    ABOUT = "about the module, not of it"
    FOREIGN = "of an installed package"
    UNBOUND = "not there before it is made"


@dataclass(frozen=True, slots=True)
class Target:
    """Target of a path: ``name`` in ``owner`` is ``value``; ``rest`` is what could not be followed."""

    owner: object
    name: str
    value: object
    rest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Names:
    """Scope of a function: its arguments as far as known, its closure, its module."""

    globals: Mapping[str, object]
    cells: Mapping[str, CellType]
    imports: Mapping[str, Imported]
    ownership: Ownership
    arguments: Mapping[str, object] = field(default_factory=dict)

    def follow(self, path: NamePath, state: Set[Location]) -> Target:
        """Follow a path through modules, classes and instances to its end, or what ends it."""
        root, *rest = path
        name = root if isinstance(root, str) else root.attribute or ""
        owner, value = self._root(root)
        while True:
            if (id(owner), name) in state:
                return Target(owner, name, Sentinel.CHANGED, tuple(rest))
            if not rest:
                return Target(owner, name, value, ())
            if type(value) is Installed:
                return Target(owner, name, Installed(".".join((value.name, *rest))), ())
            if is_module(value):
                inside = self._inside(value, rest[0])
                if inside is Sentinel.FOREIGN:
                    return Target(owner, name, Installed(".".join((value.__name__, *rest))), ())
                owner, value = vars(value), inside
            elif found := self._attribute(value, rest[0]):
                owner, value = found
            else:
                return Target(owner, name, value, tuple(rest))
            name, *rest = rest

    def _inside(self, module: ModuleType, name: str) -> object:
        """Return what a module holds under a name; of an installed one, only what is own."""
        if self.ownership.owns(module.__name__):
            return _member(module, name)
        held = vars(module).get(name)
        if held is None and _is_namespace(module):
            held = _import(f"{module.__name__}.{name}") if self._may_import(f"{module.__name__}.{name}") else None
        if type(held) is ModuleType and self.ownership.owns(held.__name__):
            return held  # the user's part of a namespace
        if type(held) is FunctionType and is_own(str(held.__globals__.get("__name__", ""))):
            return held  # put there by the user's own code
        return Sentinel.FOREIGN

    def _root(self, root: str | Imported) -> tuple[object, object]:
        if isinstance(root, Imported):
            return self._imported(root)
        if root in self.arguments:
            return self.arguments, self.arguments[root]
        if root in self.cells:
            return self.cells[root], content(self.cells[root])
        if root in _ABOUT:
            return self.globals, Sentinel.ABOUT
        if root in self.globals:
            value, source = self.globals[root], self.imports.get(root)
            owns = self.ownership.owns
            if source and not owns(source.module) and provides(source.module, str(source.attribute), value):
                if type(value) is FunctionType and owns(str(value.__globals__.get("__name__", ""))):
                    return self.globals, value  # put there by the user's own code
                # The name it was imported by is the same in all versions, that of the object is not.
                if type(value) is not ModuleType or not owns(value.__name__):
                    value = Installed(f"{source.module}.{source.attribute}")
            return self.globals, value
        if hasattr(builtins, root):
            return builtins, Installed(f"builtins.{root}")
        return self.globals, Sentinel.MISSING

    def _imported(self, source: Imported) -> tuple[object, object]:
        """Return what an import inside a function will bind; installed modules are not imported."""
        module = source.module
        if source.level:
            package = str(self.globals.get("__package__") or self.globals.get("__name__", ""))
            module = importlib.util.resolve_name("." * source.level + module, package)
        name = ".".join(filter(None, (module, source.attribute)))
        loaded = sys.modules.get(module) or (_import(module) if self._may_import(module) else None)
        if loaded is None:
            return None, Installed(name)
        if source.attribute is None or not is_module(loaded):
            return None, loaded
        inside = self._inside(loaded, source.attribute)
        return (None, Installed(name)) if inside is Sentinel.FOREIGN else (vars(loaded), inside)

    def _may_import(self, module: str) -> bool:
        """Say whether importing a module runs no code but the user's own."""
        names = module.split(".")
        for length in range(1, len(names) + 1):
            name = ".".join(names[:length])
            spec = _spec(name)
            if spec is None:
                return length == 1 and is_own(name)
            if spec.has_location and spec.origin:
                return is_own_file(spec.origin) or self.ownership.includes(module)
        return True  # a namespace, which has no code

    def _attribute(self, value: object, name: str) -> tuple[object, object] | None:
        """Return holder and value of an attribute that is plain data; ``None`` if code might run."""
        if type(value) is FunctionType:
            return (value, vars(value)[name]) if name in vars(value) else None
        is_class = issubclass(type(value), type)
        cls = cast(type, value) if is_class else type(value)
        if type(value) is Sentinel or not self.ownership.owns_class(cls):
            return None
        if holder_of(cls, "__getattribute__") is not object:
            return None
        holder = holder_of(cls, name)
        held = vars(holder)[name] if holder else None
        if type(held) is not MemberDescriptorType and hasattr(type(held), "__set__"):
            return None
        if type(held) is functools.cached_property:
            return None
        if not is_class and name in (attributes := attributes_of(value)):
            return value, attributes[name]
        return None if holder is None or hasattr(type(held), "__get__") else (holder, held)


def names_of(
    function: FunctionType,
    syntax: Syntax,
    ownership: Ownership,
    arguments: Mapping[str, object] | None = None,
) -> Names:
    """Return what names mean inside a function."""
    return Names(function.__globals__, cells_of(function), syntax.imports, ownership, arguments or {})


def cells_of(function: FunctionType) -> dict[str, CellType]:
    """Return the closure of a function, by name."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def defaults_of(function: FunctionType) -> dict[str, object]:
    """Return the defaults of the parameters of a function; a wrapper may hold more, taken over from what it wraps."""
    code, defaults = function.__code__, function.__defaults__ or ()
    positional = code.co_varnames[max(code.co_argcount - len(defaults), 0) : code.co_argcount]
    last = defaults[len(defaults) - len(positional) :]
    return dict(zip(positional, last, strict=True)) | dict(sorted((function.__kwdefaults__ or {}).items()))


def content(cell: CellType) -> object:
    """Return what a closure holds under a name."""
    try:
        return cell.cell_contents
    except ValueError:
        return Sentinel.MISSING


def attributes_of(item: object) -> Mapping[str, object]:
    """Return the attributes that an object itself holds, in slots or a ``__dict__``, running no code of its class."""
    slots: dict[str, object] = {}
    for base in reversed(type(item).__mro__):
        for name, descriptor in vars(base).items():
            if type(descriptor) is MemberDescriptorType:
                try:
                    slots[name] = descriptor.__get__(item)
                except AttributeError:
                    continue  # not set
    try:
        held: dict[str, object] = object.__getattribute__(item, "__dict__")
    except AttributeError:
        return slots
    return slots | held if slots else held


def is_module(item: object) -> TypeGuard[ModuleType]:
    """Say whether an object is a module, whatever it says itself: asking it might run its code."""
    return issubclass(type(item), ModuleType)


def _member(module: ModuleType, name: str) -> object:
    if name in _ABOUT:
        return Sentinel.ABOUT
    if name == "__dict__":
        return module  # as a whole
    try:
        value = getattr(module, name, Sentinel.MISSING)
    except Exception:  # noqa: BLE001 - the module's own ``__getattr__``, which may raise anything
        return Sentinel.MISSING
    if value is Sentinel.MISSING and hasattr(module, "__path__"):
        return _import(f"{module.__name__}.{name}")
    return value


def _is_namespace(module: ModuleType) -> bool:
    return getattr(module, "__file__", None) is None and hasattr(module, "__path__")


def _spec(module: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):  # it is not there, or was made without a spec
        return None


def _import(module: str) -> object:
    try:
        return importlib.import_module(module)
    except ImportError:
        return Sentinel.MISSING
