"""The pipeline that a command is given: where it is found, and what of it is the same as in a script."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

STUDY = '''
"""A study."""
import sys
from dataclasses import dataclass
from enum import Enum

import orcapod as op
from orcapod.sources import DictSource


class Kind(Enum):
    A = "a"


@dataclass(frozen=True)
class Settings:
    factor: int
    kind: Kind = Kind.A


@dataclass
class Made:
    value: int


SETTINGS = Settings(3)


@op.function_pod("made")
def make(x: int) -> Made:
    return Made(SETTINGS.factor * x + len(SETTINGS.kind.value))


@op.function_pod("y")
def use(made: Made) -> int:
    return made.value


pipeline = op.Pipeline("study", "lab.db")
with pipeline:
    source = DictSource([{"who": i, "x": i} for i in range(3)], ["who"], source_id="s")
    use.pod(make.pod(source, label="made"), label="used")


def built(name: str = "study") -> op.Pipeline:
    return pipeline


def asks(name: str) -> op.Pipeline:
    return pipeline


number = 3
if __name__ == "__main__" and number == 3:
    from orcapod.executors import LocalExecutor
    print(pipeline.run(execution_engine=LocalExecutor(1, sys.argv[1])).node_counts)
else:
    number = 4
'''


def command(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "orcapod.cli", *args]
    return subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def computed(done: subprocess.CompletedProcess[str]) -> list[tuple[str, int, int]]:
    nodes = json.loads(done.stdout)["nodes"]
    return [(node["node"], node["computed"], node["cached"]) for node in nodes if node["kind"] == "function"]


@pytest.mark.parametrize(("script", "jobs"), [("thread", []), ("process", ["--jobs", "1"])])
def test_what_a_script_has_computed_is_there_for_the_command(tmp_path: Path, script: str, jobs: list[str]) -> None:
    """Classes of the file, values of them, and workers are part of it: each is the same as in ``python file.py``."""
    (tmp_path / "study.py").write_text(STUDY)
    program = [sys.executable, "study.py", script]
    before = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert "'made': {'computed': 3, 'cached': 0, 'failed': 0}" in before.stdout, before.stderr
    done = command("run", "study.py:pipeline", "--json", *jobs, cwd=tmp_path)
    assert computed(done) == [("made", 0, 3), ("used", 0, 3)], done.stderr
    if jobs:
        again = command("run", "study.py", "--json", "--recompute", "made", *jobs, cwd=tmp_path)
        assert computed(again) == [("made", 3, 0), ("used", 0, 3)], again.stderr


LOADING = """
import sys
import click
from orcapod.cli.output import Output
from orcapod.cli.target import load_pipeline
for target in sys.argv[1:]:
    try:
        print("/".join(load_pipeline(target, Output(is_json=False))))
    except click.ClickException as error:
        print(error.message)
"""


def loaded(*targets: str, cwd: Path) -> list[str]:
    program = [sys.executable, "-c", LOADING, *targets]
    return subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def test_a_module_is_found_from_here_and_a_file_with_what_lies_beside_it(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "__init__.py").write_text("")
    (lab / "study.py").write_text(STUDY)
    (lab / "uses.py").write_text("from study import pipeline as p\nq = p\n")
    targets = ["lab.study:pipeline", "lab.study:built", "lab.study", "lab/study.py", "lab/uses.py", "lab/uses.py:q"]
    assert loaded(*targets, cwd=tmp_path) == ["s/made/used"] * len(targets)


def test_what_there_is_not_is_told_with_the_nearest_that_there_is(tmp_path: Path) -> None:
    (tmp_path / "study.py").write_text(STUDY)
    (tmp_path / "none.py").write_text("")
    (tmp_path / "lab.db").touch()
    functions = "def build(): ...\ndef asks(x): ...\nasync def waits(): ...\n"
    (tmp_path / "makes.py").write_text(f"from study import built\n{functions}")
    (tmp_path / "two.py").write_text("from study import pipeline, op\nother = op.Pipeline('other')")
    says = "name a pipeline, or a function without arguments that returns one"
    advice = "say which one is meant, or what returns it"
    expected = {
        "stdy.py": "there is no file 'stdy.py'; did you mean 'study.py'? there are makes.py, none.py, study.py, two.py",
        "stdy": "there is no module 'stdy'; did you mean 'study'? there are makes, none, study, two",
        "lab.study": "there is no module 'lab'; there are makes, none, study, two",
        "study.py:pipelin": "there is no pipeline 'pipelin'; did you mean 'pipeline'? there are pipeline, built",
        "study:number": f"study:number is no pipeline, of type int; {says}",
        "study:asks": f"study:asks is no pipeline, of type function; {says}",
        "study:Kind": f"study:Kind is no pipeline, of type EnumType; {says}",
        "none.py": f"found 0 pipelines in none.py, expected one: none; {advice}: none.py:NAME",
        "makes.py": f"found 0 pipelines in makes.py, expected one: none; {advice}, such as build: makes.py:NAME",
        "lab.db": "found the file 'lab.db', expected a pipeline: file.py, file.py:NAME or module:NAME",
        "two": f"found 2 pipelines in two, expected one: pipeline, other; {advice}: two:NAME",
    }
    assert loaded(*expected, cwd=tmp_path) == list(expected.values())


def test_an_error_of_the_users_file_is_shown_from_the_users_frames_on(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text("def f():\n    raise ValueError('no\\x1b[31m')\nprint('loading')\nf()\n")
    done = command("run", "wrong", "--json", cwd=tmp_path)
    file = tmp_path / "wrong.py"
    first, *frames = done.stderr.splitlines()
    assert (done.returncode, done.stdout, first) == (2, "", "loading")
    assert frames[:2] == ["Traceback (most recent call last):", f'  File "{file}", line 4, in <module>']
    assert frames[-2:] == ["ValueError: no\\x1b[31m", "wrong cannot be loaded: ValueError, see above"]
    assert "orcapod" not in "".join(frames[:-1])


def test_a_file_that_is_no_python_or_that_ends_is_no_pipeline(tmp_path: Path) -> None:
    told = {"broken.py": "SyntaxError: invalid syntax", "ending.py": "SystemExit: 0"}
    (tmp_path / "broken.py").write_text("x = = 3")
    (tmp_path / "ending.py").write_text("raise SystemExit(0)")
    shown = "\n".join(loaded(*told, cwd=tmp_path))
    for name, error in told.items():
        assert f'File "{tmp_path / name}", line 1' in shown
        assert error in shown
        assert f"{name} cannot be loaded: {error.partition(':')[0]}, see above" in shown
    assert "orcapod" not in shown


def test_of_what_cannot_be_loaded_it_is_said_what_helps(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "__init__.py").touch()
    (lab / "study.py").write_text("from . import other")
    (tmp_path / "asks.py").write_text("import argparse\nargparse.ArgumentParser('asks').parse_args(['what'])")
    relative, asking = "\n".join(loaded("lab/study.py", cwd=tmp_path)), "\n".join(loaded("asks.py", cwd=tmp_path))
    assert relative.endswith("see above; a file of a package is named as a module: lab.study")
    assert "argparse.py" not in asking
    assert f'File "{tmp_path / "asks.py"}", line 2' in asking
    assert asking.endswith("see above; what only a run of its own is to do stands below if __name__ == '__main__':")
