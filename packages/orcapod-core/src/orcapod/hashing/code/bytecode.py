"""What a code object says by itself, where there is no source: exact, but for one version of Python."""

import dis
import importlib.util
from collections.abc import Iterator
from types import CodeType

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.code.scopes import Imported, NamePath
from orcapod.hashing.code.syntax import ABOUT, MUTATORS, Change, Syntax

__all__ = ["codes_in", "read_code"]


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield the code objects inside of one."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from codes_in(constant)


def read_code(code: CodeType) -> Syntax:
    """Return what a code object says; only the plainest changes can be seen in it."""
    everything = (code, *codes_in(code))
    local = {name for each in everything for name in each.co_cellvars}
    paths = [path for each in everything for path in _paths(each) if path[0] not in local]
    changes = [
        Change((instruction.argval,), "binding")
        for each in everything
        for instruction in dis.get_instructions(each)
        if instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
    ]
    for root, *rest in paths:
        if rest and rest[-1] in MUTATORS:
            changes.append(Change((root, *rest[:-1]), "contents", method=rest[-1]))
    names = {name for each in everything for name in (*each.co_names, *each.co_consts) if isinstance(name, str)}
    about = frozenset(ABOUT[name] for name in names & ABOUT.keys())
    return Syntax(_digest(code), tuple(dict.fromkeys(paths)), changes=tuple(dict.fromkeys(changes)), about=about)


def _paths(code: CodeType) -> Iterator[NamePath]:
    path: NamePath | None = None
    module, constants = Imported("", None), [0, 0]
    for instruction in dis.get_instructions(code):
        value = instruction.argval
        if path and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            path = (*path, value)
            continue
        if path:
            yield path
        path = None
        match instruction.opname:
            case "LOAD_GLOBAL" | "LOAD_NAME" | "LOAD_DEREF" | "LOAD_CLASSDEREF":
                path = (value,)
            case "LOAD_FROM_DICT_OR_GLOBALS" | "LOAD_FROM_DICT_OR_DEREF":
                path = (value,)
            case "STORE_GLOBAL" | "DELETE_GLOBAL":
                yield (value,)
            case "LOAD_CONST":
                constants.append(value)
            case "IMPORT_NAME":
                module = Imported(value, None, constants[-2])
                if not constants[-1]:
                    yield (module,)
            case "IMPORT_FROM":
                yield (Imported(module.module, value, module.level),)


def _digest(code: CodeType) -> bytes:
    parts: list[object] = [importlib.util.MAGIC_NUMBER, code.co_code, code.co_exceptiontable, code.co_flags]
    parts += [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]
    parts += [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    return canonical_bytes((*parts, *map(_constant, code.co_consts)))


def _constant(value: object) -> bytes:
    match value:
        case tuple():
            return canonical_bytes(("tuple", *map(_constant, value)))
        case frozenset():
            return canonical_bytes(("frozenset", *sorted(map(_constant, value))))
        case CodeType():
            return _digest(value)
    return b"..." if value is Ellipsis else canonical_bytes(value)
