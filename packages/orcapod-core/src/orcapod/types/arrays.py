"""``ArrayType``: arrays of numpy, of any dtype but object; loaded when numpy is met in an annotation or a value.

An array is stored as its dtype, its shape and its elements in C order, little-endian: other tools read the struct, and
it is given to a function without a copy, also where the elements lie in a file. It is identified by the same three,
all NaNs being one.
"""

from __future__ import annotations

import math
from ast import literal_eval
from collections.abc import Iterator, Sequence
from functools import partial, reduce
from hashlib import sha256
from operator import or_
from pathlib import Path
from types import GenericAlias
from typing import Any, Literal, TypeVar, get_args, get_origin

import numpy as np
import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import SchemaError
from orcapod.types.array_columns import element_dtype, logical_shape, stored_arrays
from orcapod.types.containers import ListType
from orcapod.types.large import KEPT_FIELDS, LARGE_BYTES, content, identities, inline
from orcapod.types.logical import LogicalType, mismatch, not_exported, registry
from orcapod.types.scalars import BOOL, FLOAT, INT, STR

__all__ = ["ArrayType", "type_of_tensor"]

IDENTITY_METHOD = "ndarray-v1"
LARGE_METHOD = "ndarray-v2"  # of large ones, by a digest of their elements, which is that of the file too

_KINDS = "biufcSUVMm"
_AT_ONCE = 1 << 18  # elements that are hashed, and then looked through for NaN
_SCALARS = {"b": (BOOL,), "i": (INT, FLOAT), "u": (INT, FLOAT), "f": (FLOAT,), "U": (STR,)}
"""The types of Python's that elements of a kind of dtype are, too."""


class ArrayType(LogicalType):
    """``numpy.ndarray``: arrays whose dtype and shape may be declared.

    What is declared is no part of a hash: an array is the same under ``np.ndarray`` and ``NDArray[np.float32]``.

    Args:
        scalars: the scalar types of numpy that elements may have; any but object if there are none.
        shape: the length of every dimension, None for any; of any number of dimensions if None.
    """

    is_identity = False
    is_total = False
    is_hashable = False
    is_canonical = False
    shows_values = True
    hash_name = "ndarray"
    arrow = pa.struct([("dtype", pa.large_string()), ("shape", pa.large_list(pa.int64())), *KEPT_FIELDS])

    def __init__(self, scalars: tuple[type[np.generic], ...] = (), shape: tuple[int | None, ...] | None = None) -> None:
        self.scalars = scalars
        self.shape = shape
        elements = " | ".join(scalar.__name__ for scalar in scalars) or "Any"
        lengths = "" if shape is None else f", ({', '.join('*' if each is None else str(each) for each in shape)})"
        self.name = f"ndarray[{elements}{lengths}]" if scalars or lengths else "ndarray"
        self.annotation = _annotation(scalars, shape)

    @property
    def general(self) -> LogicalType:
        return ArrayType()

    def takes(self, other: LogicalType) -> bool:
        return (
            isinstance(other, ArrayType)
            and (not self.scalars or (bool(other.scalars) and all(map(self._has_elements, other.scalars))))
            and (self.shape is None or (other.shape is not None and self._has_shape(other.shape)))
        )

    def converts_to(self, other: LogicalType) -> bool:
        for _ in self.shape or ():
            other = other.item if isinstance(other, ListType) else self
        kinds = {np.dtype(scalar).kind for scalar in self.scalars}
        return bool(self.shape and kinds) and all(other in _SCALARS.get(kind, ()) for kind in kinds)

    def adopted(self, column: Any) -> Any:
        """Return a column of tensors, or of lists of numbers, as one of arrays."""
        if (dtype := element_dtype(column.type)) is None:
            return column
        return stored_arrays(column, dtype, _text(_little(dtype)), self.arrow)

    def narrowed(self, values: Sequence[Any]) -> LogicalType:
        dtypes = {_little(value.dtype) for value in values}
        dimensions = {value.ndim for value in values}
        scalars = tuple({dtype.type for dtype in dtypes}) if len(dtypes) == 1 else ()
        return ArrayType(scalars, (None,) * dimensions.pop() if len(dimensions) == 1 else None)

    def to_storage(self, value: Any) -> Any:
        if type(value) not in (np.ndarray, np.memmap):
            raise mismatch(self.name, value, _advice(value))
        if why := _why_not(value.dtype):
            raise mismatch(self.name, value, why)
        dtype = _little(value.dtype)
        if why := self._misfit(dtype, value.shape):
            raise mismatch(self.name, value, why)
        elements = value.astype(dtype, order="C", copy=False)
        if elements.nbytes < LARGE_BYTES:
            kept = inline(elements.tobytes())
        else:
            kept = inline(_copied(elements), identify=partial(_identify, dtype, value.shape))
        return {"dtype": _text(dtype), "shape": list(value.shape), **kept}

    def from_storage(self, stored: Any) -> Any:
        return self._restored(stored["dtype"], stored["shape"], content(stored, self.name))

    def to_python(self, column: Any) -> list[Any]:
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return [array for chunk in chunks for array in self._viewed(chunk)]

    def display(self, value: Any) -> Any:
        return f"{value.dtype} array of shape {value.shape}"

    def export(self, value: Any, file: Path) -> None:
        if file.suffix != ".npy":
            raise not_exported(self, file, ".npy")
        with file.open("wb") as stream:
            np.save(stream, value, allow_pickle=False)

    def identity(self, column: pa.Array[Any]) -> pa.Array[Any]:
        def of(arrays: pa.Array[Any]) -> list[bytes | None]:
            return [None if array is None else _digest(array) for array in ArrayType().to_python(arrays)]

        return identities(column, of)

    def _has_elements(self, scalar: type[np.generic]) -> bool:
        return issubclass(scalar, self.scalars)

    def _has_shape(self, shape: tuple[int | None, ...]) -> bool:
        wanted = self.shape or ()
        return len(shape) == len(wanted) and all(
            mine is None or mine == theirs for mine, theirs in zip(wanted, shape, strict=True)
        )

    def _misfit(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
        """Return in what an array is not as it is declared; nothing if it is."""
        if self.scalars and not self._has_elements(dtype.type):
            return f"its dtype is {dtype}; convert it with .astype()"
        if self.shape is not None and not self._has_shape(shape):
            return f"its shape is {shape}; reshape it, or declare another"
        return ""

    def _viewed(self, column: Any) -> Iterator[Any]:
        """Yield arrays over the memory of a column, which is not copied."""
        texts, shapes, data, sizes, files, _ = column.flatten()
        for text, shape, whole, length, file, start, size in zip(
            texts.to_pylist(),
            shapes.to_pylist(),
            column.is_valid().to_pylist(),
            sizes.to_pylist(),
            files.to_pylist(),
            *_extents(data),
            strict=True,
        ):
            here = (data.buffers()[2].slice(start, size) if size else b"") if size is not None else None
            stored = {"data": here, "size": length, "file": file}
            yield self._restored(text, shape, content(stored, self.name)) if whole else None

    def _restored(self, text: Any, lengths: Any, data: Any) -> Any:
        try:
            dtype, shape = _dtype(text), tuple(lengths)
            is_whole = len(memoryview(data)) == dtype.itemsize * math.prod(shape) and min(shape, default=0) >= 0
            array: Any = np.ndarray(shape, dtype, data) if is_whole and not _why_not(dtype) else None
        except (AttributeError, TypeError, ValueError, SyntaxError, MemoryError, RecursionError):
            array = None
        if array is None:
            found = {"dtype": text, "shape": lengths}
            raise mismatch(self.name, found, "that is no dtype and shape of its bytes")
        if why := self._misfit(dtype, shape):
            raise mismatch(self.name, array, why)
        array = array if array.flags.aligned else array.copy()
        array.flags.writeable = False
        return array


def type_of_tensor(arrow: Any) -> ArrayType:
    """Return the type of arrays in a column of Arrow's fixed-shape tensors."""
    return ArrayType((np.dtype(arrow.value_type.to_pandas_dtype()).type,), logical_shape(arrow))


def _extents(data: Any) -> tuple[list[int], list[int | None]]:
    """Return where in their buffer values of bytes begin, and how many each has; None for a null."""
    if not len(data):
        return [], []
    ends = np.frombuffer(data.buffers()[1], np.int64, len(data) + 1, 8 * data.offset)
    return ends[:-1].tolist(), pc.binary_length(data).to_pylist()


def _advice(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return "it is more than an array; np.asarray() is its elements alone, so keep what else matters beside them"
    return "make it an array with np.asarray()" if isinstance(value, np.generic | list | tuple) else ""


def _why_not(dtype: np.dtype[Any]) -> str:
    """Return why arrays of a dtype cannot be held; nothing if they can."""
    if dtype.kind == "O" or (dtype.names is not None and dtype.hasobject):
        return "an array of objects has no bytes of its own; give it a dtype of numbers or text, or take a list"
    if _has_records(dtype):
        return (
            "its elements are np.record, whose fields are not kept as attributes; take fields by name: "
            "array.view(np.dtype((np.void, array.dtype)))"
        )
    try:
        is_written = dtype.kind in _KINDS and dtype.metadata is None and _dtype(_text(_little(dtype))) == _little(dtype)
    except (ValueError, TypeError):  # fields out of order, text of any length
        is_written = False
    if not is_written:
        return f"its dtype {dtype} cannot be written down; convert it with .astype()"
    return ""


def _has_records(dtype: np.dtype[Any]) -> bool:
    if dtype.subdtype is not None:
        return _has_records(dtype.base)
    return issubclass(dtype.type, np.record) or any(_has_records(dtype[name]) for name in dtype.names or ())


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype with its elements little-endian, and under its one name."""
    try:
        little = dtype.newbyteorder("<")
    except TypeError:  # text of any length
        return dtype
    return little if dtype.names is not None or dtype.kind not in "iu" else np.dtype(little.str)


def _text(dtype: np.dtype[Any]) -> str:
    return str(np.lib.format.dtype_to_descr(dtype))


def _dtype(text: str) -> np.dtype[Any]:
    descr: Any = literal_eval(text) if text.startswith("[") else text
    return np.lib.format.descr_to_dtype(descr)


def _digest(array: Any) -> bytes:
    """Return what identifies an array: SHA-256 of its dtype and shape, and of its elements, all NaNs one."""
    if array.nbytes >= LARGE_BYTES:
        return _large_digest(array)[0]
    digest, _ = _with_elements(_headed(IDENTITY_METHOD, array), array)
    return bytes(digest.digest())


def _copied(array: Any) -> memoryview:
    """Return a copy of the bytes of an array, which a function may go on to write to."""
    memory = memoryview(pa.allocate_buffer(array.nbytes))  # which is used again: fresh memory costs more than the copy
    np.frombuffer(memory, np.uint8)[:] = _bytes_of(array)
    return memory


def _identify(dtype: np.dtype[Any], shape: tuple[int, ...], data: Any) -> tuple[bytes, str | None]:
    """Return what identifies a large array, and the digest of its bytes if that is made of them, as they are."""
    return _large_digest(np.ndarray(shape, dtype, data))


def _large_digest(array: Any) -> tuple[bytes, str | None]:
    elements, is_plain = _with_elements(sha256(), array)
    digest = _headed(LARGE_METHOD, array)
    digest.update(elements.digest())
    return digest.digest(), f"sha256:{elements.hexdigest()}" if is_plain else None


def _headed(method: str, array: Any) -> Any:
    head = repr((method, _text(array.dtype), array.shape)).encode()
    return sha256(len(head).to_bytes(8, "little") + head)


def _with_elements(digest: Any, array: Any) -> tuple[Any, bool]:
    """Return a digest with the elements, all NaNs one, and whether what it got are the bytes of the array."""
    parts = _parts(array)
    is_plain = len(parts) == 1 and parts[0] is array
    for part in parts:
        elements = np.ascontiguousarray(part).reshape(-1)
        for start in range(0, len(elements), _AT_ONCE):
            block = elements[start : start + _AT_ONCE]
            before, data = digest.copy(), _bytes_of(block)
            digest.update(data)  # so that the look for NaN finds it near the processor
            canonical = _canonical(block)
            if canonical is not block and canonical.tobytes() != data:
                is_plain, digest = False, before
                digest.update(_bytes_of(canonical))
    return digest, is_plain


def _bytes_of(array: Any) -> memoryview:
    """Return the memory of a contiguous array."""
    memory: memoryview = array.reshape(-1).view(np.uint8).data
    return memory


def _parts(array: Any) -> list[Any]:
    """Return the elements as arrays of plain dtypes."""
    dtype = array.dtype
    if dtype.names is not None:
        return [part for name in dtype.names for part in _parts(array[name])]
    if array.size == 0 or dtype.itemsize == 0:
        return []
    return [array.real, array.imag] if dtype.kind == "c" else [array]


def _canonical(block: Any) -> Any:
    """Return elements of a plain dtype with bytes that are equal where their values are."""
    if block.dtype.kind != "f":
        return block
    if np.isnan(block.min()):  # which is NaN if any is, and takes no memory
        block = np.where(np.isnan(block), block.dtype.type("nan"), block)
    if np.finfo(block.dtype).nmant == 63:  # ten bytes of sixteen, and what lies in the others is nothing
        return np.ascontiguousarray(block.reshape(-1, 1).view(np.uint8)[:, :10])
    return block


def _annotation(scalars: tuple[Any, ...], shape: tuple[int | None, ...] | None) -> Any:
    if not scalars and shape is None:
        return np.ndarray
    elements: Any = reduce(or_, scalars) if scalars else Any
    lengths: Any = (Any, ...) if shape is None else tuple(int if each is None else Literal[each] for each in shape)
    return GenericAlias(np.ndarray, (GenericAlias(tuple, lengths), GenericAlias(np.dtype, (elements,))))


def _array(annotation: Any) -> LogicalType:
    python, arguments = get_origin(annotation) or annotation, get_args(annotation)
    if python not in (np.ndarray, np.memmap):
        raise SchemaError(
            f"found {python.__module__}.{python.__qualname__}, which is more than an array; expected numpy.ndarray: "
            "take that, with what else there is in columns of their own, or register the type"
        )
    shape = _declared_shape(arguments[0], annotation) if arguments else None
    return ArrayType(_declared_scalars(arguments[1], annotation) if len(arguments) > 1 else (), shape)


def _declared_shape(declared: Any, annotation: Any) -> tuple[int | None, ...] | None:
    members = get_args(declared)
    if get_origin(declared) is not tuple or ... in members:
        return None
    lengths: list[int | None] = []
    for member in members:
        if get_origin(member) is Literal and len(get_args(member)) == 1 and type(get_args(member)[0]) is int:
            lengths.append(get_args(member)[0])
        elif member in (int, Any):
            lengths.append(None)
        else:
            raise SchemaError(f"found {annotation}; expected int or Literal[3] for every dimension, found {member}")
    return tuple(lengths)


def _declared_scalars(declared: Any, annotation: Any) -> tuple[type[np.generic], ...]:
    found: list[type[np.generic]] = []
    for dtype in get_args(declared):
        for scalar in get_args(dtype) or (dtype,):
            if isinstance(scalar, TypeVar) or scalar in (Any, np.generic):
                return ()
            if not (isinstance(scalar, type) and issubclass(scalar, np.generic)):
                raise SchemaError(f"found {annotation}; expected a dtype of numpy's, as in NDArray[np.float32]")
            if issubclass(scalar, np.object_):
                raise SchemaError(
                    f"found {annotation}, whose elements are Python objects that have no bytes; expected a dtype of "
                    "numbers or text: take a list, or a column for each kind of value"
                )
            if issubclass(scalar, np.record):
                raise SchemaError(
                    f"found {annotation}, whose fields are not kept as attributes; expected np.void: take that, and "
                    "fields by name"
                )
            is_width = issubclass(scalar, np.integer) and not scalar.__subclasses__()
            found.append(_little(np.dtype(scalar)).type if is_width else scalar)
    return tuple(dict.fromkeys(found))


registry.register(np.ndarray, _array)
