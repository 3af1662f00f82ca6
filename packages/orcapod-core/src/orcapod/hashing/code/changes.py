"""``Changes``: names and contents that code visibly changes, which are state and no constants.

A container is state if a changing method (``append``, ``update``, ...) is called on it or an item of it is
set or deleted; a name or an attribute, if it is assigned to (``global``, ``nonlocal``, ``thing.name = ...``);
an attribute of an instance, if a method that the code calls on that instance changes it.
"""

from collections import deque
from collections.abc import Set
from types import FunctionType, ModuleType

from orcapod.hashing.code.classes import functions_in, raw
from orcapod.hashing.code.names import Installed, Location, Names, Sentinel, Target, names_of
from orcapod.hashing.code.ownership import is_own, is_own_type, module_of
from orcapod.hashing.code.sources import function_syntax
from orcapod.hashing.code.syntax import Change

__all__ = ["CONTAINERS", "Changes"]

CONTAINERS = (list, dict, set, bytearray, deque)


class Changes:
    """Locations that are found to change in one walk; ``earlier`` are those of walks before."""

    def __init__(self, earlier: Set[Location]) -> None:
        self.earlier = earlier
        self.locations: dict[Location, object] = {}  # holds the objects, so that no id is used twice
        self._noticed: set[tuple[int, int]] = set()

    def notice(self, function: object, receiver: object = None) -> None:
        """Note what a function changes whose first parameter is ``receiver``, if that is given."""
        if not isinstance(function, FunctionType) or not is_own(module_of(function)):
            return
        if (id(function), id(receiver)) in self._noticed:
            return
        self._noticed.add((id(function), id(receiver)))
        syntax, code = function_syntax(function.__code__), function.__code__
        defaults = function.__defaults__ or ()
        parameters = code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount]
        arguments = dict(zip(parameters, defaults, strict=True)) | (function.__kwdefaults__ or {})
        first = code.co_varnames[0] if code.co_argcount else ""
        if receiver is not None and first:
            arguments[first] = receiver
        # For a method of a class whose instance is not known, the class stands in for the instance.
        stands_in = isinstance(receiver, type) and not isinstance(raw(receiver, function.__name__), classmethod)
        names = names_of(function, syntax, arguments)
        for change in syntax.changes:
            if change.what == "contents" or not (stands_in and change.path[0] == first):
                self._note(change, names)
        for path in syntax.uses:
            if path[0] in arguments and not stands_in:
                self.notice_call(names.follow(path, self.earlier))

    def notice_call(self, target: Target) -> None:
        """Note what a method changes on the instance that a path leads to."""
        if is_own_type(type(target.value)):
            for function in functions_in(raw(type(target.value), (*target.rest, "__call__")[0])):
                self.notice(function, target.value)

    def _note(self, change: Change, names: Names) -> None:
        root, *attributes = change.path
        if change.what == "binding" and attributes:
            target = names.follow((root, *attributes[:-1]), self.earlier)
            if not target.rest:
                owner = vars(target.value) if isinstance(target.value, ModuleType) else target.value
                self._record(owner, attributes[-1])
            return
        target = names.follow(change.path, self.earlier)
        if target.rest:
            self._record(target.value, target.rest[0])
        elif change.what == "binding":
            self._record(target.owner, target.name)
        elif isinstance(target.value, CONTAINERS) or is_own_type(type(target.value)) or _is_array(target.value):
            self._record(target.value, "")

    def _record(self, owner: object, name: str) -> None:
        if not isinstance(owner, Sentinel | Installed):
            self.locations[id(owner), name] = owner


def _is_array(value: object) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray"
