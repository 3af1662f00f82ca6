"""The report of a run, opened in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

import orcapod as op
from orcapod.observers import LoggingObserver
from orcapod.sources import DictSource

HOSTILE = "</pre></style></script><script>alert(1)</script><img src=http://localhost:9/x onerror=alert(2)>"
Visit = Callable[..., Page]

CONTRASTS = """\
() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const box = element.closest("g")?.querySelector(".box");
    if (box) return getComputedStyle(box).fill;
    const colour = getComputedStyle(element).backgroundColor;
    return /, 0\\)$/.test(colour) ? ground(element.parentElement) : colour;
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
    if (!text.length || ["title", "SCRIPT", "STYLE", "style"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const one = light(element.tagName === "text" ? style.fill : style.color), other = light(ground(element));
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (contrast < 4.5) found.push([contrast, element.tagName, text[0].data]);
  }
  return found;
}
"""


@op.function_pod("y")
def halved(x: int) -> int:
    print(f"row {x}: {HOSTILE} {'x' * 300}")
    if x % 10 == 3:
        raise ValueError(f"unhappy number {x}: {HOSTILE}")
    return x // 2


@op.function_pod("total")
def summed(y: list[int]) -> int:
    return sum(y)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report of a run after another, with failures, of hostile labels, tags and outputs."""
    folder = tmp_path_factory.mktemp("report")
    for count in (30, 60):
        with op.Pipeline("study", folder / "lab.db") as pipeline:
            rows = [{"who": f"<i>w{x}</i>", "x": x} for x in range(count)]
            each = halved.pod(DictSource(rows, ["who"], source_id="s"), label=HOSTILE[:60])
            summed.pod(each.batch(20, incomplete="keep", label="twenty each"), label="a label " * 12)
            each.sort("y")
        pipeline.run(
            observer=LoggingObserver(pipeline.log_database), progress=False, note=HOSTILE, tags={"<b>site": "a" * 200}
        )
        pipeline.database.close()
    return op.write_report(folder / "lab.db", folder / "run.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [375, 1280])
def test_it_fits_and_can_be_read_at_any_width_by_day_and_at_night(
    visit: Visit, report: str, width: int, scheme: str
) -> None:
    page = visit(report, width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)"
    )
    assert page.evaluate(CONTRASTS) == []


def test_a_failed_packet_is_found_by_what_it_wrote(visit: Visit, report: str) -> None:
    page = visit(report)
    items = page.locator(".item:visible")
    assert items.count() == 6
    page.get_by_role("searchbox").press_sequentially("UNHAPPY number 43:")
    assert items.count() == 1
    assert page.locator("output").text_content() == "1 of 6"
    assert page.get_by_text("row 43: </pre>").is_visible()
    for words, count in (("who=<i>w23", 1), (f"{HOSTILE[:60]} w13", 1), ("unhappy", 6), ("nowhere", 0), ("", 6)):
        page.get_by_role("searchbox").fill(words)
        assert items.count() == count, words
    assert page.locator(".group:visible").count() == 1


def test_hostile_labels_tags_and_log_lines_are_text(visit: Visit, report: str) -> None:
    page = visit(report)
    assert page.evaluate("[document.scripts.length, document.images.length]") == [1, 0]
    assert page.locator("h1 ~ p").first.text_content() == HOSTILE
    assert page.locator("summary").filter(has_text="<i>w3</i>").count() == 1
    page.wait_for_load_state("networkidle")


def test_all_of_it_is_reached_by_keyboard(visit: Visit, report: str) -> None:
    page = visit(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Nodes"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#failures$"))
    page.wait_for_function("Math.abs(document.getElementById('failures').getBoundingClientRect().top) < 100")
    fold = page.locator("#environment details")
    fold.locator("summary").focus()
    page.keyboard.press("Enter")
    assert fold.get_by_text("pyarrow").first.is_visible()
    left = "[...document.querySelectorAll('a, summary, input, .wide')].filter((each) => each.tabIndex < 0).length"
    assert page.evaluate(left) == 0
