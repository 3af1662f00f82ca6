"""Which names of a syntax tree are bound in it, which are imported in it, and which come from outside."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Function", "Imported", "NamePath", "Scope", "statements", "written"]

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Imported:
    """Target of an import statement: a module, or an attribute of it."""

    module: str
    attribute: str | None
    level: int = 0


NamePath = tuple[str | Imported, *tuple[str, ...]]
"""A name and the attributes taken from it: ``tables.rows.first`` is ``("tables", "rows", "first")``."""


def written(node: ast.AST) -> tuple[str, ...]:
    """Return the names of a path as they are written; none if the node is something else."""
    match node:
        case ast.Name():
            return (node.id,)
        case ast.Attribute() if names := written(node.value):
            return (*names, node.attr)
    return ()


def statements(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes without docstrings, ``pass`` and what is for type checkers only."""
    for node in nodes:
        match node:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                yield from statements(node.orelse)
            case _:
                yield node


@dataclass(slots=True)
class Scope:
    """Names that a function, a class or a comprehension binds, and their meaning."""

    is_class: bool = False
    bound: set[str] = field(default_factory=set)
    outer: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    imported: dict[str, Imported] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)

    def bind(self, nodes: Iterable[ast.AST]) -> None:
        """Add the names that these nodes bind, without those of the scopes inside of them."""
        for node in statements(nodes):
            match node:
                case ast.Name():
                    if not isinstance(node.ctx, ast.Load):
                        self.bound.add(node.id)
                    continue
                case ast.Constant() | ast.Lambda():
                    continue
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    self.bound.add(node.name)
                    continue
                case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                    self.bind(inner.target for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr))
                    continue
                case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                    self.bound.add(name)
                case ast.MatchMapping(rest=str(name)):
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
