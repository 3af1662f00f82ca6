"""Whatever text is put into a page is text there, and the page asks for nothing."""

from __future__ import annotations

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcapod.report import Html, block, document, element, fold, joined, link, search, section, table
from orcapod.report.document import policy, resource

HOSTILE = [
    "</pre><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "]]>--><!--",
    "&lt;b&gt;",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x00 \x08 \u202e \ud800",
    "",
]
texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=40))


class Parsed(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ends: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self.ends.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(texts, texts)
def test_text_is_text_in_content_and_attributes(content: str, value: str) -> None:
    parsed = Parsed(element("p", content, element("b", content), title=value))
    assert parsed.names == ["p", "b"]
    assert parsed.ends == ["b", "p"]
    assert [name for name, _ in parsed.attributes] == ["title"]
    assert all(each.isprintable() or each in "\n\t\u200c\u200d" for each in parsed.text)
    if content.isprintable():
        assert parsed.text == content * 2
    if value.isprintable():
        assert parsed.attributes == [("title", value)]


@given(st.lists(texts, min_size=7, max_size=7))
def test_no_part_of_a_page_takes_text_for_anything_else(given: list[str]) -> None:
    one, two, three, four, five, six, seven = given
    parts = [
        table(one, [two], [[three], [1234567]]),
        fold(four, five),
        section("s", six, block(seven)),
        link("#s", one),
    ]
    plain = [table("", ["a"], [["a"], [1234567]]), fold("a", "a"), section("s", "a", block("a")), link("#s", "a")]
    assert Parsed(joined(*parts)).names == Parsed(joined(*plain)).names
    assert "1,234,567" in Parsed(joined(*parts)).text


def test_colours_are_removed_and_controls_are_seen() -> None:
    shown = unescape(block("\x1b[1;31mfailed\x1b[0m\r\n 10%\r 20%\x07 \u202eabc\tend"))
    assert shown == '<pre tabindex="0">\nfailed\n 10%\\r 20%\\x07 \\u202eabc\tend</pre>'


def test_long_text_keeps_its_beginning_and_its_end_and_says_what_is_left_out() -> None:
    text = "".join(f"line {number:05}\n" for number in range(1000))
    shown = block(text, 600)
    assert len(shown) < 800
    assert "line 00000" in shown
    assert "line 00999" in shown
    assert f"{len(text) - 600:,} characters are left out" in shown
    assert block(text, len(text)) == block(text)


def test_attributes_are_named_as_in_html_and_none_is_left_out() -> None:
    shown = element("input", aria_label="a", class_="b", hidden=True, checked=False, value=None, size=3)
    assert shown == '<input aria-label="a" class="b" hidden size="3">'


def test_a_page_allows_the_style_and_the_scripts_that_are_in_it_and_nothing_else() -> None:
    page = document("t", "content", scripts=["let a = 1;"], directives={"connect-src": "'self'"})
    assert page.startswith("<!doctype html>\n<html")
    (allowed,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    rules = dict(rule.split(" ", 1) for rule in unescape(allowed).split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert len(rules["script-src"].split()) == 2
    assert "unsafe" not in allowed
    assert "http:" not in page
    assert "https:" not in page
    assert unescape(allowed) == policy([resource("script.js"), "let a = 1;"], {"connect-src": "'self'"})


def test_a_field_filters_what_it_names() -> None:
    assert 'data-filters="packets"' in search("Search", "packets")
    assert 'id="packets-found"' in search("Search", "packets")


def test_what_is_no_html_is_escaped_also_beside_some() -> None:
    assert joined(Html("<b>"), "<b>") == "<b>&lt;b&gt;"


@pytest.mark.parametrize("name", ["style.css", "script.js"])
def test_resources_ask_for_nothing(name: str) -> None:
    text = resource(name)
    for asking in ("url(", "@import", "http:", "https:", "fetch(", "XMLHttpRequest", "innerHTML", "eval("):
        assert asking not in text
