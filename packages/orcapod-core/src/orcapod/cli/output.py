"""``Output``: shows tables and facts, to a person or to a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from itertools import islice
from math import isfinite, isnan
from typing import Any

from rich.console import Console
from rich.text import Text

from orcapod.display import one_line, sizes, width_of
from orcapod.types.large import KEPT_FIELDS

__all__ = ["NULL", "OUTCOMES", "Output", "fact_text", "json_of", "text_of"]

OUTCOMES = {"SUCCESS": "green", "FAILED": "red", "INTERRUPTED": "yellow", "UNFINISHED": "yellow"}
"""How outcomes of runs are coloured."""

NULL = "∅"
"""How a person is shown that there is no value."""

_ENDLESS = 100_000  # columns: what reads a pipe has no width
_WIDEST = 80  # columns of a cell
_LONGEST = 2000  # columns of a line
_LEAST = 24  # columns of a cell of a table that does not fit
_MOST = 1000  # rows that a person is shown
_MEMBERS = 8
_SHORT_BYTES = 16
_KEPT = {name for name, _ in KEPT_FIELDS}
_DTYPES = {"f": "float", "i": "int", "u": "uint", "c": "complex"}


class Output:
    """Where a command writes what it found: tables for a person, coloured on a terminal; JSON for a program.

    What comes from a store is written so that nothing in it moves a cursor or is taken for markup.

    Args:
        is_json: whether JSON is written.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.console = _Console(markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._width = self.console.width if sys.stdout.isatty() else _ENDLESS

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Iterable[str] | None = None,
        *,
        styles: Mapping[str, str] | None = None,
        nothing: str = "nothing",
        null: str = "",
        as_text: Callable[[object], str] | None = None,
    ) -> None:
        """Show rows of facts, each by column.

        Args:
            rows: what is shown, as JSON whole.
            columns: which columns a person sees; those of the first row if None.
            styles: how a cell of such a text is coloured, ``{"FAILED": "red"}``.
            nothing: what a person reads where there are no rows.
            null: what a person reads where there is no value.
            as_text: makes a value a text; ``fact_text`` if None.
        """
        as_text = as_text or fact_text
        if self.is_json:
            self.json(rows)
            return
        if not rows:
            self.line(nothing)
            return
        shown = list(rows[0] if columns is None else columns)
        numbers = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in shown]
        values = ([row.get(name) for name in shown] for row in rows[:_MOST])
        cells = [[null if value is None else one_line(as_text(value), _WIDEST) for value in row] for row in values]
        headings = [one_line(name, _WIDEST) for name in shown]
        widths = _fitted([max(map(width_of, column)) for column in zip(headings, *cells, strict=True)], self._width)
        self.print(_row(headings, widths, numbers, dict.fromkeys(headings, "bold")))
        for texts in cells:
            self.print(_row(texts, widths, numbers, styles or {}))
        if len(rows) > _MOST:
            self.line(f"and {len(rows) - _MOST:,} more, which --json gives")

    def data(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Show rows of data: a whole number may be a year, and an instant has its time zone."""
        self.table(rows, styles={NULL: "dim"}, nothing="no rows", null=NULL, as_text=text_of)

    def facts(self, facts: Mapping[str, Any], *, styles: Mapping[str, str] | None = None) -> None:
        """Show facts to a person, each by its name; those that are nothing are left out."""
        told = {one_line(name): fact_text(value) for name, value in facts.items() if value not in (None, "", {}, [])}
        width = max(map(width_of, told), default=0)
        for name, text in told.items():
            line = Text(f"{name}{' ' * (width - width_of(name))}  ", style="bold")
            self.print(line.append(one_line(text), style=(styles or {}).get(text, "not bold")))

    def stream(
        self,
        rows: Iterable[Mapping[str, Any]],
        show: Callable[[Mapping[str, Any]], None],
        *,
        nothing: Callable[[], str],
    ) -> None:
        """Show rows one by one, as they come; as JSON, an array of them with a line for each.

        Args:
            rows: what is shown.
            show: shows one to a person.
            nothing: gives what a person reads where there are no rows.
        """
        if not self.is_json:
            is_empty = True
            for row in rows:
                show(row)
                sys.stdout.flush()
                is_empty = False
            if is_empty:
                self.line(nothing())
            return
        before = "[\n"
        for row in rows:
            sys.stdout.write(f"{before}{json.dumps(json_of(row), ensure_ascii=False)}\n")
            sys.stdout.flush()
            before = ","
        sys.stdout.write("]\n" if before == "," else "[]\n")

    def print(self, text: Text) -> None:
        """Show a line that has styles of its own, and nothing that moves a cursor, to a person."""
        if not self.is_json:
            self.console.print(text)

    def line(self, text: str = "", style: str = "") -> None:
        """Show a line of text to a person, the middle of a very long one left out; a program has the facts alone."""
        shown = one_line(text, _LONGEST)
        if len(text) > _LONGEST:
            shown += f" (cut: --json gives all {len(text):,} characters)"
        self.print(Text(shown, style=style))

    def lines(self, text: str, style: str = "", *, whole: bool = False) -> None:
        """Show a text of several lines to a person, none of which moves a cursor; all of each, if ``whole``."""
        for each in text.splitlines():
            if whole:
                self.print(Text(one_line(each), style=style))
            else:
                self.line(each, style)

    def json(self, value: object) -> None:
        """Write a value as JSON; see ``json_of``."""
        sys.stdout.write(json.dumps(json_of(value), ensure_ascii=False, indent=2) + "\n")


def _fitted(widths: Sequence[int], room: int) -> list[int]:
    """Return how wide columns are so that a table fits: the widest lose of what they have beyond a few words."""
    fitted = list(widths)
    over = sum(fitted) + len(fitted) - 1 - room
    while over > 0 and (widest := max(fitted)) > _LEAST:
        fitted[fitted.index(widest)] -= 1
        over -= 1
    return fitted


def _row(texts: Sequence[str], widths: Sequence[int], numbers: Sequence[bool], styles: Mapping[str, str]) -> Text:
    """Return a row of a table, numbers to the right."""
    line = Text()
    for text, width, is_number in zip(texts, widths, numbers, strict=True):
        shown = one_line(text, width)
        space = " " * (width - width_of(shown))
        line.append(space * is_number).append(shown, styles.get(text, "")).append(space * (not is_number) + " ")
    line.rstrip()
    return line


class _Console(Console):
    """Console that leaves it to the command what is done when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        raise  # the very error that is being handled


def text_of(value: object) -> str:
    """Return a value of the data as one line for a person: what is large, in short."""
    match value:
        case None:
            return ""
        case str():
            return one_line(value)
        case bool() | int():
            return str(value)
        case float():
            return f"{value:.6g}"
        case bytes():
            return value.hex() if len(value) <= _SHORT_BYTES else f"{sizes(len(value))[0]} of bytes"
        case {"dtype": str(dtype), "shape": list(shape), **kept} if {*kept} == _KEPT:
            return f"{_dtype(dtype)} array of {' × '.join(map(str, shape)) or 'no dimension'}"
        case {"data": data, "size": size, **others} if {*others, "data", "size"} - {"layout"} == _KEPT:
            return f"{sizes(size or len(data or b''))[0]} of data"
        case Mapping():
            members = [f"{text_of(name)}: {_member(each)}" for name, each in islice(value.items(), _MEMBERS)]
            return f"{{{', '.join(members)}{', …' if len(value) > _MEMBERS else ''}}}"
        case list() | tuple():
            return f"[{', '.join(map(_member, value[:_MEMBERS]))}{', …' if len(value) > _MEMBERS else ''}]"
        case _:
            return one_line(str(value))


def fact_text(value: object) -> str:
    """Return a value that orcapod itself found as a person reads it: a count with commas, a time by the clock here."""
    match value:
        case int() if type(value) is int:
            return f"{value:,}"
        case datetime(tzinfo=tzinfo) if tzinfo is not None:
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return text_of(value)


def _member(value: object) -> str:
    return NULL if value is None else text_of(value)


def _dtype(text: str) -> str:
    """Return the name of a NumPy dtype, given as ``<f8``; others as they are given."""
    kind, size = text[1:2], text[2:]
    return f"{_DTYPES[kind]}{8 * int(size)}" if kind in _DTYPES and size.isdecimal() else one_line(text)


def json_of(value: Any) -> Any:
    """Return a value as JSON has it: times by ISO 8601, bytes as hexadecimal digits, what has no end as text."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None if isnan(value) else str(value)
        case Mapping():
            return {str(key): json_of(each) for key, each in value.items()}
        case bytes():
            return value.hex()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case list() | tuple():
            return [json_of(each) for each in value]
        case _:
            return str(value)
