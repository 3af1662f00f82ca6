"""Large values: bytes of one that lie in a file of the store, kept by content, in place of its row.

A type whose values are bytes, whatever else, is a struct that ends in ``KEPT_FIELDS``. A value begins inline, ``data``
being its bytes. Once it is stored, a large one is a reference: ``file`` is where its bytes are, ``size`` how many, and
``identity`` what identifies the value, so that its row can be looked at, moved and hashed without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from orcapod.compute import pc
from orcapod.display import shown
from orcapod.errors import ValueTypeError
from orcapod.files import read_bytes
from orcapod.types.files import FILE_ARROW, members_of

__all__ = [
    "KEPT_FIELDS",
    "LARGE_BYTES",
    "content",
    "holds_kept",
    "identified",
    "identities",
    "inline",
    "is_large",
    "large_bytes",
    "large_parts",
    "loaded_bytes",
]

LARGE_BYTES = 1_000_000

Identify = Callable[[Any], tuple[bytes, str | None]]
"""Given the bytes of a value, returns what identifies it, and their digest, if it is known then."""

_IDENTIFY = "identify"  # beside the fields of a value that is with its bytes; no field, so that no column has it

KEPT_FIELDS = (
    ("data", pa.large_binary()),
    ("size", pa.int64()),
    ("file", FILE_ARROW),
    ("identity", pa.large_binary()),
)


def inline(
    data: bytes | memoryview, *, identity: bytes | None = None, identify: Identify | None = None
) -> dict[str, Any]:
    """Return the fields of a value that is still with its bytes.

    Args:
        data: the bytes, which nobody writes to any more.
        identity: what identifies the value; needed of no value, and worth it for a large one.
        identify: finds what identifies a large one, when it is written to a file, or becomes part of a column.
    """
    if not is_large(data):
        return {"data": data, "size": None, "file": None, "identity": None}
    return {"data": data, "size": len(data), "file": None, "identity": identity, _IDENTIFY: identify}


def identified(part: dict[str, Any]) -> str | None:
    """Have a large part of a value know what identifies it; return the digest of its bytes, if it became known."""
    identify: Identify | None = part[_IDENTIFY]
    if identify is None:
        return None
    part["identity"], digest = identify(part["data"])
    return digest


def is_large(data: Any) -> bool:
    """Say whether bytes are so many that they are kept elsewhere."""
    return len(data) >= LARGE_BYTES


def content(stored: Any, name: str) -> Any:
    """Return the bytes of a stored value, of the type of this name, as a buffer; those of a file are not copied.

    Raises:
        ValueTypeError: they are lost or have changed.
    """
    file = stored.get("file")
    if file is None or file["path"] is None:
        return stored["data"]
    where = shown(file["path"])
    try:
        return read_bytes(Path(file["path"]), file["digest"], stored["size"])
    except (OSError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ValueTypeError(
            f"expected {name}, found {where}, where the bytes of a large value were kept: {error}; "
            "op.verify_store(..., repair=True) moves its row aside, and the next run computes it again",
            expected=name,
            found=where,
        ) from None


def identities(column: Any, of: Callable[[Any], Iterable[bytes | None]]) -> pa.Array[Any]:
    """Return what identifies the values of a column: what is known of large ones, and what ``of`` says of others.

    Args:
        column: of a type with ``KEPT_FIELDS``.
        of: returns for each value of a column what identifies it, None for null.
    """
    known: Any = pc.struct_field(column, "identity")
    if known.null_count == len(known):
        return pa.array(of(column), pa.large_binary())
    others = iter(of(column.filter(known.is_null())))
    return pa.array([next(others) if each is None else each for each in known.to_pylist()], pa.large_binary())


def large_parts(stored: Any, arrow: Any) -> Iterator[dict[str, Any]]:
    """Give the parts of a value, as ``to_storage`` gave it, that are large and still with their bytes.

    Args:
        stored: the value.
        arrow: its Arrow type.
    """
    if stored is None or not holds_kept(arrow):
        return
    if _is_kept(arrow):
        if stored["data"] is not None and is_large(stored["data"]):
            yield stored
    elif pat.is_struct(arrow):
        for field in arrow:
            yield from large_parts(stored[field.name], field.type)
    elif pat.is_map(arrow):
        for key, item in stored.items() if isinstance(stored, dict) else stored:
            yield from large_parts(key, arrow.key_type)
            yield from large_parts(item, arrow.item_type)
    else:
        for item in stored:
            yield from large_parts(item, arrow.value_type)


def large_bytes(stored: Any, arrow: Any) -> int:
    """Return how many bytes of a value, as ``to_storage`` gave it, have another place than its row, if there is one."""
    if isinstance(stored, bytes):
        return len(stored) if is_large(stored) else 0
    return sum(len(part["data"]) for part in large_parts(stored, arrow))


def loaded_bytes(columns: Iterable[Any]) -> int:
    """Return how many bytes the large values of columns have that are elsewhere."""
    return sum(sum(_sizes(column)) for column in columns if holds_kept(column.type))


@cache
def holds_kept(arrow: Any) -> bool:
    """Say whether values of an Arrow type are, or hold, such that may be kept elsewhere."""
    return _is_kept(arrow) or any(holds_kept(arrow.field(at).type) for at in range(arrow.num_fields))


@cache
def _is_kept(arrow: Any) -> bool:
    fields = [(field.name, field.type) for field in arrow] if pat.is_struct(arrow) else []
    return tuple(fields[-len(KEPT_FIELDS) :]) == KEPT_FIELDS


def _sizes(column: Any) -> Iterator[int]:
    """Give the sizes of the values of a column that are references."""
    if not holds_kept(column.type):
        return
    if _is_kept(column.type):
        is_apart = pc.struct_field(column, ["file", "path"]).is_valid()
        yield pc.sum(pc.struct_field(column.filter(is_apart), "size")).as_py() or 0
        return
    for member in members_of(column):
        yield from _sizes(member)
