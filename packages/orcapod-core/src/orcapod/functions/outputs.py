"""Outputs of calls: what a function returns, in the form that Arrow stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orcapod.errors import RecordTooLargeError, ValueTypeError
from orcapod.files import WithPlaces
from orcapod.records import SizeLimit
from orcapod.types import Schema, large_bytes, may_be_large, value_size

__all__ = ["Outputs"]


class Outputs:
    """Outputs of a function, by what is declared of them.

    Args:
        node: what the function is called.
        schema: the names and types of its outputs.

    Attributes:
        may_be_large: whether one of them may have so many bytes that it is kept apart from its record.
    """

    def __init__(self, node: str, schema: Schema) -> None:
        self._node = node
        self._types = list(schema.types.items())
        self.may_be_large = any(may_be_large(dtype.arrow) for _, dtype in self._types)

    def to_storage(self, returned: Any, size_limit: SizeLimit | None) -> tuple[Any, ...]:
        """Return what a call gave in the form that Arrow stores.

        Raises:
            ValueTypeError: one is not of its declared type, or there are too many or too few.
            RecordTooLargeError: together they have more bytes than that.
        """
        if isinstance(returned, WithPlaces):
            with returned as value:
                return self.to_storage(value, size_limit)
        stored = []
        for (name, dtype), value in zip(self._types, self._values(returned), strict=True):
            try:
                stored.append(dtype.to_storage(value))
            except ValueTypeError as error:
                about = error.about(node=self._node, column=name)
                raise ValueTypeError(f"{self._node}: output {name!r}: {error}", **about) from None
        if size_limit is not None and self.may_be_large:
            self._check_size(stored, size_limit)
        return tuple(stored)

    def _values(self, returned: Any) -> Sequence[Any]:
        if len(self._types) == 1:
            return (returned,)
        is_sequence = isinstance(returned, tuple | list)
        if is_sequence and len(returned) == len(self._types):
            return tuple(returned)
        names = [name for name, _ in self._types]
        found = f"{len(returned)} values" if is_sequence else type(returned).__qualname__
        expected = f"a tuple of {len(names)} outputs {names}"
        why = f"{self._node}: expected {expected}, found {found}"
        raise ValueTypeError(why, node=self._node, expected=expected, found=found)

    def _check_size(self, stored: Sequence[Any], limit: SizeLimit) -> None:
        sizes = {}
        for (name, dtype), value in zip(self._types, stored, strict=True):
            sizes[name] = value_size(value) - (0 if limit.counts_large else large_bytes(value, dtype.arrow))
        if sum(sizes.values()) > limit.size:
            name = max(sizes, key=lambda each: sizes[each])
            raise RecordTooLargeError.of((), name, sizes[name], limit.size, limit.store)
