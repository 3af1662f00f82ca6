"""What the README asks psql, and what it says that psql answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

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


def run(conninfo: str, weights: dict[int, float], *more: str, label: str = "mean") -> None:
    known = {"height": 2.0, **dict.fromkeys(more, 1)}
    rows = [{"patient": patient, "weight": weight, **known} for patient, weight in weights.items()]
    pipeline = op.Pipeline("study", PostgresDatabase(conninfo))
    with pipeline:
        each = bmi.pod(DictSource(rows, ["patient", *more], source_id="patients"), label="bmi")
        mean.pod(each.batch(), label=label)
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


@pytest.mark.postgres
def test_who_may_only_look_sees_the_views_too(postgres_conninfo: str) -> None:
    """With the rights that the README gives, also those of nodes that come, and of columns that change."""
    role = f"reader_{os.getpid()}"
    run(postgres_conninfo, {16: 80.0})
    (granted,) = re.findall(r"```sql\n(GRANT USAGE.*?)```", README.read_text("utf-8"), re.DOTALL)
    with psycopg.connect(postgres_conninfo, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN")
        try:
            owner.execute(re.sub(r"\breader\b", role, granted).replace("ROLE ada", f"ROLE {owner.info.user}").encode())
            run(postgres_conninfo, {16: 80.0, 17: 100.0}, "ward", label="later")
            as_reader = psycopg.conninfo.make_conninfo(postgres_conninfo, user=role)
            with psycopg.connect(as_reader) as reader:
                for schema, name in (("study", "bmi"), ("study", "later"), ("orcapod", "study.later_history")):
                    query = SQL("SELECT count(*) FROM {}").format(Identifier(schema, name))
                    assert reader.execute(query).fetchone() == ((2,) if name == "bmi" else (1,))
            with op.open_store(PostgresDatabase(as_reader)) as store, store.database:
                assert store.sql('SELECT bmi FROM "study.bmi" ORDER BY 1')["bmi"].to_pylist() == [20.0, 25.0]
        finally:
            owner.execute(f"DROP OWNED BY {role}")
            owner.execute(f"DROP ROLE {role}")


def trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
