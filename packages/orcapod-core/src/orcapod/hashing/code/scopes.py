"""Which names of a syntax tree are bound in it, which are imported in it, and which come from outside."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = ["Function", "Imported", "NamePath", "Scope", "imports_of", "statements", "written"]

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


def imports_of(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Imported]]:
    """Yield the names that an import statement binds, each with what it leads to."""
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, Imported(node.module or "", alias.name, node.level)
        else:
            module = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or module, Imported(module, None)


@dataclass(slots=True)
class Scope:
    """Names that a function, a class or a comprehension binds, and their meaning.

    Attributes:
        is_class: whether it is the body of a class, where a name that is not bound yet is looked for in the module.
        bound: names that it binds otherwise than by an import.
        outer: names of the module, as ``global`` says.
        passed: names of a function around it, as ``nonlocal`` says.
        imported: names that it imports, each with all that it may lead to.
        parameters: names of parameters that it binds to nothing else.
        certain: names that the body of a class has bound by the statement that is read.
    """

    is_class: bool = False
    bound: set[str] = field(default_factory=set)
    outer: set[str] = field(default_factory=set)
    passed: set[str] = field(default_factory=set)
    imported: dict[str, dict[Imported, None]] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)
    certain: set[str] = field(default_factory=set)

    def is_rebound(self, name: str) -> bool:
        """Say whether a name that is imported may lead elsewhere: to another import, say, or to nothing."""
        elsewhere = (self.bound - self.parameters) | self.outer | self.passed
        return name in elsewhere or len(self.imported[name]) > 1

    def execute(self, statement: ast.AST) -> None:
        """Note which names are bound for certain once a statement of a class body is executed."""
        done = Scope()
        match statement:
            case ast.Assign(targets=targets) | ast.Delete(targets=targets):
                done.bind(targets)
            case ast.AnnAssign(target=target, value=ast.expr()):
                done.bind([target])
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
                done.bind([statement])
        if isinstance(statement, ast.Delete):
            self.certain -= done.bound
        else:
            self.certain |= done.bound | done.imported.keys()

    def bind(self, nodes: Iterable[ast.AST]) -> None:
        """Add the names that these nodes bind, without those of the scopes inside of them."""
        for node in statements(nodes):
            match node:
                case ast.Name():
                    if not isinstance(node.ctx, ast.Load):
                        self.bound.add(node.id)
                    continue
                case ast.Constant():
                    continue
                case ast.Lambda(args=args):
                    self.bind(_defaults(args))
                    continue
                case ast.FunctionDef(name=name, args=args) | ast.AsyncFunctionDef(name=name, args=args):
                    self.bound.add(name)
                    self.bind([*node.decorator_list, *_defaults(args)])
                    continue
                case ast.ClassDef(name=name):
                    self.bound.add(name)
                    self.bind([*node.decorator_list, *node.bases, *node.keywords])
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
                case ast.Import() | ast.ImportFrom():
                    for name, target in imports_of(node):
                        self.imported.setdefault(name, {})[target] = None
            self.bind(ast.iter_child_nodes(node))


def _defaults(args: ast.arguments) -> list[ast.expr]:
    """Return the defaults of parameters, which are evaluated outside of their function."""
    return [item for item in (*args.defaults, *args.kw_defaults) if item]
