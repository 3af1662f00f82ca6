"""``LoggingObserver``: what every computed packet wrote, and how it failed."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from typing import Self

import pyarrow as pa

from orcapod.datagrams import Packet, Tag
from orcapod.observers.buffered_table_writer import BufferedTableWriter, RowContext
from orcapod.protocols import Database, NoOpObserver, RecordPath

__all__ = ["LoggingObserver"]

_FIELDS: Mapping[str, pa.DataType] = {
    "stdout": pa.large_string(),
    "stderr": pa.large_string(),
    "python_logs": pa.large_string(),
    "traceback": pa.large_string(),
    "success": pa.bool_(),
}

_NOBODY: tuple[str | None, str | None] = (None, None)


class LoggingObserver(NoOpObserver):
    """Keeps one row for every computed packet, under ``_log/<node path>``.

    Its columns: ``__log_id``, ``__run_id``, ``__node_label``, ``__node_hash``, ``__timestamp`` (UTC), what
    the executor recorded (``__stdout``, ``__stderr``, ``__python_logs``, ``__traceback``, ``__success``; any
    other field as text), and the tag columns as text. Packets that no node stands behind are logged under
    ``_log/unbound``. Rows are buffered until ``flush``.

    Args:
        database: where logs are kept, and found again by other observers.
    """

    def __init__(self, database: Database) -> None:
        self._writer = BufferedTableWriter(database, room="_log", key="__log_id", fields=_FIELDS)
        self._node = _NOBODY
        self._at: tuple[RecordPath, RowContext | None] = ((), None)

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> Self:
        view = copy.copy(self)
        view._node = (node_label, node_hash)
        view._at = (node_path, self._writer.context(node_label, node_hash, node_path))
        return view

    def on_run_start(self, run_id: str) -> None:
        self._writer.start_run(run_id)

    def on_run_end(self, run_id: str) -> None:
        self._writer.end_run(run_id)

    def create_packet_logger(self, tag: Tag, packet: Packet, *, pipeline_path: RecordPath = ()) -> PacketLogger:
        path, context = self._at
        if context is None or (pipeline_path and pipeline_path != path):
            context = self._writer.context(*self._node, pipeline_path)
            if self._node != _NOBODY:
                self._at = (pipeline_path, context)  # in one piece: other threads may be here too
        return PacketLogger(self._writer, context, tag)

    def flush(self) -> None:
        self._writer.flush()

    def get_logs(self, run_id: str | None = None, node_label: str | None = None) -> pa.Table:
        """Return the logs of all nodes, in the order of time, those of earlier processes included.

        Args:
            run_id: only of this run.
            node_label: only of nodes of this label.
        """
        return self._writer.read(run_id=run_id, node_label=node_label)


class PacketLogger:
    """Keeps what an executor captured while it computed one packet."""

    __slots__ = ("_context", "_tag", "_writer")

    def __init__(self, writer: BufferedTableWriter, context: RowContext, tag: Tag) -> None:
        self._writer = writer
        self._context = context
        self._tag = tag

    def record(self, **kwargs: object) -> None:
        self._writer.write(self._context, self._tag, time.time_ns(), kwargs)
