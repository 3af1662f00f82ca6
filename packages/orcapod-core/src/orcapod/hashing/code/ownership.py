"""What is the user's own code, and what an installed package provides, and by what name."""

import builtins
import functools
import os
import sys
from pathlib import Path
from types import FunctionType

__all__ = [
    "is_heap_type",
    "is_own",
    "is_own_file",
    "is_own_type",
    "module_of",
    "provides",
    "public_name",
    "version_of",
]


def is_own(module: str) -> bool:
    """Say whether a module is the user's own code."""
    top = module.partition(".")[0]
    if top in ("__main__", "__mp_main__", "orcapod"):
        return top != "orcapod"
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) or next(iter(getattr(loaded, "__path__", ())), None)
    return is_own_file(file) if isinstance(file, str) else top not in sys.stdlib_module_names


@functools.cache
def is_own_file(path: str) -> bool:
    """Say whether a file is neither installed nor of the standard library."""
    real = Path(path).resolve()
    return {"site-packages", "dist-packages"}.isdisjoint(real.parts) and not real.is_relative_to(_standard_library())


@functools.cache
def _standard_library() -> Path:
    return Path(os.__file__).resolve().parent


def is_own_type(cls: type) -> bool:
    """Say whether a class is the user's own."""
    if cls.__module__ == "builtins":  # also the module of a class made where there is no module
        return is_heap_type(cls) and not hasattr(builtins, cls.__qualname__)
    return is_own(cls.__module__)


def is_heap_type(cls: type) -> bool:
    """Say whether a class was made by running code, not compiled into Python."""
    return bool(cls.__flags__ & (1 << 9))


def module_of(function: FunctionType) -> str:
    """Return the module of a function's code; a wrapper's ``__module__`` is that of what it wraps."""
    return str(function.__globals__.get("__name__", "__main__"))


def public_name(item: object) -> str | None:
    """Return the name by which an installed module provides this very object."""
    if not callable(item):
        return None
    name = getattr(item, "__name__", None)
    receiver = getattr(item, "__self__", None)
    for module in (getattr(item, "__module__", None), type(item).__module__, type(receiver).__module__):
        if isinstance(module, str) and isinstance(name, str) and not is_own(module) and provides(module, name, item):
            return f"{module.partition('.')[0]}.{name}"
    return None


def provides(module: str, name: str, item: object) -> bool:
    """Say whether a name taken from a module is this very object."""
    return item is not None and getattr(sys.modules.get(module), name, None) is item


@functools.cache
def version_of(top: str) -> str | None:
    """Return the version of the distribution that a top-level module was installed from."""
    from importlib import metadata  # noqa: PLC0415 - 30 ms, and most never ask for a version

    names = ["orcapod-core"] if top == "orcapod" else [top, *metadata.packages_distributions().get(top, ())]
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
