"""Types of single values that Arrow knows as Python does: numbers, text, bytes, and points and spans of time."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa

from orcapod.types.logical import LogicalType, mismatch, registry

__all__ = [
    "AWARE_DATETIME",
    "BOOL",
    "BYTES",
    "DATE",
    "DATETIME",
    "FLOAT",
    "INT",
    "LONGEST_SPAN",
    "SCALARS",
    "STR",
    "TIME",
    "TIMEDELTA",
    "AwareDatetime",
    "as_standard",
]


def as_standard(value: Any) -> Any:
    """Return a numpy scalar as a Python value, an array as lists; anything else as it is."""
    if not hasattr(value, "dtype") or not hasattr(value, "tolist"):
        return value
    standard = value.tolist()
    if getattr(value.dtype, "kind", None) in ("m", "M") and _holds_int(standard):
        return value  # finer than microseconds: what numpy gives then is a bare number
    return standard


def _holds_int(standard: Any) -> bool:
    return any(map(_holds_int, standard)) if isinstance(standard, list) else isinstance(standard, int)


class _Scalar(LogicalType):
    """A type whose values Arrow gives back as they went in."""

    def __init__(self, python: type, arrow: pa.DataType) -> None:
        self.python = python
        self.name = python.__name__
        self.annotation = python
        self.arrow = arrow

    def to_storage(self, value: Any) -> Any:
        if type(value) is self.python:
            return value
        standard = as_standard(value)
        if isinstance(standard, self.python):
            return self.narrow(standard)
        return self.convert(standard, value)

    def narrow(self, value: Any) -> Any:
        """Return the plain value of a subclass's instance."""
        return self.python(value)

    def convert(self, standard: Any, value: Any) -> Any:
        """Return the exact conversion of another type's value, if there is one."""
        raise mismatch(self.name, value)


class _Int(_Scalar):
    def to_storage(self, value: Any) -> Any:
        standard = value if type(value) is int else super().to_storage(value)
        if -(2**63) <= standard < 2**63:
            return standard
        raise mismatch("int", value, "it does not fit in 64 bits; pass it as str, or as float if that is exact enough")

    def narrow(self, value: Any) -> Any:
        if isinstance(value, bool):
            raise mismatch("int", value, "a bool is no int; convert it with int()")
        return int(value)


class _Float(_Scalar):
    def takes(self, other: LogicalType) -> bool:
        return other.general.name == "int" or super().takes(other)

    def convert(self, standard: Any, value: Any) -> Any:
        if isinstance(standard, int) and not isinstance(standard, bool):
            try:
                exact = float(standard)
            except OverflowError:
                exact = float("inf")
            if exact == standard:
                return exact
            raise mismatch("float", value, "the int has no exact float")
        raise mismatch("float", value)


class _Bytes(_Scalar):
    def export(self, value: Any, file: Path) -> None:
        file.write_bytes(value)

    def convert(self, standard: Any, value: Any) -> Any:
        if isinstance(standard, bytearray | memoryview):
            return bytes(standard)
        raise mismatch("bytes", value)


class _Str(_Scalar):
    def export(self, value: Any, file: Path) -> None:
        file.write_text(value, encoding="utf-8", newline="")

    def to_storage(self, value: Any) -> Any:
        standard = value if type(value) is str else super().to_storage(value)
        if not standard.isascii():
            try:
                standard.encode()
            except UnicodeEncodeError as error:
                raise mismatch("str", value, f"it is not valid Unicode: {error.reason}") from None
        return standard

    def narrow(self, value: Any) -> Any:
        return str.__str__(value)


class _Date(_Scalar):
    def narrow(self, value: Any) -> Any:
        if isinstance(value, datetime):
            raise mismatch("date", value, "a datetime is no date; convert it with .date()")
        return date(value.year, value.month, value.day)


class _Time(_Scalar):
    """A time of day in microseconds, without a zone."""

    def to_storage(self, value: Any) -> Any:
        standard = super().to_storage(value)
        if standard.tzinfo is not None:
            raise mismatch("time", value, "it has a time zone, which means nothing without a date; drop it")
        return standard

    def narrow(self, value: Any) -> Any:
        return time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo)


class _Timedelta(_Scalar):
    """A span of time in microseconds."""

    def to_storage(self, value: Any) -> Any:
        standard = super().to_storage(value)
        if -LONGEST_SPAN <= standard <= LONGEST_SPAN:
            return standard
        raise mismatch("timedelta", value, "its microseconds do not fit in 64 bits; pass a number of days")

    def narrow(self, value: Any) -> Any:
        _check_no_nanoseconds(self.name, value, "nanoseconds")
        return timedelta(value.days, value.seconds, value.microseconds)


class _Datetime(LogicalType):
    """A point in time in microseconds: a wall clock's without zone, or an instant."""

    def __init__(self, name: str, annotation: Any, zone: str | None) -> None:
        self.name = name
        self.annotation = annotation
        self.zone = zone
        self.arrow = pa.timestamp("us", zone)

    def to_storage(self, value: Any) -> Any:
        standard = as_standard(value)
        if not isinstance(standard, datetime):
            raise mismatch(self.name, value)
        _check_no_nanoseconds(self.name, standard, "nanosecond")
        if (standard.utcoffset() is None) is not (self.zone is None):
            found = "it has no time zone" if self.zone else "it has a time zone"
            fix = "attach one" if self.zone else "annotate it as orcapod.types.AwareDatetime, or drop the zone"
            raise mismatch(self.name, value, f"{found}; {fix}")
        if self.zone is None:
            return standard
        try:
            return standard.astimezone(UTC)
        except OverflowError:
            raise mismatch(self.name, value, "in UTC it is outside the years 1 to 9999") from None

    def from_storage(self, stored: Any) -> Any:
        return stored if self.zone is None else stored.replace(tzinfo=UTC)

    @property
    def is_identity(self) -> bool:  # type: ignore[override]  # Arrow's zone object is not datetime.UTC
        return self.zone is None


def _check_no_nanoseconds(name: str, value: Any, attribute: str) -> None:
    """Check that a value holds no more than microseconds, as subclasses of pandas may.

    Raises:
        ValueTypeError: it does.
    """
    if found := getattr(value, attribute, 0):
        raise mismatch(name, value, f"it has {found} nanoseconds, and microseconds are kept; round it")


LONGEST_SPAN = timedelta(days=106_751_991)
"""The whole days of which 64 bits can count the microseconds, in either direction."""

BOOL = _Scalar(bool, pa.bool_())
INT = _Int(int, pa.int64())
FLOAT = _Float(float, pa.float64())
STR = _Str(str, pa.large_string())
BYTES = _Bytes(bytes, pa.large_binary())
DATE = _Date(date, pa.date32())
TIME = _Time(time, pa.time64("us"))
TIMEDELTA = _Timedelta(timedelta, pa.duration("us"))
DATETIME = _Datetime("datetime", datetime, None)
AWARE_DATETIME = _Datetime("datetime[UTC]", None, "UTC")
AwareDatetime = Annotated[datetime, AWARE_DATETIME]
"""An instant: a datetime with a time zone. It is stored, and comes back, in UTC."""
AWARE_DATETIME.annotation = AwareDatetime

SCALARS = {dtype.python: dtype for dtype in (BOOL, INT, FLOAT, STR, BYTES, DATE, TIME, TIMEDELTA)}
"""The types whose Python type is theirs alone."""

for _python, _dtype in SCALARS.items():
    registry.register(_python, lambda annotation, dtype=_dtype: dtype)  # type: ignore[misc]  # the default binds it
registry.register(datetime, lambda annotation: DATETIME)
