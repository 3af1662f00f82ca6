"""What is typed finds the rows that show it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orcapod.ui.rows import matching, texts_of

TEXTS = st.text(st.characters(exclude_characters='"', exclude_categories=["Cs"]))


def found(query: str, **columns: Sequence[object]) -> list[bool]:
    return list(matching(texts_of(pa.table(dict(columns))), query).to_pylist())


@given(TEXTS)
@example("İstanbul")
def test_a_text_is_found_by_itself(text: str) -> None:
    assert found(f's="{text}"', s=[text, f"{text}."]) == [True, False]
    assert found(f'"{text}"', s=[text]) == [True]


@pytest.mark.parametrize("typed", ["İstanbul", "istanbul", "s=İSTANBUL", "s=istanbul"])
def test_case_is_of_no_account_where_it_changes_the_length(typed: str) -> None:
    assert found(typed, s=["İstanbul", "Ankara"]) == [True, False]


@pytest.mark.parametrize("query", ["o=", 'o=""', "o= 7", "7 o="])
@pytest.mark.parametrize("values", [["", None, "a"], [None, None, 1], [None, None, 1.5], [None, None, [1]]])
def test_what_is_empty_or_missing_is_found(query: str, values: list[object]) -> None:
    assert found(query, o=values, k=["7", "7", "7"]) == [True, True, False]


def test_a_name_of_no_column_is_a_word() -> None:
    assert found("x=", k=["x=1", "y=1"]) == [True, False]
    assert found("x=1", k=["x=1", "y=1"]) == [True, False]
