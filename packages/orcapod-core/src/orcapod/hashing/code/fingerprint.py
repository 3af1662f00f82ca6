"""The walk: a function, and all that it refers to as far as the user's own code goes.

A function is its normalised syntax, its defaults, and what each name in it that comes from outside leads
to: functions and classes of the user's own modules with all that they refer to in turn, and constants by
value. Code of installed packages, the standard library and orcapod among them, counts by name. What cannot
be seen into is *opaque*: it counts by name and type, and is listed. What the code itself changes is *state*:
it counts by name and is listed, so a fingerprint is the same before and after the function has run. What is
changed in a way that cannot be seen changes the fingerprint, and nothing worse.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from types import FunctionType
from typing import Literal

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.code.changes import CONTAINERS, Changes
from orcapod.hashing.code.classes import class_syntax, dataclass_fields, functions_in, functions_of, written_in
from orcapod.hashing.code.constants import Constants
from orcapod.hashing.code.names import Location, Names, Sentinel, cells_of, content, names_of
from orcapod.hashing.code.ownership import is_own, module_of
from orcapod.hashing.code.scopes import Imported, NamePath
from orcapod.hashing.code.sources import function_syntax
from orcapod.hashing.content_hash import ContentHash

__all__ = ["CODE_METHOD", "Fingerprint", "fingerprint_function"]

CODE_METHOD = "code-v1"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The identity of a piece of user code.

    Attributes:
        hash: equal for equal code, in every process and on every supported Python.
        opaque: what could not be seen into, by dotted name, each with why; sorted. A change there goes unnoticed.
        state: what the code itself changes, by dotted name, each with where; sorted. Its contents do not count.
    """

    hash: ContentHash
    opaque: tuple[str, ...]
    state: tuple[str, ...]


def fingerprint_function(
    function: Callable[..., object],
    *,
    depends_on: Sequence[object] = (),
    packages: Literal["name", "version"] = "name",
) -> Fingerprint:
    """Return the fingerprint of a function and of all that it refers to in the user's own code.

    Ask once the module of the function has been executed to its end: names are followed as they are bound now.

    Args:
        function: a function, a method, a class, or whatever else can be called.
        depends_on: functions, classes or values that count too, for what cannot be seen from the function.
        packages: what counts of installed packages besides the names taken from them.

    Raises:
        Exception: a module of the user's own that the function imports when called fails to be imported.
    """
    changed: dict[Location, object] = {}
    while True:  # what is found to change in one walk is state in the next; rarely more than two
        changes = Changes(changed.keys())
        constants = Constants(changes, packages)
        digest = _Walk(changes, constants).digest([function, *depends_on])
        if changes.locations.keys() <= changed.keys():
            listed = tuple(sorted(constants.opaque)), tuple(sorted(constants.state))
            return Fingerprint(ContentHash(CODE_METHOD, digest), *listed)
        changed = changed | changes.locations


class _Walk:
    """One walk over everything that the roots refer to."""

    def __init__(self, changes: Changes, constants: Constants) -> None:
        self._changes = changes
        self._constants = constants

    def digest(self, roots: Sequence[object]) -> bytes:
        names = ["function", *(f"depends_on[{index}]" for index in range(len(roots) - 1))]
        parts = [self._constants.value(root, name) for root, name in zip(roots, names, strict=True)]
        descriptions = []
        for unit in self._constants.work_list:  # grows while it is walked
            described = self._class(unit) if isinstance(unit, type) else self._function(unit)
            descriptions.append(canonical_bytes(described))
        return sha256(canonical_bytes((CODE_METHOD, tuple(parts), tuple(descriptions)))).digest()

    def _function(self, function: FunctionType) -> tuple[object, ...]:
        self._constants.here = f"module {module_of(function)}"
        wrapped = self._constants.value(vars(function).get("__wrapped__"), function.__name__)
        if not is_own(module_of(function)):
            return (*self._wrapper(function), wrapped)
        syntax = function_syntax(function.__code__)
        names = names_of(function, syntax)
        self._changes.notice(function)
        label = f"{function.__name__}: default"
        positional = self._constants.values(function.__defaults__ or (), label)
        keyword = self._constants.items(sorted((function.__kwdefaults__ or {}).items()), label)
        own_class = self._reference(("__class__",), names) if "__class__" in names.cells else b""
        references = tuple(self._reference(path, names) for path in syntax.references)
        return ("function", syntax.digest, positional, keyword, references, own_class, wrapped)

    def _wrapper(self, function: FunctionType) -> tuple[object, ...]:
        """Return a function that an installed package made around what it was given."""
        top, name = module_of(function).partition(".")[0], function.__code__.co_qualname
        if name.startswith("singledispatch."):
            return ("wrapper", name, *self._constants.items(vars(function)["registry"].items(), function.__name__))
        inner = []
        for variable, cell in cells_of(function).items():
            label, value = f"{function.__name__}: {variable}", content(cell)
            if isinstance(value, (Mapping, *CONTAINERS)):  # what the package keeps there is its own business
                inner.append((variable, self._constants.changed(label, type(value).__name__)))
            else:
                inner.append((variable, self._constants.value(value, label)))
        return ("wrapper", self._constants.installed(f"{top}.{name}"), *inner)

    def _class(self, cls: type) -> tuple[object, ...]:
        self._constants.here = f"module {cls.__module__}"
        syntax = class_syntax(cls)
        names = Names(
            globals=vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {},
            cells={name: cell for function in functions_of(cls) for name, cell in cells_of(function).items()},
            imports=syntax.imports if syntax else {},
        )
        parts: list[object] = [syntax.digest if syntax else b""]
        if syntax:
            parts += [self._reference(path, names) for path in syntax.references]
            hints = [(path, names.follow(path, self._changes.earlier).value) for path in syntax.hints]
            parts += [self._reference(path, names) for path, value in hints if value is not Sentinel.MISSING]
        for name, value in written_in(cls, syntax):
            for function in functions_in(value):
                self._changes.notice(function, cls)
            parts += [name, self._constants.bound(cls, name, value, f"{cls.__qualname__}.{name}")]
        if issubclass(cls, Enum):
            members = ((name, member.value) for name, member in cls.__members__.items())
            parts += self._constants.items(members, cls.__qualname__)
        if syntax is None:
            parts += [self._constants.value(item, cls.__qualname__) for item in dataclass_fields(cls)]
        return ("class", self._constants.values(cls.__bases__, f"{cls.__qualname__}: base"), *parts)

    def _reference(self, path: NamePath, names: Names) -> bytes:
        target = names.follow(path, self._changes.earlier)
        root, *attributes = path
        if isinstance(root, Imported):
            root = ".".join(filter(None, ("." * root.level + root.module, root.attribute)))
        name = ".".join((root, *attributes[: len(attributes) - len(target.rest)]))  # as far as it could be followed
        if target.value is Sentinel.CHANGED:
            return self._constants.changed(name, "")
        self._changes.notice_call(target)
        return self._constants.value(target.value, name)
