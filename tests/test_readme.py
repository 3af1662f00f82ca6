"""The programs in the README and the docs run, and print what they say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted(ROOT.glob("packages/*/README.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_programs_print_what_the_page_says(page: Path, tmp_path: Path) -> None:
    """The Python blocks of a page are one program; its text blocks, one after the other, are its output.

    A picture that it draws is the one beside the page.
    """
    text = page.read_text()
    program = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    expected = "".join(re.findall(r"```text\n(.*?)```", text, re.DOTALL))
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == expected
    for picture in tmp_path.glob("*.svg"):
        assert picture.read_text() == (page.parent / picture.name).read_text()
