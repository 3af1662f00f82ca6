"""How things look to a person: amounts of bytes, tables of escaped text, values that may have a password in them."""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, time
from difflib import get_close_matches
from html import escape
from itertools import accumulate
from pathlib import Path
from reprlib import Repr
from typing import Any
from unicodedata import combining, east_asian_width

__all__ = [
    "discreet",
    "duration",
    "html_table",
    "may_be_secret",
    "near_hint",
    "notebook_display",
    "one_line",
    "printable",
    "shortened",
    "shown",
    "sizes",
    "tags_text",
    "text_table",
    "warn_user",
    "width_of",
]

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = 4

_DELIMITER = re.compile(r"[;,|\t]")
_SCHEME = re.compile(r"([a-zA-Z][\w+.-]*:/*)?(.*)", re.DOTALL)
_AROUND_SECRETS = re.compile(r"[@?#&=;%:]")
_NAMED_SECRET = re.compile(r"passw|pwd|secret|token(?![a-z])|credential|api_?key|access_?key", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"://|[@?]")
_PASSWORD_IN_URL = re.compile(r"://[^\s/@]*:[^\s@]+@")

_HERE = str(Path(__file__).parent)

_JOINERS = "\u200c\u200d"  # what words and emoji of several characters are made with

_WIDEST = 80  # columns of a tag
_MEMBERS = 8  # of a list among tags

_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def sizes(*amounts: int) -> tuple[str, ...]:
    """Return amounts of bytes in the unit of the largest, with as many digits as it takes to tell them apart."""
    power = min((len(str(max(amounts))) - 1) // 3, len(_UNITS) - 1)
    for digits in range(1, 3 * power + 1):
        shown = tuple(f"{amount / 1000**power:.{digits}f} {_UNITS[power]}" for amount in amounts)
        if len(set(shown)) == len(set(amounts)):
            return shown
    return tuple(f"{amount:,} bytes" for amount in amounts)


def duration(seconds: float) -> str:
    """Return a time as text: ``0.2 ms``, ``12 s``, ``3 min``, ``5.2 h``, ``2.1 days``."""
    for unit, most, length in (("ms", 1.0, 0.001), ("s", 100.0, 1.0), ("min", 6000.0, 60.0), ("h", 172_800.0, 3600.0)):
        if seconds < most:
            return f"{seconds / length:.2g} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def shortened(value: object) -> str:
    """Return a value as text of one short line; text as it is."""
    return _cut(value) if isinstance(value, str) else shown(value)


def shown(value: object) -> str:
    """Return the ``repr`` of a value in one short line, also of one that has none, or no end."""
    try:
        return _cut(_SHORT.repr(value))
    except Exception:  # noqa: BLE001  # a stranger's code fails, or digits without number: it is there all the same
        return object.__repr__(value)


def tags_text(tags: Mapping[str, object]) -> str:
    """Return tags as a command is given them, in one line: ``patient=1, site=a, day=2026-01-31``."""
    return ", ".join(f"{one_line(name)}={one_line(_tag_text(value), _WIDEST)}" for name, value in tags.items())


def _tag_text(value: object) -> str:
    """Return a tag as text: null and truth as JSON has them, times by ISO 8601; the text null in quotes."""
    match value:
        case list() if len(value) > _MEMBERS:
            return f"{_tag_text(value[:_MEMBERS])[:-1]}, …]"
        case None | bool() | list() | "null":
            return json.dumps(value, default=str, ensure_ascii=False)
        case date() | time():
            return value.isoformat()
        case _:
            return str(value)


def one_line(text: str, cells: int | None = None) -> str:
    """Return text as one line of what can be seen: breaks, controls and the like as Python escapes them.

    Nothing in it moves a cursor, turns the direction of what stands beside it, or is forbidden in XML.

    Args:
        text: any.
        cells: how many columns of a terminal it has at most; what is too long loses its middle. All of it if None.
    """
    seen = text
    if not text.isprintable():
        seen = "".join(each if each.isprintable() or each in _JOINERS else ascii(each)[1:-1] for each in text)
    if cells is None or width_of(seen) <= cells:
        return seen
    tail = cells // 3
    return f"{_fitting(seen, cells - tail - 1)}…{_fitting(seen[::-1], tail)[::-1]}"


def printable(text: str) -> str:
    """Return text, of several lines maybe, whose controls but tabs and ends of lines are as Python escapes them."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in lines)


def _fitting(text: str, cells: int) -> str:
    """Return as much of the start of a line as fits into so many columns."""
    ends = accumulate(map(width_of, text))
    return "".join(each for each, end in zip(text, ends, strict=True) if end <= cells)


def width_of(text: str) -> int:
    """Return how many columns of a terminal a line takes."""
    return sum(2 if east_asian_width(each) in "WF" else not combining(each) for each in text)


def _cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def discreet(value: object, *, quoted: bool = False) -> str:
    """Return a value for a message, but only its scheme, if any, where there may be a password in it.

    Args:
        value: a URL or the like; or anything, which is shown in short.
        quoted: whether a text is shown as ``repr`` has it.
    """
    if isinstance(value, str):
        scheme, rest = _SCHEME.fullmatch(value).groups("")  # type: ignore[union-attr]  # all texts match
        hides = _AROUND_SECRETS.search(rest)
        if hides:
            return f"{scheme}... (not shown: there may be a password in it)"
        return shown(value) if quoted else value
    try:
        whole = repr(value)
    except Exception:  # noqa: BLE001  # a stranger's code fails
        return object.__repr__(value)
    return "..." if _NAMED_SECRET.search(whole) or _IN_ADDRESS.search(whole) else shown(value)


def may_be_secret(name: str, text: str) -> bool:
    """Say whether a value is a password or the like, or holds one, by its name and how ``repr`` writes it."""
    if not {"'", '"'}.intersection(text):
        return False  # there is no text in it
    return bool(_NAMED_SECRET.search(name) or _NAMED_SECRET.search(text) or _PASSWORD_IN_URL.search(text))


def html_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table with a caption; all text in it is one line, escaped, and long values are shortened."""
    head = "".join(f"<th>{_escaped(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{_escaped(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<table><caption style="text-align: left"><b>{_escaped(caption)}</b></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _escaped(value: object) -> str:
    return escape(one_line(shortened(value)))


def text_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as text: names in the first column, numbers in the others."""
    lines = [[one_line(str(cell)) for cell in row] for row in (headings, *rows)]
    first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
    return "\n".join(
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))])
        for name, *cells in lines
    )


def notebook_display() -> Callable[..., Any] | None:
    """Return what shows things in the cell of a notebook, where this is one."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return sys.modules["IPython.display"].display if hasattr(shell, "kernel") else None


def warn_user(message: str) -> None:
    """Warn of something at the line of the user's code that led to it."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)


def near_hint(name: str, columns: Iterable[str]) -> str:
    """Return advice on the name of a column that is not there: which one it may be; empty if none is like it."""
    for each in columns:
        if each.strip().casefold() == name.strip().casefold():
            return f"; did you mean {each!r}?{' It has spaces around it' if each != each.strip() else ''}"
        if (between := _DELIMITER.search(each)) and name in map(str.strip, each.split(between[0])):
            return f"; {each!r} is several columns of a CSV file that is read with delimiter={between[0]!r}"
    near = get_close_matches(name, columns, 1)
    return f"; did you mean {near[0]!r}?" if near else ""
