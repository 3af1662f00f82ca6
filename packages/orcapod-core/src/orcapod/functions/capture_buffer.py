"""``CaptureBuffer``: what an executor captured, until the fate of the packet is clear."""

from __future__ import annotations

from orcapod.protocols import CapturedOutput

__all__ = ["CaptureBuffer"]


class CaptureBuffer:
    """Logger that holds what an executor captured until outputs are accepted or refused.

    Attributes:
        fields: what it was told; None if it was told nothing.
    """

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, object] | None = None

    def record(self, **kwargs: object) -> None:
        self.fields = kwargs

    def refuse(self, error: BaseException) -> None:
        """Take it that the call returned, but that what it returned is not accepted."""
        if self.fields is not None:
            self.fields = CapturedOutput.of_fields(self.fields).refused(error).fields()

    @property
    def output(self) -> CapturedOutput | None:
        """The fields it was told, as a value."""
        return None if self.fields is None else CapturedOutput.of_fields(self.fields)
