"""Types of values: Python types, their Arrow types, and the conversions between them."""

from orcapod.types.choices import EnumType, LiteralType
from orcapod.types.codec import decode, encode
from orcapod.types.containers import ListType
from orcapod.types.convert import conform, type_of_column
from orcapod.types.infer import misfit, type_of_values
from orcapod.types.logical import LogicalType, OptionalType, TypeRegistry, registry
from orcapod.types.python_columns import column_of
from orcapod.types.scalars import INT, STR, AwareDatetime, as_standard
from orcapod.types.schema import Schema
from orcapod.types.size import check_fixed_size, may_be_large, value_size

__all__ = [
    "INT",
    "STR",
    "AwareDatetime",
    "EnumType",
    "ListType",
    "LiteralType",
    "LogicalType",
    "OptionalType",
    "Schema",
    "TypeRegistry",
    "as_standard",
    "check_fixed_size",
    "column_of",
    "conform",
    "decode",
    "encode",
    "may_be_large",
    "misfit",
    "registry",
    "type_of_column",
    "type_of_values",
    "value_size",
]
