"""Kinds of values that are kept as the text that Python writes them as: exact, and legible to every tool."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

import pyarrow as pa

from orcapod.types.logical import LogicalType, mismatch, registry
from orcapod.types.scalars import as_standard

__all__ = ["DECIMAL", "UUID_TEXT", "TextType"]


class TextType(LogicalType):
    """Values of a class that ``str`` writes and the class itself reads again.

    Args:
        python: the class.
        also: classes whose every value it reads exactly, too.
    """

    plain = False
    is_whole = False

    def __init__(self, python: type, also: tuple[type, ...] = ()) -> None:
        self.python = python
        self.also = also
        self.name = python.__name__
        self.annotation = python
        self.arrow = pa.large_string()

    def takes(self, other: LogicalType) -> bool:
        return super().takes(other) or other.general.annotation in self.also

    def accept(self, value: Any) -> Any:
        standard = as_standard(value)
        if isinstance(standard, self.python):
            return str(standard)
        if isinstance(standard, self.also) and not isinstance(standard, bool):
            return str(self.python(standard))
        raise mismatch(self.name, value)

    def restore(self, stored: Any) -> Any:
        try:
            return self.python(stored)
        except (ValueError, InvalidOperation):
            raise mismatch(self.name, stored, f"it is not the text of a {self.name}") from None


DECIMAL = TextType(Decimal, also=(int,))
UUID_TEXT = TextType(UUID)

registry.register(Decimal, lambda annotation: DECIMAL)
registry.register(UUID, lambda annotation: UUID_TEXT)
