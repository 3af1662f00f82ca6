"""``pc``: pyarrow's compute functions, imported when the first one is used.

``import pyarrow.compute`` takes longer than all of pyarrow, because it writes the documentation of every
function. What only defines a pipeline should not wait for that.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from orcapod.arrow import scalar_of

if TYPE_CHECKING:  # a type checker need not be fast
    from pyarrow.compute import Expression
else:
    Expression = Any

__all__ = ["Expression", "counted", "pc"]


class _LazyModule:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(import_module(self._name), attribute)
        setattr(self, attribute, found)
        return found


pc: Any = _LazyModule("pyarrow.compute")


def counted(start: int, length: int) -> pa.Array[Any]:
    """Return the numbers ``start``, ``start + 1``, ... as int64; ten times faster than from a ``range``."""
    ones = pa.repeat(scalar_of(1, pa.int64()), length)
    numbers: pa.Array[Any] = pc.cumulative_sum(ones, start=scalar_of(start - 1, pa.int64()))
    return numbers
