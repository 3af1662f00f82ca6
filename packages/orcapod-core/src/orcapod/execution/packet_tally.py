"""``PacketTally``: how many packets of a node have failed, which, and who is told."""

from __future__ import annotations

from collections import Counter

from orcapod.datagrams import Packet, Tag
from orcapod.execution.packet_error import PacketError
from orcapod.functions import ErrorPolicy
from orcapod.protocols import CapturedOutput, ExecutionObserver, PacketExecutionLoggerProtocol, RecordPath

__all__ = ["FirstFailure", "PacketTally", "log_failure"]


class FirstFailure(BaseException):
    """The first packet has failed, and the run is to end with its exception.

    The exception itself may be one that means something on the way up: StopIteration, say.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error


class PacketTally:
    """Tally of the packets of a node in a run.

    Attributes:
        observer: who is told; already contextualized.
        label: what the node is called.
        path: where its logs go.
        error_policy: what a failed packet does.
        counts: how many packets there were, by what became of them.
        errors: the packets that failed.
    """

    observer: ExecutionObserver
    label: str
    path: RecordPath
    error_policy: ErrorPolicy
    counts: Counter[str]
    errors: list[PacketError]

    def refuse(self, tag: Tag, packet: Packet, error: BaseException) -> None:
        """Let a packet fail that no function is called with.

        Raises:
            FirstFailure: it ends the run.
        """
        self.observer.on_packet_start(self.label, tag, packet)
        log_failure(self.observer.create_packet_logger(tag, packet, pipeline_path=self.path), error)
        self.failed(tag, packet, error)

    def failed(self, tag: Tag, packet: Packet, error: BaseException) -> None:
        """Count a packet that has failed for good, and tell of it.

        Raises:
            FirstFailure: it ends the run.
        """
        self.counts["failed"] += 1
        self.errors.append(PacketError(self.label, tag, packet, error))
        self.observer.on_packet_crash(self.label, tag, packet, error)
        if self.error_policy == "fail_fast":
            raise FirstFailure(error)


def log_failure(logger: PacketExecutionLoggerProtocol | None, error: BaseException) -> None:
    """Log an exception, as if its packet's call had raised it."""
    if logger is not None:
        logger.record(**CapturedOutput.of_failure(error).fields())
