"""``Captured``: what an executor captured, until it is known what became of the packet."""

from __future__ import annotations

from typing import Any

__all__ = ["Captured"]


class Captured:
    """Holds what an executor captured until it is known whether the outputs are accepted."""

    __slots__ = ("fields",)

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def record(self, **kwargs: object) -> None:
        self.fields |= kwargs
