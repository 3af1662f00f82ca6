"""``load_pipeline``: the pipeline that a command is given, as ``module:pipeline`` or ``file.py:pipeline``."""

from __future__ import annotations

import ast
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from inspect import Parameter, iscoroutinefunction, isfunction, signature
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import click

from orcapod.cli.exits import UNREADABLE, USAGE
from orcapod.cli.output import Output
from orcapod.cli.suggestion import unknown
from orcapod.display import one_line
from orcapod.errors import DatabaseError
from orcapod.pipeline import Pipeline

__all__ = ["check_nodes", "load_pipeline", "run_user_code", "user_frames", "user_traceback"]

_NOT_THE_USERS = (f"{Path(__file__).parent.parent}{os.sep}", "<frozen importlib", str(importlib.__file__), ast.__file__)
_IS_MAIN = ("__name__ == '__main__'", "'__main__' == __name__")


class BrokenTargetError(click.ClickException):
    """The user's code fails while it is loaded: it is shown with its traceback.

    Args:
        message: what is shown.
        code: the exit code of the command.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    def show(self, file: Any = None) -> None:
        click.echo(self.message, file=file, err=file is None)


def load_pipeline(target: str, output: Output) -> Pipeline:
    """Return the pipeline of a target.

    A module is imported, as ``import module`` in this folder does it. A file becomes the main module, as
    ``python file.py`` makes it one, so that its functions are the same as there; what is below
    ``if __name__ == "__main__":`` is left out. Behind the colon stands the name of a pipeline, or of a function without
    arguments that returns one; it may be left out where there is one pipeline.

    Args:
        target: ``analysis.py``, ``analysis.py:pipeline``, ``lab.analysis:pipeline``.
        output: of the command.

    Raises:
        UsageError: there is no such file, module or pipeline.
        BrokenTargetError: the code raises an exception.
    """
    home, _, name = target.rpartition(":") if ":" in target else (target, "", "")
    is_file = home.endswith(".py") or os.sep in home
    if not is_file and Path(home).is_file():
        raise click.UsageError(f"found the file {home!r}, expected a pipeline: file.py, file.py:NAME or module:NAME")
    with run_user_code(output):
        try:
            module = _main_module(Path(home)) if is_file else _imported(home)
            return _pipeline(module, home, name)
        except (Exception, SystemExit) as error:
            if isinstance(error, click.ClickException):
                raise
            told = f"{home} cannot be loaded: {type(error).__name__}, see above{_hint(error, home)}"
            code = UNREADABLE if isinstance(error, DatabaseError) else USAGE
            limit = 1 if isinstance(error, SystemExit) else None
            raise BrokenTargetError(f"{user_traceback(error, limit)}\n{told}", code) from error


@contextmanager
def run_user_code(output: Output) -> Iterator[None]:
    """Let user code run meanwhile: where JSON is written, whatever writes to stdout writes to stderr."""
    if not output.is_json:
        yield
        return
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


def _hint(error: BaseException, home: str) -> str:
    """Return what helps against an error of code that is loaded, as far as that is known."""
    match error:
        case ImportError() if "relative import" in str(error) and home.endswith(".py"):
            parts = Path(os.path.relpath(home)).with_suffix("").parts
            name = ".".join(parts) if ".." not in parts else "package.module, in the folder of the package"
            return f"; a file of a package is named as a module: {name}"
        case SystemExit():
            return "; what only a run of its own is to do stands below if __name__ == '__main__':"
        case _:
            return ""


def user_traceback(error: BaseException, limit: int | None = None) -> str:
    """Return the traceback of an exception from the first frame on that is the user's; nothing in it is a control.

    Args:
        error: the exception.
        limit: how many frames are shown; all if None.
    """
    lines = "".join(traceback.format_exception(type(error), error, user_frames(error), limit)).splitlines()
    return "\n".join(map(one_line, lines))


def user_frames(error: BaseException) -> TracebackType | None:
    """Return the frames that an exception came through, from the first one on that is the user's, if any is."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        frames = frames.tb_next
    return frames


def _main_module(file: Path) -> ModuleType:
    """Return the main module that a file makes, without what it does only when it is run."""
    if not file.is_file():
        raise unknown("file", file.name, sorted(each.name for each in file.parent.glob("*.py")))
    path = str(file.absolute())
    tree = ast.parse(file.read_bytes(), path)
    for statement in tree.body:
        if isinstance(statement, ast.If):
            statement.test = _NotMain().visit(statement.test)
    sys.path.insert(0, str(file.absolute().parent))
    sys.argv[:] = [str(file)]
    module = ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    exec(compile(tree, path, "exec", dont_inherit=True), vars(module))  # noqa: S102  # the user's own, as asked for
    return module


class _NotMain(ast.NodeTransformer):
    """Answer of a main module that is asked whether it is run: it is not."""

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        return ast.copy_location(ast.Constant(value=False), node) if ast.unparse(node) in _IS_MAIN else node


def _imported(name: str) -> ModuleType:
    if (here := str(Path.cwd())) != sys.path[0]:
        sys.path.insert(0, here)
    parent, _, last = name.rpartition(".")
    folders = getattr(_imported(parent), "__path__", ()) if parent else [here]
    if name not in sys.modules and (not last or find_spec(name) is None):
        raise unknown("module", name, sorted(each.stem for folder in folders for each in Path(folder).glob("*.py")))
    return importlib.import_module(name)


def _pipeline(module: ModuleType, home: str, name: str) -> Pipeline:
    found = {key: value for key, value in vars(module).items() if isinstance(value, Pipeline)}
    if not name:
        if len({*map(id, found.values())}) == 1:
            return next(iter(found.values()))
        makers = [] if found else _makers(module)
        names = f", such as {', '.join(makers)}" if makers else ""
        several = f"{', '.join(found) or 'none'}; say which one is meant, or what returns it{names}: {home}:NAME"
        raise click.UsageError(f"found {len(found)} pipelines in {home}, expected one: {several}")
    value = vars(module).get(name)
    made = value() if callable(value) and not isinstance(value, Pipeline) and _needs_nothing(value) else value
    if isinstance(made, Pipeline):
        return made
    if value is None:
        raise unknown("pipeline", name, [*found, *_makers(module)])
    kind = f"{'what it returns is ' if made is not value else ''}of type {type(made).__name__}"
    raise click.UsageError(
        f"{home}:{name} is no pipeline, {kind}; name a pipeline, or a function without arguments that returns one"
    )


def _makers(module: ModuleType) -> list[str]:
    """Return the names of functions of a module that may return a pipeline."""
    own = {key: each for key, each in vars(module).items() if getattr(each, "__module__", "") == module.__name__}
    functions = (key for key, each in own.items() if isfunction(each) and not iscoroutinefunction(each))
    return [key for key in functions if _needs_nothing(own[key])]


def _needs_nothing(function: Any) -> bool:
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):  # of compiled code
        return False
    variable = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    return all(each.default is not Parameter.empty or each.kind in variable for each in parameters)


def check_nodes(pipeline: Pipeline, labels: Iterable[str]) -> None:
    """Check that a pipeline has nodes of these labels.

    Raises:
        UsageError: it has not.
    """
    for label in labels:
        if label not in pipeline.nodes:
            raise unknown("node", label, pipeline.nodes)
