"""The commands around a pipeline are the same on every store."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

STUDY = """
import os

import orcapod as op
from orcapod.observers import StatusObserver
from orcapod.sources import DictSource


@op.function_pod("y")
def scale(x: int) -> int:
    if x == 2:
        raise ValueError(f"found {x}, expected another")
    return 3 * x


pipeline = op.Pipeline("study", os.environ["STUDY_STORE"])
with pipeline:
    rows = [{"who": who, "x": who} for who in range(4)]
    scale.pod(DictSource(rows, ["who"], source_id="people", record_id_column="who"), label="scaled")

if __name__ == "__main__":
    pipeline.run(observer=StatusObserver(pipeline.log_database))
"""

HOSTILE = "it's [red]\x1b[31m\n\u202e\\x1b é"

STORES = ["delta", pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.mark.parametrize("kind", STORES)
def test_a_plan_tells_what_was_run_and_was_edited(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store = "delta:///lab"
    if kind == "postgres":
        store = f"postgresql://?{urlencode(conninfo_to_dict(request.getfixturevalue('postgres_conninfo')))}"

    def printed(*program: str) -> str:
        environment = {**os.environ, "STUDY_STORE": store}
        command = [sys.executable, *program]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "study.py").write_text(STUDY)
    assert printed("study.py") == ""
    (tmp_path / "study.py").write_text(STUDY.replace("3 * x", "4 * x"))
    (plan,) = json.loads(printed("-m", "orcapod.cli", "plan", "study.py", "--json"))["nodes"]
    assert (plan["cached"], plan["stale"]) == (0, 3)
    assert any("+    return 4 * x" in reason["diff"] for reason in plan["reasons"])


@pytest.mark.parametrize("kind", ["sqlite", *STORES])
def test_the_command_that_shows_a_failure_works_as_it_is_pasted(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store, secret = f"{kind}:///lab store", "never shown"
    if kind == "postgres":
        conninfo = {**conninfo_to_dict(request.getfixturevalue("postgres_conninfo")), "password": secret}
        store = f"postgresql://?{urlencode(conninfo, quote_via=quote)}&schema=lab%20store"
    (tmp_path / "study.py").write_text(STUDY.replace('"scaled"', repr(HOSTILE)))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "STUDY_STORE": store, "PATH": path}

    def printed(line: str) -> str:
        command = ["bash", "-c", line]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert not done.stderr
        assert secret not in done.stdout
        return done.stdout

    (advised,) = re.findall("^orcapod logs .*", printed("orcapod run study.py"), re.MULTILINE)
    (entry,) = json.loads(printed(f"{advised} --json"))
    assert (entry["node"], entry["tags"]) == (HOSTILE, {"who": "2"})
