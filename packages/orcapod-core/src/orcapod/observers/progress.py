"""``ProgressObserver``: how far a run is, drawn on a terminal while it happens."""

from __future__ import annotations

import cmd
import copy
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from orcapod.datagrams import Packet, Tag
from orcapod.protocols import NoOpObserver, RecordPath

__all__ = ["ProgressObserver", "is_terminal"]

_TERMINAL = threading.Lock()
"""Held by the one run that draws."""


def is_terminal() -> bool:
    """Say whether what is written to ``stderr`` is seen by a person, on a terminal that can move its cursor."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@dataclass
class _Line:
    """What is known of one function node."""

    label: str
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    computes: bool = True
    computed: int = 0
    cached: int = 0
    failed: int = 0
    taken: Sequence[int] = ()
    given: int = 0
    incomplete: int = 0

    def cells(self) -> Iterator[str]:
        yield from self._computing() if self.computes else (self.label, "", "", "", "", "")
        taken = " + ".join(f"{count:,}" for count in self.taken)
        yield f"{taken} in, {self.given:,} out" if taken else f"{self.given:,} rows"

    def _computing(self) -> Iterator[str]:
        done = self.computed + self.cached
        seconds = (self.ended or time.monotonic()) - self.started
        yield self.label
        yield f"{done:,} done"
        yield f"{self.cached:,} cached"
        yield f"{self.failed:,} failed"
        yield f"{self.incomplete:,} incomplete" if self.incomplete else ""
        yield f"{(done + self.failed) / max(seconds, 0.001):,.0f}/s"


class ProgressObserver(NoOpObserver):
    """Draws one line for every node on ``stderr``: the rows that it took and gave.

    That of a function node says, too, how many packets are done, cached, failed or incomplete, and how many a second.

    A packet costs an addition; lines are drawn ten times a second. What functions print without being
    captured appears above the lines. One run at a time draws; those that begin meanwhile draw nothing. Where
    ``stderr`` is no terminal, the lines are written once, at the end.
    """

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._line = _Line("")
        self._live: Any = None
        self._debugged: Callable[[], None] = lambda: None

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> Self:
        view = copy.copy(self)
        view._line = _Line(node_label, computes=bool(node_path))  # nodes that keep nothing compute nothing
        self._lines.append(view._line)
        return view

    def on_run_start(self, run_id: str) -> None:
        if not _TERMINAL.acquire(blocking=False):
            return
        try:
            self._live = self._drawn()
            self._live.start()
            self._debugged = _step_aside_for_debuggers(self._live)
        except BaseException:
            self._live = None
            _TERMINAL.release()
            raise

    def on_run_end(self, run_id: str) -> None:
        live, self._live = self._live, None
        if live is None:
            return
        try:
            self._debugged()
            with suppress(OSError):  # a terminal that was closed is no fault of the run
                live.stop()
        finally:
            _TERMINAL.release()

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        for line in self._lines:
            if line.label == node_label:
                line.ended = time.monotonic()

    def on_node_rows(self, node_label: str, taken: Sequence[int], given: int, incomplete: int) -> None:
        self._line.taken, self._line.given, self._line.incomplete = taken, given, incomplete

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        if cached:
            self._line.cached += 1
        else:
            self._line.computed += 1

    def on_packet_crash(self, node_label: str, tag: Tag, packet: Packet, error: BaseException) -> None:
        self._line.failed += 1

    def _drawn(self) -> Any:
        # Only who sees it should wait for it.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415

        def table() -> Table:
            grid = Table.grid(padding=(0, 2))
            for justify in ("left", *["right"] * 6):
                grid.add_column(justify=justify, no_wrap=True)  # type: ignore[arg-type]  # one of its literals
            for line in list(self._lines):
                grid.add_row(*line.cells())
            return grid

        # What goes to a file stays there: only a stdout that is the terminal is drawn around.
        shared = sys.stdout is not None and sys.stdout.isatty()
        return Live(get_renderable=table, console=Console(stderr=True), refresh_per_second=10, redirect_stdout=shared)


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
