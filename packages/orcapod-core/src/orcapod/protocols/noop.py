"""``NoOpObserver``: watches nothing, so that nobody has to ask whether there is an observer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from orcapod.datagrams import Packet, Tag
from orcapod.protocols.database import RecordPath
from orcapod.protocols.executor import PacketExecutionLoggerProtocol

__all__ = ["NoOpObserver", "listens"]


class NoOpObserver:
    """Takes no notice, and gives no packet loggers: nothing is captured, prints go to the terminal.

    An observer of one's own may inherit from it and override what it cares for; ``contextualize`` gives
    the observer itself.
    """

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> Self:
        return self

    def on_run_start(self, run_id: str) -> None:
        pass

    def on_run_end(self, run_id: str) -> None:
        pass

    def on_node_start(self, node_label: str, node_hash: str) -> None:
        pass

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        pass

    def on_node_rows(self, node_label: str, taken: Sequence[int], given: int, incomplete: int) -> None:
        pass

    def on_packet_start(self, node_label: str, tag: Tag, packet: Packet) -> None:
        pass

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        pass

    def on_packet_crash(self, node_label: str, tag: Tag, packet: Packet, error: BaseException) -> None:
        pass

    def create_packet_logger(
        self, tag: Tag, packet: Packet, *, pipeline_path: RecordPath = ()
    ) -> PacketExecutionLoggerProtocol | None:
        return None

    def flush(self) -> None:
        pass


def listens(observer: object, hook: str) -> bool:
    """Say whether an observer does something when it is told: what happens for every packet is told to no others."""
    return getattr(getattr(observer, hook), "__func__", None) is not getattr(NoOpObserver, hook)
