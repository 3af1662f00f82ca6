"""``StatusObserver``: what became of every packet."""

from __future__ import annotations

import copy
import time
import traceback
from collections.abc import Mapping
from typing import Self

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.datagrams import Packet, Tag
from orcapod.observers.buffered_table_writer import BufferedTableWriter, RowContext
from orcapod.protocols import Database, NoOpObserver, RecordPath

__all__ = ["StatusObserver"]

_FIELDS: Mapping[str, pa.DataType] = {"state": pa.large_string(), "error": pa.large_string()}
_SUCCESS = {"state": "SUCCESS"}
_CACHED = {"state": "CACHED"}
_RUNNING = {"state": "RUNNING"}


class StatusObserver(NoOpObserver):
    """Keeps one row for every event of a packet, under ``_status/<node path>``.

    Its columns: ``__status_id``, ``__run_id``, ``__node_label``, ``__node_hash``, ``__timestamp`` (UTC),
    ``__state`` (``RUNNING``, ``SUCCESS``, ``FAILED``, or ``CACHED`` where that is wanted), ``__error`` (the exception
    as text, null unless it failed), and the tag columns as text. A ``RUNNING`` row, stamped with its start, is
    written for packets that are still running when the buffer is flushed, so that fast ones cost one row.

    Args:
        database: where statuses are kept, and found again by other observers.
        cached: whether packets have a row too whose results were there: one for each of them and run.
    """

    def __init__(self, database: Database, *, cached: bool = False) -> None:
        self._tells_cached = Checks("StatusObserver").flag("cached", cached)
        self._writer = BufferedTableWriter(database, room="_status", key="__status_id", fields=_FIELDS)
        self._started: dict[tuple[RowContext | str, int, int], tuple[RowContext, Tag, int]] = {}
        self._context: RowContext | None = None

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> Self:
        view = copy.copy(self)
        view._context = self._writer.context(node_label, node_hash, node_path)
        return view

    def on_run_start(self, run_id: str) -> None:
        self._writer.start_run(run_id)

    def on_run_end(self, run_id: str) -> None:
        self._note_running()
        self._writer.end_run(run_id)

    def on_packet_start(self, node_label: str, tag: Tag, packet: Packet) -> None:
        context = self._context or self._bare(node_label)
        self._started[self._context or node_label, id(tag.chunk), tag.row] = (context, tag, time.time_ns())

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        if not cached:
            self._ended(node_label, tag, _SUCCESS)
        elif self._tells_cached:
            self._writer.write(self._context or self._bare(node_label), tag, time.time_ns(), _CACHED)

    def on_packet_crash(self, node_label: str, tag: Tag, packet: Packet, error: BaseException) -> None:
        text = "".join(traceback.format_exception_only(error)).rstrip("\n")
        self._ended(node_label, tag, {"state": "FAILED", "error": text})

    def flush(self) -> None:
        self._note_running()
        self._writer.flush()

    def get_status(self, run_id: str | None = None, node_label: str | None = None) -> pa.Table:
        """Return the events of all nodes, in the order of time, those of earlier processes included.

        Args:
            run_id: only of this run.
            node_label: only of nodes of this label.
        """
        self._note_running()
        return self._writer.read(run_id=run_id, node_label=node_label)

    def _bare(self, node_label: str) -> RowContext:
        """Return where events go that were told without a node."""
        return self._writer.context(node_label, None, ())

    def _ended(self, node_label: str, tag: Tag, fields: Mapping[str, str]) -> None:
        self._started.pop((self._context or node_label, id(tag.chunk), tag.row), None)
        self._writer.write(self._context or self._bare(node_label), tag, time.time_ns(), fields)

    def _note_running(self) -> None:
        for key in list(self._started):
            # Whoever takes an entry out, this or the packet's end, is alone with it.
            if started := self._started.pop(key, None):
                context, tag, at = started
                self._writer.write(context, tag, at, _RUNNING)
