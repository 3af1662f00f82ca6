"""Editing code recomputes exactly what depends on it, in new processes (promise 4)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MAIN = """
import json, sys
import orcapod as op
from orcapod.sources import DictSource
import helpers
from helpers import scale

LIMIT = 10

@op.function_pod("y")
def first(x: int) -> int:
    return scale(x)

@op.function_pod("z")
def second(y: int) -> int:
    return y + helpers.OFFSET

@op.function_pod("w")
def apart(x: int) -> int:
    return min(x, LIMIT)

with op.Pipeline("lab", sys.argv[1]) as pipeline:
    source = DictSource([{"i": i, "x": i} for i in range(3)], tag_columns=["i"], source_id="s")
    second.pod(first.pod(source))
    apart.pod(source)
result = pipeline.run()
print(json.dumps({
    "computed": [label for label in result.node_counts if result.counts(label)["computed"]],
    "z": pipeline.second.as_table()["z"].to_pylist(),
}))
"""

HELPERS = """
OFFSET = 1
FACTOR = 2

def factor():
    return FACTOR

def scale(x):
    return factor() * x

def unused():
    return 0
"""


class Project:
    """Two files and a store, run in a new process each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(MAIN, HELPERS)

    def write(self, main: str, helpers: str) -> None:
        (self.folder / "main.py").write_text(main)
        (self.folder / "helpers.py").write_text(helpers)

    def run(self) -> dict[str, Any]:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "main.py", "lab.db"],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    assert made.run() == {"computed": ["first", "second", "apart"], "z": [1, 3, 5]}
    return made


def edited(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, old
    return text.replace(old, new)


def test_edits_without_meaning_recompute_nothing(project: Project) -> None:
    helpers = edited(HELPERS, "def scale(x):", 'def scale(x):\n    """Now explained."""\n    # and commented\n')
    helpers = edited(helpers, "return 0", "return 1")
    main = edited(MAIN, "    return scale(x)", "    return scale(  x  )  # the same")
    project.write(main, helpers + "\nNEW = 5\n")
    assert project.run() == {"computed": [], "z": [1, 3, 5]}


def test_a_constant_of_a_helper_of_a_helper_recomputes_what_depends_on_it(project: Project) -> None:
    project.write(MAIN, edited(HELPERS, "FACTOR = 2", "FACTOR = 3"))
    assert project.run() == {"computed": ["first", "second"], "z": [1, 4, 7]}, "second has other inputs"
    project.write(MAIN, HELPERS)
    assert project.run() == {"computed": [], "z": [1, 3, 5]}, "and back again is there already"


def test_an_edit_that_gives_the_same_values_stops_there(project: Project) -> None:
    project.write(MAIN, edited(HELPERS, "return factor() * x", "return x * factor()"))
    assert project.run() == {"computed": ["first"], "z": [1, 3, 5]}


def test_what_one_function_refers_to_recomputes_it_alone(project: Project) -> None:
    project.write(MAIN, edited(HELPERS, "OFFSET = 1", "OFFSET = 2"))
    assert project.run() == {"computed": ["second"], "z": [2, 4, 6]}
    project.write(edited(MAIN, "LIMIT = 10", "LIMIT = 11"), edited(HELPERS, "OFFSET = 1", "OFFSET = 2"))
    assert project.run() == {"computed": ["apart"], "z": [2, 4, 6]}
