"""Types of values that are stored as the text that Python writes them as: exact, and legible to every tool."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from orcapod.types.logical import LogicalType, mismatch, registry
from orcapod.types.scalars import as_standard

__all__ = ["DECIMAL", "UUID_TEXT", "TextType"]


class TextType(LogicalType):
    """Values of a class that are one text each.

    Args:
        python: the class.
        show: writes a value; always the same text for the same value.
        parse: reads what ``show`` wrote; raises ``ValueError`` or ``InvalidOperation`` for what is no such text.
        also: classes whose every value it reads exactly, too.
    """

    is_identity = False
    is_total = False

    def __init__(
        self, python: type, show: Callable[[Any], str], parse: Callable[[str], Any], also: tuple[type, ...] = ()
    ) -> None:
        self.python = python
        self.show = show
        self.parse = parse
        self.also = also
        self.name = python.__name__
        self.annotation = python
        self.arrow = pa.large_string()

    def takes(self, other: LogicalType) -> bool:
        return super().takes(other) or other.general.annotation in self.also

    def to_storage(self, value: Any) -> Any:
        standard = as_standard(value)
        if isinstance(standard, self.python):
            return self.show(standard)
        if isinstance(standard, self.also) and not isinstance(standard, bool):
            return self.show(self.python(standard))
        raise mismatch(self.name, value)

    def from_storage(self, stored: Any) -> Any:
        try:
            return self.parse(stored)
        except (ValueError, InvalidOperation, ZoneInfoNotFoundError):
            raise mismatch(self.name, stored, f"it is not the text of a {self.name}") from None


_EXACT = Context(capitals=1, traps=[InvalidOperation])
"""What a process says of its decimals, which signals are errors and how an E is written, changes no value."""

DECIMAL = TextType(Decimal, _EXACT.to_sci_string, lambda text: Decimal(text, _EXACT), also=(int,))
UUID_TEXT = TextType(UUID, lambda value: str(UUID(int=value.int)), UUID)


def _key(zone: ZoneInfo) -> str:
    if zone.key is None:
        raise mismatch("ZoneInfo", zone, "it has no key by which it is found again; take ZoneInfo('Europe/Berlin')")
    return zone.key


ZONE = TextType(ZoneInfo, _key, ZoneInfo)

registry.register(Decimal, lambda annotation: DECIMAL)
registry.register(UUID, lambda annotation: UUID_TEXT)
registry.register(ZoneInfo, lambda annotation: ZONE)
