"""Users' programs that must run unchanged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

SCRIPTS = Path(__file__).resolve().parents[2] / "shared" / "scripts"


def run(name: str, folder: Path, *arguments: str) -> str:
    """The last line that a users' program prints."""
    script = SCRIPTS / f"{name}.py"
    if not script.exists():
        pytest.skip(f"{script} is not there: a clone has no users' programs beside it")
    command = [sys.executable, "-W", "error", str(script), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "name",
    ["quickstart", "observe", "overlap", "values", "sweep", "ledger", pytest.param("on_ray", marks=pytest.mark.ray)],
)
def test_a_users_program_runs_unchanged(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path) == f"{name}: ok"


@pytest.mark.postgres
def test_one_pipeline_runs_on_any_store(tmp_path: Path, postgres_conninfo: str) -> None:
    parts = conninfo_to_dict(postgres_conninfo)
    url = f"postgresql:///?{urlencode(parts)}"
    assert run("backends", tmp_path, url) == "backends: ok (3 stores)"
