"""Which values have an order that Arrow knows, and Python alike."""

from __future__ import annotations

from orcapod.errors import SchemaError
from orcapod.types import LogicalType

__all__ = ["check_ordered"]

_ORDERED = (
    "bool", "int", "float", "str", "bytes", "date", "time", "timedelta", "datetime", "datetime[UTC]", "UUID",
)  # fmt: skip


def check_ordered(operator: str, column: str, dtype: LogicalType) -> None:
    """Check that the values of a column can be put in order.

    Raises:
        SchemaError: they cannot.
    """
    if dtype.non_null.general.name not in _ORDERED:
        raise SchemaError(
            f"{operator}: column {column!r} is {dtype.name}, expected values that have an order: "
            f"{', '.join(_ORDERED)}; make such a column first",
            column=column,
            expected="values that have an order",
            found=dtype.name,
        )
