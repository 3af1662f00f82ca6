"""Values that say all that they are in a few bytes, and hold no objects that could be anything else."""

import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID

from orcapod.hashing.canonical import canonical_bytes
from orcapod.hashing.content_hash import ContentHash

__all__ = [
    "PLAIN",
    "declared_type",
    "framed",
    "is_generator",
    "is_ignorable",
    "is_plain",
    "leaf",
    "numpy_scalars",
    "plain_bytes",
]

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes})
_CANONICAL = frozenset({
    date, timedelta, Decimal, UUID, range, ContentHash, type(Path()), PurePosixPath, PureWindowsPath,
})  # fmt: skip
_IGNORABLE = frozenset({
    "_thread.RLock", "_thread.lock", "logging.Logger", "logging.LoggerAdapter", "logging.RootLogger",
    "threading.Barrier", "threading.BoundedSemaphore", "threading.Condition", "threading.Event",
    "threading.Semaphore", "threading._RLock",
    "multiprocessing.synchronize.Lock", "multiprocessing.synchronize.RLock",
})  # fmt: skip
_TYPE_NAMES = {
    "NewType": ("__supertype__",),
    "TypeAliasType": ("__value__",),
    "TypeVar": ("__bound__", "__constraints__", "__default__"),
}
_GENERATORS = frozenset({
    "random.Random", "numpy.random._generator.Generator", "numpy.random.mtrand.RandomState",
})  # fmt: skip


def framed(tag: str, parts: Iterable[bytes]) -> bytes:
    """Return a tag and parts as bytes that say where each part ends."""
    return tag.encode() + b"(" + b"".join(b"%d:%b" % (len(part), part) for part in parts) + b")"


def is_plain(items: Iterable[object]) -> bool:
    """Say whether all items are of plain types."""
    return PLAIN.issuperset(map(type, items))


def plain_bytes(value: object) -> bytes:
    """Return the bytes of a plain value, or of a builtin container of plain values, at the speed of C."""
    try:
        return ascii(value).encode()
    except ValueError:  # an int of more digits than Python writes
        return canonical_bytes(value)


def numpy_scalars(values: Sequence[Any]) -> bytes | None:
    """Return the bytes of numbers of one type of numpy, all at once; None if there are others among them."""
    cls = type(values[0])
    if cls.__module__ != "numpy" or set(map(type, values)) != {cls}:
        return None
    array = sys.modules["numpy"].array(values)
    return (
        framed("scalars", map(_part, _array(array) or ())) if array.ndim == 1 and array.dtype.kind in "biufc" else None
    )


def is_ignorable(item: object) -> bool:
    """Say whether an object never matters to what is computed: a logger, a lock, a stream, a progress bar."""
    if any(item is stream for stream in (sys.stdout, sys.stderr, sys.stdin, sys.__stdout__, sys.__stderr__)):
        return True
    name = _name_of(type(item))
    return name in _IGNORABLE or name.startswith(("tqdm.", "rich.progress."))


def is_generator(item: object) -> bool:
    """Say whether an object makes random numbers, which changes it."""
    return _name_of(type(item)) in _GENERATORS


def leaf(item: Any) -> bytes | None:
    """Return the bytes of a value that holds no other objects; None if it is of another kind."""
    cls = type(item)
    if cls in PLAIN:
        return plain_bytes(item)
    if cls in _CANONICAL:
        return framed("value", [canonical_bytes(item)])
    for base in cls.__mro__:
        name = _name_of(base)
        if name in _LIBRARY and (base is cls or name in _WITH_SUBCLASSES):
            described = _LIBRARY[name](item)
            return None if described is None else framed(name, map(_part, described))
    if cls.__module__ in ("typing", "types") and typing.get_origin(item) is None and cls is not types.SimpleNamespace:
        return None if declared_type(item) else framed("typing", [str(getattr(item, "__name__", item)).encode()])
    return None


def declared_type(item: Any) -> tuple[object, ...]:
    """Return what a name for types stands for, or what it is restricted to; nothing if it is no more than a name."""
    cls = type(item)
    names = _TYPE_NAMES.get(cls.__name__, ()) if cls.__module__ in ("typing", "typing_extensions") else ()
    with suppress(Exception):  # of an alias that names what only type checkers know
        held = [getattr(item, name, None) for name in names]
        held = [None if each == () or type(each).__name__ == "NoDefaultType" else each for each in held]
        return tuple(held) if any(each is not None for each in held) else ()
    return ()


def _part(value: object) -> bytes:
    return value if type(value) is bytes else plain_bytes(value)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _array(item: Any) -> tuple[object, ...] | None:
    if item.dtype.hasobject:
        return None
    return type(item).__name__, item.dtype.str, repr(item.dtype.descr), item.shape, sha256(item.tobytes()).digest()


def _schema(item: Any) -> tuple[object, ...]:
    return (str(item.to_string(truncate_metadata=False)),)


def _typed(item: Any) -> tuple[object, ...]:
    return _schema(sys.modules["pyarrow"].schema([("", item)]))


def _table(item: Any) -> tuple[object, ...]:
    """Return schema and rows of Arrow data; chunks and slices do not count."""
    pa = sys.modules["pyarrow"]
    whole = item if isinstance(item, pa.Table) else pa.Table.from_batches([item])
    copied = [pa.concat_arrays([*column.chunks, pa.array([], column.type)]) for column in whole.columns]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(pa.Table.from_arrays(copied, schema=whole.schema))
    return *_schema(whole.schema), sha256(sink.getvalue()).digest()


def _column(item: Any) -> tuple[object, ...]:
    return _table(sys.modules["pyarrow"].table({"": item}))


def _scalar(item: Any) -> tuple[object, ...]:
    return _column(sys.modules["pyarrow"].array([item.as_py()], item.type))


_LIBRARY: Mapping[str, Callable[[Any], tuple[object, ...] | None]] = {  # by name, so that nothing is imported for it
    "builtins.ellipsis": lambda _: (),
    "builtins.NotImplementedType": lambda _: (),
    "builtins.memoryview": lambda item: (item.format, item.shape, item.tobytes()),
    "_struct.Struct": lambda item: (item.format,),
    "datetime.timezone": lambda item: (str(item.utcoffset(None)), item.tzname(None)),
    "zoneinfo.ZoneInfo": lambda item: None if item.key is None else (str(item.key),),
    "itertools.count": lambda item: (repr(item),),
    "fractions.Fraction": lambda item: (item.numerator, item.denominator),
    "re.Pattern": lambda item: (item.pattern, item.flags),
    "numpy.ndarray": _array,
    "numpy.generic": _array,
    "numpy.dtype": lambda item: (item.str, repr(item.descr)),
    "pyarrow.lib.Schema": _schema,
    "pyarrow.lib.Field": lambda item: _schema(sys.modules["pyarrow"].schema([item])),
    "pyarrow.lib.DataType": _typed,
    "pyarrow.lib.Table": _table,
    "pyarrow.lib.RecordBatch": _table,
    "pyarrow.lib.ChunkedArray": _column,
    "pyarrow.lib.Array": _column,
    "pyarrow.lib.Scalar": _scalar,
}
_WITH_SUBCLASSES = {"numpy.generic", "numpy.dtype", "pyarrow.lib.DataType", "pyarrow.lib.Array", "pyarrow.lib.Scalar"}
