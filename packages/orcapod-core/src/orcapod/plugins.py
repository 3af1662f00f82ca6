"""``Registry``: how built-ins and plugins come through the same door, loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orcapod.errors import PluginError

__all__ = ["Registry"]


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
