"""Modules of the user's own, and edits of them, compared with what other processes find."""

import ast
import importlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

import orcapod.hashing.code

_numbers = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Any]:
    """Makes a module of the user's own from its text."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(text: str) -> ModuleType:
        name = f"lab_{next(_numbers)}"
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()  # the folder may have been listed in the same tick of the clock
        return __import__(name)

    return make


class Sides(NamedTuple):
    """What three processes with three hash seeds read: the files before an edit, the same again, and after it."""

    before: dict[str, Any]
    again: dict[str, Any]
    after: dict[str, Any]


_READER = """
import importlib, json, sys, warnings
from pathlib import Path
import orcapod as op

def read(folder):
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(sys.argv[1]) or name.startswith("acme"):
            del sys.modules[name]
    importlib.invalidate_caches()
    paths = [str(folder), *map(str, sorted(path for path in folder.iterdir() if path.is_dir()))]
    sys.path[:0] = paths
    try:
        lab = importlib.import_module("lab")
        function = op.PythonPacketFunction(lab.f, getattr(lab, "KEYS", "y"), **getattr(lab, "OPTIONS", {}))
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = function.code("begins")
        with function.running(found):
            given = [repr(lab.f(x)) for x in getattr(lab, "ARGUMENTS", [0, 1, 2])]
        return {
            "hash": str(found.hash), "after": str(function.code("begins").hash), "given": given,
            "keys": getattr(lab, "KEYS", "y"), "opaque": found.opaque, "unseen": found.unseen, "state": found.state,
            "warned": [(str(each.message), each.filename) for each in warned],
        }
    finally:
        del sys.path[: len(paths)]

print(json.dumps({folder.name: read(folder) for folder in sorted(Path(sys.argv[1]).iterdir())}))
"""


@pytest.fixture(scope="session")
def edits() -> Callable[[str], dict[str, Any]]:
    """Reads a page of edits: by title, the files before and after."""

    def read(page: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for section in Path(__file__).with_name(page).read_text().split("\n### ")[1:]:
            title, _, text = section.partition("\n")
            before: dict[str, str] = {}
            after: dict[str, str] = {}
            for block in text.split("\n```python")[1:]:
                name, _, code = block.partition("\n")
                lines = [line.partition("  # -> ") for line in code.partition("```")[0].splitlines()]
                before[name.strip() or "lab.py"] = "".join(f"{old}\n" for old, _, _ in lines)
                after[name.strip() or "lab.py"] = "".join(f"{_edited(*line)}\n" for line in lines)
            found[title] = before, after
        return found

    return read


@pytest.fixture(scope="session")
def edited_names() -> Callable[[Mapping[str, str], Mapping[str, str]], set[str]]:
    """Finds the innermost functions, classes and names to which the edited lines of files belong."""

    def find(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
        found = set()
        for name, text in before.items():
            lines = SequenceMatcher(None, text.splitlines(), after[name].splitlines(), autojunk=False)
            for kind, start, end, *_ in lines.get_opcodes():
                if kind != "equal":
                    found.update(_owner(ast.parse(text), number) for number in range(start + 1, end + 1))
        return found

    return find


def _owner(tree: ast.AST, line: int) -> str:
    """Return what the innermost function or class, or else the statement, defines that is on a line."""
    owner = ""
    for node in ast.walk(tree):  # outer ones first
        if isinstance(node, ast.stmt) and min([node.lineno, *_decorators(node)]) <= line <= (node.end_lineno or 0):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    owner = name
                case ast.Assign(targets=[ast.Name(id=name), *_]) if not owner:
                    owner = name
                case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name)), *_]) if not owner:
                    owner = name
                case ast.Expr(value=ast.Call(args=[ast.Name(id=name), *_])) if not owner:
                    owner = name
    return owner


def _decorators(node: ast.stmt) -> list[int]:
    return [each.lineno for each in getattr(node, "decorator_list", [])]


def _edited(old: str, arrow: str, new: str) -> str:
    return old[: len(old) - len(old.lstrip())] + new if arrow else old


@pytest.fixture(scope="session")
def write_files() -> Callable[[Path, Mapping[str, str]], None]:
    """Writes files below a folder, and what an installer leaves beside those in ``site-packages``."""
    return _write


@pytest.fixture(scope="module")
def read_edits(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, Any]], dict[str, Sides]]:
    """Reads a function ``f`` of ``lab.py`` in files before and after edits, in new processes."""

    def read(edits: Mapping[str, Any]) -> dict[str, Sides]:
        root = tmp_path_factory.mktemp("edits")
        for number, sides in enumerate(edits.values()):
            for side, files in zip(("before", "after"), sides, strict=True):
                _write(root / side / f"{number:03}", files)
        found = [_read(root / side, seed) for seed, side in enumerate(("before", "before", "after"), start=1)]
        return {name: Sides(*(side[f"{number:03}"] for side in found)) for number, name in enumerate(edits)}

    return read


def _write(folder: Path, files: Mapping[str, str]) -> None:
    installed = [name.removeprefix("site-packages/") for name in files if name.startswith("site-packages/")]
    for name, text in {**files, **_metadata(installed)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _metadata(installed: list[str]) -> dict[str, str]:
    """What an installer leaves beside the modules of a distribution."""
    if not installed:
        return {}
    name = installed[0].partition("/")[0].removesuffix(".py")
    files = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "top_level.txt": f"{name}\n"}
    files["RECORD"] = "".join(f"{file},,\n" for file in installed)
    return {f"site-packages/{name}-1.0.dist-info/{file}": text for file, text in files.items()}


def _read(folder: Path, seed: int) -> dict[str, Any]:
    package = Path(orcapod.hashing.code.__file__).parents[3]
    environment = {
        **os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", _READER, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
