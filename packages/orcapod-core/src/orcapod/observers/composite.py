"""``CompositeObserver``: several observers as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from orcapod.datagrams import Packet, Tag
from orcapod.protocols import (
    ExecutionObserver,
    PacketExecutionLoggerProtocol,
    RecordPath,
    adapted,
    listens,
)

__all__ = ["CompositeObserver"]


class CompositeObserver:
    """Tells several observers, in the order given.

    An exception of one goes on at once, and those after it are not told; but ``flush`` and
    ``on_run_end`` reach every one before an exception goes on (the last; earlier ones are its context).

    Raises:
        ConfigError: one of them is no observer.
    """

    def __init__(self, *observers: ExecutionObserver) -> None:
        self._observers = tuple(map(adapted, observers))
        # What happens for every packet is told only to those who listen.
        self._starts = [each.on_packet_start for each in self._observers if listens(each, "on_packet_start")]
        self._loggers = [each.create_packet_logger for each in self._observers if listens(each, "create_packet_logger")]

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> CompositeObserver:
        return CompositeObserver(
            *(observer.contextualize(node_hash, node_label, node_path=node_path) for observer in self._observers)
        )

    def on_run_start(self, run_id: str) -> None:
        for observer in self._observers:
            observer.on_run_start(run_id)

    def on_run_end(self, run_id: str) -> None:
        _call_all([partial(observer.on_run_end, run_id) for observer in self._observers])

    def on_node_start(self, node_label: str, node_hash: str) -> None:
        for observer in self._observers:
            observer.on_node_start(node_label, node_hash)

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        for observer in self._observers:
            observer.on_node_end(node_label, node_hash)

    def on_node_rows(self, node_label: str, taken: Sequence[int], given: int, incomplete: int) -> None:
        for observer in self._observers:
            observer.on_node_rows(node_label, taken, given, incomplete)

    def on_packet_start(self, node_label: str, tag: Tag, packet: Packet) -> None:
        for start in self._starts:
            start(node_label, tag, packet)

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        for observer in self._observers:
            observer.on_packet_end(node_label, tag, packet, result, cached=cached)

    def on_packet_crash(self, node_label: str, tag: Tag, packet: Packet, error: BaseException) -> None:
        for observer in self._observers:
            observer.on_packet_crash(node_label, tag, packet, error)

    def create_packet_logger(
        self, tag: Tag, packet: Packet, *, pipeline_path: RecordPath = ()
    ) -> PacketExecutionLoggerProtocol | None:
        loggers = []
        for create in self._loggers:  # a comprehension would cost every packet a third of a microsecond
            logger = create(tag, packet, pipeline_path=pipeline_path)
            if logger is not None:
                loggers.append(logger)
        return _CompositeLogger(loggers) if len(loggers) > 1 else loggers[0] if loggers else None

    def flush(self) -> None:
        _call_all([observer.flush for observer in self._observers])


def _call_all(calls: Sequence[Callable[[], None]]) -> None:
    """Call each one, even if one before it raised."""
    if calls:
        try:
            calls[0]()
        finally:
            _call_all(calls[1:])


class _CompositeLogger:
    """Gives what was captured to several loggers."""

    __slots__ = ("_loggers",)

    def __init__(self, loggers: Sequence[PacketExecutionLoggerProtocol]) -> None:
        self._loggers = loggers

    def record(self, **kwargs: object) -> None:
        for logger in self._loggers:
            logger.record(**kwargs)
