"""The types of SQLite as those of a pipeline: what columns declare, and what their values are read as."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from orcapod.types import LogicalType, registry

__all__ = ["declared_type", "found_type", "restored"]

_WHOLE: Mapping[str, type] = {
    "BOOL": bool, "BOOLEAN": bool, "DATE": date, "TIME": time, "DATETIME": datetime, "TIMESTAMP": datetime,
}  # fmt: skip
_PARTS: Sequence[tuple[Sequence[str], type]] = (
    (("INT",), int),
    (("CHAR", "CLOB", "TEXT"), str),
    (("BLOB",), bytes),
    (("REAL", "FLOA", "DOUB"), float),
    (("NUM", "DEC"), float),
    (("JSON", "UUID"), str),
)
"""SQLite's rules of affinity, in their order, and what is usual beside them."""

_VALUES: Mapping[frozenset[str], type] = {
    frozenset(kinds): python
    for kinds, python in (
        (["integer"], int), (["real"], float), (["integer", "real"], float), (["text"], str), (["blob"], bytes),
    )
}  # fmt: skip


def declared_type(sql_type: str) -> LogicalType | None:
    """Return what a column of a declared type holds; None where none is declared, or one that says nothing."""
    name, _, _ = sql_type.upper().partition("(")
    if name.strip() in _WHOLE:
        return registry.resolve(_WHOLE[name.strip()])
    python = next((python for parts, python in _PARTS if any(part in name for part in parts)), None)
    return None if python is None else registry.resolve(python)


def found_type(kinds: Iterable[str]) -> LogicalType | None:
    """Return the type of values, given all that SQLite's ``typeof`` says of them; None if there is no single one."""
    python = _VALUES.get(frozenset(kinds) - {"null"})
    return None if python is None else registry.resolve(python)


def restored(values: Sequence[Any], dtype: LogicalType) -> Sequence[Any]:
    """Return stored values as those of a type that SQLite does not have; those that are none stay what they are."""
    restore = _RESTORED.get(dtype.name)
    return values if restore is None else [_tried(restore, value) for value in values]


def _tried(restore: Callable[[Any], Any], value: Any) -> Any:
    try:
        return value if value is None else restore(value)
    except (ValueError, TypeError, InvalidOperation):
        return value  # whoever checks the type says what is wrong with it


def _bool(value: Any) -> Any:
    return {0: False, 1: True}[value] if type(value) is int and value in (0, 1) else value


def _decimal(value: Any) -> Decimal:
    return Decimal(str(value))


_RESTORED: Mapping[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
    "datetime[UTC]": datetime.fromisoformat,
    "Decimal": _decimal,
    "UUID": UUID,
}
