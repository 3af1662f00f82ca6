"""``RecordClassType``: dataclasses, ``NamedTuple``, attrs classes and pydantic models.

A value is a struct at rest, and itself in a function. It is rebuilt from its fields without being initialised again, as
a copy is, so it is what it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from copy import deepcopy
from functools import cache, cached_property
from types import MemberDescriptorType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import pyarrow as pa

from orcapod.errors import SchemaError
from orcapod.types.containers import RecordType, TupleType, VariadicTupleType, store_member
from orcapod.types.logical import LogicalType, mismatch, registry
from orcapod.types.python_columns import column_of

__all__ = ["RecordClassType", "record_class"]

_IS_MADE_BY_A_PROGRAM = 1 << 9
"""The flag of classes that were made while a program ran: Python's ``Py_TPFLAGS_HEAPTYPE``."""
_resolving: ContextVar[tuple[Any, ...]] = ContextVar("_resolving", default=())


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    """Field of a class: what it is annotated with, and what makes its default, if it has one."""

    annotation: Any
    default: Callable[[], Any] | None


class RecordClassType(RecordType):
    """Objects of a class with named fields, each of its own type.

    What makes two classes the same type is their module and name, or the name that was declared, and the names and
    types of their fields: so a class that has changed is another type, under which nothing older is found.

    Args:
        annotation: the class, or a generic form of it.
        name: a name in place of module and name.

    Raises:
        SchemaError: a field has no type, or one that no column can have, the class contains itself, or its objects
            hold more than fields, as a dict does.
    """

    def __init__(self, annotation: Any, name: str | None = None) -> None:
        python: type = get_origin(annotation) or annotation
        if more := _built_in_base(python):
            raise SchemaError(
                f"{python.__qualname__} is a {more.__name__}, too, and holds more than its fields; expected fields "
                f"alone: make the {more.__name__} one of them"
            )
        declared = _fields(python, annotation)
        super().__init__(_resolved(annotation, declared), annotation)
        self.python = python
        self.shows_values = True
        self.defaults = {name: field.default for name, field in declared.items() if field.default is not None}
        self.is_hashable = python.__hash__ is not None and all(item.is_hashable for item in self.members.values())
        self._called = name or f"{python.__module__}.{python.__qualname__}"
        self.name = f"{self._called}{self.name}"

    @property
    def hash_name(self) -> str:
        return f"{self._called}{super().hash_name}"

    def takes(self, other: LogicalType) -> bool:
        is_same = not isinstance(other, RecordClassType) or self._called == other._called
        return is_same and super().takes(other)

    def converts_to(self, other: LogicalType) -> bool:
        items = [self.members[name] for name in self._order]
        match other:
            case TupleType():
                return issubclass(self.python, tuple) and other.takes(TupleType(tuple(items)))
            case VariadicTupleType():
                return issubclass(self.python, tuple) and all(map(other.item.takes, items))
            case _:
                return False

    def adopted(self, column: Any) -> Any:
        """Return a column of records from before the class had all of its fields, with the defaults of the others."""
        if not pa.types.is_struct(column.type):
            return column
        chunks = column.chunks or [pa.nulls(0, column.type)]
        return pa.chunked_array([self._completed(chunk) for chunk in chunks])

    def _completed(self, column: Any) -> pa.Array[Any]:
        fields = {field.name: part for field, part in zip(column.type, column.flatten(), strict=True)}
        for name, item in self.members.items():
            if name in fields and fields[name].type != item.arrow:
                fields[name] = item.adopted(pa.chunked_array([fields[name]])).combine_chunks()
            elif name not in fields and name in self.defaults:
                fields[name] = column_of([self.defaults[name]() for _ in range(len(column))], item)
        return pa.StructArray.from_arrays(list(fields.values()), list(fields), mask=column.is_null())

    def to_storage(self, value: Any) -> Any:
        python = type(value)
        if python is not self.python and not self._was_defined_again(python):
            is_more = isinstance(value, self.python)
            raise mismatch(
                self.name, value, f"a {python.__qualname__} is more than that; declare it" if is_more else ""
            )
        if extra := sorted(_extra(value) - self.members.keys()):
            raise mismatch(
                self.name, value, f"it holds {extra[0]!r}, which is no field; make it one, or a cached_property"
            )
        if unset := [name for name in self._order if not hasattr(value, name)]:
            raise mismatch(self.name, value, f"its field {unset[0]!r} was never set")
        return {name: store_member(self.name, name, item, getattr(value, name)) for name, item in self.members.items()}

    def from_storage(self, stored: Any) -> Any:
        members = super().from_storage(stored)
        if issubclass(self.python, tuple):
            return tuple.__new__(self.python, members.values())
        value = object.__new__(self.python)
        if _is_model(self.python):
            return _set_up_model(value, members)
        for name, member in members.items():
            object.__setattr__(value, name, member)
        return value

    def _was_defined_again(self, python: type) -> bool:
        """Say whether a class is this one, defined again by a cell of a notebook or in a process."""
        return (
            (python.__module__, python.__qualname__) == (self.python.__module__, self.python.__qualname__)
            and is_record_class(python)
            and _fields(python, python).keys() == self.members.keys()
        )


def record_class(name: str | None = None) -> Callable[[Any], RecordClassType]:
    """Return a maker of types of classes with fields, under a name of its own if one is given."""
    return lambda annotation: RecordClassType(annotation, name)


def is_record_class(python: type) -> bool:
    """Say whether a class itself, and not only what it derives from, is one with declared fields."""
    own = vars(python)
    if issubclass(python, tuple):
        return "_fields" in own and own.get("__annotations__", {}).keys() >= set(own["_fields"])
    return bool({"__dataclass_fields__", "__attrs_attrs__", "__pydantic_fields__"} & own.keys())


def _is_model(python: type) -> bool:
    """Say whether a class is a model of pydantic's; a dataclass of pydantic's has fields, and nothing else of one."""
    return hasattr(python, "__pydantic_fields__") and not dataclasses.is_dataclass(python)


def _built_in_base(python: type) -> type | None:
    """Return the class that is written in C, and holds what is no field, of which a class is; a tuple is its fields."""
    built_in = next(base for base in python.__mro__ if not base.__flags__ & _IS_MADE_BY_A_PROGRAM)
    return None if built_in in (object, tuple) else built_in


def _fields(python: Any, annotation: Any) -> dict[str, _Field]:
    """Return the fields of a class in their order."""
    if hasattr(python, "__pydantic_fields__"):
        return {
            name: _Field(
                Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation,
                None if field.is_required() else _default_of(field),
            )
            for name, field in python.__pydantic_fields__.items()
        }
    if issubclass(python, tuple):
        given = python._field_defaults
        defaults = {name: _constant(given[name]) if name in given else None for name in python._fields}
    elif hasattr(python, "__attrs_attrs__"):
        defaults = {each.name: _attrs_default(each.default) for each in python.__attrs_attrs__}
    else:
        defaults = {each.name: _dataclass_default(each) for each in dataclasses.fields(python)}
    try:
        hints = get_type_hints(python, include_extras=True)
    except NameError as error:
        raise SchemaError(f"{python.__qualname__}: an annotation names something that is not there: {error}") from None
    bound = _bound(annotation)
    if bare := [name for name in defaults if name not in hints]:
        raise SchemaError(
            f"{python.__qualname__}: field {bare[0]!r} has no type; annotate it, as in '{bare[0]}: float'"
        )
    return {name: _Field(_substituted(hints[name], bound), default) for name, default in defaults.items()}


def _resolved(annotation: Any, declared: Mapping[str, _Field]) -> dict[str, LogicalType]:
    if annotation in _resolving.get():
        raise SchemaError(f"{annotation.__qualname__} contains itself, and a column has a depth; take what ends")
    token = _resolving.set((*_resolving.get(), annotation))
    members = {}
    try:
        for name, field in declared.items():
            members[name] = registry.resolve(field.annotation)
    except SchemaError as error:
        raise SchemaError(f"field {name!r} of {annotation.__qualname__}: {error}", **error.about()) from None
    finally:
        _resolving.reset(token)
    return members


def _extra(value: Any) -> set[str]:
    """Return what an object holds beside fields; what a ``cached_property`` holds can be made again."""
    try:
        held = set(object.__getattribute__(value, "__dict__"))  # not what its class answers itself
    except AttributeError:
        held = set()
    if _is_model(type(value)):
        held.update(value.__pydantic_extra__ or ())
        held |= _changed(value.__pydantic_private__ or {}, _private_defaults(type(value)))
    else:
        held.update(name for name, slot in _slots(type(value)) if _is_set(slot, value))  # type: ignore[arg-type]  # classes can be hashed
    return {name for name in held if not isinstance(getattr(type(value), name, None), cached_property)}


@cache
def _slots(python: type) -> tuple[tuple[str, MemberDescriptorType], ...]:
    """Return the slots of a class, but for those that attrs makes, of fields and what can be made again."""
    bases = [vars(base) for base in python.__mro__ if "__attrs_attrs__" not in vars(base)]
    return tuple(
        (name, slot) for base in bases for name, slot in base.items() if isinstance(slot, MemberDescriptorType)
    )


def _is_set(slot: MemberDescriptorType, value: Any) -> bool:
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def _set_up_model(model: Any, members: dict[str, Any]) -> Any:
    """Return a model of pydantic's with these fields, and with what it keeps for itself as it is at first."""
    model.__setstate__(
        {
            "__dict__": members,
            "__pydantic_fields_set__": set(members),
            "__pydantic_extra__": {} if model.model_config.get("extra") == "allow" else None,
            "__pydantic_private__": _private_defaults(type(model)) if model.__private_attributes__ else None,
        }
    )
    return model


def _private_defaults(python: Any) -> dict[str, Any]:
    """Return what a class of pydantic's keeps for itself, as far as it does not depend on fields."""
    defaults = {}
    for name, attribute in python.__private_attributes__.items():
        if attribute.default_factory is None and type(attribute.default).__name__ != "PydanticUndefinedType":
            defaults[name] = deepcopy(attribute.default)
        elif attribute.default_factory is not None and not _takes_fields(attribute):
            defaults[name] = attribute.default_factory()
    return defaults


def _takes_fields(attribute: Any) -> bool:
    return bool(getattr(attribute, "default_factory_takes_validated_data", False))


def _changed(held: Mapping[str, Any], defaults: Mapping[str, Any]) -> set[str]:
    """Return the names of what is held and is not the default."""
    return {name for name, value in held.items() if name not in defaults or defaults[name] != value}


def _bound(annotation: Any) -> dict[Any, Any]:
    """Return what stands for the type variables of a generic class, and of those that it derives from."""
    python, arguments = get_origin(annotation) or annotation, get_args(annotation)
    bound: dict[Any, Any] = dict(zip(getattr(python, "__parameters__", ()), arguments, strict=False))
    for base in getattr(python, "__orig_bases__", ()):
        if get_origin(base) is not None:
            bound |= {key: _substituted(item, bound) for key, item in _bound(base).items()}
    return bound


def _substituted(annotation: Any, bound: Mapping[Any, Any]) -> Any:
    if isinstance(annotation, TypeVar):
        return bound.get(annotation, annotation)
    parameters: Iterable[Any] = () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())
    return annotation[tuple(bound.get(each, each) for each in parameters)] if parameters else annotation


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


def _dataclass_default(field: Any) -> Callable[[], Any] | None:
    missing = type(dataclasses.MISSING)  # a class that was sent to a worker and back has one of its own
    if type(field.default) is not missing:
        return _constant(field.default)
    return None if type(field.default_factory) is missing else field.default_factory


def _attrs_default(default: Any) -> Callable[[], Any] | None:
    if type(default).__name__ == "Factory":
        made: Callable[[], Any] | None = None if default.takes_self else default.factory
        return made
    return None if type(default).__name__ == "_Nothing" else _constant(default)


def _default_of(field: Any) -> Callable[[], Any]:
    return lambda: field.get_default(call_default_factory=True)


registry.register_shape(is_record_class, record_class())
