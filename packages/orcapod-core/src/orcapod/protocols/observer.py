"""What is told about a run while it happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from orcapod.datagrams import Packet, Tag
from orcapod.protocols.database import RecordPath
from orcapod.protocols.executor import PacketExecutionLoggerProtocol

__all__ = ["ExecutionObserver"]


@runtime_checkable
class ExecutionObserver(Protocol):
    """Is told what happens, packet by packet.

    For every computed packet, in this order: ``on_packet_start``, ``create_packet_logger``, the
    logger's ``record``, then ``on_packet_end`` or ``on_packet_crash``. For a packet whose result was
    there already: ``on_packet_end(cached=True)`` alone. Methods may be called from several threads.

    A stranger's observer need not have all of these methods, nor inherit from anything: what it lacks is answered as
    ``NoOpObserver`` does, and ``contextualize(node_hash, node_label)`` may take just these two. The same holds for its
    views.

    An exception raised by an observer is an error of the run. Tags and packets are views of their
    chunk: an observer that keeps one keeps the chunk alive.
    """

    def contextualize(self, node_hash: str, node_label: str, *, node_path: RecordPath = ()) -> ExecutionObserver:
        """Return a light view of this observer that stamps what it writes with a node's identity.

        Asked for once per node and run, after ``on_run_start``; that the node starts and ends, and what happens to its
        packets, is told to the view. Views share what they have buffered.

        Args:
            node_hash: the node's pipeline hash, as text.
            node_label: what the node is called.
            node_path: where the node's records are kept; an observer that writes puts its own below it.
        """
        ...

    def on_run_start(self, run_id: str) -> None:
        """A run begins; everything up to its ``on_run_end`` belongs to it."""
        ...

    def on_run_end(self, run_id: str) -> None:
        """Always called once for every ``on_run_start``, also after a failure or an interrupt."""
        ...

    def on_node_start(self, node_label: str, node_hash: str) -> None:
        """A node begins; told to its view. In an asynchronous run other nodes may be under way."""
        ...

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        """A node has given its last row, or was given up after an error; told to its view."""
        ...

    def on_node_rows(self, node_label: str, taken: Sequence[int], given: int, incomplete: int) -> None:
        """A node has given some rows, or its last; told to its view, for a chunk of rows at a time.

        Args:
            node_label: what the node is called.
            taken: how many rows with a packet each of its inputs has given so far.
            given: how many it has given so far.
            incomplete: of how many rows without a packet it has computed nothing so far.
        """
        ...

    def on_packet_start(self, node_label: str, tag: Tag, packet: Packet) -> None:
        """A packet is about to be computed."""
        ...

    def on_packet_end(self, node_label: str, tag: Tag, packet: Packet, result: Packet | None, *, cached: bool) -> None:
        """A packet has its result: computed just now, or, if ``cached``, found.

        Called for every packet of a run that computes nothing: keep it cheap, and ``result`` unlooked at.
        """
        ...

    def on_packet_crash(self, node_label: str, tag: Tag, packet: Packet, error: BaseException) -> None:
        """A packet was started and has no result; ``error`` is the exception itself.

        Its function raised, its outputs were refused, or the run was interrupted.
        """
        ...

    def create_packet_logger(
        self, tag: Tag, packet: Packet, *, pipeline_path: RecordPath = ()
    ) -> PacketExecutionLoggerProtocol | None:
        """Return a logger for one packet, or None where nothing is to be captured.

        Args:
            tag: the keys of the packet's row.
            packet: what is computed.
            pipeline_path: where the node's records are kept, in place of the view's ``node_path``.
        """
        ...

    def flush(self) -> None:
        """Return when everything told so far survives the end of the process.

        Called about once a second while packets are computed, from a thread of its own, and at the end of
        every node and run. What could not be written is kept for the next call, and the error is raised.
        """
        ...
