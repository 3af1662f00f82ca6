"""``Changes``: names and contents that code visibly changes, which are state and no constants.

A builtin container or an array is state if one of its own changing methods (``append``, ``update``, ...) is
called or an item of it is set or deleted: the one item, if its key is written as a constant, else all of it. A
name or an attribute is state if it is assigned to (``global``, ``nonlocal``, ``thing.name = ...``). Methods of
the user's own classes are followed to see what they do.
"""

from collections import defaultdict, deque
from collections.abc import Set
from types import FunctionType
from typing import Any

from orcapod.hashing.code.classes import functions_in, holder_of, raw
from orcapod.hashing.code.names import Installed, Location, Names, Sentinel, Target, defaults_of, is_module, names_of
from orcapod.hashing.code.ownership import Ownership, is_heap_type, module_of
from orcapod.hashing.code.sources import function_syntax
from orcapod.hashing.code.syntax import Change

__all__ = ["CONTAINERS", "Changes", "item_name", "native_base"]

CONTAINERS = (list, dict, set, bytearray, deque)


def item_name(key: object) -> str:
    """Return how the place of an item in a container is called."""
    return f"[{key!r}]"


def native_base(cls: type) -> type:
    """Return the class compiled into Python that a class is built on."""
    return next(base for base in cls.__mro__ if not is_heap_type(base))


class Changes:
    """Locations that are found to change in one walk; ``earlier`` are those of walks before."""

    def __init__(self, earlier: Set[Location], ownership: Ownership) -> None:
        self.earlier = earlier
        self.locations: dict[Location, object] = {}  # holds the objects, so that no id is used twice
        self._ownership = ownership
        self._noticed: set[tuple[int, int]] = set()
        self._places: dict[int, list[str]] = {}
        for owner, name in sorted(earlier):
            self._places.setdefault(owner, []).append(name)

    def places(self, owner: object) -> list[str]:
        """Return what of an object is state: names of attributes and items, sorted."""
        return self._places.get(id(owner), [])

    def notice(self, function: object, receiver: object = None) -> None:
        """Note what a function changes whose first parameter is ``receiver``, if that is given."""
        if type(function) is not FunctionType or not self._ownership.owns(module_of(function)):
            return
        if (id(function), id(receiver)) in self._noticed:
            return
        self._noticed.add((id(function), id(receiver)))
        syntax, code = function_syntax(function.__code__), function.__code__
        arguments = defaults_of(function)
        first = code.co_varnames[0] if code.co_argcount else ""
        if receiver is not None and first:
            arguments[first] = receiver
        # For a method of a class whose instance is not known, the class stands in for the instance.
        is_class = issubclass(type(receiver), type)
        stands_in = is_class and type(raw(receiver, function.__name__)) is not classmethod  # type: ignore[arg-type]
        names = names_of(function, syntax, self._ownership, arguments)
        for change in syntax.changes:
            if change.is_parameter and change.path[0] not in arguments:
                continue  # nobody knows what is given
            if change.what == "contents" or not (stands_in and change.path[0] == first):
                self._note(change, names)
        for path in syntax.uses:
            if path[0] in arguments and not stands_in:
                self.notice_call(names.follow(path, self.earlier))

    def notice_call(self, target: Target) -> None:
        """Note what a method changes on the instance that a path leads to."""
        self._notice_method(target.value, (*target.rest, "__call__")[0])

    def _notice_method(self, receiver: object, name: str) -> None:
        if self._ownership.owns_class(type(receiver)):
            for function in functions_in(raw(type(receiver), name)):
                self.notice(function, receiver)

    def _note(self, change: Change, names: Names) -> None:
        root, *attributes = change.path
        if change.what == "binding" and attributes:
            target = names.follow((root, *attributes[:-1]), self.earlier)
            if not target.rest:
                owner = vars(target.value) if is_module(target.value) else target.value
                self._record(owner, attributes[-1])
            return
        target = names.follow(change.path, self.earlier)
        if target.rest:
            self._record(target.value, target.rest[0])
        elif change.what == "binding":
            self._record(target.owner, target.name)
        elif change.is_item and change.method:
            self._note_call_of_item(change, target.value)
        elif change.is_item:
            self._note_item(change, target.value)
        elif self._is_container(target.value, change.method):
            self._record_item(target.value, change.key)

    def _note_item(self, change: Change, value: object) -> None:
        """Note that an item of a value is set or deleted."""
        if not self._ownership.owns_class(type(value)):
            self._record_item(value, change.key)
            return
        for method in ("__setitem__", "__delitem__"):
            if self._is_container(value, method):
                self._record_item(value, change.key)
            self._notice_method(value, method)

    def _note_call_of_item(self, change: Change, value: object) -> None:
        """Note that a method is called on an item of a value, which may or may not change that item."""
        items = _items(value, change.key)
        makes_items = not items or type(value) is defaultdict
        if makes_items or any(self._is_container(item, change.method) for item in items):
            self._record_item(value, change.key)
        for item in items:
            self._notice_method(item, change.method)

    def _is_container(self, value: object, method: str) -> bool:
        """Say whether this method of a value is that of a builtin container or an array."""
        if method == "__next__":
            return hasattr(type(value), method) and not self._ownership.owns_class(type(value))
        native = native_base(type(value))
        if not issubclass(native, CONTAINERS) and (native.__module__, native.__name__) != ("numpy", "ndarray"):
            return False
        holder = holder_of(type(value), method)
        return holder is None or not self._ownership.owns_class(holder)

    def _record_item(self, owner: object, key: str | int | None) -> None:
        native = native_base(type(owner))
        is_seen = issubclass(native, dict) or (issubclass(native, list) and type(key) is int)
        self._record(owner, item_name(key) if is_seen and key is not None else "")

    def _record(self, owner: object, name: str) -> None:
        if type(owner) is not Sentinel and type(owner) is not Installed:
            self.locations[id(owner), name] = owner


def _items(value: Any, key: str | int | None) -> list[object]:
    """Return the items of a builtin container that a key leads to; all of them, for one that is not known."""
    native = native_base(type(value))
    if issubclass(native, dict):
        held = list(dict.values(value)) if key is None else [dict.get(value, key)]
        return [item for item in held if item is not None]
    return list(native.__iter__(value)) if issubclass(native, list | tuple) else []
