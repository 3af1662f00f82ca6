"""A part is called by the path that leads to it, by which ``ignores=`` takes it; one that stayed is not named."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

import orcapod as op
from orcapod.hashing.code import compare_parts, fingerprint_function

_numbers = itertools.count()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Makes a package with a constant and a connection in one module, and what reads them by that module in another."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make() -> Any:
        name = f"study_{next(_numbers)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
        (tmp_path / name / "constants.py").write_text("import sqlite3\nRATE = 2\nLINE = sqlite3.connect(':memory:')\n")
        (tmp_path / name / "steps.py").write_text(
            "from . import constants as c\n\n\ndef f(x: int) -> int:\n    return x * c.RATE\n\n\n"
            "def g(x: int) -> int:\n    c.LINE.execute('select 1')\n    return x\n"
        )
        importlib.invalidate_caches()
        return importlib.import_module(f"{name}.steps")

    return make


def test_a_constant_of_another_module_is_called_by_its_path(package: Callable[[], Any]) -> None:
    steps = package()
    constants = steps.c.__name__
    assert f"{constants}.RATE" in [part.name for part in fingerprint_function(steps.f).parts]
    opaque = fingerprint_function(steps.g)
    assert opaque.opaque[0].startswith(f"LINE (module {constants},")
    assert f"{constants}.LINE" in [part.name for part in opaque.parts if part.kind == "opaque"]


@pytest.mark.parametrize("written", ["{module}.RATE", "c.RATE", "{module}.c.RATE"])
def test_ignores_takes_the_path_of_a_constant_and_what_the_code_calls_it(
    package: Callable[[], Any], written: str
) -> None:
    steps = package()
    constants = steps.c
    name = written.format(module=constants.__name__)

    def read() -> Any:
        return fingerprint_function(steps.f, ignores=[name])

    before = read()
    constants.RATE = 3
    assert read().hash == before.hash
    assert before.unused == ()
    assert f"{constants.__name__}.RATE" in [part.name for part in before.parts if part.kind == "ignored"]


def test_ignores_takes_what_is_listed_of_an_opaque_object(package: Callable[[], Any]) -> None:
    steps = package()
    for listed in (part.name for part in fingerprint_function(steps.g).parts if part.kind == "opaque"):
        found = fingerprint_function(steps.g, ignores=[listed])
        assert found.opaque == found.unused == ()


def test_ignores_takes_the_path_of_a_function_and_not_that_of_what_is_looked_at(module: Callable[[str], Any]) -> None:
    lab = module("def g(x):\n    return x\n\n\nh = g\n\n\ndef f(x: int) -> int:\n    return h(x)\n")
    name = lab.__name__

    def parts(ignored: str) -> set[tuple[str, str]]:
        return {(part.name, part.kind) for part in fingerprint_function(lab.f, ignores=[ignored]).parts}

    assert parts(f"{name}.g") == {(f"{name}.f", "function"), (f"{name}.h", "ignored")}
    assert parts(f"{name}.f") > {(f"{name}.f", "function"), (f"{name}.g", "function")}


def test_a_name_that_nothing_bears_is_answered_with_near_ones(package: Callable[[], Any]) -> None:
    steps = package()
    near = f"{steps.c.__name__}.RATE"
    function = op.PythonPacketFunction(steps.f, "y", ignores=["constants.RATES"])
    with pytest.warns(UserWarning, match=f"found ignores of constants.RATES: nothing .*{near}"):
        function.fingerprint()


NUMPY = """import numpy as np


def g(x):
    return np.sqrt(x)


def f(x: float) -> float:
    return float(g(x))
"""


def test_a_function_that_is_written_alike_is_not_named_beside_the_package_that_changed(
    module: Callable[[str], Any],
) -> None:
    lab = module(NUMPY)

    def parts(packages: Literal["name", "version"]) -> Any:
        return fingerprint_function(lab.f, packages=packages).parts

    changes = compare_parts(parts("name"), parts("version"))
    assert [str(change).partition(" ")[0] for change in changes] == ["package"]
    assert str(changes[0]).startswith("package numpy ")
    assert compare_parts(parts("version"), parts("name"))[0].after is None
