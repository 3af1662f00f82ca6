"""Recipes: what was ever made of them stays, and not a word of them changes without a test that fails.

``vectors/recipes-v1.json`` pins each recipe alone, ``vectors/pipelines-v1.json`` what whole pipelines make of them.
Both are append-only, like those of rows and structures: to add a recipe, write a vector with an empty value; the test
fails and tells what to write there. Arguments are Python expressions.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

import orcapod.operators
import orcapod.sources
from orcapod.hashing import ContentHash, recipes
from orcapod.operators import Filter
from orcapod.streams.verbs import Verbs
from orcapod.testing import whole_pipelines
from orcapod.types import Schema

ABSTRACT = ("Source", "TableSource", "CachedSource", "LiveSource")  # the last two are made by a method
OURS = (
    "Batch", "Concat", "DropNulls", "DropPacketColumns", "DropTagColumns", "Explode", "Filter", "GroupBy", "Join",
    "Cross", "MapPackets", "MapTags", "MergeJoin", "SelectPacketColumns", "SelectTagColumns", "SemiJoin",
)  # fmt: skip
NAMES = {"ContentHash": ContentHash, "Schema": Schema, "pa": pa}


def read(file: str) -> Any:
    return json.loads((resources.files("orcapod.testing") / "vectors" / f"{file}.json").read_text(encoding="utf-8"))


RECIPES = read("recipes-v1")
PIPELINES = read("pipelines-v1")


def made(module: ModuleType, vector: Mapping[str, str]) -> str:
    """Return what a recipe gives, as text."""
    arguments = eval(f"dict({vector['arguments']})", dict(NAMES))
    given = getattr(module, vector["recipe"])(**arguments)
    match given:
        case list() | tuple():
            return " ".join(each.hex() if isinstance(each, bytes) else str(each) for each in given)
        case bytes():
            return given.hex()
        case _:
            return str(given)


@pytest.mark.parametrize("vector", RECIPES, ids=lambda vector: vector["name"])
def test_a_recipe_gives_what_it_always_gave(vector: Mapping[str, str]) -> None:
    assert made(recipes, vector) == vector["value"]


def test_every_recipe_is_pinned() -> None:
    assert {vector["recipe"] for vector in RECIPES} == set(recipes.__all__)
    assert len({vector["name"] for vector in RECIPES}) == len(RECIPES)
    assert len({vector["value"] for vector in RECIPES}) == len(RECIPES), "two recipes, or arguments, give one value"


@pytest.fixture(scope="module")
def found() -> Mapping[str, Any]:
    return whole_pipelines.identities()


@pytest.mark.parametrize("name", PIPELINES)
def test_whole_pipelines_keep_their_names_hashes_and_keys(found: Mapping[str, Any], name: str) -> None:
    assert found[name] == PIPELINES[name]


def test_all_of_them_are_pinned(found: Mapping[str, Any]) -> None:
    assert list(found) == list(PIPELINES)


def test_every_operator_and_kind_of_source_is_among_them() -> None:
    source = inspect.getsource(whole_pipelines)
    verbs = re.findall(r"    def (\w+)\(", inspect.getsource(Verbs))
    assert [verb for verb in verbs if verb != "_apply" and f".{verb}(" not in source] == []
    kinds = [name for name in orcapod.sources.__all__ if name not in ABSTRACT and name not in source]
    assert kinds == ["DataFrameSource"], "which is the source over the Arrow table of a frame, and needs pandas"


class Renamed(Filter):
    """An operator of which only the class got another name."""

    name = "Filter"


class Another(Filter):
    """An operator that does something else, and says nothing of a name."""


def test_an_operator_is_known_by_its_name_for_good_whatever_its_class_is_called() -> None:
    assert Renamed(x=1).content_hash() == Filter(x=1).content_hash() != Another(x=1).content_hash()
    names = {name: operator.name for name, operator in vars(orcapod.operators).items() if name in OURS}
    assert names == {name: name for name in OURS}
    assert Another(x=1).default_label == "another"


def test_another_process_finds_the_same() -> None:
    command = [sys.executable, "-m", "orcapod.testing.whole_pipelines"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "7"}, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == PIPELINES


# Nothing of a recipe changes unnoticed


class _Change(ast.NodeTransformer):
    """One change of a module: of a constant, or of what is hashed."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.what = ""

    def _is_it(self, what: str) -> bool:
        self._left -= 1
        if self._left == -1:
            self.what = what
            return True
        return False

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if not self._is_it(f"line {node.lineno}: {node.value!r}"):
            return node
        match node.value:
            case str():
                other: Any = node.value + "~"
            case bytes():
                other = node.value + b"~"
            case _:
                other = node.value + 1
        return ast.copy_location(ast.Constant(other), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        called = ast.unparse(node.func)
        if called == "_hashed":
            for at in range(1, len(node.args)):
                if self._is_it(f"line {node.lineno}: without {ast.unparse(node.args[at])}"):
                    return ast.copy_location(ast.Call(node.func, [*node.args[:at], *node.args[at + 1 :]], []), node)
        if called == "sorted" and self._is_it(f"line {node.lineno}: without sorted"):
            return ast.copy_location(ast.Call(ast.Name("list", ast.Load()), node.args, []), node)
        return self.generic_visit(node)


def changed_modules() -> Iterator[tuple[str, ModuleType]]:
    """Give the module of the recipes with one thing changed, for everything that there is in it."""
    source = inspect.getsource(recipes)
    number = 0
    while True:
        tree = ast.parse(source)
        tree.body = [node for node in tree.body if not (isinstance(node, ast.Assign) or _is_text(node))]
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body = [each for each in node.body if not _is_text(each)]
                node.returns = None
            if isinstance(node, ast.arg):
                node.annotation = None
        change = _Change(number)
        tree = ast.fix_missing_locations(change.visit(tree))
        if not change.what:
            return
        module = ModuleType("changed")
        exec(compile(tree, "changed", "exec"), vars(module))
        yield change.what, module
        number += 1


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_not_a_word_of_a_recipe_changes_unnoticed() -> None:
    changes = list(changed_modules())
    assert len(changes) >= 60
    for what, module in changes:
        assert any(_differs(module, vector) for vector in RECIPES), what


def _differs(module: ModuleType, vector: Mapping[str, str]) -> bool:
    try:
        return made(module, vector) != vector["value"]
    except Exception:  # noqa: BLE001  # a change that breaks it is noticed
        return True
