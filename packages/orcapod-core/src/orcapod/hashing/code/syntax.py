"""What the syntax tree of a function or a class says, without what does not matter.

Comments, docstrings, formatting, annotations that nothing reads and code for type checkers do not count;
nor does what the versions of Python parse differently.
"""

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.code.scopes import Function, Imported, NamePath, Scope, imports_of, statements, written

__all__ = ["ABOUT", "MUTATORS", "About", "Change", "Syntax", "Writer", "read_class", "read_function"]

About = Literal["docstrings", "annotations", "source", "names"]
"""What code says besides what it does. It counts where something reads it."""

Writer = Literal["__format__", "__repr__"]
"""Methods by which an object is written."""

ABOUT: Mapping[str, About] = {
    "__doc__": "docstrings", "__annotations__": "annotations", "__name__": "names", "__qualname__": "names",
}  # fmt: skip
"""Names by which code reads what other code says besides."""


MUTATORS = frozenset({
    "add", "append", "appendleft", "clear", "difference_update", "discard", "extend", "extendleft", "fill",
    "insert", "intersection_update", "move_to_end", "pop", "popitem", "popleft", "put", "remove", "resize",
    "reverse", "rotate", "setdefault", "sort", "subtract", "symmetric_difference_update", "update",
})  # fmt: skip
_READERS = frozenset({
    "fromfile", "genfromtxt", "load", "loadtxt", "read_csv", "read_excel", "read_feather", "read_json",
    "read_parquet", "read_table", "scan_csv", "scan_parquet",
})  # fmt: skip
_Origin = Literal["outside", "perhaps outside", "parameter", "inside"]
_NO_MEANING = frozenset({"ctx", "kind", "type_comment", "type_params"})


@dataclass(frozen=True, slots=True)
class Change:
    """Code that changes what a path leads to: its contents, or what its last name is bound to.

    Attributes:
        path: where it begins.
        what: which of the two.
        key: the one item that is changed, where it is written as a constant.
        method: the method that is called to change it; empty where an item is set or deleted.
        is_item: whether it is an item of it that is changed, and not it.
        is_parameter: whether the path begins at a parameter, and not outside.
    """

    path: NamePath
    what: Literal["contents", "binding"]
    key: str | int | None = None
    method: str = ""
    is_item: bool = False
    is_parameter: bool = False


@dataclass(frozen=True, slots=True)
class Syntax:
    """Syntax of a function or a class.

    Attributes:
        digest: of the normalised tree, or of the code object where there is no source.
        references: paths that begin outside, in the order in which they are written.
        possible: paths of names that may be bound to something else, or to nothing, by the time the code runs.
        uses: paths that begin at a parameter.
        changes: what it visibly changes outside, or through a parameter.
        hints: paths in the annotations of a class, which need not exist when the code runs.
        about: what it reads of what code says besides what it does.
        formatted: paths of what is written as text, and by which method.
        names_self: whether it reads the name of ``cls``, or of the class of ``self``.
        unseen: what it does that reaches things which no reading of the code can follow.
        source: the source in its normal form; empty where there is none.
        bound: names that a class body binds.
        imports: what the file around it imports by ``from module import name``.
    """

    digest: bytes
    references: tuple[NamePath, ...] = ()
    possible: tuple[NamePath, ...] = ()
    uses: tuple[NamePath, ...] = ()
    changes: tuple[Change, ...] = ()
    hints: tuple[NamePath, ...] = ()
    about: frozenset[About] = frozenset()
    formatted: tuple[tuple[NamePath, Writer], ...] = ()
    names_self: bool = False
    unseen: tuple[str, ...] = ()
    source: str = ""
    bound: frozenset[str] = frozenset()
    imports: Mapping[str, Imported] = field(default_factory=dict)


def read_function(node: Function, imports: Mapping[str, Imported]) -> Syntax:
    """Return what a function says; its name, decorators and defaults are met as objects."""
    reader = _Reader()
    reader.write_inside(node)
    return reader.syntax(node, imports)


def read_class(node: ast.ClassDef, imports: Mapping[str, Imported]) -> Syntax:
    """Return what a class says; its bases, methods and inner classes are met as objects."""
    reader = _Reader()
    reader.write([node.decorator_list, node.keywords])
    scope = reader.enter(node.body, is_class=True)
    reader.write([item for item in statements(node.body) if not isinstance(item, ast.ClassDef | Function)])
    return reader.syntax(node, imports, frozenset(scope.bound))


class _Reader:
    """Serializer of a tree as text, which notes what it refers to and what it changes."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._scopes: list[Scope] = []
        self._references: dict[NamePath, None] = {}
        self._possible: dict[NamePath, None] = {}
        self._uses: dict[NamePath, None] = {}
        self._changes: dict[Change, None] = {}
        self._hints: dict[NamePath, None] = {}
        self._about: set[About] = set()
        self._formatted: dict[tuple[NamePath, Writer], None] = {}
        self._names_self = False
        self._unseen: dict[str, None] = {}

    def syntax(
        self, node: Function | ast.ClassDef, imports: Mapping[str, Imported], bound: frozenset[str] = frozenset()
    ) -> Syntax:
        digest = sha256("".join(self._text).encode("utf-8", "surrogatepass")).digest()
        return Syntax(
            digest,
            tuple(self._references),
            tuple(self._possible),
            tuple(self._uses),
            tuple(self._changes),
            tuple(self._hints),
            frozenset(self._about),
            tuple(self._formatted),
            self._names_self,
            tuple(self._unseen),
            _normal_source(node),
            bound,
            imports,
        )

    def enter(self, nodes: Iterable[ast.AST], *, is_class: bool = False) -> Scope:
        scope = Scope(is_class)
        scope.bind(nodes)
        self._scopes.append(scope)
        return scope

    @contextmanager
    def _type_parameters(self, node: ast.AST) -> Iterator[None]:
        """Have a node be read where its type parameters are known."""
        entered = [Scope(bound=names)] if (names := _type_parameters(node)) else []
        self._scopes += entered
        yield
        del self._scopes[len(self._scopes) - len(entered) :]

    def write_inside(self, node: Function) -> None:
        body = node.body if isinstance(node.body, list) else [node.body]
        scope = self.enter(body)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        names = {item.arg for item in (*arguments, node.args.vararg, node.args.kwarg) if item}
        scope.parameters = names - scope.bound
        scope.bound |= names | _type_parameters(node)
        keyword = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
        self._text.append(f"{keyword}{'def' if isinstance(node.body, list) else 'lambda'} ")
        self.write([node.args, body])
        self._scopes.pop()

    def write(self, value: object) -> None:
        match value:
            case ast.Name() | ast.Attribute():
                self._write_path(value)
            case ast.Constant():
                plain = value.value
                self._note_about([plain] if isinstance(plain, str) else ())
                self._text.append((b"..." if plain is Ellipsis else canonical_bytes(plain)).hex())
            case list():
                self._text.append("[")
                for item in self._meant(value):
                    self.write(item)
                    self._text.append(",")
                self._text.append("]")
            case ast.arg():
                self._write_fields(value, "annotation")
            case ast.arguments():
                self._write_fields(value, "defaults", "kw_defaults")  # written outside, where they are evaluated
            case ast.AnnAssign(value=ast.expr() as assigned) if not self._scopes[-1].is_class:
                self._write_fields(ast.Assign([value.target], assigned))
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self._text.append(f"({getattr(value, 'name', '')} ")
                self.write([getattr(value, "decorator_list", []), value.args.defaults, value.args.kw_defaults])
                self.write_inside(value)
                self._text.append(")")
            case ast.ClassDef():
                self._text.append(f"(class {value.name} ")
                with self._type_parameters(value):
                    self.write([value.decorator_list, value.bases, value.keywords])
                    self._write_class_body(value.body)
                self._text.append(")")
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self._write_comprehension(value)
            case ast.JoinedStr():
                joined = _joined(value)
                self._write_fields(joined) if isinstance(joined, ast.JoinedStr) else self.write(joined)
            case ast.FormattedValue(format_spec=ast.JoinedStr(values=[] | [ast.Constant(value="")])):
                self._note_changes(value)
                self._write_fields(value, "format_spec")
            case ast.AST() if getattr(value, "type_params", ()):  # type Pair[T] = tuple[T, T]
                with self._type_parameters(value):
                    self._write_fields(value)
            case ast.AST():
                self._note_changes(value)
                self._write_fields(value)
            case _:
                self._text.append(str(value))

    def _meant(self, nodes: Sequence[ast.AST]) -> list[ast.AST]:
        in_class = self._scopes and self._scopes[-1].is_class  # there, annotations are fields
        return [
            item
            for item in statements(nodes)
            if in_class or not (isinstance(item, ast.AnnAssign) and item.value is None)
        ]

    def _write_fields(self, node: ast.AST, *without: str) -> None:
        self._text.append(f"({type(node).__name__}")
        for name, value in ast.iter_fields(node):
            if value is None or name in _NO_MEANING or name in without:
                continue
            if isinstance(value, list) and not self._meant(value):
                continue
            self._text.append(f" {name}=")
            if name == "annotation":
                outer, self._references = self._references, self._hints
                self.write(_unquoted(value))
                self._references = outer
            else:
                self.write(value)
        self._text.append(")")

    def _write_class_body(self, body: Sequence[ast.stmt]) -> None:
        scope = self.enter(body, is_class=True)
        self._text.append("[")
        for item in self._meant(body):
            self.write(item)
            self._text.append(",")
            scope.execute(item)
        self._text.append("]")
        self._scopes.pop()

    def _write_comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        first, *others = node.generators
        self.write(first.iter)  # evaluated outside
        self.enter(generator.target for generator in node.generators)
        self._write_fields(first, "iter")
        self.write(others)
        self._write_fields(node, "generators")
        self._scopes.pop()

    def _write_path(self, node: ast.Name | ast.Attribute) -> None:
        names = written(node)
        if isinstance(node.ctx, ast.Load):
            outside = any(origin == "outside" for _, origin in self._paths(names))
            read = names or [node.attr] if isinstance(node, ast.Attribute) else names
            is_reference = outside and (read[1:2] == ("__annotations__",) or ABOUT.get(read[-1]) == "names")
            names_self = not is_reference and _is_name_of_own_class(node)
            self._names_self |= names_self
            self._note_about(() if is_reference or names_self else read)
        if not names:
            self._note_changes(node)
            self._write_fields(node)
            return
        self._text.append(f"<{'.'.join(names)}>")
        self._refer(names, is_changed=not isinstance(node.ctx, ast.Load))

    def _refer(self, names: tuple[str, ...], *, is_changed: bool = False) -> None:
        for path, origin in self._paths(names):
            if origin == "inside" or (origin == "parameter" and len(path) == 1):
                continue
            if is_changed and len(path) == 1 and (isinstance(path[0], Imported) or origin == "perhaps outside"):
                continue  # it is the name in here that is bound anew
            match origin:
                case "outside":
                    self._references[path] = None
                case "perhaps outside":
                    self._possible[path] = None
                case "parameter":
                    self._uses[path] = None
            if is_changed:
                self._changes[Change(path, "binding", is_parameter=origin == "parameter")] = None

    def _note_about(self, names: Iterable[str]) -> None:
        self._about.update(ABOUT[name] for name in names if name in ABOUT)

    def _note_changes(self, node: ast.AST) -> None:
        match node:
            case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
                self._note_contents(node)
            case ast.Call(func=ast.Attribute(value=value, attr=method)) if method in MUTATORS:
                self._note_contents(value, method, _keys(node))
            case ast.Call(func=ast.Name(id="next"), args=[iterator, *_]):
                self._note_contents(iterator, "__next__")
            case ast.Call(func=ast.Attribute(attr="__subclasses__")):
                self._unseen["__subclasses__()"] = None
            case ast.AugAssign(target=ast.Name(id=name)):
                self._refer((name,))
            case ast.FormattedValue(value=shown, conversion=conversion):
                self._note_formatted([shown], "__repr__" if conversion == ord("r") else "__format__")
            case ast.Call(func=ast.Name(id="str" | "repr" | "format" as writer)):
                self._note_formatted(node.args, "__repr__" if writer == "repr" else "__format__")
            case ast.Call(func=ast.Attribute(attr="format", value=template)):
                values = [*node.args, *(keyword.value for keyword in node.keywords)]
                self._note_formatted(values, _writer(template, "!r"))
            case ast.BinOp(left=ast.Constant(value=str()) as template, op=ast.Mod(), right=shown):
                self._note_formatted(_values(shown), _writer(template, "%r"))
            case ast.Import() | ast.ImportFrom():
                self._note_imports(node)
        if isinstance(node, ast.Call) and (reached := self._reached_by_text(node)):
            self._unseen[reached] = None

    def _note_formatted(self, nodes: Iterable[ast.expr], writer: Writer) -> None:
        paths = (found for node in nodes for found in self._paths(written(node)))
        self._formatted.update(((path, writer), None) for path, origin in paths if origin == "outside")

    def _note_imports(self, node: ast.Import | ast.ImportFrom) -> None:
        """Note what is imported for others to read: for a scope around this one, or as an attribute of a class."""
        scope = self._scopes[-1]
        for name, target in imports_of(node):
            if name in scope.outer:
                self._changes[Change((name,), "binding")] = None
            if name in scope.outer | scope.passed or (scope.is_class and scope is not self._scopes[0]):
                self._possible[target,] = None

    def _note_contents(self, node: ast.expr, method: str = "", keys: Iterable[str | int | None] = (None,)) -> None:
        is_item = False
        while not (names := written(node)) and isinstance(node, ast.Subscript | ast.Attribute):
            if isinstance(node, ast.Subscript):
                keys, is_item = [_constant_key(node.slice)], True
            node = node.value
        keys = list(keys)
        for path, origin in self._paths(names):
            for key in keys if origin != "inside" else ():
                change = Change(path, "contents", key, method, is_item, is_parameter=origin == "parameter")
                self._changes[change] = None

    def _reached_by_text(self, call: ast.Call) -> str:
        """Return how a call is written that reads a file by a constant path, or names of the code in a text."""
        first = call.args[0] if call.args else None
        match call.func, first:
            case ast.Attribute(attr="query" | "eval"), ast.Constant(value=str(text)) if "@" in text:
                return ast.unparse(call)
            case ast.Name(id="open"), ast.expr() if self._is_constant(first):
                return ast.unparse(call)
            case ast.Attribute(attr=attribute, value=value), _ if attribute in _READERS and self._is_constant(first):
                return ast.unparse(call) if written(value) else ""
            case ast.Attribute(attr="read_text" | "read_bytes" | "open", value=value), _ if self._is_constant(value):
                return ast.unparse(call)
        return ""

    def _is_constant(self, node: ast.expr | None) -> bool:
        """Say whether an expression is a text, a name from outside, or made of such."""
        match node:
            case ast.Constant(value=str() | bytes()):
                return True
            case ast.Call(args=[only]) | ast.BinOp(left=only):
                return self._is_constant(only)
            case ast.Name() | ast.Attribute():
                return any(origin == "outside" for _, origin in self._paths(written(node)))
        return False

    def _paths(self, names: tuple[str, ...]) -> Iterator[tuple[NamePath, _Origin]]:
        """Yield the paths that names may mean, with where each begins."""
        for root, origin in self._roots(names[0]) if names else ():
            yield (root, *names[1:]), origin

    def _roots(self, name: str) -> Iterator[tuple[str | Imported, _Origin]]:
        """Yield what a name may be bound to where it is read."""
        for scope in reversed(self._scopes):
            if scope.is_class and scope is not self._scopes[-1]:
                continue  # functions inside a class do not see its names
            for target in scope.imported.get(name, ()):
                yield target, "perhaps outside" if scope.is_rebound(name) else "outside"
            if name in scope.passed:
                continue
            if name in scope.outer:
                break
            if name in scope.bound or name in scope.imported:
                if scope.is_class and scope is not self._scopes[0] and name not in scope.certain:
                    yield name, "perhaps outside"  # past the functions around it
                is_parameter = name in scope.parameters and scope is self._scopes[0]
                yield name, "parameter" if is_parameter else "inside"
                return
        yield name, "outside"


def _type_parameters(node: ast.AST) -> set[str]:
    """Return the names of type parameters, which Python 3.12 has."""
    return {item.name for item in getattr(node, "type_params", ())}


def _keys(call: ast.Call) -> list[str | int | None]:
    """Return the items that a call of a changing method changes, as far as they are written; None for any."""
    match call:
        case ast.Call(func=ast.Attribute(attr="update"), args=[], keywords=[_, *_]):
            return [keyword.arg for keyword in call.keywords]
        case ast.Call(func=ast.Attribute(attr="setdefault" | "pop"), args=[ast.Constant(value=str(key)), *_]):
            return [key]
    return [None]


def _is_name_of_own_class(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="cls") | ast.Attribute(value=ast.Name(id="self"), attr="__class__")):
            return ABOUT.get(node.attr) == "names"
        case ast.Attribute(value=ast.Call(func=ast.Name(id="type"), args=[ast.Name(id="self")])):
            return ABOUT.get(node.attr) == "names"
    return False


def _values(shown: ast.expr) -> Sequence[ast.expr]:
    """Return what is behind the percent sign, each by itself."""
    match shown:
        case ast.Tuple(elts=values) | ast.Dict(values=values):
            return values
    return [shown]


def _writer(template: ast.expr, mark: str) -> Writer:
    """Return the method by which a template writes, if it is known and has a mark for ``repr`` anywhere."""
    match template:
        case ast.Constant(value=str(text)) if mark in text:
            return "__repr__"
    return "__format__"


def _constant_key(node: ast.expr) -> str | int | None:
    match node:
        case ast.Constant(value=str() | int() as key) if type(key) is not bool:
            return key
    return None


def _normal_source(node: Function | ast.ClassDef) -> str:
    """Return source as it is shown: without comments and docstrings, formatted in one way."""
    return ast.unparse(_WithoutDocstrings().visit(copy.deepcopy(node)))


class _WithoutDocstrings(ast.NodeTransformer):
    """Transformer that leaves out docstrings."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        body = getattr(node, "body", None)
        match body:
            case [ast.Expr(value=ast.Constant(value=str())), *_]:
                body[:1] = [] if body[1:] else [ast.Pass()]
        return super().generic_visit(node)


def _joined(node: ast.JoinedStr) -> ast.JoinedStr | ast.Constant:
    """Return an f-string as if written without breaks; a string if it formats nothing."""
    values: list[ast.expr] = []
    for value in node.values:
        match value, values[-1:]:
            case ast.Constant(value=""), _:
                pass
            case ast.Constant(value=str(text)), [ast.Constant(value=str(before))]:
                values[-1] = ast.Constant(before + text)
            case _:
                values.append(value)
    match values:
        case []:
            return ast.Constant("")
        case [ast.Constant() as only]:
            return only
    return ast.JoinedStr(values)


def _unquoted(annotation: object) -> object:
    if not isinstance(annotation, ast.Constant) or not isinstance(annotation.value, str):
        return annotation
    try:
        return ast.parse(annotation.value, mode="eval").body
    except SyntaxError:
        return annotation
