"""Names in messages and in advice: what is read is what can be typed."""

from __future__ import annotations

import subprocess

from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcapod.cli.suggestion import typed, unknown

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@settings(max_examples=5)
@given(st.lists(TEXTS, min_size=30, max_size=60))
@example(["", "it's", "ev[red]il\x1b[31m", "a\nb", "\\", "\x1bf\\'é", "$(ls) `ls` !!", "\u202ee", "~", "\x7f9"])
def test_a_shell_reads_any_word_as_it_was_and_nothing_in_it_moves_a_cursor(words: list[str]) -> None:
    line = " ".join(map(typed, words))
    assert not {"\x1b", "\n", "\u202e"} & {*line}
    read = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert read.decode().split("\0")[:-1] == words


def test_names_that_there_are_can_be_typed() -> None:
    there = unknown("node", "evil", ["plain name", "evil\x1b[31m"]).message
    assert there == r"there is no node 'evil'; did you mean $'evil\x1b[31m'? there are plain name, $'evil\x1b[31m'"


def test_a_name_that_no_encoding_has_can_be_told() -> None:
    assert "$'a\\x3fb'" in unknown("node", "a\ud800b", []).message
