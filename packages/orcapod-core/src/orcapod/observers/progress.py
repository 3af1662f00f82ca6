"""``ProgressObserver``: how far a run is, drawn while it happens."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from orcapod.datagrams import Packet, Tag
from orcapod.observers.drawing import NotebookDrawing, TerminalDrawing, drawing_of
from orcapod.protocols import NoOpObserver, RecordPath

__all__ = ["ProgressObserver"]

_TERMINAL = threading.Lock()
"""Held by the one run that draws."""


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

    def cells(self) -> Sequence[str]:
        """Return what is drawn of it: what became of its packets, in the words of the result, and its rows."""
        taken = " + ".join(f"{count:,}" for count in self.taken)
        moved = f"{taken} in, {self.given:,} out" if taken else f"{self.given:,} rows"
        if not self.computes:
            return (self.label, "", "", "", "", "", moved)
        seconds = (self.ended or time.monotonic()) - self.started
        rate = f"{(self.computed + self.cached + self.failed) / max(seconds, 0.001):,.0f}"
        incomplete = f"{self.incomplete:,}" if self.incomplete else ""
        return (self.label, f"{self.computed:,}", f"{self.cached:,}", f"{self.failed:,}", incomplete, rate, moved)


class ProgressObserver(NoOpObserver):
    """Draws one line for every node on ``stderr``, or in the output of a notebook's cell: the rows it took and gave.

    That of a function node says, too, how many packets are computed, cached, failed or incomplete, and how many a
    second.

    A packet costs an addition; lines are drawn ten times a second, and stay when the run has ended. What functions
    print without being captured appears above the lines. One run at a time draws; those that begin meanwhile draw
    nothing. Where ``stderr`` is no terminal, the lines are written once, at the end.
    """

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._line = _Line("")
        self._drawing: TerminalDrawing | NotebookDrawing | None = None

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> Self:
        view = copy.copy(self)
        view._line = _Line(node_label, computes=bool(node_path))  # nodes that keep nothing compute nothing
        self._lines.append(view._line)
        return view

    def on_run_start(self, run_id: str) -> None:
        if not _TERMINAL.acquire(blocking=False):
            return
        try:
            self._drawing = drawing_of(self._rows, f"Run {run_id}")
            self._drawing.start()
        except BaseException:
            self._drawing = None
            _TERMINAL.release()
            raise

    def on_run_end(self, run_id: str) -> None:
        drawing, self._drawing = self._drawing, None
        if drawing is None:
            return
        try:
            drawing.stop()
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

    def _rows(self) -> list[Sequence[str]]:
        return [line.cells() for line in list(self._lines)]
