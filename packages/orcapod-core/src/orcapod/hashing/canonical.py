"""Canonical bytes of Python structures: what gives operators, functions and sources their identity.

The encoding is prefix-free and keeps every type apart: ``[1]``, ``(1,)``, ``{1}`` and ``{1: None}``,
and ``1``, ``True``, ``1.0`` and ``"1"``, are six and four different things. It does not depend on the
process, on ``PYTHONHASHSEED``, or on the order in which a set or a dict was filled.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from uuid import UUID

from orcapod.errors import IdentityError
from orcapod.hashing.content_hash import ContentHash

__all__ = ["STRUCTURE_METHOD", "canonical_bytes", "hash_structure"]

STRUCTURE_METHOD = "structure-v1"


def hash_structure(value: object) -> ContentHash:
    """Return the identity of a Python structure.

    Raises:
        IdentityError: a part of it is of a type without canonical bytes.
    """
    return ContentHash(STRUCTURE_METHOD, sha256(canonical_bytes(value)).digest())


def canonical_bytes(value: object) -> bytes:
    """Return canonical, prefix-free bytes of a structure of plain values and containers.

    Raises:
        IdentityError: a part of it is of a type without canonical bytes.
    """
    match value:
        case None:
            return b"N"
        case Enum():
            cls = type(value)
            return _framed(b"E", *map(canonical_bytes, (cls.__module__, cls.__qualname__, value.name)))
        case bool():
            return b"T" if value else b"F"
        case int():
            return _framed(b"i", str(Decimal(int(value))).encode())  # str(int) refuses 4,301 digits
        case float():
            canonical = float("nan") if value != value else value
            return b"f" + struct.pack("<d", canonical)
        case complex():
            return b"j" + canonical_bytes(value.real) + canonical_bytes(value.imag)
        case str():
            return _framed(b"s", value.encode("utf-8", "surrogatepass"))
        case bytes() | bytearray():
            return _framed(b"b", bytes(value))
        case ContentHash():
            return _framed(b"h", str(value).encode())
        case datetime() | date() | time():
            return _framed(b"d", type(value).__name__.encode(), value.isoformat().encode())
        case timedelta():
            return _framed(b"D", f"{value.days},{value.seconds},{value.microseconds}".encode())
        case Decimal() | UUID() | PurePath():
            return _framed(b"o", type(value).__name__.encode(), str(value).encode())
        case range() | slice():
            ends = (value.start, value.stop, value.step)
            return _framed(b"r", type(value).__name__.encode(), canonical_bytes(ends))
        case Mapping():
            items = sorted((canonical_bytes(key), canonical_bytes(item)) for key, item in value.items())
            return _framed(b"m", *(part for item in items for part in item))
        case Set():
            return _framed(b"S", *sorted(map(canonical_bytes, value)))
        case tuple():
            return _framed(b"t", *map(canonical_bytes, value))
        case list():
            return _framed(b"l", *map(canonical_bytes, value))
        case _:
            raise IdentityError(
                f"found {value!r} of type {type(value).__qualname__}, which has no canonical bytes; expected "
                "plain values (None, bool, int, float, str, bytes, dates, paths) in lists, tuples, sets or dicts"
            )


def _framed(tag: bytes, *parts: bytes) -> bytes:
    head = tag + struct.pack("<Q", len(parts))
    return head + b"".join(struct.pack("<Q", len(part)) + part for part in parts)
