"""The kinds of values that everybody has: scalars and containers of the standard library."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from datetime import UTC, date, datetime
from types import GenericAlias
from typing import Annotated, Any, TypedDict, get_args, get_origin, get_type_hints

import pyarrow as pa

from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.logical import LogicalType, OptionalType, mismatch, registry

__all__ = [
    "AWARE_DATETIME",
    "BOOL",
    "BYTES",
    "DATE",
    "DATETIME",
    "FLOAT",
    "INT",
    "STR",
    "AwareDatetime",
    "DictType",
    "ListType",
    "RecordType",
    "TupleType",
    "VariadicTupleType",
    "as_standard",
    "record_type",
]


def as_standard(value: Any) -> Any:
    """A numpy scalar as the Python value that it is, a numpy array as lists; anything else as it is."""
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

    def accept(self, value: Any) -> Any:
        if type(value) is self.python:
            return value
        standard = as_standard(value)
        if isinstance(standard, self.python):
            return self.narrow(standard)
        return self.convert(standard, value)

    def narrow(self, value: Any) -> Any:
        """The plain value of a subclass's instance."""
        return self.python(value)

    def convert(self, standard: Any, value: Any) -> Any:
        """The exact conversion of another type's value, if there is one."""
        raise mismatch(self.name, value)


class _Int(_Scalar):
    def accept(self, value: Any) -> Any:
        plain = value if type(value) is int else super().accept(value)
        if -(2**63) <= plain < 2**63:
            return plain
        raise mismatch("int", value, "it does not fit in 64 bits; pass it as str, or as float if that is exact enough")

    def narrow(self, value: Any) -> Any:
        if isinstance(value, bool):
            raise mismatch("int", value, "a bool is no int; convert it with int()")
        return int(value)


class _Float(_Scalar):
    def takes(self, other: LogicalType) -> bool:
        return other.name in ("float", "int")

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
    def convert(self, standard: Any, value: Any) -> Any:
        if isinstance(standard, bytearray | memoryview):
            return bytes(standard)
        raise mismatch("bytes", value)


class _Str(_Scalar):
    def accept(self, value: Any) -> Any:
        plain = value if type(value) is str else super().accept(value)
        if not plain.isascii():
            try:
                plain.encode()
            except UnicodeEncodeError as error:
                raise mismatch("str", value, f"it is not valid Unicode: {error.reason}") from None
        return plain

    def narrow(self, value: Any) -> Any:
        return str.__str__(value)


class _Date(_Scalar):
    def narrow(self, value: Any) -> Any:
        if isinstance(value, datetime):
            raise mismatch("date", value, "a datetime is no date; convert it with .date()")
        return date(value.year, value.month, value.day)


class _Datetime(LogicalType):
    """A point in time in microseconds: a wall clock's without zone, or an instant."""

    def __init__(self, name: str, annotation: Any, zone: str | None) -> None:
        self.name = name
        self.annotation = annotation
        self.zone = zone
        self.arrow = pa.timestamp("us", zone)

    def accept(self, value: Any) -> Any:
        standard = as_standard(value)
        if not isinstance(standard, datetime):
            raise mismatch(self.name, value)
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

    def restore(self, stored: Any) -> Any:
        return stored if self.zone is None else stored.replace(tzinfo=UTC)

    @property
    def plain(self) -> bool:  # type: ignore[override]  # Arrow's zone object is not datetime.UTC
        return self.zone is None


class ListType(LogicalType):
    """``list[T]``."""

    def __init__(self, item: LogicalType) -> None:
        self.item = item
        self.name = f"list[{item.name}]"
        self.annotation = GenericAlias(list, (item.annotation,))
        self.arrow = pa.large_list(item.arrow)
        self.plain = item.plain

    @property
    def hash_name(self) -> str:
        return f"list[{self.item.hash_name}]"

    def takes(self, other: LogicalType) -> bool:
        return isinstance(other, ListType) and self.item.takes(other.item)

    def accept(self, value: Any) -> Any:
        standard = as_standard(value)
        if not isinstance(standard, list):
            raise mismatch(self.name, value)
        return _members(self.name, standard, self.item)

    def restore(self, stored: Any) -> Any:
        return stored if self.plain else _restored(stored, self.item)


class VariadicTupleType(LogicalType):
    """``tuple[T, ...]``."""

    plain = False

    def __init__(self, item: LogicalType) -> None:
        self.item = item
        self.name = f"tuple[{item.name}, ...]"
        self.annotation = GenericAlias(tuple, (item.annotation, ...))
        self.arrow = pa.large_list(item.arrow)

    @property
    def hash_name(self) -> str:
        return f"tuple[{self.item.hash_name}, ...]"

    def takes(self, other: LogicalType) -> bool:
        return isinstance(other, VariadicTupleType) and self.item.takes(other.item)

    def accept(self, value: Any) -> Any:
        if not isinstance(value, tuple):
            raise mismatch(self.name, value)
        return _members(self.name, value, self.item)

    def restore(self, stored: Any) -> Any:
        return tuple(_restored(stored, self.item))


class TupleType(LogicalType):
    """``tuple[A, B]``: a fixed number of members, each of its own type."""

    plain = False

    def __init__(self, items: tuple[LogicalType, ...]) -> None:
        self.items = items
        self.name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
        self.annotation = GenericAlias(tuple, tuple(item.annotation for item in items))
        self.arrow = pa.struct([pa.field(str(i), item.arrow) for i, item in enumerate(items)])

    @property
    def hash_name(self) -> str:
        return f"tuple[{', '.join(item.hash_name for item in self.items) or '()'}]"

    def takes(self, other: LogicalType) -> bool:
        return (
            isinstance(other, TupleType)
            and len(self.items) == len(other.items)
            and all(mine.takes(theirs) for mine, theirs in zip(self.items, other.items, strict=True))
        )

    def accept(self, value: Any) -> Any:
        if not isinstance(value, tuple):
            raise mismatch(self.name, value)
        if len(value) != len(self.items):
            raise mismatch(self.name, value, f"{len(self.items)} members expected, {len(value)} found")
        return {
            str(i): _member(self.name, f"member {i}", item, member)
            for i, (item, member) in enumerate(zip(self.items, value, strict=True))
        }

    def restore(self, stored: Any) -> Any:
        return tuple(
            None if member is None else item.restore(member)
            for item, member in zip(self.items, stored.values(), strict=True)
        )


class DictType(LogicalType):
    """``dict[K, V]``: any keys, in the order they were put in."""

    plain = False

    def __init__(self, key: LogicalType, item: LogicalType) -> None:
        if isinstance(key, OptionalType):
            raise SchemaError(f"a dict's key may not be None, found dict[{key.name}, {item.name}]")
        self.key = key
        self.item = item
        self.name = f"dict[{key.name}, {item.name}]"
        self.annotation = GenericAlias(dict, (key.annotation, item.annotation))
        self.arrow = pa.map_(key.arrow, item.arrow)

    @property
    def hash_name(self) -> str:
        return f"dict[{self.key.hash_name}, {self.item.hash_name}]"

    def takes(self, other: LogicalType) -> bool:
        return isinstance(other, DictType) and self.key.takes(other.key) and self.item.takes(other.item)

    def accept(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch(self.name, value)
        return [
            (_member(self.name, "a key", self.key, key), _member(self.name, f"key {key!r}", self.item, item))
            for key, item in value.items()
        ]

    def restore(self, stored: Any) -> Any:
        items = stored.items() if isinstance(stored, dict) else stored
        return {self.key.restore(key): None if item is None else self.item.restore(item) for key, item in items}


class RecordType(LogicalType):
    """A ``TypedDict``: named members, each of its own type. Two of equal members are the same type."""

    plain = False

    def __init__(self, members: Mapping[str, LogicalType], annotation: Any) -> None:
        self.members = dict(sorted(members.items()))
        self.name = f"{{{', '.join(f'{_quoted(name)}: {item.name}' for name, item in self.members.items())}}}"
        self.annotation = annotation
        self.arrow = pa.struct([pa.field(name, item.arrow) for name, item in self.members.items()])

    @property
    def hash_name(self) -> str:
        return f"{{{', '.join(f'{_quoted(name)}: {item.hash_name}' for name, item in self.members.items())}}}"

    def takes(self, other: LogicalType) -> bool:
        return (
            isinstance(other, RecordType)
            and self.members.keys() == other.members.keys()
            and all(mine.takes(other.members[name]) for name, mine in self.members.items())
        )

    def accept(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch(self.name, value)
        if value.keys() != self.members.keys():
            missing, extra = self.members.keys() - value.keys(), value.keys() - self.members.keys()
            raise mismatch(self.name, value, f"missing {sorted(missing)}, extra {sorted(extra, key=repr)}")
        return {name: _member(self.name, name, item, value[name]) for name, item in self.members.items()}

    def restore(self, stored: Any) -> Any:
        return {
            name: None if stored[name] is None else item.restore(stored[name]) for name, item in self.members.items()
        }


def record_type(members: Mapping[str, LogicalType]) -> RecordType:
    """The record type of these members, with a ``TypedDict`` made for it."""
    made = TypedDict("Record", {name: item.annotation for name, item in members.items()})  # type: ignore[misc]
    return RecordType(members, made)


def _quoted(name: str) -> str:
    """A member's name as it can be told from the rest of a type's name."""
    return name if name.isidentifier() else repr(name)


def _members(name: str, values: Any, item: LogicalType) -> list[Any]:
    return [_member(name, f"item {i}", item, value) for i, value in enumerate(values)]


def _member(name: str, place: str, item: LogicalType, value: Any) -> Any:
    try:
        return item.accept(value)
    except ValueTypeError as error:
        raise ValueTypeError(f"{place} of {name}: {error}") from None


def _restored(stored: Any, item: LogicalType) -> list[Any]:
    return [None if value is None else item.restore(value) for value in stored]


BOOL = _Scalar(bool, pa.bool_())
INT = _Int(int, pa.int64())
FLOAT = _Float(float, pa.float64())
STR = _Str(str, pa.large_string())
BYTES = _Bytes(bytes, pa.large_binary())
DATE = _Date(date, pa.date32())
DATETIME = _Datetime("datetime", datetime, None)
AWARE_DATETIME = _Datetime("datetime[UTC]", None, "UTC")
AwareDatetime = Annotated[datetime, AWARE_DATETIME]
"""An instant: a datetime with a time zone. It is kept, and comes back, in UTC."""
AWARE_DATETIME.annotation = AwareDatetime


def _list(annotation: Any) -> LogicalType:
    match get_args(annotation):
        case (item,):
            return ListType(registry.resolve(item))
        case _:
            raise SchemaError(f"found {annotation}; expected the type of its items, as in list[float]")


def _tuple(annotation: Any) -> LogicalType:
    match get_args(annotation):
        case (item, end) if end is ...:
            return VariadicTupleType(registry.resolve(item))
        case () if get_origin(annotation) is None or annotation is typing.Tuple:  # noqa: UP006  # it need not be ours
            raise SchemaError(
                f"found {annotation}; expected the types of its members, as in tuple[int, str] or tuple[int, ...]"
            )
        case items:
            return TupleType(tuple(map(registry.resolve, items)))


def _dict(annotation: Any) -> LogicalType:
    if hasattr(annotation, "__required_keys__"):
        if loose := sorted(annotation.__optional_keys__):
            raise SchemaError(
                f"keys of {annotation} may be missing: {loose}; expected all of them in every value, "
                "with None where there is none: declare them 'T | None' and not NotRequired or total=False"
            )
        hints = get_type_hints(annotation, include_extras=True)
        return RecordType({name: registry.resolve(hint) for name, hint in hints.items()}, annotation)
    match get_args(annotation):
        case (key, item):
            return DictType(registry.resolve(key), registry.resolve(item))
        case _:
            raise SchemaError(
                f"found {annotation}; expected the types of its keys and values, as in dict[str, float], or a TypedDict"
            )


for _scalar in (BOOL, INT, FLOAT, STR, BYTES, DATE):
    registry.register(_scalar.python, lambda annotation, made=_scalar: made)  # type: ignore[misc]  # the default binds it
registry.register(datetime, lambda annotation: DATETIME)
registry.register(list, _list)
registry.register(tuple, _tuple)
registry.register(dict, _dict)
