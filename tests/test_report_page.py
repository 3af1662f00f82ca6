"""The report of a run, opened in a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page

from orcapod.report import block, document, element, fold, search, section

HOSTILE = "</pre><script>alert(1)</script><img src=http://localhost:9/x onerror=alert(2)>"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_field_filters_as_one_types(visit: Callable[..., Page], tmp_path: Path, scheme: str) -> None:
    items = [fold(f"packet {number}", block(f"Output {number} {HOSTILE}"), class_="item") for number in "xyz"]
    parts = [search(HOSTILE, "packets"), element("div", *items, id="packets")]
    (tmp_path / "page.html").write_text(document(HOSTILE, section("all", HOSTILE, *parts)))
    page = visit((tmp_path / "page.html").as_uri(), scheme=scheme)
    page.fill("input", "PACKET output y")
    assert page.locator(".item:visible").count() == 1
    assert page.locator("output").text_content() == "1 of 3"
    page.fill("input", "")
    assert page.locator(".item:visible").count() == 3
    assert page.title() == HOSTILE
