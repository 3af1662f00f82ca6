"""``PolarsPredicate``: a polars expression that says of every row whether it is selected.

Polars is met through the expression that someone hands over, and never imported to look for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from orcapod.compute import pc
from orcapod.errors import SchemaError
from orcapod.types import Schema

__all__ = ["PolarsPredicate"]

_NODES = frozenset({"Alias", "BinaryExpr", "Cast", "Column", "Function", "Literal", "Ternary"})
_BOOLEAN = frozenset(
    [
        "AllHorizontal",
        "AnyHorizontal",
        "IsBetween",
        "IsClose",
        "IsFinite",
        "IsIn",
        "IsInfinite",
        "IsNan",
        "IsNotNan",
        "IsNotNull",
        "IsNull",
        "Not",
    ]
)
_FUNCTIONS = frozenset(
    [
        "Abs",
        "BinaryExpr",
        "Bitwise",
        "CategoricalExpr",
        "Ceil",
        "Clip",
        "Coalesce",
        "Exp",
        "FillNull",
        "Floor",
        "ListExpr",
        "Log",
        "MaxHorizontal",
        "MinHorizontal",
        "Negate",
        "Pow",
        "PowExpr",
        "Round",
        "RoundSF",
        "Sign",
        "StringExpr",
        "StructExpr",
        "SumHorizontal",
        "TemporalExpr",
        "Trigonometry",
    ]
)


class PolarsPredicate:
    """A polars expression over tag and packet columns that looks at one row at a time.

    Raises:
        SchemaError: it looks at several rows, or runs code that has no identity.
    """

    def __init__(self, expression: Any) -> None:
        self._expression = expression
        self._columns: list[str] = list(dict.fromkeys(expression.meta.root_names()))
        try:
            self.structure: str = expression.meta.serialize(format="json")
        except self._error as error:
            raise SchemaError(
                f"Filter: {expression} has no text that could identify it: {error}; take another"
            ) from None
        foreign = next(_foreign(json.loads(self.structure)), None)
        if foreign is not None or not self._columns:
            raise SchemaError(
                f"Filter: found {foreign or 'no column'} in the polars expression {expression}, expected columns by "
                "name and what is computed of one row alone; compute all else in a function, or before the rows "
                "become a stream"
            )

    @staticmethod
    def is_polars(value: object) -> bool:
        """Say whether a value is a polars expression."""
        return type(value).__module__.partition(".")[0] == "polars" and hasattr(value, "meta")

    def check(self, columns: Schema) -> None:
        """Check that it applies to these columns.

        Raises:
            SchemaError: it names one that is not there, does not fit its type, or says neither yes nor no.
        """
        if missing := [name for name in self._columns if name not in columns]:
            raise SchemaError(f"Filter: there is no column {missing[0]!r}; found {list(columns)}, name some of these")
        try:
            result = self._evaluated(columns.arrow.empty_table())
        except self._error as error:
            raise SchemaError(f"Filter: {self._expression} does not apply to {columns}: {error}") from None
        if not pa.types.is_boolean(result.type):
            raise SchemaError(
                f"Filter: {self._expression} gives {result.type}, expected bool; compare it with something"
            )

    def takes(self, columns: Schema) -> bool:
        """Say whether it takes nothing but some of these columns."""
        return all(name in columns for name in self._columns)

    def mask(self, batch: pa.RecordBatch) -> pa.Array[Any]:
        """Say of every row whether it is selected; null is not."""
        mask: pa.Array[Any] = pc.fill_null(self._evaluated(pa.Table.from_batches([batch])), False)
        return mask

    def __str__(self) -> str:
        return str(self._expression)

    @property
    def _error(self) -> type[Exception]:
        error: type[Exception] = sys.modules["polars"].exceptions.PolarsError
        return error

    def _evaluated(self, table: pa.Table) -> Any:
        frame = sys.modules["polars"].from_arrow(table.select(self._columns))
        return frame.select(self._expression).to_series().to_arrow()


def _foreign(node: Any) -> Iterator[str]:
    """Yield the parts of a serialized expression that may look at more than one row."""
    if isinstance(node, str):  # a node without parts, such as the number of rows
        yield repr(node)
        return
    for node_type, parts in node.items():
        function = _name(parts["function"]) if node_type == "Function" else node_type
        if node_type not in _NODES:
            yield repr(node_type)
        elif node_type == "Function" and function not in _FUNCTIONS and function not in _BOOLEAN:
            yield repr(function)
        elif node_type == "Literal":
            if "Series" in parts:
                yield "a series"
        elif node_type != "Column":
            yield from (found for part in _parts(node_type, parts) for found in _foreign(part))


def _parts(node_type: str, parts: Any) -> list[Any]:
    match node_type:
        case "Function":
            return list(parts["input"])
        case "BinaryExpr":
            return [parts["left"], parts["right"]]
        case "Ternary":
            return [parts["predicate"], parts["truthy"], parts["falsy"]]
        case "Cast":
            return [parts["expr"]]
        case _:
            return [parts[0]]


def _name(function: Any) -> str:
    """Return what a function is called; of a boolean one, the name of the test."""
    if isinstance(function, str):
        return function
    (name, inner), *_ = function.items()
    return _name(inner) if name == "Boolean" else str(name)
