"""``Ignored``: what the author of a function says that does not count."""

from collections.abc import Sequence

from orcapod.errors import ConfigError

__all__ = ["Ignored"]


class Ignored:
    """Objects that do not count, and names of such: as they are listed, or with their module before them.

    Args:
        given: what the author gave, a text being a name.
    """

    def __init__(self, given: Sequence[object] = ()) -> None:
        self._objects = {id(item): item for item in given if not isinstance(item, str)}
        self._meant: dict[str, dict[int, str]] = {item: {} for item in given if isinstance(item, str)}

    def has(self, item: object, label: str, module: str) -> bool:
        """Say whether an object does not count that a module knows by this name."""
        if self._meant:
            if f"{module}.{label}" in self._meant:
                self._meant[f"{module}.{label}"][id(item)] = module
                return True
            if label in self._meant:
                self._meant[label][id(item)] = module
                return True
        return id(item) in self._objects

    def lists(self, name: str, module: str) -> bool:
        """Say whether it names what is listed under a name without being an object."""
        found = [each for each in (name, f"{module}.{name}") if each in self._meant]
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
