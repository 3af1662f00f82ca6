"""``CaptureBuffer``: what an executor captured, until it is known what became of the packet."""

from __future__ import annotations

from orcapod.protocols import CapturedOutput

__all__ = ["CaptureBuffer"]


class CaptureBuffer:
    """Logger that holds what an executor captured until it is known whether the outputs are accepted."""

    __slots__ = ("output",)

    def __init__(self) -> None:
        self.output: CapturedOutput | None = None

    def record(self, **kwargs: object) -> None:
        self.output = CapturedOutput.of_fields(kwargs)
