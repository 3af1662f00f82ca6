"""``logical_type``: types of one's own, by a codec to bytes or by a name for a class with fields."""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.errors import SchemaError, ValueTypeError
from orcapod.types.large import KEPT_FIELDS, content, identities, inline, is_large
from orcapod.types.logical import LogicalType, mismatch, registry
from orcapod.types.record_classes import is_record_class, record_class

__all__ = ["CodecType", "logical_type"]

_Class = TypeVar("_Class", bound=type)

_PICKLES = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))


class CodecType(LogicalType):
    """Objects of a class that are bytes at rest. See ``logical_type`` for the arguments."""

    is_identity = False
    is_total = False
    is_canonical = False
    shows_values = True
    arrow = pa.struct([("layout", pa.int32()), *KEPT_FIELDS])

    def __init__(
        self,
        python: type,
        name: str,
        to_bytes: Callable[[Any], bytes],
        from_bytes: Callable[[bytes], Any],
        identity: Callable[[Any], bytes] | None,
        layout: int,
        migrate: Callable[[bytes, int], Any] | None,
    ) -> None:
        self.python = python
        self.annotation = python
        self.is_hashable = python.__hash__ is not None
        self.name = name if layout == 1 or migrate else f"{name}, layout {layout}"
        self._to_bytes = to_bytes
        self._from_bytes = from_bytes
        self._identity = identity
        self._layout = layout
        self._migrate = migrate

    @property
    def readers(self) -> tuple[object, ...]:
        given = [each for each in (self._from_bytes, self._migrate) if each is not None]
        return tuple(each for each in given if getattr(self.python, getattr(each, "__name__", ""), None) != each)

    def to_storage(self, value: Any) -> Any:
        python = type(value)
        called = (self.python.__module__, self.python.__qualname__)  # by a cell of a notebook it is defined again
        if not isinstance(value, self.python) and (python.__module__, python.__qualname__) != called:
            raise mismatch(self.name, value)
        data = self._bytes(self._to_bytes(value), value, "to_bytes")
        identity = self._bytes(self._identity(value), value, "identity") if self._identity and is_large(data) else None
        return {"layout": self._layout, **inline(data, identity=identity)}

    def from_storage(self, stored: Any) -> Any:
        layout, data = stored["layout"], content(stored, self.name)
        if not isinstance(layout, int) or data is None:
            raise mismatch(self.name, stored, "that is no layout and bytes")
        data = bytes(data)
        if layout != self._layout and self._migrate is None:
            raise mismatch(self.name, stored, f"it has layout {layout}, expected {self._layout}; give a migrate=")
        try:
            return (
                self._from_bytes(data)
                if layout == self._layout or self._migrate is None
                else self._migrate(data, layout)
            )
        except Exception as error:  # a stranger's code; it is named
            raise ValueTypeError(
                f"expected {self.name}, found {len(data)} bytes of layout {layout} that cannot be read: "
                f"{type(error).__name__}: {error}",
                expected=self.name,
            ) from error

    def export(self, value: Any, file: Path) -> None:
        file.write_bytes(self.to_storage(value)["data"])

    def identity(self, column: pa.Array[Any]) -> pa.Array[Any]:
        return identities(
            column,
            lambda others: [None if each is None else self._identified(each) for each in others.to_pylist()],
        )

    def _identified(self, stored: Any) -> bytes:
        if self._identity is None and stored["layout"] == self._layout:
            return bytes(content(stored, self.name))
        value = self.from_storage(stored)
        if self._identity is None:
            return self._bytes(self._to_bytes(value), value, "to_bytes")
        return self._bytes(self._identity(value), value, "identity")

    def _bytes(self, given: Any, value: Any, called: str) -> bytes:
        if not isinstance(given, bytes | bytearray | memoryview):
            raise mismatch(self.name, value, f"its {called} gave {type(given).__qualname__}, expected bytes")
        data = bytes(given)
        if data.startswith(_PICKLES) and _is_pickle(data):
            raise mismatch(self.name, value, f"its {called} gave a pickle, which runs code when it is read; write data")
        return data


@overload
def logical_type(python: _Class, /) -> _Class: ...
@overload
def logical_type(
    python: _Class,
    /,
    *,
    name: str | None = None,
    to_bytes: Callable[[Any], bytes] | None = None,
    from_bytes: Callable[[bytes], Any] | None = None,
    identity: Callable[[Any], bytes] | None = None,
    layout: int = 1,
    migrate: Callable[[bytes, int], Any] | None = None,
) -> _Class: ...
@overload
def logical_type(
    *,
    name: str | None = None,
    to_bytes: Callable[[Any], bytes] | None = None,
    from_bytes: Callable[[bytes], Any] | None = None,
    identity: Callable[[Any], bytes] | None = None,
    layout: int = 1,
    migrate: Callable[[bytes, int], Any] | None = None,
) -> Callable[[_Class], _Class]: ...
def logical_type(
    python: Any = None,
    /,
    *,
    name: str | None = None,
    to_bytes: Callable[[Any], bytes] | None = None,
    from_bytes: Callable[[bytes], Any] | None = None,
    identity: Callable[[Any], bytes] | None = None,
    layout: int = 1,
    migrate: Callable[[bytes, int], Any] | None = None,
) -> Any:
    """Let objects of a class be values; return the class, so that it decorates one.

    A class with ``to_bytes(self)`` and ``from_bytes(data)`` of its own, or with such given here, is bytes at rest. A
    class with fields is a struct without this; here it is given a name that does not say where it is defined.

    Args:
        python: the class; a decorator is returned if it is left out.
        name: what makes two classes the same type; module and name of the class if None.
        to_bytes: writes an object; the same object as the same bytes, or ``identity`` says what is the same.
        from_bytes: reads what ``to_bytes`` wrote.
        identity: bytes that are the same for the same objects, and for no others; what ``to_bytes`` gives if None.
        layout: the number of the layout that ``to_bytes`` writes. Another layout is another type, whose results are
            computed anew, unless there is ``migrate``.
        migrate: makes an object of the bytes of another layout, and its number, so that old results stay.

    Raises:
        SchemaError: it is no class, or nothing says what its objects are at rest.
    """
    check = Checks("logical_type", SchemaError)
    if check.text_or_none("name", name) == "":
        raise check.wrong("name", name, "a name that is not empty")
    check.count("layout", layout, least=1, most=2**31 - 1)
    for argument, given in (
        ("to_bytes", to_bytes),
        ("from_bytes", from_bytes),
        ("identity", identity),
        ("migrate", migrate),
    ):
        if given is not None:
            check.function(argument, given)

    def register(cls: Any) -> Any:
        check.instance("the class", cls, type, "a class", "give that of the values")
        if registry.is_standard(cls):
            raise SchemaError(
                f"{cls.__qualname__} is a type already, and its values are everywhere; derive a class of it"
            )
        own = object if issubclass(cls, int) else cls  # whose methods of these names are others
        write, read = to_bytes or getattr(own, "to_bytes", None), from_bytes or getattr(own, "from_bytes", None)
        called = name or f"{cls.__module__}.{cls.__qualname__}"
        if write is not None and read is not None:
            dtype = CodecType(cls, called, write, read, identity, layout, migrate)
            registry.register(cls, lambda annotation: dtype)
        elif is_record_class(cls) and not any((write, read, identity, migrate)) and layout == 1:
            registry.register(cls, record_class(called))
        else:
            raise SchemaError(
                f"{cls.__qualname__}: found neither to_bytes and from_bytes nor fields alone, expected one of them: "
                "give the class methods to_bytes(self) and from_bytes(data), pass functions of these names, or make it "
                "a dataclass"
            )
        return cls

    return register if python is None else register(python)


def _is_pickle(data: bytes) -> bool:
    try:
        *_, (_, _, last) = pickletools.genops(data)
    except (ValueError, IndexError, OverflowError):
        return False
    return last == len(data) - 1
