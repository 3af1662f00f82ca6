"""``ColumnType``: the types of PostgreSQL as those of a pipeline.

Nothing becomes less exact on its own: a numeric is an int or a float only where its declared precision fits, and
a Decimal otherwise; ``data_schema`` decides otherwise. What has no counterpart is the text that PostgreSQL shows for
it: enum, json, jsonb, interval, ranges, network addresses, and whatever else extensions bring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from types import GenericAlias
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Connection

from orcapod.types import AwareDatetime, registry
from orcapod_postgres.pg_columns import pg_column

__all__ = ["ColumnType", "column_types"]


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Conversion of the values of one column of a table.

    Attributes:
        annotation: what they are to Python.
        arrow: the type of the Arrow column.
        selected: the expression that selects them, ``{}`` standing for the column's name.
        from_pg: what a binary cursor gives, None for null, as an array.
    """

    annotation: Any
    arrow: pa.DataType
    selected: str
    from_pg: Callable[[Sequence[Any]], pa.Array[Any]]

    def annotated(self, column: pa.ChunkedArray[Any], *, may_be_null: bool) -> Any:
        """Return the annotation of a column, optional if it may be null, or if there is a null where nobody knows."""
        annotation = self.annotation
        if isinstance(annotation, GenericAlias) and pc.list_flatten(column).null_count:
            annotation = GenericAlias(list, (annotation.__args__[0] | None,))
        return annotation | None if may_be_null or column.null_count else annotation


def _simple(annotation: Any, arrow: pa.DataType, selected: str = "{}") -> ColumnType:
    return ColumnType(annotation, arrow, selected, lambda values: pa.array(values, arrow))


def _time(annotation: Any, arrow: pa.DataType) -> ColumnType:
    column = pg_column(arrow)
    return ColumnType(annotation, arrow, column.selected, column.from_pg)


def _whole(shown: Sequence[Any]) -> list[Any]:
    """Return numbers that the server shows, or lists of them, as ints; none is rounded."""
    return [None if each is None else _whole(each) if isinstance(each, list) else _integer(each) for each in shown]


def _integer(text: str) -> int:
    number = Decimal(text)
    if number != number.to_integral_value():
        raise pa.ArrowInvalid(f"{text} is no whole number")
    return int(number)


_TEXT = _simple(str, pa.large_string(), "{}::text")
_DECIMAL = _simple(Decimal, pa.large_string(), "{}::text")
_INT = _simple(int, pa.int64(), "{}::bigint")
_WHOLE = ColumnType(int, pa.int64(), "{}::text", lambda values: pa.array(_whole(values), pa.int64()))
_FLOAT = _simple(float, pa.float64(), "{}::double precision")
_NAMED = {
    "bool": _simple(bool, pa.bool_()),
    "int2": _INT,
    "int4": _INT,
    "int8": _INT,
    "oid": _INT,
    "float4": _FLOAT,
    "float8": _FLOAT,
    "bytea": _simple(bytes, pa.large_binary()),
    "uuid": _simple(UUID, pa.large_string(), "{}::text"),
    "date": _time(date, pa.date32()),
    "time": _simple(time, pa.time64("us")),
    "timestamp": _time(datetime, pa.timestamp("us")),
    "timestamptz": _time(AwareDatetime, pa.timestamp("us", "UTC")),
}
# What psycopg makes of an array of them, Arrow takes.
_IN_ARRAYS = {"time": "{}", "timestamp": "{}", "timestamptz": "{}", "date": "{}", "bool": "{}", "bytea": "{}"}


def column_types(
    connection: Connection[Any], columns: Sequence[tuple[int, int]], declared: Sequence[Any | None]
) -> list[ColumnType]:
    """Return how columns are read, by number and modifier of their types.

    Args:
        connection: where the types are described.
        columns: for every column, what the server says of its type.
        declared: for every column, the annotation that the user declared, None if there is none.
    """
    described = _described(connection, {oid for oid, _ in columns})
    return [
        _column_type(described, oid, modifier, annotation)
        for (oid, modifier), annotation in zip(columns, declared, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Type:
    name: str
    base: int  # of a domain
    modifier: int  # of a domain's base
    item: int  # of an array


def _described(connection: Connection[Any], wanted: set[int]) -> Mapping[int, _Type]:
    """Describe these types, what domains stand for, and the items of arrays."""
    query = (
        "SELECT oid::bigint, typname, typbasetype::bigint, typtypmod, CASE WHEN typcategory = 'A' AND typlen = -1"
        " AND typtype <> 'd' THEN typelem::bigint ELSE 0 END FROM pg_type WHERE oid = ANY(%s::bigint[]::oid[])"
    )
    described: dict[int, _Type] = {}
    while wanted:
        rows = connection.execute(query, [sorted(wanted)]).fetchall()
        described |= {oid: _Type(*rest) for oid, *rest in rows}
        wanted = {
            next_ for type_ in described.values() for next_ in (type_.base, type_.item) if next_
        } - described.keys()
    return described


def _column_type(described: Mapping[int, _Type], oid: int, modifier: int, declared: Any | None) -> ColumnType:
    type_ = described[oid]
    if type_.base:
        return _column_type(described, type_.base, type_.modifier if modifier < 0 else modifier, declared)
    if type_.name == "numeric":
        return _numeric(modifier, declared)
    if type_.item:
        return _array(described, type_.item, modifier, declared)
    if _inner_name(declared) == "str":
        return _TEXT
    return _NAMED.get(type_.name, _TEXT)


def _numeric(modifier: int, declared: Any | None) -> ColumnType:
    own = _DECIMAL
    if modifier >= 4:  # of a precision that is known
        precision, scale = (modifier - 4) >> 16, ((modifier - 4) & 0x7FF ^ 0x400) - 0x400
        if scale == 0 and precision <= 18:
            own = _INT
        elif precision <= 15:
            own = _FLOAT
    int_ = own if own is _INT else _WHOLE
    wanted = {"int": int_, "float": _FLOAT, "str": _TEXT, "Decimal": _DECIMAL}
    return wanted.get(_inner_name(declared) or "", own)


def _array(described: Mapping[int, _Type], item: int, modifier: int, declared: Any | None) -> ColumnType:
    wanted = None
    if declared is not None:
        wanted = getattr(registry.resolve(declared).non_null, "item", None)
    inner = _column_type(described, item, modifier, wanted)
    arrow = pa.large_list(inner.arrow)
    selected = _IN_ARRAYS.get(described[item].name, inner.selected + "[]")
    items = _whole if inner is _WHOLE else list[Any]
    return ColumnType(
        GenericAlias(list, (inner.annotation,)), arrow, selected, lambda values: pa.array(items(values), arrow)
    )


def _inner_name(declared: Any | None) -> str | None:
    if declared is None:
        return None
    return registry.resolve(declared).non_null.name
