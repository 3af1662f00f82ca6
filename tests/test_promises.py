"""The list of promises names tests that are there, and tests cite promises that are on the list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text()
FOLDERS = {
    "core": "packages/orcapod-core/tests",
    "delta": "packages/orcapod-delta/tests",
    "postgres": "packages/orcapod-postgres/tests",
    "ray": "packages/orcapod-ray/tests",
    "suites": "packages/orcapod-core/src/orcapod/testing",
    "tests": "tests",
}
LINES = re.findall(r"- `(\w+)/([\w/]+\.py)`:((?:\s+`\w+`,?)+)", PAGE)


@pytest.mark.parametrize(("folder", "file", "tests"), LINES, ids=[f"{folder}/{file}" for folder, file, _ in LINES])
def test_every_test_that_is_named_is_there(folder: str, file: str, tests: str) -> None:
    source = (ROOT / FOLDERS[folder] / file).read_text()
    for name in re.findall(r"`(\w+)`", tests):
        assert f"def test_{name}(" in source


def test_every_promise_is_followed_by_what_holds_it() -> None:
    promises = re.split(r"^(\d+)\. ", PAGE, flags=re.MULTILINE)[1:]
    assert promises[::2] == [str(number) for number in range(1, len(promises[::2]) + 1)]
    for number, text in zip(promises[::2], promises[1::2], strict=True):
        assert re.search(r"^ +- ", text, re.MULTILINE), number


def test_promises_that_tests_cite_are_on_the_list() -> None:
    count = len(re.findall(r"^\d+\. ", PAGE, re.MULTILINE))
    files = [file for folder in FOLDERS.values() for file in (ROOT / folder).rglob("*.py")]
    cited = {int(number) for file in files for number in re.findall(r"[Pp]romises? (\d+)", file.read_text())}
    assert cited
    assert max(cited) <= count
