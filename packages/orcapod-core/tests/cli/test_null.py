"""What has no value is told from the text that is empty or says null, in what a command shows and is asked for."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import orcapod as op

PROGRAM = """
import orcapod as op
from orcapod.sources import DictSource

ROWS = [
    {"k": None, "s": "a", "x": 0},
    {"k": 1, "s": None, "x": 1},
    {"k": 2, "s": "null", "x": 2},
    {"k": 3, "s": "", "x": 3},
    {"k": 4, "s": "None", "x": 4},
]


@op.function_pod(("y", "z", "l"))
def f(x: int, s: str | None = None) -> tuple[str | None, float, list[int | None]]:
    print("called with", x)
    return [None, "", "null", 'a,"b', "n"][x], [float("nan"), float("inf"), 0.5, -0.0, 1.0][x], [None, x]


pipeline = op.Pipeline("nothing", "lab.db")
with pipeline:
    f.pod(DictSource(ROWS, ["k", "s"], source_id="s"), label="f")
"""


SEVERAL = """
import contextlib, io, json, sys
from orcapod.cli.main import main
done = []
for args in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            main(args)
        except SystemExit as end:
            done.append((end.code, out.getvalue()))
json.dump(done, sys.stdout)
"""


def commands(*several: Sequence[str], cwd: Path) -> list[tuple[int, str]]:
    """Return code and output of several commands, which one process runs one after the other."""
    program = [sys.executable, "-c", SEVERAL, json.dumps(several)]
    done = subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=60, check=True)
    return [(code, shown) for code, shown in json.loads(done.stdout)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nothing")
    (folder / "program.py").write_text(PROGRAM)
    (folder / "orcapod.toml").write_text('store = "lab.db"')
    ((code, _),) = commands(("run", "program.py"), cwd=folder)
    assert code == 0
    return folder


ASKED = {"k=null": 0, "s=null": 1, 's="null"': 2, "s=": 3, "s=None": 4, "k=3": 3}


def test_null_is_asked_for_alike_of_all_commands(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    asked = [
        each
        for tag in ASKED
        for each in (
            ("logs", "last", "--tag", tag, "--json"),
            ("trace", "f", tag, "--json"),
            ("reproduce", "last", "f", tag, "program.py", "--json"),
        )
    ]
    runs = [("run", "program.py", "--where", tag, "--recompute", "f", "--json") for tag in ASKED]
    done = iter(commands(*asked, *runs, cwd=tmp_path))

    def told() -> Any:
        code, shown = next(done)
        assert code == 0
        return json.loads(shown[re.search(r"^[\[{]", shown, re.MULTILINE).start() :])  # type: ignore[union-attr]

    for tag, x in ASKED.items():
        assert [each["stdout"] for each in told()] == [f"called with {x}\n"], tag
        assert told()["tags"]["k"] == (x or None), tag
        assert told()["arguments"]["x"] == x, tag
    for tag in ASKED:
        assert [node["computed"] for node in told()["nodes"] if node["kind"] == "function"] == [1], tag


def test_logs_of_null_are_told_by_a_store(folder: Path) -> None:
    with op.open_store(folder / "lab.db") as store:
        for tag, x in ({"k": None}, 0), ({"s": None}, 1), ({"s": "None"}, 4):
            assert store.logs(tag=tag).column("__stdout").to_pylist() == [f"called with {x}\n"]


def test_null_is_shown_as_no_text_is(folder: Path) -> None:
    asked = ("head", "f", "--columns", "y,l"), ("sql", 'SELECT y, k FROM "nothing.f" WHERE y IS NULL'), ("logs", "last")
    shown, found, logged = (text.splitlines() for _, text in commands(*asked, cwd=folder))
    assert [line.split("[")[0].strip() for line in shown] == ["y    l", "∅", "", "null", 'a,"b', "n"]
    assert shown[1].endswith("[∅, 0]")
    assert [line.split() for line in found] == [["y", "k"], ["∅", "∅"]]
    assert [line.partition("f  ")[2] for line in logged if "s=" in line][:3] == [
        "k=null, s=a",
        "k=1, s=null",
        'k=2, s="null"',
    ]


def test_a_csv_tells_null_from_the_empty_text(folder: Path) -> None:
    assert commands(("export", "f", "f.csv"), cwd=folder)[0][0] == 0
    lines = (folder / "f.csv").read_text().splitlines()
    assert [line.split(",", 2)[0] for line in lines] == ["k", "", "1", "2", "3", "4"]
    assert '1,,"",inf,' in lines[2]
    assert lines[1].startswith(",a,,nan,")
    assert lines[3].startswith("2,null,null,0.5,")
    assert lines[4].startswith('3,"","a,""b",-0.0,"[null, 3]"')
