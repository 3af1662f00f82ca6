"""``door``: what makes the names of a room load when they are first used, not with the room."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

__all__ = ["door"]


def door(room: str, homes: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the ``__getattr__`` and ``__dir__`` of a room; the types of its names are in its ``__init__.pyi``.

    Args:
        room: its name.
        homes: in which of its files each of its names is at home, or in what other room.
    """
    names = vars(sys.modules[room])

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}; found {sorted(homes)}")
        home = homes[name]
        found = getattr(import_module(home if home.startswith("orcapod.") else f"{room}.{home}"), name)
        names[name] = found
        return found

    return load, lambda: sorted({*names, *homes})
