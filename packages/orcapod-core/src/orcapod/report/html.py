"""``Html``: text of a page that is safe there, and what makes it; all other text is escaped."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

from orcapod.display import one_line, printable

__all__ = [
    "Html",
    "block",
    "element",
    "fold",
    "joined",
    "link",
    "readable",
    "search",
    "section",
    "shortened",
    "size_of",
    "table",
    "terms",
    "wide",
]

_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[@-Z\\^_])")
"""Codes of terminals, such as those of colours and titles (ECMA-48)."""

_EMPTY = frozenset({"br", "hr", "input", "meta"})


class Html(str):
    """Text of HTML, which a page shows as it is; only what is here makes it."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: str | float | None) -> Html:
    """Return an element.

    Args:
        name: of the element, such as ``p``.
        content: what is in it, one after the other; what is no ``Html`` is text.
        attributes: by name, with ``_`` for ``-`` and one at the end where it is a word of Python's (``class_``); one
            that is None or False is left out.
    """
    shown = [_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False]
    inside = "" if name in _EMPTY else f"{joined(*content)}</{name}>"
    return Html(f"<{' '.join([name, *shown])}>{inside}")


def _attribute(key: str, value: str | float) -> str:
    name = key.rstrip("_").replace("_", "-")
    return name if value is True else f'{name}="{escape(one_line(str(value)))}"'


def joined(*content: str) -> Html:
    """Return parts of a page one after the other; what is no ``Html`` is text."""
    return Html("".join(part if isinstance(part, Html) else escape(readable(part), quote=False) for part in content))


def readable(text: str) -> str:
    """Return text, of several lines maybe, without colours, and with all other controls as Python escapes them."""
    return printable(_CODES.sub("", text))


def link(target: str, *content: str) -> Html:
    """Return a link to an element of the page, ``#failures``, or to another page."""
    return element("a", *content, href=target)


def section(name: str, heading: str, *content: str) -> Html:
    """Return a part of a page, with a heading, that links find by its name."""
    title = element("h2", heading, id=f"{name}-heading")
    return element("section", title, *content, id=name, aria_labelledby=f"{name}-heading")


def fold(summary: str, *content: str, is_open: bool = False, class_: str | None = None) -> Html:
    """Return what is folded: the summary is seen, the rest when somebody opens it."""
    return element("details", element("summary", summary), *content, open=is_open, class_=class_)


def search(label: str, filters: str) -> Html:
    """Return a field that, as somebody types, hides what does not have all words, of class ``item`` in an element.

    Groups of which nothing is left, of class ``group``, are hidden too. It is there where scripts run.

    Args:
        label: what is to be typed.
        filters: the id of the element.
    """
    told = element("output", id=f"{filters}-found", class_="quiet small", aria_live="polite")
    field = element(
        "input", type="search", data_filters=filters, aria_describedby=f"{filters}-found", autocomplete="off"
    )
    return element("form", element("label", label, field), told, role="search", hidden=True)


def terms(facts: Mapping[str, str]) -> Html:
    """Return a list of what things are called, and what they are."""
    pairs = (joined(element("dt", name), element("dd", fact)) for name, fact in facts.items())
    return element("dl", *pairs)


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[str | int]],
    *,
    numbers: Collection[str] = (),
    class_: str | None = None,
) -> Html:
    """Return a table, of which the first column says what each row is of; it moves to and fro where a page is narrower.

    Args:
        caption: what it shows.
        headings: of its columns.
        rows: their cells; what is no text is shown with separators.
        numbers: the headings of columns that are at the right.
        class_: for the style sheet.
    """
    sides = ["number" if heading in numbers else None for heading in headings]
    head = (element("th", heading, scope="col", class_=side) for heading, side in zip(headings, sides, strict=True))
    body = (_row(row, sides) for row in rows)
    title = element("caption", element("span", caption))
    parts = [title, element("thead", element("tr", *head)), element("tbody", *body)]
    return wide(caption, element("table", *parts, class_=class_))


def _row(cells: Sequence[str | int], sides: Sequence[str | None]) -> Html:
    name, *others = (cell if isinstance(cell, str) else f"{cell:,}" for cell in cells)
    values = (element("td", cell, class_=side) for cell, side in zip(others, sides[1:], strict=True))
    return element("tr", element("th", name, scope="row"), *values)


def wide(name: str, *content: str) -> Html:
    """Return what moves to and fro where a page is narrower, by keyboard too."""
    return element("div", *content, class_="wide", role="region", aria_label=name, tabindex=0)


def block(text: str, most: int | None = None) -> Html:
    """Return text of several lines, such as a function wrote, as it is.

    Args:
        text: any.
        most: about how many bytes of a page it may have; of a longer one the beginning and the end are shown. All of
            it if None.
    """
    shown, size = readable(text), size_of(text)
    if most is not None and size > most:
        kept = most * len(shown) // size
        start, end = shown[: kept // 3], shown[len(shown) - (kept - kept // 3) :]
        shown = f"{start}\n… {len(shown) - kept:,} characters are left out …\n{end}"
    return element("pre", Html("\n"), shown, tabindex=0)


def shortened(text: str, most: int) -> str:
    """Return the beginning of a text, which takes about so many bytes of a page at most."""
    size = size_of(text)
    return text if size <= most else f"{text[: most * len(text) // size]}…"


def size_of(text: str) -> int:
    """Return how many bytes of a page a text takes."""
    return len(joined(text).encode())
