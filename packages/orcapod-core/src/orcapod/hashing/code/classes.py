"""What a class of the user's own is made of: its source if that is what runs, and what it holds."""

import ast
import functools
import sys
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from types import FunctionType
from typing import Any

from orcapod.hashing.code.ownership import is_own, module_of
from orcapod.hashing.code.sources import Source, source_of
from orcapod.hashing.code.syntax import Syntax, read_class

__all__ = ["CACHED", "class_syntax", "dataclass_fields", "functions_in", "functions_of", "held", "holder_of", "raw"]

CACHED = type(functools.lru_cache(lambda: None))
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_WITHOUT_MEANING = frozenset({
    "__abstractmethods__", "__annotate__", "__annotate_func__", "__annotations__", "__annotations_cache__",
    "__dataclass_fields__", "__dataclass_params__", "__dict__", "__doc__", "__firstlineno__", "__match_args__",
    "__module__", "__orig_bases__", "__parameters__", "__qualname__", "__slots__", "__static_attributes__",
    "__weakref__", "_abc_impl",
})  # fmt: skip
_PARAMETERS = {"eq": True, "order": False, "frozen": False, "unsafe_hash": False}
_OPTIONS = {"init": True, "compare": True, "default_factory": None}

_seen: dict[int, tuple[type, Syntax | None]] = {}


def class_syntax(cls: type) -> Syntax | None:
    """What a class says in its source; ``None`` if there is none that is known to be what runs."""
    if id(cls) not in _seen:
        _seen[id(cls)] = cls, _class_syntax(cls)
    return _seen[id(cls)][1]


def _class_syntax(cls: type) -> Syntax | None:
    module = sys.modules.get(cls.__module__)
    own = [item.__code__ for item in functions_of(cls).values() if item.__qualname__.startswith(f"{cls.__qualname__}.")]
    file = getattr(module, "__file__", None) or next((code.co_filename for code in own), None)
    source = source_of(file) if file else None
    if source is None:
        return None
    # The body of a class is gone once it has run: what is left of the file must all be in it.
    around = [item.__code__ for item in vars(module).values() if isinstance(item, FunctionType)] if module else []
    if not all(source.function(code) for code in (*own, *around) if code.co_filename == file):
        return None
    first = vars(cls).get("__firstlineno__")
    lines = [first] if isinstance(first, int) else [code.co_firstlineno for code in own if code.co_filename == file]
    node = source.class_definition(cls.__qualname__, lines)
    return read_class(node, source.imports) if node and _annotates(node, cls) else None


def _annotates(node: ast.ClassDef, cls: type) -> bool:
    """Whether the annotations and the options of a dataclass are those that the class has."""
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    names = [item.target.id for item in fields]
    parameters = vars(cls).get("__dataclass_params__")
""" % ()
