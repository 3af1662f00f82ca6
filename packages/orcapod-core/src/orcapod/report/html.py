"""``Html``: text of a page that is safe there, and what makes it; all other text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from orcapod.display import one_line

__all__ = [
    "Html",
    "block",
    "cut",
    "element",
    "fold",
    "joined",
    "link",
    "readable",
    "search",
    "section",
    "table",
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
    return Html("".join(part if isinstance(part, Html) else escape(readable(part)) for part in content))


def readable(text: str) -> str:
    """Return text, of several lines maybe, without colours, and with all other controls as Python escapes them."""
    plain = _CODES.sub("", text).replace("\r\n", "\n")
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in plain.split("\n"))


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


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str | float]]) -> Html:
    """Return a table; it moves to and fro where a page is narrower. Numbers are at the right, with separators."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = joined(*(element("tr", *map(_cell, row)) for row in rows))
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", body))
    return wide(caption, whole)


def wide(name: str, *content: str) -> Html:
    """Return what moves to and fro where a page is narrower, by keyboard too."""
    return element("div", *content, class_="wide", role="region", aria_label=name, tabindex=0)


def _cell(value: str | float) -> Html:
    return element("td", value) if isinstance(value, str) else element("td", f"{value:,}", class_="number")


def block(text: str, most: int | None = None, advice: str = "") -> Html:
    """Return text of several lines, such as a function wrote, as it is.

    Args:
        text: any.
        most: how many characters of it are shown; of a longer one the beginning and the end. All if None.
        advice: where all of it is to be seen.
    """
    return element("pre", Html("\n"), cut(readable(text), most, advice), tabindex=0)


def cut(text: str, most: int | None, advice: str) -> str:
    """Return so many characters of a text at most, its beginning and its end, with a note of what is left out."""
    if most is None or len(text) <= most:
        return text
    start, end = text[: most // 3], text[len(text) - (most - most // 3) :]
    left_out = len(text) - len(start) - len(end)
    return f"{start}\n… {left_out:,} characters are left out{f'; {advice}' if advice else ''} …\n{end}"
