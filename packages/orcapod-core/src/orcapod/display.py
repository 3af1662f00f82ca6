"""How things look to a person in a notebook: tables of escaped text, in whatever colours the page has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from reprlib import Repr

__all__ = ["html_table", "shortened"]

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = 4


def shortened(value: object) -> str:
    """A value as text of one short line; text as it is."""
    shown = value if isinstance(value, str) else _SHORT.repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."


def html_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a caption; all text in it is escaped, and long values are shortened."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(shortened(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<table><caption style="text-align: left"><b>{escape(shortened(caption))}</b></caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )
