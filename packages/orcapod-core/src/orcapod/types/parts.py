"""``PartsType``: values of the standard library that are a few others together, stored as a struct of these."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orcapod.errors import ValueTypeError
from orcapod.types.containers import RecordType
from orcapod.types.logical import LogicalType, OptionalType, mismatch, registry
from orcapod.types.scalars import FLOAT, INT, STR, as_standard

__all__ = ["PartsType"]


class PartsType(RecordType):
    """Values of a class that are their parts.

    Args:
        python: the class.
        members: the names and types of the parts, which are attributes of a value.
        make: makes a value of its parts.
    """

    def __init__(self, python: type, members: Mapping[str, LogicalType], make: Callable[..., Any]) -> None:
        super().__init__(members, python)
        self.python = python
        self.make = make
        self.name = python.__name__
        self.is_total = False
        self.shows_values = True
        self.is_hashable = python.__hash__ is not None

    @property
    def hash_name(self) -> str:
        return self.name

    def takes(self, other: LogicalType) -> bool:
        return self.name == other.name

    def to_storage(self, value: Any) -> Any:
        standard = as_standard(value)
        if not isinstance(standard, self.python):
            raise mismatch(self.name, value)
        return super().to_storage({name: getattr(standard, name) for name in self.members})

    def from_storage(self, stored: Any) -> Any:
        try:
            return self.make(**super().from_storage(stored))
        except (TypeError, ValueError, re.error) as error:
            raise ValueTypeError(f"expected {self.name}, found {stored}: {error}", expected=self.name) from None


_ENDS = ("start", "stop", "step")

for _dtype in (
    PartsType(complex, {"real": FLOAT, "imag": FLOAT}, complex),
    PartsType(range, dict.fromkeys(_ENDS, INT), lambda start, stop, step: range(start, stop, step)),
    PartsType(slice, dict.fromkeys(_ENDS, OptionalType(INT)), lambda start, stop, step: slice(start, stop, step)),
    PartsType(re.Pattern, {"pattern": STR, "flags": INT}, re.compile),
):
    registry.register(_dtype.python, lambda annotation, dtype=_dtype: dtype)  # type: ignore[misc]  # the default binds it
