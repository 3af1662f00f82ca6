"""The programs in the README and the docs run, and print what they say."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from orcapod.cli.main import main as orcapod

ROOT = Path(__file__).parent.parent
CHANGING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}[0-9a-f-]*|code [0-9a-f]{8}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    r"|[\d.,]+/s|[\d.]+ (?:ms|s|min|bytes|kB|MB)\b|CPython [\d.]+|Linux \S+ \S+|(?<=File \")\S*(?=program\.py)| +"
)
"""What is not the same from run to run: names of runs, times, sizes, where it runs; and how wide columns are for it."""
CONSOLE = re.compile(r"```console\n\$ ((?:echo|sed|orcapod) .*?)\n```", re.DOTALL)
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


@pytest.mark.parametrize(
    "page", [page for page in PAGES if CONSOLE.search(page.read_text())], ids=lambda page: page.name
)
def test_commands_print_what_the_page_says(
    page: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Python blocks of a page make a store; behind each ``$`` of its console blocks stands what is printed then.

    What is no more than ``orcapod`` and its arguments is called in this process, all else by a shell: also what makes
    the program the main module.
    """
    text = page.read_text()
    (tmp_path / "program.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def printed(command: str) -> str:
        program, *args = shlex.split(command)
        if program != "orcapod" or "|" in args or any(arg.startswith("program.py") for arg in args):
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
            return done.stdout + done.stderr
        with pytest.raises(SystemExit):
            orcapod(args)
        return "".join(capsys.readouterr())

    def steady(shown: str) -> str:
        told = (line for line in shown.splitlines() if line.strip(" ~^"))  # each Python marks frames otherwise
        return "\n".join(CHANGING.sub(" # ", line).strip(" #") for line in told)

    subprocess.run([sys.executable, "program.py"], capture_output=True, check=True)
    for block in CONSOLE.findall(text):
        for told in block.split("\n$ "):
            command, _, expected = told.partition("\n")
            assert steady(printed(command)) == steady(expected), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_row_of_a_table_has_a_cell_for_each_heading(page: Path) -> None:
    """A pipe that is not escaped ends a cell, also within backticks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        heading, *rows = table.splitlines()
        for row in rows:
            assert len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", heading)), row
