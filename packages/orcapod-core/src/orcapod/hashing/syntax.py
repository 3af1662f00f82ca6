"""What a function or a class says, without what does not matter, and what it refers to.

Source is trusted only if it compiles to the very code that runs: a file edited after it was imported
is not what runs. Without such source the code object itself is read, which is as exact but holds for
one version of Python.
"""

from __future__ import annotations
import __future__

import ast
import dis
import importlib.util
import linecache
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from hashlib import sha256
from pathlib import Path
from types import CodeType, EllipsisType
from typing import Literal

from orcapod.hashing.canonical import canonical_bytes

__all__ = ["Change", "Imported", "NamePath", "Syntax", "class_syntax", "code_syntax"]

_FUTURE = reduce(int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
_NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_params"})
_MUTATORS = frozenset({
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "fill",
    "insert", "intersection_update", "move_to_end", "pop", "popitem", "popleft", "put", "remove", "resize",
    "reverse", "rotate", "setdefault", "sort", "subtract", "symmetric_difference_update", "update",
})  # fmt: skip

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import statement binds a name to: a module, or an attribute of it."""

    module: str
    attribute: str | None
    level: int = 0


NamePath = tuple[str | Imported, *tuple[str, ...]]
"""A name and the attributes taken from it: ``tables.rows.first`` is ``("tables", "rows", "first")``."""


@dataclass(frozen=True, slots=True)
class Change:
    """Code that changes what a path leads to: its contents, or what its last name is bound to."""

    path: NamePath
    what: Literal["contents", "binding"]


@dataclass(frozen=True, slots=True)
class Syntax:
    """What is written in a function or a class.

    Attributes:
        digest: of the normalised tree, or of the code object where there is no source.
        references: paths that begin outside, in the order in which they are written.
        uses: paths that begin at a parameter.
        changes: what it visibly changes outside, or through a parameter.
        hints: paths in the annotations of a class, which need not exist when the code runs.
        bound: names that a class body binds.
        imports: what the file around it imports by ``from module import name``.
    """

    digest: bytes
    references: tuple[NamePath, ...] = ()
    uses: tuple[NamePath, ...] = ()
    changes: tuple[Change, ...] = ()
    hints: tuple[NamePath, ...] = ()
    bound: frozenset[str] = frozenset()
    imports: Mapping[str, Imported] = field(default_factory=dict)


def code_syntax(code: CodeType) -> Syntax:
    """What the function of that code says: by its source if that is what runs, else by the code itself."""
    key = (code.co_filename, code)
    if key not in _seen:  # a function seen once keeps what was seen, also when its file is edited later
        source = _source(code.co_filename, code.co_flags & _FUTURE)
        node = source.function(code) if source else None
        _seen[key] = _Reader(source.imports).read(node) if source and node else _bare(code)
    return _seen[key]


def class_syntax(qualname: str, files: Iterable[str], lines: Sequence[int]) -> Syntax | None:
    """What the class says in the first of the files that defines it.

    Args:
        qualname: the class's qualified name.
        files: where to look.
        lines: some lines that are known to be its own; without any, the last definition is taken.
    """
    for file in files:
        source = _source(file)
        if source and (found := source.class_syntax(qualname, tuple(lines))):
            return found
    return None


_seen: dict[tuple[str, CodeType], Syntax] = {}
_sources: dict[tuple[str, int], _Source] = {}


def _source(file: str, flags: int | None = None) -> _Source | None:
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    if not lines:
        return None
    if flags is None:
        flags = next((flags for known, flags in _sources if known == file), 0)
    source = _sources.get((file, flags))
    if source is None or source.lines != lines:
        try:
            source = _sources[file, flags] = _Source(file, lines, flags)
        except SyntaxError:  # someone is editing it: not what runs
            return None
    return source


class _Source:
    """A parsed and normalised file, with the code that it compiles to."""

    def __init__(self, file: str, lines: list[str], flags: int) -> None:
        self.lines = lines
        self._classes: dict[tuple[str, tuple[int, ...]], Syntax | None] = {}
        module = ast.parse("".join(lines), file)
        self._statements = module.body
        self._functions: dict[CodeType, _Function] = {}
        nodes: dict[int, list[_Function]] = {}
        for node in ast.walk(module):
            if isinstance(node, _Function):
                nodes.setdefault(_lines(node).start, []).append(node)
        # A notebook compiles each statement of a cell by itself, which makes other code in places.
        cell = [] if Path(file).exists() else [ast.Module([item], []) for item in module.body]
        for unit in (module, *cell):
            compiled = compile(unit, file, "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            for code in _codes(compiled):
                if found := _node_of(code, nodes.get(code.co_firstlineno, ())):
                    self._functions[code] = found
        self.imports = {
            alias.asname or alias.name: Imported(node.module, alias.name)
            for statement in module.body
            if isinstance(statement, ast.ImportFrom | ast.Try | ast.If)
            for node in ast.walk(statement)
            if isinstance(node, ast.ImportFrom) and node.module and not node.level
            for alias in node.names
        }
        _Normaliser().visit(module)  # in place, so only now

    def function(self, code: CodeType) -> _Function | None:
        return self._functions.get(code)

    def class_syntax(self, qualname: str, lines: tuple[int, ...]) -> Syntax | None:
        key = (qualname, lines)
        if key not in self._classes:
            node = self._definition(qualname, lines)
            self._classes[key] = _Reader(self.imports).read(node) if node else None
        return self._classes[key]

    def _definition(self, qualname: str, lines: Sequence[int]) -> ast.ClassDef | None:
        scopes: list[Sequence[ast.AST]] = [self._statements]
        for name in qualname.replace(".<locals>", "").split("."):
            found = [node for scope in scopes for node in _definitions(scope) if node.name == name]
            scopes = [node.body for node in found]
        classes = [node for node in found if isinstance(node, ast.ClassDef)]
        own = [node for node in classes if lines and all(line in _lines(node) for line in lines)] or classes
        return own[-1] if own else None


def _lines(node: ast.stmt | ast.expr) -> range:
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", ()))])
    return range(first, (node.end_lineno or node.lineno) + 1)


def _definitions(nodes: Iterable[ast.AST]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
        elif not isinstance(node, ast.expr):
            yield from _definitions(ast.iter_child_nodes(node))


def _codes(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _node_of(code: CodeType, nodes: Sequence[_Function]) -> _Function | None:
    nearby = [node for node in nodes if getattr(node, "name", "<lambda>") == code.co_name]
    if code.co_name != "<lambda>" or len(nearby) < 2:
        return nearby[0] if nearby else None
    # Several lambdas on a line are told apart by the columns of their bodies; the innermost around the code is its.
    spots = [spot for spot in code.co_positions() if None not in spot and spot[2:] != (0, 0)]
    starts = [(line, column) for line, _, column, _ in spots]
    ends = [(line, column) for _, line, _, column in spots]
    around = [
        node
        for node in nearby
        if isinstance(node, ast.Lambda)
        and spots
        and (node.body.lineno, node.body.col_offset) <= min(starts)
        and max(ends) <= (node.body.end_lineno, node.body.end_col_offset)
    ]
    return max(around, key=lambda node: (node.body.lineno, node.body.col_offset)) if around else None


class _Normaliser(ast.NodeTransformer):
    """Takes out what does not change what the code does, and what Python versions parse differently."""

    def __init__(self) -> None:
        self._in_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._definition(node, in_class=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._definition(node, in_class=False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._definition(node, in_class=False)

    def _definition(self, node: ast.AST, *, in_class: bool) -> ast.AST:
        self._in_class, outer = in_class, self._in_class
        self.generic_visit(node)
        self._in_class = outer
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self._in_class:  # there, annotations are the fields of dataclasses and the like
            if isinstance(node.annotation, ast.Constant) and isinstance(node.annotation.value, str):
                node.annotation = _parsed(node.annotation)
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.AST]:
        self.generic_visit(node)
        name = getattr(node.test, "attr", getattr(node.test, "id", None))
        return list(node.orelse) if name == "TYPE_CHECKING" else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        self.generic_visit(node)
        values: list[ast.expr] = []
        for value in node.values:
            match value, values[-1:]:
                case ast.Constant(value=""), _:
                    pass
                case ast.Constant(value=str() as text), [ast.Constant(value=str() as before)]:
                    values[-1] = ast.Constant(before + text)
                case _:
                    values.append(value)
        match values:
            case []:
                return ast.Constant("")
            case [ast.Constant() as only]:
                return only
        node.values = values
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.format_spec, ast.Constant) and not node.format_spec.value:
            node.format_spec = None
        return node


def _parsed(annotation: ast.Constant) -> ast.expr:
    try:
        return ast.parse(str(annotation.value), mode="eval").body
    except SyntaxError:
        return annotation


@dataclass(slots=True)
class _Scope:
    bound: set[str] = field(default_factory=set)
    outer: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    imported: dict[str, Imported] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)
    is_class: bool = False

    def bind(self, nodes: Iterable[ast.AST]) -> None:
        """Adds the names that these nodes bind, without those of the scopes inside of them."""
        for node in nodes:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    self.bound.add(node.name)
                    continue
                case ast.Lambda():
                    continue
                case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                    self.bind(inner.target for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
                    continue
                case ast.Name(ctx=ast.Store() | ast.Del()):
                    self.bound.add(node.id)
                case ast.ExceptHandler(name=str() as name) | ast.MatchAs(name=str() as name):
                    self.bound.add(name)
                case ast.MatchStar(name=str() as name) | ast.MatchMapping(rest=str() as name):
                    self.bound.add(name)
                case ast.Global():
                    self.outer.update(node.names)
                case ast.Nonlocal():
                    self.passed.update(node.names)
                case ast.Import():
                    for alias in node.names:
                        module = alias.name if alias.asname else alias.name.partition(".")[0]
                        self.imported[alias.asname or module] = Imported(module, None)
                case ast.ImportFrom():
                    for alias in node.names:
                        target = Imported(node.module or "", alias.name, node.level)
                        self.imported[alias.asname or alias.name] = target
            self.bind(ast.iter_child_nodes(node))


class _Reader:
    """Writes a normalised tree down as text, and notes what it refers to and what it changes."""

    def __init__(self, imports: Mapping[str, Imported]) -> None:
        self._imports = imports
        self._text: list[str] = []
        self._scopes: list[_Scope] = []
        self._references: dict[NamePath, None] = {}
        self._uses: dict[NamePath, None] = {}
        self._changes: dict[Change, None] = {}
        self._hints: dict[NamePath, None] = {}

    def read(self, node: _Function | ast.ClassDef) -> Syntax:
        bound: set[str] = set()
        if isinstance(node, ast.ClassDef):
            # Bases, methods and inner classes are met as objects.
            self._write([node.decorator_list, node.keywords])
            scope = self._enter(node.body, is_class=True)
            bound = scope.bound
            self._write([item for item in node.body if not isinstance(item, ast.ClassDef | _Function)])
        else:
            # Its name, decorators and defaults are met as objects.
            self._inside(node)
        return Syntax(
            digest=sha256("".join(self._text).encode("utf-8", "surrogatepass")).digest(),
            references=tuple(self._references),
            uses=tuple(self._uses),
            changes=tuple(self._changes),
            hints=tuple(self._hints),
            bound=frozenset(bound),
            imports=self._imports,
        )

    def _enter(self, nodes: Iterable[ast.AST], *, is_class: bool = False) -> _Scope:
        scope = _Scope(is_class=is_class)
        scope.bind(nodes)
        self._scopes.append(scope)
        return scope

    def _inside(self, node: _Function) -> None:
        body = node.body if isinstance(node.body, list) else [node.body]
        scope = self._enter(body)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = {item.arg for item in (*arguments, node.args.vararg, node.args.kwarg) if item}
        scope.parameters = names - scope.bound
        scope.bound |= names | {item.name for item in getattr(node, "type_params", ())}
        kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
        self._text.append(f"{kind}{'def' if isinstance(node.body, list) else 'lambda'} ")
        self._write([node.args, body])
        self._scopes.pop()

    def _write(self, value: object) -> None:
        match value:
            case list():
                self._text.append("[")
                for item in value:
                    self._write(item)
                    self._text.append(",")
                self._text.append("]")
            case ast.Constant():
                self._text.append(_constant(value.value).hex())
            case ast.Name() | ast.Attribute():
                self._write_path(value)
            case ast.arguments():
                self._write_fields(value, "defaults", "kw_defaults")  # written outside, where they are evaluated
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self._text.append(f"({getattr(value, 'name', '')} ")
                self._write([getattr(value, "decorator_list", []), value.args.defaults, value.args.kw_defaults])
                self._inside(value)
                self._text.append(")")
            case ast.ClassDef():
                self._text.append(f"(class {value.name} ")
                self._write([value.decorator_list, value.bases, value.keywords])
                self._enter(value.body, is_class=True)
                self._write(value.body)
                self._scopes.pop()
                self._text.append(")")
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._write_comprehension(value)
            case ast.AST():
                self._note_changes(value)
                self._write_fields(value)
            case _:
                self._text.append(str(value))

    def _write_fields(self, node: ast.AST, *without: str) -> None:
        self._text.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if value is None or value == [] or name in _NO_MEANING or name in without:
                continue
            self._text.append(f" {name}=")
            if name == "annotation":
                kept, self._references = self._references, self._hints
                self._write(value)
                self._references = kept
            else:
                self._write(value)
        self._text.append(")")

    def _write_comprehension(self, node: _Comprehension) -> None:
        first, *others = node.generators
        self._write(first.iter)  # evaluated outside
        scope = _Scope()
        scope.bind(generator.target for generator in node.generators)
        self._scopes.append(scope)
        self._write_fields(first, "iter")
        self._write(others)
        self._write_fields(node, "generators")
        self._scopes.pop()

    def _write_path(self, node: ast.Name | ast.Attribute) -> None:
        path = self._path(node)
        if path is None:
            self._note_changes(node)
            self._write_fields(node)
            return
        self._text.append(f"<{'.'.join(_names(node))}>")
        stored = not isinstance(node.ctx, ast.Load)
        match self._kind(path[0]):
            case "outside":
                self._references[path] = None
                if stored:
                    self._changes[Change(path, "binding")] = None
            case "parameter" if len(path) > 1:
                self._uses[path] = None
                if stored:
                    self._changes[Change(path, "binding")] = None

    def _note_changes(self, node: ast.AST) -> None:
        match node:
            case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                self._note_contents(node.value)
            case ast.Call(func=ast.Attribute(value=value, attr=attribute)) if attribute in _MUTATORS:
                self._note_contents(value)

    def _note_contents(self, node: ast.expr) -> None:
        while (path := self._path(node)) is None and isinstance(node, ast.Subscript | ast.Attribute):
            node = node.value
        if path is not None and self._kind(path[0]) != "inside":
            self._changes[Change(path, "contents")] = None

    def _path(self, node: ast.AST) -> NamePath | None:
        if not (names := _names(node)):
            return None
        root, *attributes = names
        scope = self._holder(root)
        return (scope.imported.get(root, root) if scope else root, *attributes)

    def _holder(self, name: str) -> _Scope | None:
        for scope in reversed(self._scopes):
            if name in scope.passed or (scope.is_class and scope is not self._scopes[-1]):
                continue  # functions inside a class do not see its names
            if name in scope.outer:
                return None
            if name in scope.bound or name in scope.imported:
                return scope
        return None

    def _kind(self, root: str | Imported) -> Literal["outside", "parameter", "inside"]:
        scope = None if isinstance(root, Imported) else self._holder(root)
        if scope is None:
            return "outside"
        return "parameter" if root in scope.parameters and scope is self._scopes[0] else "inside"


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.Name():
            return [node.id]
        case ast.Attribute() if names := _names(node.value):
            return [*names, node.attr]
    return []


def _constant(value: object) -> bytes:
    match value:
        case EllipsisType():
            return b"..."
        case tuple():
            return canonical_bytes(("tuple", *map(_constant, value)))
        case frozenset():
            return canonical_bytes(("frozenset", *sorted(map(_constant, value))))
        case CodeType():
            return _bare(value).digest
        case _:
            return canonical_bytes(value)


def _bare(code: CodeType) -> Syntax:
    """Reads the code object itself, in which only the plainest changes can be seen."""
    parts: list[object] = [importlib.util.MAGIC_NUMBER, code.co_code, code.co_exceptiontable, code.co_flags]
    parts += [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount]
    parts += [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars]
    parts += map(_constant, code.co_consts)
    paths: list[NamePath] = []
    changes: list[Change] = []
    for each in (code, *_codes(code)):
        follows, module, constants = False, Imported("", None), [0, 0]
        for instruction in dis.get_instructions(each):
            value = instruction.argval
            match instruction.opname:
                case "LOAD_ATTR" | "LOAD_METHOD" if follows:
                    paths[-1] = (*paths[-1], value)
                    continue
                case "LOAD_GLOBAL" | "LOAD_NAME" | "LOAD_DEREF" | "LOAD_CLASSDEREF" | "LOAD_FROM_DICT_OR_GLOBALS":
                    paths.append((value,))
                    follows = True
                    continue
                case "STORE_GLOBAL" | "DELETE_GLOBAL":
                    paths.append((value,))
                    changes.append(Change((value,), "binding"))
                case "LOAD_CONST":
                    constants.append(value)
                case "IMPORT_NAME":
                    module = Imported(value, None, constants[-2])
                    if not constants[-1]:
                        paths.append((module,))
                case "IMPORT_FROM":
                    paths.append((Imported(module.module, value, module.level),))
            follows = False
    local = {name for each in (code, *_codes(code)) for name in each.co_cellvars}
    paths = [path for path in dict.fromkeys(paths) if path[0] not in local]
    for root, *attributes in paths:
        if attributes and attributes[-1] in _MUTATORS:
            changes.append(Change((root, *attributes[:-1]), "contents"))
    return Syntax(canonical_bytes(tuple(parts)), tuple(paths), changes=tuple(changes))
