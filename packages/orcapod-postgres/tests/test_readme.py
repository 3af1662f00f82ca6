"""What the README asks psql, and what it says that psql answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import orcapod as op
from orcapod.sources import DictSource
from orcapod_postgres import PostgresDatabase

README = Path(__file__).parent.parent / "README.md"


@op.function_pod(output_keys="bmi", identity="version")
def bmi(weight: float, height: float) -> float:
    return weight / height**2


@op.function_pod(output_keys="mean", identity="version")
def mean(bmi: list[float]) -> float:
    return sum(bmi) / len(bmi)


def run(conninfo: str, weights: dict[int, float]) -> None:
    rows = [{"patient": patient, "weight": weight, "height": 2.0} for patient, weight in weights.items()]
    pipeline = op.Pipeline("study", PostgresDatabase(conninfo))
    with pipeline:
        each = bmi.pod(DictSource(rows, ["patient"], source_id="patients"), label="bmi")
        mean.pod(each.batch(), label="mean")
    pipeline.run(progress=False).raise_for_errors()
    pipeline.database.close()


@pytest.mark.postgres
def test_psql_answers_what_the_readme_says(postgres_conninfo: str) -> None:
    psql = shutil.which("psql")
    if psql is None and not os.environ.get("CI"):
        pytest.skip("psql, the client of PostgreSQL, is not installed")
    run(postgres_conninfo, {16: 80.0, 17: 100.0})
    run(postgres_conninfo, {16: 80.0, 17: 120.0})
    (session,) = re.findall(r"\$ psql lab\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    asked = [part for part in session.split("lab=> ") if part]
    assert len(asked) >= 3
    for part in asked:
        statement, answer = part.replace("lab->", "").split(";\n", 1)
        program = [str(psql), "-X", "-d", postgres_conninfo, "-c", statement]
        done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert trimmed(done.stdout) == trimmed(answer)


def trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
