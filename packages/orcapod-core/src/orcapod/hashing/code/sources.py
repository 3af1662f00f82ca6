"""Finding the source of code, and trusting it only if it compiles to the very code that runs.

A file edited after it was imported is not what runs. What was seen once keeps what was seen, also when its
file is edited later.
"""

import __future__

import ast
import linecache
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from pathlib import Path
from types import CodeType

from orcapod.hashing.code.bytecode import codes_in, read_code
from orcapod.hashing.code.recursion import deeply
from orcapod.hashing.code.scopes import Function, Imported
from orcapod.hashing.code.syntax import Syntax, read_function

__all__ = ["Source", "function_syntax", "source_of"]

_FUTURE = reduce(int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
_seen: dict[tuple[str, CodeType], Syntax] = {}
_sources: dict[str, "Source"] = {}


def function_syntax(code: CodeType) -> Syntax:
    """Return what a function says: by its source if that is what runs, else by its code."""
    key = (code.co_filename, code)
    if key not in _seen:
        source = source_of(code.co_filename, code.co_flags & _FUTURE)
        node = source.function(code) if source else None
        _seen[key] = _read(node, source, code) if source and node else read_code(code)
    return _seen[key]


def _read(node: Function, source: "Source", code: CodeType) -> Syntax:
    try:
        return deeply(lambda: read_function(node, source.imports))
    except RecursionError:
        return read_code(code)


def source_of(file: str, flags: int | None = None) -> "Source | None":
    """Return a file as it is now; ``None`` if there is none, or if it is being edited.

    Args:
        file: its name, which for a cell of a notebook is one that only ``linecache`` knows.
        flags: the ``__future__`` features it was compiled with, as far as that is known.
    """
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    source = _sources.get(file)
    if source is None or source.lines != lines or flags not in (None, source.flags):
        try:
            source = _sources[file] = deeply(lambda: Source(file, lines, flags or 0))
        except (SyntaxError, RecursionError):
            return None
    return source if lines else None


class Source:
    """A parsed file, with the code that it compiles to."""

    def __init__(self, file: str, lines: list[str], flags: int) -> None:
        self.lines = lines
        self.flags = flags
        text = "".join(lines)
        self._module = ast.parse(text, file)
        # A notebook compiles each statement of a cell by itself, which makes other code in places.
        cell = [] if Path(file).exists() else [ast.Module([item], []) for item in self._module.body]
        units: list[str | ast.Module] = [text, *cell]
        self._codes: dict[tuple[int, str], list[CodeType]] = {}
        for unit in units:
            compiled = compile(unit, file, "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            for code in codes_in(compiled):
                self._codes.setdefault((code.co_firstlineno, code.co_name), []).append(code)
        self._nodes: dict[int, list[Function]] = {}
        for node in ast.walk(self._module):
            if isinstance(node, Function):
                self._nodes.setdefault(_lines(node).start, []).append(node)
        self.imports = {
            alias.asname or alias.name: Imported(node.module, alias.name)
            for statement in self._module.body
            if isinstance(statement, ast.ImportFrom | ast.Try | ast.If)
            for node in ast.walk(statement)
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
            for alias in node.names
        }

    def function(self, code: CodeType) -> Function | None:
        """Return the function that compiles to this code."""
        if code not in self._codes.get((code.co_firstlineno, code.co_name), ()):
            return None
        nearby = [
            node
            for node in self._nodes.get(code.co_firstlineno, ())
            if getattr(node, "name", "<lambda>") == code.co_name
        ]
        return _around(code, nearby) if len(nearby) > 1 else next(iter(nearby), None)

    def class_definition(self, qualname: str, lines: Sequence[int]) -> ast.ClassDef | None:
        """Return the definition of a class that has these lines; without any such, the last."""
        scopes: list[Sequence[ast.AST]] = [self._module.body]
        for name in qualname.replace(".<locals>", "").split("."):
            found = [node for scope in scopes for node in _definitions(scope) if node.name == name]
            scopes = [node.body for node in found]
        classes = [node for node in found if isinstance(node, ast.ClassDef)]
        return next((node for node in reversed(classes) if all(line in _lines(node) for line in lines)), None)


def _lines(node: ast.stmt | ast.expr) -> range:
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", ()))])
    return range(first, (node.end_lineno or node.lineno) + 1)


def _definitions(nodes: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
        elif not isinstance(node, ast.expr):
            yield from _definitions(ast.iter_child_nodes(node))


def _around(code: CodeType, nodes: Sequence[Function]) -> Function | None:
    """Return the innermost of several lambdas on a line whose body is around the code."""
    spots = [spot for spot in code.co_positions() if None not in spot and spot[2:] != (0, 0)]
    start = min(((line, column) for line, _, column, _ in spots), default=(0, 0))
    end = max(((line, column) for _, line, _, column in spots), default=(0, 0))
    bodies = {(node.body.lineno, node.body.col_offset): node for node in nodes if isinstance(node, ast.Lambda)}
    around = [
        (first, node)
        for first, node in bodies.items()
        if first <= start and end <= (node.body.end_lineno, node.body.end_col_offset)
    ]
    return max(around, key=lambda found: found[0])[1] if around else None
