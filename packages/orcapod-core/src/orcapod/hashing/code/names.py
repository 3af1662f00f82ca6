"""What the names in a function mean: following them through the user's own modules without running code."""

import builtins
import functools
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import Enum
from types import CellType, FunctionType, ModuleType

from orcapod.hashing.code.classes import holder_of
from orcapod.hashing.code.ownership import is_own, is_own_file, is_own_type, provides
from orcapod.hashing.code.scopes import Imported, NamePath
from orcapod.hashing.code.syntax import Syntax

__all__ = ["Installed", "Location", "Names", "Sentinel", "Target", "cells_of", "content", "names_of"]

Location = tuple[int, str]
"""Something that may change: the contents of an object, ``(id, "")``, or a name in one, ``(id, name)``."""

_ABOUT = frozenset({"__name__", "__file__", "__doc__", "__package__", "__spec__", "__loader__", "__builtins__"})


@dataclass(frozen=True, slots=True)
class Installed:
    """Object that an installed package provides, by the name it was taken by."""

    name: str


class Sentinel(Enum):
    """Sentinel that a name may lead to in place of a value."""

    MISSING = "no such name"
    CHANGED = "changed by the code itself"
    ABOUT = "about the module, not of it"


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
            match value:
                case Installed():
                    return Target(owner, name, Installed(".".join((value.name, *rest))), ())
                case ModuleType() if not is_own(value.__name__):
                    return Target(owner, name, Installed(".".join((value.__name__, *rest))), ())
                case ModuleType():
                    owner, value = vars(value), _member(value, rest[0])
                case _ if found := _attribute(value, rest[0]):
                    owner, value = found
                case _:
                    return Target(owner, name, value, tuple(rest))
            name, *rest = rest

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
            if source and not is_own(source.module) and provides(source.module, str(source.attribute), value):
                # The name it was imported by is the same in all versions, that of the object is not.
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
        if not _will_be_own(module.partition(".")[0]):
            return None, Installed(".".join(filter(None, (module, source.attribute))))
        loaded = _import(module)
        if source.attribute is None or not isinstance(loaded, ModuleType):
            return None, loaded
        return vars(loaded), _member(loaded, source.attribute)


def names_of(function: FunctionType, syntax: Syntax, arguments: Mapping[str, object] | None = None) -> Names:
    """Return what names mean inside a function."""
    return Names(function.__globals__, cells_of(function), syntax.imports, arguments or {})


def cells_of(function: FunctionType) -> dict[str, CellType]:
    """Return the closure of a function, by name."""
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def content(cell: CellType) -> object:
    """Return what a closure holds under a name."""
    try:
        return cell.cell_contents
    except ValueError:
        return Sentinel.MISSING


def _attribute(value: object, name: str) -> tuple[object, object] | None:
    """Return holder and value of an attribute that is plain data; ``None`` if code might run."""
    if isinstance(value, FunctionType):
        return (value, vars(value)[name]) if name in vars(value) else None
    cls = value if isinstance(value, type) else type(value)
    if not is_own_type(cls) or isinstance(value, Sentinel) or holder_of(cls, "__getattribute__") is not object:
        return None
    holder = holder_of(cls, name)
    held = vars(holder)[name] if holder else None
    if hasattr(type(held), "__set__") or isinstance(held, functools.cached_property):
        return None
    if cls is not value and name in getattr(value, "__dict__", {}):
        return value, vars(value)[name]
    return None if holder is None or hasattr(type(held), "__get__") else (holder, held)


def _member(module: ModuleType, name: str) -> object:
    if name in _ABOUT:
        return Sentinel.ABOUT
    if name == "__dict__":
        return module  # as a whole
    value = getattr(module, name, Sentinel.MISSING)
    if value is Sentinel.MISSING and hasattr(module, "__path__"):
        return _import(f"{module.__name__}.{name}")
    return value


def _will_be_own(top: str) -> bool:
    if top in sys.modules or (spec := importlib.util.find_spec(top)) is None:
        return is_own(top)
    origins = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    return any(is_own_file(origin) for origin in origins if origin)


def _import(module: str) -> object:
    try:
        return importlib.import_module(module)
    except ImportError:
        return Sentinel.MISSING
