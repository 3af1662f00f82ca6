"""``ForeignArrayType``: arrays of other libraries, as numpy sees them by DLPack; loaded when such a library is met."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from orcapod.types.arrays import ArrayType
from orcapod.types.logical import LogicalType, mismatch, registry

__all__ = ["ForeignArrayType"]

_CLASSES = {"torch": "Tensor", "jax": "Array", "cupy": "ndarray"}


class ForeignArrayType(ArrayType):
    """Arrays of a class that speaks DLPack, in the memory of the host; stored and identified as numpy's are.

    Args:
        python: the class.
    """

    def __init__(self, python: type) -> None:
        super().__init__()
        self.python = python
        self.library = python.__module__.partition(".")[0]
        self.name = f"{self.library}.{_CLASSES[self.library]}"
        self.annotation = python

    @property
    def hash_name(self) -> str:  # type: ignore[override]  # of another library, functions do other things with it
        return self.name

    @property
    def general(self) -> LogicalType:
        return self

    def takes(self, other: LogicalType) -> bool:
        return self.name == other.name

    def narrowed(self, values: Any) -> LogicalType:
        return self

    def display(self, value: Any) -> Any:
        return f"{self.name} of {value.dtype} and shape {tuple(value.shape)}"

    def export(self, value: Any, file: Any) -> None:
        super().export(self._as_numpy(value), file)

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, self.python):
            raise mismatch(self.name, value)
        return super().to_storage(self._as_numpy(value))

    def _as_numpy(self, value: Any) -> Any:
        try:
            return np.asarray(np.from_dlpack(value, device="cpu"))
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise mismatch(
                self.name, value, f"numpy cannot take it: {error}; detach it, or convert its dtype"
            ) from None

    def identity(self, column: Any) -> Any:
        return ArrayType().identity(column)

    def _restored(self, text: Any, lengths: Any, data: Any) -> Any:
        array = super()._restored(text, lengths, data).copy()  # DLPack gives away memory that may be written to
        library: Any = sys.modules[self.library]
        return (library if hasattr(library, "from_dlpack") else library.numpy).from_dlpack(array)


def _is_array(python: type) -> bool:
    return python.__name__.rpartition(".")[2] == _CLASSES.get(python.__module__.partition(".")[0])


def _foreign_array(annotation: Any) -> LogicalType:
    return ForeignArrayType(next(filter(_is_array, annotation.__mro__)))  # the class of a value derives from it


registry.register_shape(_is_array, _foreign_array)
