"""``value_size``: never less than what a store of canonical bytes keeps, and not much more."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from orcapod.types import Schema, encode, may_be_large, value_size

SAMPLES = [
    (str, "x" * 5000),
    (str, "\N{GREEK SMALL LETTER ALPHA}" * 5000),
    (bytes, b"x" * 5000),
    (list[int], [1] * 5000),
    (list[int | None], [1, None] * 2500),
    (list[str], ["a"] * 5000),
    (list[list[str]], [["a", "b"]] * 2500),
    (list[tuple[int, str]], [(1, "a")] * 2500),
    (dict[str, bytes], {f"key {i}": b"value" for i in range(1000)}),
]


@pytest.mark.parametrize(("annotation", "value"), SAMPLES, ids=lambda each: str(each)[:40])
def test_it_is_at_least_what_is_stored_and_not_much_more(annotation: Any, value: Any) -> None:
    type_ = Schema({"c": annotation}).types["c"]
    assert may_be_large(type_.arrow)
    stored = type_.to_storage(value)
    needed = len(encode(pa.array([stored], type_.arrow))[0].as_py())
    assert needed <= value_size(stored) + 16 <= 3 * needed


@pytest.mark.parametrize("annotation", [int, float, bool])
def test_numbers_are_never_large(annotation: Any) -> None:
    assert not may_be_large(Schema({"c": annotation}).types["c"].arrow)
