"""How the progress of a run is drawn: as lines of a terminal, or as a table in the output of a notebook's cell."""

from __future__ import annotations

import cmd
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from orcapod.display import html_table, notebook_display, one_line, text_table

__all__ = ["Rows", "drawing_of", "is_watched"]

Rows = Callable[[], list[Sequence[str]]]
"""Returns what is drawn: a row for each node, a text for each of its columns."""

_HEADINGS = ("node", "computed", "cached", "failed", "incomplete", "per second", "rows")
_WORDS = ("", " computed", " cached", " failed", " incomplete", "/s", "")
_NOTEBOOK_SECONDS = 0.5


def is_watched() -> bool:
    """Say whether a person watches: on a terminal that can move its cursor, as ``stderr``, or in a notebook."""
    if notebook_display() is not None:
        return True
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def drawing_of(rows: Rows, title: str) -> TerminalDrawing | NotebookDrawing:
    """Return what draws rows where this program is watched, in a notebook under a title."""
    display = notebook_display()
    return TerminalDrawing(rows) if display is None else NotebookDrawing(rows, title, display)


class NotebookDrawing:
    """Table in the output of a cell, which is drawn anew in its place; the last one is kept.

    Args:
        rows: what is drawn.
        title: what it is of.
        display: shows things in the output of the cell.
    """

    def __init__(self, rows: Rows, title: str, display: Callable[..., Any]) -> None:
        self._rows = rows
        self._title = title
        self._display = display
        self._handle: Any = None
        self._ended = threading.Event()
        # In the context of the cell: by it the kernel knows whose output it is.
        self._drawer = threading.Thread(target=copy_context().run, args=(self._draw,), daemon=True)

    def start(self) -> None:
        self._handle = self._display(self._table(), display_id=True)
        self._drawer.start()

    def stop(self) -> None:
        self._ended.set()
        self._drawer.join()
        self._handle.update(self._table())

    def _draw(self) -> None:
        while not self._ended.wait(_NOTEBOOK_SECONDS):
            self._handle.update(self._table())

    def _table(self) -> _Table:
        return _Table(self._title, self._rows())


class _Table:
    """Table for the output of a cell."""

    def __init__(self, title: str, rows: list[Sequence[str]]) -> None:
        self._title = title
        self._rows = rows

    def _repr_html_(self) -> str:
        return html_table(self._title, _HEADINGS, self._rows)

    def __repr__(self) -> str:
        return f"{self._title}\n{text_table(_HEADINGS, self._rows)}"


class TerminalDrawing:
    """Lines on ``stderr``, drawn ten times a second; where that is no terminal, they are written once, at the end.

    Args:
        rows: what is drawn.
    """

    def __init__(self, rows: Rows) -> None:
        # Only who sees it should wait for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        def table() -> Table:
            grid = Table.grid(padding=(0, 2))
            for justify in ("left", *["right"] * 6):
                grid.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]  # one of its literals
            for row in rows():
                cells = (f"{text}{word}" if text else "" for text, word in zip(row, _WORDS, strict=True))
                grid.add_row(*(Text(one_line(cell)) for cell in cells))
            return grid

        # What goes to a file stays there: only a stdout that is the terminal is drawn around.
        shared = sys.stdout is not None and sys.stdout.isatty()
        console = Console(stderr=True)
        self._live = Live(get_renderable=table, console=console, refresh_per_second=10, redirect_stdout=shared)
        self._debugged: Callable[[], None] = lambda: None

    def start(self) -> None:
        self._live.start()
        self._debugged = _step_aside_for_debuggers(self._live)

    def stop(self) -> None:
        self._debugged()
        with suppress(OSError):  # a terminal that was closed is no fault of the run
            self._live.stop()


def _step_aside_for_debuggers(live: Any) -> Callable[[], None]:
    """Have nothing drawn while a command loop, as that of a debugger, is prompting; return what ends this."""
    original = cmd.Cmd.cmdloop

    def cmdloop(loop: cmd.Cmd, intro: Any = None) -> None:
        routed = sys.stdout
        with live._lock:  # there is no public way to pause it that leaves the streams as they are
            live.console.show_cursor(True)
            sys.stdout = loop.stdout = getattr(loop.stdout, "rich_proxied_file", loop.stdout)
            try:
                original(loop, intro)
            finally:
                sys.stdout = routed

    cmd.Cmd.cmdloop = cmdloop  # type: ignore[method-assign, assignment]  # as long as something is drawn

    def end() -> None:
        if cmd.Cmd.cmdloop is cmdloop:
            cmd.Cmd.cmdloop = original  # type: ignore[method-assign]  # put back

    return end
