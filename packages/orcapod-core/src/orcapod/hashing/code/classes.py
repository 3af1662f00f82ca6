"""What a class of the user's own is made of: its source, if that is what runs, and what it holds."""

import ast
import functools
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from enum import Enum
from types import CodeType, FunctionType
from typing import Any, cast

from orcapod.hashing.code.ownership import Ownership, is_own, module_of
from orcapod.hashing.code.recursion import deeply
from orcapod.hashing.code.sources import source_of
from orcapod.hashing.code.syntax import Syntax, Writer, read_class

__all__ = [
    "CACHED",
    "class_syntax",
    "dataclass_fields",
    "functions_in",
    "functions_of",
    "holder_of",
    "raw",
    "says_its_class",
    "written_in",
]

CACHED = type(functools.lru_cache(lambda: None))
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_WITHOUT_MEANING = frozenset({
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__dataclass_fields__",
    "__dataclass_params__", "__dict__", "__doc__", "__firstlineno__", "__match_args__", "__module__",
    "__orig_bases__", "__parameters__", "__qualname__", "__slots__", "__static_attributes__", "__weakref__",
    "_abc_impl", "_is_protocol",
})  # fmt: skip
_FIELDS = ("__attrs_attrs__", "__pydantic_fields__")
_PARAMETERS = {"init": True, "repr": True, "eq": True, "order": False, "frozen": False, "unsafe_hash": False}
_WRITE_BY_THE_NEXT = {("__format__", object), ("__format__", Enum), ("__str__", object)}
_NAMELESS = (bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset)
_MISSING = type(MISSING)  # a class that was sent to a worker and back has one of its own
_OPTIONS = {"init": True, "compare": True, "default_factory": None}

_seen: dict[int, tuple[type, Syntax | None]] = {}


def functions_in(value: object) -> list[FunctionType]:
    """Return the plain functions in what a class holds under a name."""
    cls, item = type(value), cast(Any, value)  # a proxy says that it is of the class of what it stands for
    if cls is FunctionType:
        return [item]
    if cls in (staticmethod, classmethod):
        return functions_in(item.__func__)
    if cls is property:
        return [found for each in (item.fget, item.fset, item.fdel) for found in functions_in(each)]
    if cls is functools.cached_property:
        return functions_in(item.func)
    return functions_in(item.__wrapped__) if cls is CACHED else []


def functions_of(cls: type) -> list[FunctionType]:
    """Return all plain functions that a class itself holds."""
    return [found for value in vars(cls).values() for found in functions_in(value)]


def holder_of(cls: type, name: str) -> type | None:
    """Return the class of the line of inheritance that holds an attribute."""
    return next((base for base in cls.__mro__ if name in vars(base)), None)


def raw(cls: type, name: str) -> object:
    """Return what a class or a base of it holds under a name, unbound; ``None`` if nothing."""
    holder = holder_of(cls, name)
    return vars(holder)[name] if holder else None


def written_in(cls: type, syntax: Syntax | None) -> Iterator[tuple[str, Any]]:
    """Yield what a class holds that its author wrote, or put there later; sorted by name."""
    members = cls.__members__ if issubclass(cls, Enum) else {}
    named_tuple = issubclass(cls, tuple) and "_fields" in vars(cls)
    for name, value in sorted(vars(cls).items()):
        if name in members or name in _WITHOUT_MEANING or type(value) in _SLOTS:
            continue
        if syntax and name in syntax.bound:
            if type(value).__name__ != "_tuplegetter":
                yield name, value
        elif named_tuple:
            if name in ("_fields", "_field_defaults"):
                yield name, value
        elif _is_given(name, value) or (syntax is None and name in _FIELDS):
            yield name, value


def _is_given(name: str, value: object) -> bool:
    """Say whether the author put it there, and not what makes dataclasses, enums and their like."""
    if not (name.startswith("_") and name.endswith("_")):
        return True
    return any(is_own(module_of(function)) and not _is_made(function.__code__) for function in functions_in(value))


def _is_made(code: CodeType) -> bool:
    """Say whether a method was written by dataclasses or attrs."""
    return "__create_fn__" in code.co_qualname or code.co_filename.startswith("<attrs generated")


def says_its_class(item: object, writer: Writer, ownership: Ownership) -> bool:
    """Say whether an object of a class of the user's own is written with the name of that, as dataclasses do it."""
    cls = type(item)
    names: tuple[str, ...] = ("__format__", "__str__", "__repr__") if writer == "__format__" else (writer,)
    writes = next(raw(cls, name) for name in names if (name, holder_of(cls, name)) not in _WRITE_BY_THE_NEXT)
    if not ownership.owns_class(cls) or getattr(writes, "__objclass__", None) in _NAMELESS:
        return False
    return all(not ownership.owns(module_of(each)) or _is_made(each.__code__) for each in functions_in(writes))


def dataclass_fields(cls: type) -> Iterator[object]:
    """Yield what a dataclass knows about itself."""
    for name, each in _fields(cls).items():
        values = [(option, getattr(each, option)) for option in ("default", "kw_only", *_OPTIONS)]
        yield (name, *(item for item in values if type(item[1]) is not _MISSING))
    if parameters := vars(cls).get("__dataclass_params__"):
        yield tuple(getattr(parameters, name) for name in _PARAMETERS)


def class_syntax(cls: type) -> Syntax | None:
    """Return what a class says in its source; ``None`` if none is sure to be what runs."""
    if id(cls) not in _seen:  # a class seen once keeps what was seen, as functions do
        _seen[id(cls)] = cls, _read(cls)
    return _seen[id(cls)][1]


def _read(cls: type) -> Syntax | None:
    """Read the source of a class, if what is left of its body shows that it is what runs."""
    module = sys.modules.get(cls.__module__)
    codes = [item.__code__ for item in functions_of(cls)]
    own = [code for code in codes if code.co_qualname.startswith(f"{cls.__qualname__}.")]
    file = getattr(module, "__file__", None) or next((code.co_filename for code in own), None)
    source = source_of(file) if file else None
    if source is None:
        return None
    own = [code for code in own if code.co_filename == file]
    around = [*vars(module).values(), *(each.default_factory for each in _fields(cls).values())] if module else []
    left = [*own, *(item.__code__ for item in around if type(item) is FunctionType)]
    if not all(source.function(code) for code in left if code.co_filename == file):
        return None
    first = vars(cls).get("__firstlineno__")
    lines = [first] if isinstance(first, int) else [code.co_firstlineno for code in own]
    node = source.class_definition(cls.__qualname__, lines)
    return deeply(lambda: read_class(node, source.imports)) if node and _declares(node, cls) else None


def _declares(node: ast.ClassDef, cls: type) -> bool:
    """Say whether annotations and dataclass options of the class were written here."""
    declared = {
        item.target.id: item.value
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    lazily = declared if "__annotate_func__" in vars(cls) else ()
    if list(vars(cls).get("__annotations__", lazily)) != list(declared):
        return False
    parameters, fields = vars(cls).get("__dataclass_params__"), _fields(cls)
    if parameters is None:
        return True
    said = {option: _said(value) for call in node.decorator_list for option, value in _keywords(call)}
    if any(said.get(option, usual) != getattr(parameters, option) for option, usual in _PARAMETERS.items()):
        return False
    for name, call in declared.items():
        said, field = {option: _said(value) for option, value in _keywords(call)}, fields.get(name)
        if any(said.get(option, usual) != _held(getattr(field, option, usual)) for option, usual in _OPTIONS.items()):
            return False
    return True


def _keywords(call: ast.expr | None) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(call, ast.Call):
        yield from ((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg)


def _said(value: ast.expr) -> object:
    match value:
        case ast.Constant():
            return value.value
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Lambda():
            return "<lambda>"
    return "something that is not seen at a glance"


def _held(value: object) -> object:
    return value if isinstance(value, bool) else getattr(value, "__name__", None)


def _fields(cls: type) -> Mapping[str, Any]:
    found: Mapping[str, Any] = vars(cls).get("__dataclass_fields__", {})
    return found
