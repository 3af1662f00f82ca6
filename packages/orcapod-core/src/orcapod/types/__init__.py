"""Types of values: Python types, their Arrow types, and the conversions between them."""

from orcapod.types.choices import EnumType, LiteralType
from orcapod.types.codec import decode, encode
from orcapod.types.containers import DictType, ListType, RecordType, TupleType, VariadicTupleType
from orcapod.types.convert import conform, type_of_column, widened
from orcapod.types.custom import CodecType, logical_type
from orcapod.types.files import (
    FILE_ARROW,
    Directory,
    File,
    FileType,
    files_by_row,
    files_in,
    holds_files,
    paths_in,
    with_current_files,
    with_members,
)
from orcapod.types.infer import misfit, type_of_values
from orcapod.types.large import (
    LARGE_BYTES,
    content,
    holds_kept,
    identified,
    is_large,
    large_bytes,
    large_parts,
    loaded_bytes,
)
from orcapod.types.logical import LogicalType, OptionalType, TypeRegistry, registry
from orcapod.types.parts import PartsType
from orcapod.types.python_columns import column_of
from orcapod.types.record_classes import RecordClassType
from orcapod.types.row_faults import RowFaults, column_of_rows, conform_rows, converted_rows
from orcapod.types.scalars import INT, STR, AwareDatetime, as_standard
from orcapod.types.schema import Schema
from orcapod.types.size import check_fixed_size, may_be_large, value_size

__all__ = [
    "FILE_ARROW",
    "INT",
    "LARGE_BYTES",
    "STR",
    "AwareDatetime",
    "CodecType",
    "DictType",
    "Directory",
    "EnumType",
    "File",
    "FileType",
    "ListType",
    "LiteralType",
    "LogicalType",
    "OptionalType",
    "PartsType",
    "RecordClassType",
    "RecordType",
    "RowFaults",
    "Schema",
    "TupleType",
    "TypeRegistry",
    "VariadicTupleType",
    "as_standard",
    "check_fixed_size",
    "column_of",
    "column_of_rows",
    "conform",
    "conform_rows",
    "content",
    "converted_rows",
    "decode",
    "encode",
    "files_by_row",
    "files_in",
    "holds_files",
    "holds_kept",
    "identified",
    "is_large",
    "large_bytes",
    "large_parts",
    "loaded_bytes",
    "logical_type",
    "may_be_large",
    "misfit",
    "paths_in",
    "registry",
    "type_of_column",
    "type_of_values",
    "value_size",
    "widened",
    "with_current_files",
    "with_members",
]
