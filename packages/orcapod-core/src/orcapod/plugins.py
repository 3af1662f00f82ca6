"""``Registry``: how built-ins and plugins come through the same door, loaded on first use.

What a user hands in has been made already, of a class of orcapod's or of a stranger's: ``checked_object`` sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orcapod.display import discreet
from orcapod.errors import ConfigError, PluginError

__all__ = ["Registry", "checked_object"]


class Registry:
    """Named classes of one kind, found through an entry point group and imported when asked for.

    Args:
        group: the entry point group, for example ``orcapod.databases``.
        noun: what its members are called in messages, for example ``database``.
        homes: which package to install for names that are not there, ``{name: package}``.
    """

    def __init__(self, group: str, *, noun: str, homes: Mapping[str, str]) -> None:
        self._group = group
        self._noun = noun
        self._homes = homes

    def names(self) -> list[str]:
        """Return the names that installed packages provide, sorted."""
        return sorted(entry.name for entry in self._entries())

    def load(self, name: str) -> Any:
        """Return the class registered as ``name``.

        Raises:
            PluginError: no installed package provides it; names the known ones and what to install.
        """
        for entry in self._entries():
            if entry.name == name:
                return entry.load()
        known = ", ".join(self.names())
        package = self._homes.get(name)
        advice = f"pip install {package}" if package else "check the spelling, or install the package that provides it"
        raise PluginError(f"no {self._noun} is called {name!r}; known here: {known}; to use {name!r}: {advice}")

    def _entries(self) -> Any:
        from importlib.metadata import entry_points  # noqa: PLC0415  # 15 ms that most programs never need

        return entry_points(group=self._group)


def checked_object(found: object, protocol: type, *, noun: str, ways: str) -> Any:
    """Return what was handed in, if it is what it has to be.

    Args:
        found: what was handed in.
        protocol: what it has to answer; how it may be made again (``from_...``) is not asked for.
        noun: what it is called in messages, for example ``a database``.
        ways: what else may be handed in, for example ``give a Database, a URL or a path``.

    Raises:
        ConfigError: it is a class, or lacks what is expected of it.
    """
    if isinstance(found, type):
        raise ConfigError(
            f"found the class {found.__name__}, expected {noun}; make one: {found.__name__}(...)",
            expected=noun,
            found=found.__name__,
        )
    wanted = [name for name in dir(protocol) if not name.startswith(("_", "from_"))]
    if missing := [name for name in wanted if not hasattr(found, name)]:
        some = "" if len(missing) == len(wanted) else f" that has {', '.join(missing)} too"
        kind = type(found).__qualname__
        raise ConfigError(
            f"found {discreet(found)} of type {kind}, expected {noun}{some}; {ways}",
            expected=noun,
            found=kind,
        )
    return found
