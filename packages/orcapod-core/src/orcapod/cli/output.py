"""``Output``: shows tables and facts, to a person or to a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orcapod.display import one_line

__all__ = ["Output"]

_ENDLESS = 100_000  # columns: what reads a pipe has no width


class Output:
    """Where a command writes what it found: tables for a person, coloured on a terminal; JSON for a program.

    What comes from a store is written so that nothing in it moves a cursor or is taken for markup.

    Args:
        is_json: whether JSON is written.
    """

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self.console = Console(
            markup=False, highlight=False, emoji=False, width=None if sys.stdout.isatty() else _ENDLESS, soft_wrap=True
        )

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Iterable[str] | None = None,
        *,
        styles: Mapping[str, str] | None = None,
        nothing: str = "nothing",
    ) -> None:
        """Show rows, each by column.

        Args:
            rows: what is shown, as JSON whole.
            columns: which columns a person sees; those of the first row if None.
            styles: how a cell of such a text is coloured, ``{"FAILED": "red"}``.
            nothing: what a person reads where there are no rows.
        """
        if self.is_json:
            self.json(rows)
            return
        if not rows:
            self.line(nothing)
            return
        shown = list(rows[0] if columns is None else columns)
        table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=True)
        for name in shown:
            is_number = all(isinstance(row.get(name), int | float | None) for row in rows)
            table.add_column(name, justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            texts = [text_of(row.get(name)) for name in shown]
            table.add_row(*(Text(text, style=(styles or {}).get(text, "")) for text in texts))
        self.console.print(table)

    def line(self, text: str = "", style: str = "") -> None:
        """Show a line of text to a person; a program has the facts alone."""
        if not self.is_json:
            self.console.print(Text(text, style=style))

    def lines(self, text: str, style: str = "") -> None:
        """Show a text of several lines to a person, none of which moves a cursor."""
        for each in text.splitlines():
            self.line(one_line(each), style)

    def json(self, value: object) -> None:
        """Write a value as JSON: times by ISO 8601, bytes as hexadecimal digits, what has no end as null."""
        sys.stdout.write(json.dumps(_plain(value), ensure_ascii=False, indent=2) + "\n")


def text_of(value: object) -> str:
    """Return a value as one line for a person."""
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value.tzinfo else str(value)
        case int() if not isinstance(value, bool):
            return f"{value:,}"
        case float():
            return f"{value:.6g}"
        case bytes():
            return value.hex()
        case _:
            return one_line(str(value))


def _plain(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if value - value == 0 else None if value != value else str(value)
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case bytes():
            return value.hex()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return str(value)
