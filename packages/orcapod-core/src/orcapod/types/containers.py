"""Types of values that hold others: lists, tuples, sets, dicts and records, nested to any depth."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence, Set
from types import GenericAlias
from typing import Any, TypedDict, get_args, get_origin, get_type_hints

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.codec import encode
from orcapod.types.logical import LogicalType, OptionalType, mismatch, quoted, registry
from orcapod.types.scalars import BOOL, BYTES, DATE, INT, STR, as_standard

__all__ = [
    "DictType",
    "ListType",
    "RecordType",
    "SetType",
    "TupleType",
    "VariadicTupleType",
    "record_type",
    "store_member",
]

_SORTED_BY_VALUE = (BOOL, INT, STR, BYTES, DATE)


class ListType(LogicalType):
    """``list[T]``."""

    is_hashable = False

    def __init__(self, item: LogicalType) -> None:
        self.item = item
        self.name = f"list[{item.name}]"
        self.annotation = GenericAlias(list, (item.annotation,))
        self.arrow = pa.large_list(item.arrow)
        self.is_identity = item.is_identity
        self.is_total = item.is_total
        self.is_canonical = item.is_canonical
        self.shows_values = item.shows_values

    @property
    def hash_name(self) -> str:
        return f"list[{self.item.hash_name}]"

    def identity(self, column: Any) -> pa.Array[Any]:
        return column if self.is_canonical else _list_identity(column, self.item)

    def takes(self, other: LogicalType) -> bool:
        return self.item.takes(other.item) if isinstance(other, ListType) else other.converts_to(self)

    def to_storage(self, value: Any) -> Any:
        standard = as_standard(value)
        if not isinstance(standard, list):
            raise mismatch(self.name, value)
        return _members(self.name, standard, self.item)

    def from_storage(self, stored: Any) -> Any:
        return stored if self.is_identity else _from_storage(stored, self.item)


class VariadicTupleType(LogicalType):
    """``tuple[T, ...]``."""

    is_identity = False

    def __init__(self, item: LogicalType) -> None:
        self.item = item
        self.is_total = item.is_total
        self.is_hashable = item.is_hashable
        self.is_canonical = item.is_canonical
        self.shows_values = item.shows_values
        self.name = f"tuple[{item.name}, ...]"
        self.annotation = GenericAlias(tuple, (item.annotation, ...))
        self.arrow = pa.large_list(item.arrow)

    @property
    def hash_name(self) -> str:
        return f"tuple[{self.item.hash_name}, ...]"

    def identity(self, column: Any) -> pa.Array[Any]:
        return column if self.is_canonical else _list_identity(column, self.item)

    def takes(self, other: LogicalType) -> bool:
        return self.item.takes(other.item) if isinstance(other, VariadicTupleType) else other.converts_to(self)

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, tuple):
            raise mismatch(self.name, value)
        return _members(self.name, value, self.item)

    def from_storage(self, stored: Any) -> Any:
        return tuple(_from_storage(stored, self.item))


class TupleType(LogicalType):
    """``tuple[A, B]``: a fixed number of members, each of its own type."""

    is_identity = False

    def __init__(self, items: tuple[LogicalType, ...]) -> None:
        self.items = items
        self.is_total = all(item.is_total for item in items)
        self.is_hashable = all(item.is_hashable for item in items)
        self.is_canonical = all(item.is_canonical for item in items)
        self.shows_values = any(item.shows_values for item in items)
        self.name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
        self.annotation = GenericAlias(tuple, tuple(item.annotation for item in items))
        self.arrow = pa.struct([pa.field(str(i), item.arrow) for i, item in enumerate(items)])

    @property
    def hash_name(self) -> str:
        return f"tuple[{', '.join(item.hash_name for item in self.items) or '()'}]"

    def identity(self, column: Any) -> pa.Array[Any]:
        return column if self.is_canonical else _struct_identity(column, self.items)

    def takes(self, other: LogicalType) -> bool:
        if not isinstance(other, TupleType):
            return other.converts_to(self)
        return len(self.items) == len(other.items) and (
            all(mine.takes(theirs) for mine, theirs in zip(self.items, other.items, strict=True))
        )

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, tuple):
            raise mismatch(self.name, value)
        if len(value) != len(self.items):
            raise mismatch(self.name, value, f"{len(self.items)} members expected, {len(value)} found")
        return {
            str(i): store_member(self.name, f"member {i}", item, member)
            for i, (item, member) in enumerate(zip(self.items, value, strict=True))
        }

    def from_storage(self, stored: Any) -> Any:
        return tuple(
            None if member is None else item.from_storage(member)
            for item, member in zip(self.items, stored.values(), strict=True)
        )


class SetType(LogicalType):
    """``set[T]`` or ``frozenset[T]``: a list in a canonical order; equal sets are stored the same."""

    is_identity = False
    is_total = False

    def __init__(self, item: LogicalType, python: type) -> None:
        self.item = item
        self.python = python
        self.is_hashable = python is frozenset
        self.is_canonical = item.is_canonical
        self.shows_values = item.shows_values
        self.name = f"{python.__name__}[{item.name}]"
        _check_hashable(item, self.name, "its items")
        self.annotation = GenericAlias(python, (item.annotation,))
        self.arrow = pa.large_list(item.arrow)

    @property
    def hash_name(self) -> str:
        return f"{self.python.__name__}[{self.item.hash_name}]"

    def identity(self, column: Any) -> pa.Array[Any]:
        return column if self.is_canonical else _list_identity(column, self.item)

    def takes(self, other: LogicalType) -> bool:
        return (
            isinstance(other, SetType)
            and self.python is other.python
            and self.item.takes(other.item)
            and self.item.arrow == other.item.arrow  # converted items would be in the order of what they were
        )

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, Set):
            raise mismatch(self.name, value)
        inner = self.item.non_null
        items = [store_member(self.name, "an item", self.item, item) for item in value]
        if inner.general in _SORTED_BY_VALUE:
            return sorted(items, key=lambda item: (item is not None, item))
        payloads: list[Any] = encode(self.item.identity(self.item.from_python(items))).to_pylist()
        order = sorted(range(len(items)), key=lambda at: (items[at] is not None, payloads[at]))
        return [items[at] for at in order]

    def from_storage(self, stored: Any) -> Any:
        try:
            restored = self.python(_from_storage(stored, self.item))
        except TypeError as error:  # a signalling NaN among Decimals
            raise mismatch(self.name, stored, str(error)) from None
        if len(restored) != len(stored):
            raise mismatch(self.name, stored, "an item is there twice; drop it, or declare a list")
        return restored


class DictType(LogicalType):
    """``dict[K, V]``: any keys, in the order they were put in."""

    is_identity = False
    is_hashable = False

    def __init__(self, key: LogicalType, item: LogicalType) -> None:
        if isinstance(key, OptionalType):
            raise SchemaError(f"a dict's key may not be None, found dict[{key.name}, {item.name}]")
        _check_hashable(key, f"dict[{key.name}, {item.name}]", "its keys")
        self.key = key
        self.item = item
        self.is_total = key.is_total and item.is_total
        self.is_canonical = key.is_canonical and item.is_canonical
        self.shows_values = key.shows_values or item.shows_values
        self.name = f"dict[{key.name}, {item.name}]"
        self.annotation = GenericAlias(dict, (key.annotation, item.annotation))
        self.arrow = pa.map_(key.arrow, item.arrow)

    @property
    def hash_name(self) -> str:
        return f"dict[{self.key.hash_name}, {self.item.hash_name}]"

    def identity(self, column: Any) -> Any:
        if self.is_canonical:
            return column
        whole = pa.concat_arrays([column, column[:0]])  # without what lies around a slice
        entries = pa.StructArray.from_arrays([whole.keys, whole.items], ["key", "item"])
        lists = pa.LargeListArray.from_arrays(whole.offsets.cast(pa.int64()), entries, mask=whole.is_null())
        return _list_identity(lists, TupleType((self.key, self.item)))

    def takes(self, other: LogicalType) -> bool:
        return isinstance(other, DictType) and self.key.takes(other.key) and self.item.takes(other.item)

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch(self.name, value)
        return [
            (store_member(self.name, "a key", self.key, key), store_member(self.name, f"key {key!r}", self.item, item))
            for key, item in value.items()
        ]

    def from_storage(self, stored: Any) -> Any:
        items = stored.items() if isinstance(stored, dict) else stored
        restored = {
            self.key.from_storage(key): None if item is None else self.item.from_storage(item) for key, item in items
        }
        if len(restored) != len(items):
            raise mismatch(self.name, stored, "it has a key twice; keep one, or declare a list of pairs")
        return restored


class RecordType(LogicalType):
    """A ``TypedDict``: named members, each of its own type, in the order in which they were declared.

    That order is what programs see; at rest members are sorted, and two of equal members are the same type.
    """

    is_identity = False
    is_hashable = False

    def __init__(self, members: Mapping[str, LogicalType], annotation: Any) -> None:
        self.members = dict(sorted(members.items()))
        self._order = tuple(members)
        self.is_total = all(item.is_total for item in members.values())
        self.is_canonical = all(item.is_canonical for item in members.values())
        self.shows_values = any(item.shows_values for item in members.values())
        self.name = f"{{{', '.join(f'{quoted(name)}: {item.name}' for name, item in self.members.items())}}}"
        self.annotation = annotation
        self.arrow = pa.struct([pa.field(name, item.arrow) for name, item in self.members.items()])

    @property
    def hash_name(self) -> str:
        return f"{{{', '.join(f'{quoted(name)}: {item.hash_name}' for name, item in self.members.items())}}}"

    def identity(self, column: Any) -> Any:
        return column if self.is_canonical else _struct_identity(column, list(self.members.values()))

    def takes(self, other: LogicalType) -> bool:
        return (
            isinstance(other, RecordType)
            and self.members.keys() == other.members.keys()
            and all(mine.takes(other.members[name]) for name, mine in self.members.items())
        )

    def to_storage(self, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise mismatch(self.name, value)
        if value.keys() != self.members.keys():
            missing, extra = self.members.keys() - value.keys(), value.keys() - self.members.keys()
            raise mismatch(self.name, value, f"missing {sorted(missing)}, extra {sorted(extra, key=repr)}")
        return {name: store_member(self.name, name, item, value[name]) for name, item in self.members.items()}

    def from_storage(self, stored: Any) -> Any:
        return {
            name: None if stored[name] is None else self.members[name].from_storage(stored[name])
            for name in self._order
        }


def record_type(members: Mapping[str, LogicalType]) -> RecordType:
    """Return the record type of these members, with a ``TypedDict`` made for it."""
    annotation = TypedDict("Record", {name: item.annotation for name, item in members.items()})  # type: ignore[misc]
    return RecordType(members, annotation)


def _check_hashable(dtype: LogicalType, whole: str, what: str) -> None:
    if not dtype.is_hashable:
        raise SchemaError(
            f"found {whole}; {what} are {dtype.name}, expected values that can be hashed, and are equal where they are "
            "the same (two files of the same content are not): take a tuple in place of a list, or a list of pairs"
        )


def _members(name: str, values: Any, item: LogicalType) -> list[Any]:
    return [store_member(name, f"item {i}", item, value) for i, value in enumerate(values)]


def store_member(name: str, location: str, item: LogicalType, value: Any) -> Any:
    """Return a member of a value in the form that Arrow stores; an error says where it is."""
    try:
        return item.to_storage(value)
    except ValueTypeError as error:
        raise ValueTypeError(f"{location} of {name}: {error}", **error.about()) from None


def _from_storage(stored: Any, item: LogicalType) -> list[Any]:
    return [None if value is None else item.from_storage(value) for value in stored]


def _list_identity(column: Any, item: LogicalType) -> pa.Array[Any]:
    counts = pc.fill_null(pc.list_value_length(column), 0).cast(pa.int64())
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(counts)])
    items = item.identity(pc.list_flatten(column))
    return pa.LargeListArray.from_arrays(offsets, items, mask=column.is_null())


def _struct_identity(column: Any, items: Sequence[LogicalType]) -> pa.Array[Any]:
    members = [item.identity(member) for item, member in zip(items, column.flatten(), strict=True)]
    return pa.StructArray.from_arrays(members, list(map(str, range(len(members)))), mask=column.is_null())


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


def _set(annotation: Any) -> LogicalType:
    python = get_origin(annotation) or annotation
    match get_args(annotation):
        case (item,):
            return SetType(registry.resolve(item), python)
        case _:
            raise SchemaError(f"found {annotation}; expected the type of its items, as in {python.__name__}[str]")


registry.register(list, _list)
registry.register(tuple, _tuple)
registry.register(set, _set)
registry.register(frozenset, _set)
registry.register(dict, _dict)
