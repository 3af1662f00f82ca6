"""The walk: a function, and all that it refers to as far as the user's own code goes.

A function is its normalised syntax, its defaults, and what each name in it that comes from outside leads
to: functions and classes of the user's own modules with all that they refer to in turn, and constants by
value. Code of installed packages, the standard library and orcapod among them, counts by name; objects of
their classes count by what they would be rebuilt from. What cannot be seen into is *opaque*: it counts by its
identity in this process. What the code itself changes is *state*: it counts by what it held when a run began.
What no reading can follow is *unseen*: it is listed.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from hashlib import sha256
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, Literal, cast, get_args

from orcapod.display import may_be_secret
from orcapod.hashing.code.changes import CONTAINERS, Changes
from orcapod.hashing.code.classes import (
    class_syntax,
    dataclass_fields,
    functions_in,
    functions_of,
    says_its_class,
    written_in,
)
from orcapod.hashing.code.description import Description
from orcapod.hashing.code.ignored import GIVEN, Ignored
from orcapod.hashing.code.leaves import PLAIN, framed, is_plain
from orcapod.hashing.code.looks import Look, counted
from orcapod.hashing.code.names import (
    Installed,
    Location,
    Names,
    Sentinel,
    Target,
    attributes_of,
    cells_of,
    content,
    defaults_of,
    names_of,
)
from orcapod.hashing.code.ownership import Ownership, module_of
from orcapod.hashing.code.parts import CODE_METHOD, Binding, Fingerprint, Part, PartKind, outputs_part
from orcapod.hashing.code.rules import Note, Rules, RunStage, State, Unit
from orcapod.hashing.code.scopes import Imported, NamePath
from orcapod.hashing.code.sources import function_syntax
from orcapod.hashing.code.syntax import ABOUT, About, Syntax
from orcapod.hashing.content_hash import ContentHash

__all__ = ["fingerprint_function"]

_SHOWN, _DEPTH = 4_000, 8


def fingerprint_function(
    function: Callable[..., object],
    *,
    depends_on: Sequence[object] = (),
    ignores: Sequence[object] = (),
    arguments: Sequence[object] = (),
    packages: Literal["name", "version"] = "name",
    outputs: Sequence[str] = (),
    stage: RunStage | None = None,
) -> Fingerprint:
    """Return the fingerprint of a function and of all that it refers to in the user's own code.

    Ask once the module of the function has been executed to its end: names are followed as they are bound now.

    Args:
        function: a function, a method, a class, or whatever else can be called.
        depends_on: functions, classes or values that count too, for what cannot be seen from the function.
        ignores: objects that do not count, or the names under which they are listed.
        arguments: the annotations of its parameters, and what reads such values: of these, the user's own count.
        packages: what counts of installed packages besides the names taken from them.
        outputs: the names of what it returns, in their order.
        stage: whether a run of it begins or has ended, by which is known what runs have changed.

    Raises:
        ConfigError: a name in ``ignores`` could mean several things.
        Exception: a module of the user's own that the function imports when called fails to be imported.
    """
    roots = {"function": function, **{f"depends_on[{index}]": item for index, item in enumerate(depends_on)}}
    ownership = Ownership.of(_module_of(function))
    rules = Rules(
        Changes(frozenset(), ownership),
        ownership,
        packages=packages,
        ignored=Ignored(ignores),
        is_told=bool(depends_on),
        roots=frozenset([id(function)]),
    )
    changed: dict[Location, object] = {}
    while True:  # what is found to change, or read, in one walk counts so in the next; rarely more than two
        walk = _Walk(replace(rules, changes=Changes(changed.keys(), ownership)))
        digest = walk.digest(roots, arguments, outputs)
        found = walk.changes.locations
        if found.keys() <= changed.keys() and walk.about <= rules.about:
            break
        changed = changed | found
        rules = replace(rules, about=rules.about | walk.about)
    if stage and walk.has_state:
        walk = _Walk(replace(rules, changes=Changes(changed.keys(), ownership), stage=stage))
        digest = walk.digest(roots, arguments, outputs)
    rules.ignored.check()
    return walk.fingerprint(digest)


class _Walk:
    """Walk over everything that the roots refer to, unit by unit."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.changes = rules.changes
        self._units: list[Unit] = []
        self._indexes: dict[tuple[int, str], int] = {}
        self._parts: list[Part] = []
        self._notes: dict[Note, None] = {}
        self._bindings: list[Binding] = []
        self._size = 0
        self._said = {"<lambda>"}
        self._named: set[int] = set()
        self._naming: set[int] = set()
        self._methods: set[int] = set()
        self.about: frozenset[About] = frozenset()

    def digest(self, roots: Mapping[str, object], arguments: Sequence[object], outputs: Sequence[str]) -> bytes:
        given = Description(self._rules, GIVEN)
        function, *others = roots.items()
        self._say("", _innermost(function[1]))
        given.add("function", [given.token(function[1], function[0])])
        for name, item in others:
            given.add("depends_on", [self._value("depends_on", GIVEN, name, item, (id(item), name), given)])
        types = self._own_types(arguments)
        self._said |= {each.__name__ for each in types if isinstance(each, type)}  # as what is given says
        given.add("arguments", given.tokens(types, "argument"))
        given.add("outputs", [name.encode() for name in outputs])
        described = [self._numbers(given.look())]
        if outputs:
            self._parts.append(outputs_part(outputs))
        described += map(self._described, self._units)  # which grow while they are walked
        if names := list(self._names()):
            described.append(framed("names", names))
        return sha256(framed(CODE_METHOD, described)).digest()

    def _names(self) -> Iterator[bytes]:
        """Yield the names that are read of functions and classes, but for those by which the code itself calls them."""
        all_are_read = "names" in self._rules.about or not self._naming <= self._methods
        for index, unit in enumerate(self._units):
            if unit.kind in ("function", "class"):
                code = cast(Any, unit.item)
                read = {id(each) for each in (code.__mro__ if unit.kind == "class" else (code,))} & self._named
                if (read or all_are_read) and code.__name__ not in self._said:
                    yield from (b"%d" % index, code.__name__.encode(), code.__qualname__.encode())

    @property
    def has_state(self) -> bool:
        """Whether anything was met that the code changes."""
        return any(note.kind == "state" for note in self._notes)

    def fingerprint(self, digest: bytes) -> Fingerprint:
        listed = {
            kind: tuple(sorted({str(note) for note in self._notes if note.kind == kind}))
            for kind in ("opaque", "unseen", "state")
        }
        notes = [
            Part(f"{note.module.removeprefix('module ')}.{note.name}", note.kind, note.digest.hex(), note.why)
            if note.kind not in ("installed", "package")
            else Part(note.name, note.kind, note.digest.hex())
            for note in self._notes
            if note.kind != "state"  # which is a unit
        ]
        parts = tuple(dict.fromkeys([*self._parts, *notes]))
        return Fingerprint(
            ContentHash(CODE_METHOD, digest),
            **listed,
            unused=self._rules.ignored.unused(),
            parts=parts,
            size=self._size,
            bindings=tuple(self._bindings),
        )

    def _own_types(self, arguments: Iterable[object]) -> list[object]:
        """Return the classes and readers with code of the user's own that arguments name."""
        found: dict[int, object] = {}
        for each in arguments:
            if self._is_own_type(each):
                found[id(each)] = each
            found.update({id(held): held for held in self._own_types(get_args(each))})
        return list(found.values())

    def _is_own_type(self, item: object) -> bool:
        if type(item) in (FunctionType, MethodType, functools.partial):
            return self._rules.ownership.owns(_module_of(item))
        return self._rules.ownership.owns_class(item if isinstance(item, type) else type(item))

    def _numbers(self, look: Look) -> bytes:
        """Return what a description says, with the numbers of the units that it refers to."""
        self._notes.update(dict.fromkeys(look.notes))
        self._size += look.size
        self.about |= look.about
        for unit in look.units:
            if unit.key not in self._indexes:
                self._indexes[unit.key] = len(self._units)
                self._units.append(unit)
        return framed("unit", [look.digest, *(b"%d" % self._indexes[unit.key] for unit in look.units)])

    def _described(self, unit: Unit) -> bytes:
        item = unit.item
        inside = item if isinstance(unit, State) and unit.place == "" else None
        described = Description(self._rules, unit.module, inside=inside, called=(unit.label, unit.own))
        source = ""
        if unit.kind == "function":
            source = self._function(cast(FunctionType, item), described)
        elif unit.kind == "class":
            source = self._class(cast(type, item), described)
        else:
            described.add("value", [described.token(item, unit.label.rpartition(": ")[2])])
        look = described.look()
        if isinstance(unit, State):  # what counts is what was there before it ran
            self._notes[Note(unit.label, "state", f"module {unit.module}", "")] = None
            look = counted((id(unit.owner), unit.place), unit.owner, look, self._rules.stage)
        elif unit.kind not in ("function", "class"):
            source = _shown(item, unit.label)
        uses = tuple(each.name for each in look.units)
        self._parts.append(Part(unit.name, unit.kind, look.digest.hex(), source, uses))
        return self._numbers(look)

    def _function(self, function: FunctionType, into: Description) -> str:
        if not into.is_own_function(function):
            self._wrapper(function, into)
            return ""
        syntax = function_syntax(function.__code__)
        names = names_of(function, syntax, self._rules.ownership)
        self._rules.changes.notice(function)
        for unseen in syntax.unseen:
            into.unseen(unseen, "reaches by text or file what is not followed")
        into.about |= syntax.about
        wrapped = {name for name, cell in names.cells.items() if type(content(cell)) is FunctionType}
        if any(_reads_annotations(path) and path[0] not in wrapped for path in syntax.references):
            into.about.add("annotations")  # those of functions that it holds count anyway
        if syntax.names_self:
            self._naming.add(id(function))
        for path, writer in syntax.formatted:
            target = names.follow(path, self._rules.changes.earlier)
            if not target.rest and says_its_class(target.value, writer, self._rules.ownership):
                self._named.add(id(type(target.value)))
        self._said_besides(function, into)
        into.add("function", [syntax.digest, into.token(vars(function).get("__wrapped__"), function.__name__)])
        for name, value in defaults_of(function).items():
            place = f"default {name}"
            label, key = f"{function.__qualname__}: {place}", (id(function), place)
            into.add("default", [name.encode(), self._value("default", into.module, label, value, key, into)])
        paths = [*syntax.references, *([("__class__",)] if "__class__" in names.cells else [])]
        into.add("references", [self._reference(path, names, into, function.__qualname__) for path in paths])
        for path in syntax.possible:
            if self._is_there(path, names):
                into.add("possible", [self._reference(path, names, into, function.__qualname__)])
        for name, cell in cells_of(function).items():  # a decorator may read what the function says of itself
            held = content(cell)
            if type(held) is FunctionType:
                into.add("annotations", [name.encode(), self._annotations(held, into)])
        return syntax.source

    def _annotations(self, code: FunctionType | type, into: Description) -> bytes:
        try:
            found = inspect.get_annotations(code)
        except NameError:  # they are evaluated when somebody asks
            found = {}
        said = [into.token(item, code.__name__) for pair in found.items() for item in pair]
        if "annotations" in self._rules.about and any(type(item) is str for item in found.values()):
            with suppress(Exception):  # names for type checkers only; who asks gets the same error
                hints = typing.get_type_hints(code, include_extras=True)
                said += [into.token(hint, code.__name__) for name, hint in hints.items() if name in found]
        return framed("annotations", said)

    def _said_besides(self, code: FunctionType | type, into: Description) -> None:
        """Describe what code says besides what it does, as far as that is read."""
        about = self._rules.about
        texts: dict[str, str | None] = {}
        if "docstrings" in about:
            texts["__doc__"] = vars(code).get("__doc__") if isinstance(code, type) else code.__doc__
        if "source" in about:
            with suppress(OSError, TypeError):  # it has none, and whoever asks gets the same error
                texts["source"] = inspect.getsource(code)
        for name, text in texts.items():
            if text is not None:
                label = f"{code.__qualname__}.{name}"
                into.add("besides", [self._value("attribute", into.module, label, text, (id(code), name), into)])
        if "annotations" in about:
            into.add("annotations", [self._annotations(code, into)])

    def _wrapper(self, function: FunctionType, into: Description) -> None:
        """Describe a function that an installed package made around what it was given."""
        name, label = function.__code__.co_qualname, function.__name__
        wrapped = vars(function).get("__wrapped__")
        into.add("wrapped", [into.token(wrapped, label)])
        if type(wrapped) is FunctionType and into.is_own_function(wrapped):
            into.add("annotations", [self._annotations(wrapped, into)])
        if name.startswith("singledispatch.") and (registry := _registry(function)) is not None:
            into.add("registry", (into.token(item, label) for pair in registry.items() for item in pair))
            return
        into.add("wrapper", [into.installed(f"{module_of(function)}.{name}")])
        if function.__name__ == "<lambda>":
            into.add("code", [function_syntax(function.__code__).digest])
        for variable, cell in cells_of(function).items():
            value = content(cell)
            if issubclass(type(value), (Mapping, *CONTAINERS)):  # the package may keep something there
                into.add("kept", [variable.encode(), into.state(value, "", value, variable)])
            else:
                into.add("closure", [variable.encode(), into.token(value, variable)])

    def _class(self, cls: type, into: Description) -> str:
        syntax, name = class_syntax(cls), cls.__qualname__
        names = Names(
            globals=vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {},
            cells={name: cell for function in functions_of(cls) for name, cell in cells_of(function).items()},
            imports=syntax.imports if syntax else {},
            ownership=self._rules.ownership,
        )
        metaclass = type(cls)
        self._said |= {base.__name__ for base in cls.__bases__}
        into.add("class", into.tokens(cls.__bases__, f"{name}: base"))
        if self._rules.ownership.owns_class(metaclass):
            into.add("metaclass", [into.token(metaclass, f"{name}: metaclass")])
        self._said_besides(cls, into)
        if syntax:
            self._class_syntax(syntax, names, into, name)
        places = self._rules.changes.places(cls)
        written = dict(written_in(cls, syntax))
        for attribute, value in sorted({**dict.fromkeys(places, Sentinel.UNBOUND), **written}.items()):
            self._say(attribute, value)
            for function in functions_in(value):
                self._rules.changes.notice(function, cls)
                self._say(attribute, function)
                if attribute == f"_{cls.__name__.lstrip('_')}{function.__name__}":
                    self._said.add(function.__name__)
                if function_syntax(function.__code__).names_self and not issubclass(cls, type):
                    self._named.add(id(cls))
                    self._methods.add(id(function))
            label = f"{name}.{attribute}"
            said = into.state(cls, attribute, value, label) if attribute in places else into.token(value, label)
            into.add("attribute", [attribute.encode(), said])
        if issubclass(cls, Enum):
            members = cls.__members__.items()
            into.add("members", (into.token(item, name) for key, member in members for item in (key, member.value)))
        if syntax is None:
            into.add("fields", into.tokens(dataclass_fields(cls), name))
        return syntax.source if syntax else ""

    def _class_syntax(self, syntax: Syntax, names: Names, into: Description, label: str) -> None:
        into.add("syntax", [syntax.digest])
        into.about |= syntax.about
        if any(_reads_annotations(path) for path in syntax.references):
            into.about.add("annotations")
        for unseen in syntax.unseen:
            into.unseen(unseen, "reaches by text or file what is not followed")
        # What the body of a class in a function took from that function, the class itself holds.
        taken = [path for path in syntax.references if "<locals>" not in label or self._is_there(path, names)]
        into.add("references", [self._reference(path, names, into, label) for path in taken])
        for path in syntax.hints:
            if self._is_there(path, names):
                into.add("hint", [self._reference(path, names, into, label)])

    def _is_there(self, path: NamePath, names: Names) -> bool:
        """Say whether a path that may lead nowhere leads to something."""
        try:
            return names.follow(path, self._rules.changes.earlier).value is not Sentinel.MISSING
        except Exception:  # noqa: BLE001 - an import of which only the code itself knows whether it is ever made
            return False

    def _reference(self, path: NamePath, names: Names, into: Description, around: str) -> bytes:
        target = names.follow(path, self._rules.changes.earlier)
        if type(target.value) not in (Installed, Sentinel):
            follow = functools.partial(names.follow, path, self._rules.changes.earlier)
            self._bindings.append(Binding(lambda: _bound(follow(), target), target.value))
        root, *attributes = path
        if isinstance(root, Imported):
            root = ".".join(filter(None, ("." * root.level + root.module, root.attribute)))
        name = ".".join((root, *attributes[: len(attributes) - len(target.rest)]))  # as far as it could be followed
        if target.value is Sentinel.CHANGED:
            return into.state(target.owner, target.name, _current(target.owner, target.name), name)
        self._rules.changes.notice_call(target)
        self._say(target.name, target.value)
        if target.rest and ABOUT.get(target.rest[-1]) == "names":
            self._named |= {id(target.value), id(type(target.value))}
        owner = target.owner
        if type(owner) is CellType:
            return self._value("closure", into.module, f"{around}: {name}", target.value, (id(owner), ""), into)
        module = str(owner["__name__"]) if type(owner) is dict and "__name__" in owner else into.module
        kind: PartKind = "global" if type(owner) is dict else "attribute"
        own = target.name if kind == "global" and name != target.name else ""
        return self._value(kind, module, name, target.value, (id(owner), target.name), into, own)

    def _say(self, name: str, value: object) -> None:
        """Note what the code calls an object, and what a decorator has called it."""
        if type(value) not in PLAIN:
            self._said.add(name)
        if type(value) is FunctionType and (not name or "<locals>" in value.__qualname__):
            self._said.add(value.__name__)

    def _value(
        self,
        kind: PartKind,
        module: str,
        label: str,
        value: object,
        key: tuple[int, str],
        into: Description,
        own: str = "",
    ) -> bytes:
        """Return what stands for a value under a name: a unit, unless it is what is a unit of its own anyway."""
        cls = type(value)
        if cls in (FunctionType, Installed, Sentinel) or issubclass(cls, type | ModuleType):
            return into.token(value, label)
        return into.unit(Unit(module, label, kind, value, key, own=own))


def _reads_annotations(path: NamePath) -> bool:
    """Say whether a path leads to the annotations of what its first name means."""
    _, *attributes = path
    return attributes[:1] == ["__annotations__"]


def _bound(target: Target, before: Target) -> object:
    """Return what a path leads to; what it led to before, if all that is new is what the code itself has put there."""
    return before.value if target.value is Sentinel.CHANGED else target.value


def _current(owner: object, name: str) -> object:
    """Return what a name that changes is bound to now, running no code of the owner's class."""
    if type(owner) is CellType:
        return content(owner)
    if type(owner) is dict:
        return owner.get(name, Sentinel.UNBOUND)
    if issubclass(type(owner), type):
        return vars(owner).get(name, Sentinel.UNBOUND)
    return attributes_of(owner).get(name, Sentinel.UNBOUND)


def _registry(function: FunctionType) -> Mapping[type, object] | None:
    """Return the functions that a single dispatch, or its ``register`` or ``dispatch``, chooses from."""
    cell = cells_of(function).get("registry")
    found: Mapping[type, object] | None = vars(function).get("registry", cell and content(cell))
    return found


def _innermost(function: Any) -> Any:
    """Return what was given as a function, without arguments that it was bound to."""
    while type(function) in (functools.partial, MethodType):
        function = function.func if type(function) is functools.partial else function.__func__
    return function


def _module_of(function: Any) -> str:
    """Return the module that holds the code of what was given as a function."""
    function = _innermost(function)
    if type(function) is FunctionType:
        return module_of(function)
    return str((function if issubclass(type(function), type) else type(function)).__module__)


def _shown(value: Any, name: str) -> str:
    """Return how a value is written, as far as it is plain, short and no secret; else its class."""
    described = f"<{type(value).__module__}.{type(value).__qualname__}>"
    if not _is_written(value):
        return described
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python writes
        return described
    if may_be_secret(name, text):
        return described
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_written(value: Any, depth: int = _DEPTH) -> bool:
    """Say whether a value is plain, or a container of plain values and of such containers, not too deep."""
    cls = type(value)
    if cls in PLAIN:
        return True
    if not depth or cls not in (tuple, list, set, dict):
        return False
    held = [*value, *(value.values() if cls is dict else ())]
    return is_plain(held) or (len(held) <= _SHOWN and all(_is_written(each, depth - 1) for each in held))
