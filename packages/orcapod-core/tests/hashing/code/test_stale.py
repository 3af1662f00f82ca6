"""No stale value: an edit that changes what a function gives makes another function of it, in new processes.

The edits are those of ``edits.md``. That each changes what a direct call gives is tested too; the same files in another
process, with another hash seed, are the same function, and so they are after it has run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

TITLES = re.findall(r"^### (.*)$", Path(__file__).with_name("edits.md").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def sides(
    read_edits: Callable[[Mapping[str, Any]], dict[str, Any]], edits: Callable[[str], dict[str, Any]]
) -> dict[str, Any]:
    return read_edits(edits("edits.md"))


@pytest.mark.parametrize("edit", TITLES)
def test_an_edit_that_changes_what_comes_out_makes_another_function(edit: str, sides: dict[str, Any]) -> None:
    before, _, after = sides[edit]
    assert (before["given"], before["keys"]) != (after["given"], after["keys"]), "the edit changes nothing"
    assert before["hash"] != after["hash"], "stale"


@pytest.mark.parametrize("edit", TITLES)
def test_the_same_files_are_the_same_function_in_every_process(edit: str, sides: dict[str, Any]) -> None:
    before, again, _ = sides[edit]
    assert before["hash"] == again["hash"]
    assert before["opaque"] == before["unseen"] == []


@pytest.mark.parametrize("edit", TITLES)
def test_running_changes_nothing(edit: str, sides: dict[str, Any]) -> None:
    assert [side["hash"] for side in sides[edit]] == [side["after"] for side in sides[edit]]
