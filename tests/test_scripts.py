"""Users' programs that must run unchanged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "shared" / "scripts"


@pytest.mark.parametrize("name", ["quickstart", "observe"])
def test_a_users_program_runs_unchanged(name: str, tmp_path: Path) -> None:
    script = SCRIPTS / f"{name}.py"
    if not script.exists():
        pytest.skip(f"{script} is not there: a clone has no users' programs beside it")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"{name}: ok"
