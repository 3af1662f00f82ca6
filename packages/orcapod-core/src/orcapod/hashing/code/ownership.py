"""What is the user's own code, and what an installed package provides, and by what name.

Own is every module but those of the standard library and of installed distributions: a question about
the file that holds the code, not about its top-level name, so that editable installs and the parts of a
namespace package are each what they are. orcapod itself is never own.
"""

import builtins
import functools
import os
import sys
import types
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = [
    "Ownership",
    "distribution_of",
    "file_of",
    "is_heap_type",
    "is_own",
    "is_own_file",
    "module_of",
    "provides",
    "public_name",
    "version_of",
]

_SLOTS = (types.WrapperDescriptorType, types.MethodDescriptorType)
_compiled: dict[int, tuple[weakref.ref[type], bool]] = {}
_FACTORIES = ("abc", "builtins", "collections", "dataclasses", "enum", "types", "typing")
"""Modules whose functions make classes that then claim to be of these modules."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """Rule of what counts as own: the user's modules, and those of some installed distributions.

    Attributes:
        distributions: the distribution of the function itself, if it is installed.
    """

    distributions: frozenset[str] = frozenset()

    @classmethod
    def of(cls, module: str) -> "Ownership":
        """Return the rule for a function of this module: its own distribution counts as own."""
        if is_own(module) or _top(module) == "orcapod":
            return cls()
        distribution = distribution_of(module)
        return cls(frozenset([distribution] if distribution else ()))

    def owns(self, module: str) -> bool:
        """Say whether a module is own."""
        return is_own(module) or self.includes(module)

    def includes(self, module: str) -> bool:
        """Say whether a module is of a distribution that counts as own."""
        return bool(self.distributions) and distribution_of(module) in self.distributions

    def owns_class(self, cls: type) -> bool:
        """Say whether a class is own, or was made by running code and is known to its maker alone."""
        if not is_heap_type(cls):
            return False
        if not isinstance(cls.__module__, str):
            return True  # made by a call
        claimed = cls.__module__ in _FACTORIES or "<locals>" in cls.__qualname__
        return self.owns(cls.__module__) or (claimed and not _is_there(cls))


def is_own(module: str) -> bool:
    """Say whether a module is the user's own code."""
    top = _top(module)
    if top in ("__main__", "__mp_main__", "orcapod"):
        return top != "orcapod"
    file = file_of(module)
    return is_own_file(file) if file else top not in sys.stdlib_module_names


def file_of(module: str) -> str | None:
    """Return the file of a module that is loaded, or the folder of a namespace."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", ())), None)
    return file if isinstance(file, str) else None


@functools.cache
def is_own_file(path: str) -> bool:
    """Say whether a file is neither installed nor of the standard library."""
    real = Path(path).resolve()
    if not {"site-packages", "dist-packages"}.isdisjoint(real.parts) or real.is_relative_to(_standard_library()):
        return False
    return not any(real in _recorded(Path(folder or ".").resolve()) for folder in sys.path)


@functools.cache
def _recorded(folder: Path) -> frozenset[Path]:
    """Return the files that an installer has put into a folder of any other name."""
    found: set[Path] = set()
    for record in folder.glob("*.dist-info/RECORD") if "site-packages" not in folder.parts else ():
        lines = record.read_text(encoding="utf-8", errors="replace").splitlines()
        found.update((folder / line.partition(",")[0].strip('"')).resolve() for line in lines)
    return frozenset(found)


@functools.cache
def _standard_library() -> Path:
    return Path(os.__file__).resolve().parent


def _top(module: str) -> str:
    return module.partition(".")[0]


def _is_there(cls: type) -> bool:
    """Say whether a class is found where it claims to be."""
    found: object = builtins if cls.__module__ == "builtins" else sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


def is_heap_type(cls: type) -> bool:
    """Say whether a class was made by running code, and is not compiled."""
    if not cls.__flags__ & (1 << 9):
        return False
    known = _compiled.get(id(cls))
    if known is None or known[0]() is not cls:
        is_compiled = any(type(held) in _SLOTS and held.__objclass__ is cls for held in vars(cls).values())
        known = _compiled[id(cls)] = weakref.ref(cls), is_compiled
    return not known[1]


def module_of(function: FunctionType) -> str:
    """Return the module of a function's code; a wrapper's ``__module__`` is that of what it wraps."""
    return str(function.__globals__.get("__name__", "__main__"))


def public_name(item: Any) -> str | None:
    """Return the module and qualified name by which an installed module provides this very object."""
    if not callable(item):
        return None
    if type(item).__name__ == "cython_function_or_method" and not is_own(str(item.__module__)):
        return f"{item.__module__}.{item.__qualname__}"
    names = {getattr(item, "__qualname__", None), getattr(item, "__name__", None)}
    receiver = getattr(item, "__self__", None)
    modules = getattr(item, "__module__", None), type(item).__module__, type(receiver).__module__
    for module in [each for each in modules if isinstance(each, str) and not is_own(each)]:
        for name in sorted(each for each in names if isinstance(each, str)):
            if provides(module, name, item):
                return f"{module}.{name}"
    return None


def provides(module: str, name: str, item: object) -> bool:
    """Say whether a dotted name taken from a module is this very object."""
    found: object = sys.modules.get(module)
    for each in name.split("."):
        found = vars(found).get(each) if isinstance(found, ModuleType | type) else None
    return item is not None and found is item


@functools.cache
def distribution_of(module: str) -> str | None:
    """Return the name of the distribution that a module was installed from; None if there is none."""
    from importlib import metadata  # noqa: PLC0415 - 30 ms, and most never ask for a distribution

    top = _top(module)
    if top == "orcapod":
        return "orcapod-core"
    names = sorted(set(_distributions(tuple(sys.path)).get(top, ())))
    if len(names) < 2:
        return next(iter(names), None)
    file = file_of(module)  # several distributions share a namespace
    real = Path(file).resolve() if file else None
    for name in names:
        if any(Path(str(each.locate())).resolve() == real for each in metadata.files(name) or ()):
            return name
    return None


@functools.lru_cache(maxsize=1)
def _distributions(_: tuple[str, ...]) -> Mapping[str, list[str]]:
    from importlib import metadata  # noqa: PLC0415 - likewise

    return metadata.packages_distributions()


@functools.cache
def version_of(distribution: str) -> str | None:
    """Return the version of an installed distribution."""
    from importlib import metadata  # noqa: PLC0415 - likewise

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
