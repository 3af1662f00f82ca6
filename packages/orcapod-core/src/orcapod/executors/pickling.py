"""How values are pickled for another process, and what of them is not copied."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from operator import methodcaller
from types import CodeType
from typing import Any

import cloudpickle

__all__ = ["Compact", "CompactPickler", "Parts", "Returning", "ReturningPickler", "in_parts", "serialized"]

_SMALL = 4096  # bytes that a slice may bring along

Parts = tuple[list[bytes | memoryview], list[pickle.PickleBuffer]]
"""A pickled value, as pieces one after the other; and its large parts, which are not copied into it."""


def in_parts(value: Any, pickler: Callable[..., Any], large: int) -> Parts:
    """Return a value pickled, and its large parts, which are so many bytes or more, beside it."""
    buffers: list[pickle.PickleBuffer] = []

    def is_small(buffer: pickle.PickleBuffer) -> bool:
        if buffer.raw().nbytes < large:
            return True
        buffers.append(buffer)
        return False

    file = _Pieces()
    pickler(file, protocol=5, buffer_callback=is_small).dump(value)
    return file.content(), buffers


class _Pieces(list[Any]):
    """A file for a pickler to write to, which copies nothing: a piece that is large is the user's own."""

    write = list.append

    def content(self) -> list[bytes | memoryview]:
        """Return what was written, in order."""
        return [piece.raw() if isinstance(piece, pickle.PickleBuffer) else piece for piece in self]


class Compact:
    """What makes a pickler send a slice of an Arrow table or array alone, not with all that it was cut from.

    Code keeps the name of its file, so that a traceback says where.
    """

    dispatch_table: Mapping[Any, Callable[[Any], tuple[Any, ...]]]

    def reducer_override(self, value: Any) -> Any:
        if type(value) is CodeType:
            make, args = self.dispatch_table[CodeType](value)
            return make, tuple(value.co_filename if type(arg) is str and arg == _NO_FILE else arg for arg in args)
        if type(value).__module__ == "pyarrow.lib":
            import pyarrow as pa  # noqa: PLC0415  # it is there already, and workers that do not need it do without

            if isinstance(value, (pa.Table, pa.RecordBatch)) and not value.num_columns and value.num_rows:
                return _NO_COLUMN, (value.append_column("", pa.nulls(value.num_rows)),)  # Arrow forgets the rows
            if _is_slice(value):
                return value.take(pa.array(range(len(value)), pa.int64())).__reduce_ex__(5)
        return super().reducer_override(value)  # type: ignore[misc]  # the pickler's


_NO_COLUMN = methodcaller("select", [])
_NO_FILE = "<dynamic-code>"  # what cloudpickle writes for the file of any code


def _is_slice(value: Any) -> bool:
    whole = getattr(value, "get_total_buffer_size", None)
    return whole is not None and whole() > 2 * value.nbytes + _SMALL


class CompactPickler(Compact, cloudpickle.Pickler):  # type: ignore[misc]  # untyped
    """Cloudpickle's pickler, compact."""


class Returning:
    """What makes a pickler send classes back to where they came from, where they stay as they are.

    Cloudpickle would set all that a class has anew, there as well, in a class that others have and others look at.
    """

    def reducer_override(self, value: Any) -> Any:
        reduced = super().reducer_override(value)  # type: ignore[misc]  # the pickler's
        if isinstance(value, type) and isinstance(reduced, tuple) and len(reduced) == _PARTS_WITH_SETTER:
            *parts, setter = reduced
            return *parts, partial(_fill, setter)
        return reduced


_OF_ANY_CLASS = frozenset(vars(type("Bare", (), {})))
_PARTS_WITH_SETTER = 6  # of what a pickler is told of a value: the last one sets its state


def _fill(setter: Callable[[type, Any], Any], cls: type, state: tuple[Mapping[str, Any], Any]) -> None:
    """Set what a class has, where it has just been made."""
    found, wanted = vars(cls).keys(), state[0].keys() - {"__slotnames__"}  # what pickling itself notes
    if not wanted <= found if issubclass(cls, Enum) else found <= _OF_ANY_CLASS:
        setter(cls, state)


class ReturningPickler(Returning, CompactPickler):
    """The pickler of answers."""


def serialized(value: Any, pickler: Callable[..., Any] = CompactPickler) -> bytes:
    """Return a value as bytes, by value where the other process could not import what it is."""
    content, _ = in_parts(value, pickler, sys.maxsize)
    return b"".join(content)
