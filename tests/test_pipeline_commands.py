"""The commands around a pipeline are the same on every store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

STUDY = """
import os

import orcapod as op
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
"""

STORES = ["delta", pytest.param("postgres", marks=pytest.mark.postgres)]


def command(*args: str, cwd: Path, store: str) -> Any:
    program = [sys.executable, "-m", "orcapod.cli", *args, "--json"]
    environment = {**os.environ, "STUDY_STORE": store}
    done = subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", STORES)
def test_a_plan_tells_what_was_run_has_failed_and_was_edited(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = "delta:///lab"
    if kind == "postgres":
        store = f"postgresql://?{urlencode(conninfo_to_dict(request.getfixturevalue('postgres_conninfo')))}"
    (tmp_path / "study.py").write_text(STUDY)
    ran = command("run", "study.py", cwd=tmp_path, store=store)
    node = ran["nodes"][1]
    assert (node["node"], node["computed"], node["cached"], node["failed"]) == ("scaled", 3, 0, 1)
    assert [failure["message"] for failure in ran["failures"]] == ["ValueError: found 2, expected another"]
    (tmp_path / "study.py").write_text(STUDY.replace("3 * x", "4 * x"))
    (plan,) = command("plan", "study.py", cwd=tmp_path, store=store)["nodes"]
    assert (plan["cached"], plan["stale"]) == (0, 3)
    assert any("+    return 4 * x" in reason["diff"] for reason in plan["reasons"])
