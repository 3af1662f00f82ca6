"""``Ignored``: what the author of a function says that does not count."""

from collections.abc import Sequence
from types import FunctionType
from typing import Any

from orcapod.errors import ConfigError

__all__ = ["GIVEN", "Ignored", "own_label"]

GIVEN = "given"
"""The module of what is no module's: what the author gives beside the function."""


class Ignored:
    """Objects that do not count, and names of such: as code calls them, alone or after a module, or by their path.

    Args:
        given: what the author gave, a text being a name.
    """

    def __init__(self, given: Sequence[object] = ()) -> None:
        self._objects = {id(item): item for item in given if not isinstance(item, str)}
        self._meant: dict[str, dict[int, str]] = {item: {} for item in given if isinstance(item, str)}

    def has(self, item: Any, label: str, module: str, called: tuple[str, str]) -> bool:
        """Say whether an object does not count that code calls so.

        Args:
            item: the object.
            label: what code calls it.
            module: where it is.
            called: how such a label begins, and what the module itself has in place of that, if that differs.
        """
        if self._meant:
            names = [f"{module}.{own_label(label, called)}", f"{module}.{label}", label]
            if module != GIVEN and (type(item) is FunctionType or issubclass(type(item), type)):
                names.append(f"{item.__module__}.{item.__qualname__}")
            found = [each for each in names if each in self._meant]
            for each in found:
                self._meant[each][id(item)] = module
            if found:
                return True
        return id(item) in self._objects

    def lists(self, label: str, module: str, called: tuple[str, str]) -> bool:
        """Say whether it names what is listed under a name without being an object."""
        names = (label, f"{module}.{label}", f"{module}.{own_label(label, called)}")
        found = [each for each in names if each in self._meant]
        for each in found:
            self._meant[each].setdefault(0, module)
        return bool(found)

    def unused(self) -> tuple[str, ...]:
        """Return the names that nothing met so far bears, sorted."""
        return tuple(sorted(name for name, meant in self._meant.items() if not meant))

    def check(self) -> None:
        """Check that every name means one thing.

        Raises:
            ConfigError: two different objects of two modules bear one name.
        """
        for name, meant in self._meant.items():
            modules = sorted(set(meant.values()))
            if len(modules) > 1 and len(meant) > 1:
                raise ConfigError(
                    f"ignores=[{name!r}] could mean what modules {', '.join(modules)} call so; write which, "
                    f"as in ignores=['{modules[0]}.{name}']",
                    found=name,
                )


def own_label(label: str, called: tuple[str, str]) -> str:
    """Return what a module itself calls what code calls so."""
    known, own = called
    return own + label.removeprefix(known) if own and label.startswith(known) else label
