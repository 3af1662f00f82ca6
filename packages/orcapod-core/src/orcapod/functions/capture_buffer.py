"""``CaptureBuffer``: what an executor captured, until it is known what became of the packet."""

from __future__ import annotations

from orcapod.protocols import CapturedOutput

__all__ = ["CaptureBuffer"]


class CaptureBuffer:
    """Logger that holds what an executor captured until it is known whether the outputs are accepted.

    Attributes:
        fields: what it was told; None if it was told nothing.
    """

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, object] | None = None

    def record(self, **kwargs: object) -> None:
        self.fields = kwargs

    @property
    def output(self) -> CapturedOutput | None:
        """What it was told, as a value."""
        return None if self.fields is None else CapturedOutput.of_fields(self.fields)
