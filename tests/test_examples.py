"""The examples run, and a second run computes nothing that the first one has computed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SAYS = {
    "earth_rotation.py": ["The shortest days, and the longest", r"leap +0 +1,025 +0", r"from +iers_final::date=\d"],
    "penguins.py": ["0 computed, 16 cached", r"together +-0\.085 mm/mm, r = -0\.24", r"from +row_\d+ of penguins.csv"],
    "pictures.py": [
        r"Seven thresholds.*\n +flat +0 +3 +1\n +found +0 +21 +0\n",
        "moon: image file is truncated",
        r"coins .* 24, 0\.08 to 0\.12, within 0%",
        r"from +pictures::file=coins\.png",
        r"One threshold more.*\n +flat +0 +3 +1\n +found +0 +24 +0\n",
    ],
}


def test_every_example_is_tested() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == sorted(SAYS)


@pytest.mark.parametrize("example", sorted(SAYS))
def test_a_second_run_finds_what_the_first_computed(example: str, tmp_path: Path) -> None:
    for _ in range(2):
        command = [sys.executable, str(EXAMPLES / example), str(tmp_path / "store.db")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for words in SAYS[example]:
        assert re.search(words, done.stdout), f"{words!r} is not in\n{done.stdout}"
