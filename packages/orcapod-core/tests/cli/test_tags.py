"""Tags that a command is given become values of the types that they have."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import click
import pytest

from orcapod.cli.tags import tag_values
from orcapod.types import Schema


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (str, "1", "1"),
        (str, "a=b", "a=b"),
        (int, "-12", -12),
        (int | None, "12", 12),
        (float, "0.5", 0.5),
        (bool, "true", True),
        (date, "2026-01-31", date(2026, 1, 31)),
        (datetime, "2026-01-31T12:00:00", datetime(2026, 1, 31, 12)),  # noqa: DTZ001  # as the tag has it
        (Decimal, "1.50", Decimal("1.5")),
        (UUID, "00000000-0000-0000-0000-000000000007", UUID(int=7)),
        (Colour, "RED", Colour.RED),
        (Colour, "red", Colour.RED),
        (list[int], "3", 3),
        (list[int], "[3, 4]", [3, 4]),
        (list[int], "[]", []),
        (list[date], '["2026-01-31"]', [date(2026, 1, 31)]),
        (list[list[str]], '[["a"], []]', [["a"], []]),
        (list[str] | None, '["a", null]', ["a", None]),
        (list[str], "[a]", "[a]"),
        (list[list[str]], "a", "a"),
    ],
)
def test_a_text_is_the_value_that_it_says(annotation: Any, text: str, value: Any) -> None:
    (found,) = tag_values([f"k={text}"], [Schema({"k": annotation})], "--where")["k"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("annotation", "text"), [(int, "a"), (int, "1.5"), (float, ""), (UUID, "7"), (date, "today")])
def test_a_text_that_never_is_one_is_refused(annotation: Any, text: str) -> None:
    with pytest.raises(click.UsageError, match=f"--where: k='{text}' never holds: the tag is "):
        tag_values([f"k={text}"], [Schema({"k": annotation})], "--where")


def test_a_tag_given_again_has_several_values() -> None:
    given = ["site=a", "who=1", "who=2"]
    schemas = [Schema({"who": int}), Schema({"site": str})]
    assert tag_values(given, schemas, "--where") == {"site": ("a",), "who": (1, 2)}
