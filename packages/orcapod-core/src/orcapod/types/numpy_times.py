"""``NumpyTimeType``: ``numpy.datetime64`` and ``timedelta64``, of any unit; loaded when numpy is met.

One is stored as its unit and the count of that since 1970. Both identify it, as they do in an array: functions see the
unit, and count in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from orcapod.errors import SchemaError
from orcapod.types.infer import type_of_values
from orcapod.types.logical import LogicalType, mismatch, registry
from orcapod.types.scalars import DATE, DATETIME, TIMEDELTA, as_standard

__all__ = ["NumpyTimeType"]

_ARROW: Any = pa.struct([("unit", pa.large_string()), ("count", pa.int64())])


class NumpyTimeType(LogicalType):
    """Points or spans of time of numpy's, each of its own unit.

    Args:
        python: the class.
        standard: the types of Python's of which it takes any value.
    """

    is_identity = False
    is_total = False
    shows_values = True
    arrow = _ARROW

    def __init__(self, python: type[np.generic], *standard: LogicalType) -> None:
        self.python = python
        self.standard = standard
        self.name = python.__name__
        self.annotation = python

    def takes(self, other: LogicalType) -> bool:
        return super().takes(other) or other in self.standard

    def narrowed(self, values: Sequence[Any]) -> LogicalType:
        """Return the type of Python's, if all of these are values of one: so are numpy's other scalars."""
        python = [as_standard(value) for value in values]
        if any(isinstance(value, self.python) for value in python):  # those of a unit that Python has not
            return self
        try:
            dtype = type_of_values(python)
        except SchemaError:
            return self
        return dtype if dtype in self.standard else self

    def adopted(self, column: Any) -> Any:
        """Return a column of points or spans of time, without a zone, as one of this type."""
        arrow = column.type
        if pat.is_date(arrow) and DATE in self.standard:
            unit = "D" if pat.is_date32(arrow) else "ms"
        elif (pat.is_timestamp(arrow) and arrow.tz is None and DATETIME in self.standard) or (
            pat.is_duration(arrow) and TIMEDELTA in self.standard
        ):
            unit = arrow.unit
        else:
            return column
        chunks = []
        for chunk in column.chunks:
            count = chunk.view(pa.int32() if arrow.bit_width == 32 else pa.int64()).cast(pa.int64())
            units = pa.repeat(pa.scalar(unit, pa.large_string()), len(chunk))
            chunks.append(pa.StructArray.from_arrays([units, count], fields=[*_ARROW], mask=chunk.is_null()))
        return pa.chunked_array(chunks, self.arrow)

    def to_storage(self, value: Any) -> Any:
        time = value
        if isinstance(value, datetime) and value.tzinfo is not None:
            raise mismatch(self.name, value, "it has a time zone, which numpy has not; convert it to UTC, and drop it")
        if hasattr(value, f"to_{self.name}"):  # pandas has nanoseconds
            time = getattr(value, f"to_{self.name}")()
        elif isinstance(value, tuple(dtype.annotation for dtype in self.standard)):
            time = self.python(value)
        if not isinstance(time, self.python):
            raise mismatch(self.name, value)
        unit = str(time.dtype).removeprefix(self.name)[1:-1]
        if not unit and not np.isnat(time):
            raise mismatch(self.name, value, "it has no unit; give it one, as in np.timedelta64(5, 's')")
        return {"unit": unit, "count": int(time.view(np.int64))}

    def from_storage(self, stored: Any) -> Any:
        unit, count = stored["unit"], stored["count"]
        try:
            return np.int64(count).view(f"{self.name}[{unit}]" if unit != "" else self.name)
        except (TypeError, ValueError):
            raise mismatch(self.name, stored, "that is no unit and count") from None


for _dtype in (NumpyTimeType(np.datetime64, DATETIME, DATE), NumpyTimeType(np.timedelta64, TIMEDELTA)):
    registry.register(_dtype.python, lambda annotation, dtype=_dtype: dtype)  # type: ignore[misc]  # the default binds it
