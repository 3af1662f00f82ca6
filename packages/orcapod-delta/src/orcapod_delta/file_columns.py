"""``ColumnNames``: which column of a file is which of the table, and its values as there.

A table whose columns are mapped says in the metadata of every field what its files call it,
nested fields included: so a column is renamed or dropped without a file being written anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from orcapod.errors import DatabaseError

__all__ = ["ColumnNames", "as_in_table"]

_Mode = Literal["none", "name", "id"]
_MODE = "delta.columnMapping.mode"
_NAME_IN_FILES, _ID = b"delta.columnMapping.physicalName", b"delta.columnMapping.id"
_ID_IN_FILES = b"PARQUET:field_id"


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """Names of the columns of a table in its files.

    Attributes:
        mode: as the table does, by a name of their own, or by a number.
    """

    mode: _Mode

    @classmethod
    def of(cls, configuration: Mapping[str, str]) -> ColumnNames:
        """Return what the configuration of a table says.

        Raises:
            DatabaseError: it is a mode that is not known.
        """
        mode: Any = configuration.get(_MODE, "none")
        if mode not in get_args(_Mode):
            raise DatabaseError(f"expected {_MODE} of {', '.join(get_args(_Mode))}, found {mode!r}")
        return cls(mode)

    def of_field(self, field: pa.Field[Any]) -> str:
        """Return what files call a column, or a member of a struct."""
        name = (field.metadata or {}).get(_NAME_IN_FILES) if self.mode != "none" else None
        return field.name if name is None else name.decode()

    def index_in(self, fields: Iterable[pa.Field[Any]], field: pa.Field[Any]) -> int | None:
        """Return which field of a file is this of the table; None if none is.

        Raises:
            DatabaseError: columns are known by number, and those of the file have none.
        """
        there = list(fields)
        if self.mode != "id":
            name = self.of_field(field)
            return next((index for index, each in enumerate(there) if each.name == name), None)
        ids = [(each.metadata or {}).get(_ID_IN_FILES) for each in there]
        if ids and not any(ids):
            columns = ", ".join(each.name for each in there)
            raise DatabaseError(
                f"expected files whose columns have numbers, found one with {columns}; "
                f"{_MODE}=id needs them, so write the table anew"
            )
        number = (field.metadata or {}).get(_ID)
        return None if number is None or number not in ids else ids.index(number)


def as_in_table(array: pa.Array[Any], field: pa.Field[Any], names: ColumnNames) -> pa.Array[Any]:
    """Return an array of a file with the type of the table's field, nested names included."""
    result: Any = array
    wanted: Any = field.type
    if result.type == wanted and names.mode == "none":
        return result  # type: ignore[no-any-return]
    if pa.types.is_struct(wanted) and pa.types.is_struct(result.type):
        there = list(result.type)
        members = []
        for member in wanted:
            index = names.index_in(there, member)
            if index is None:
                members.append(pa.nulls(len(result), member.type))
            else:
                members.append(as_in_table(result.field(index), member, names))
        result = pa.StructArray.from_arrays(members, fields=list(wanted), mask=result.is_null())
    elif pa.types.is_map(wanted) and pa.types.is_map(result.type):
        entries = (result.keys, wanted.key_field), (result.items, wanted.item_field)
        keys, items = (as_in_table(values, inner, names) for values, inner in entries)
        maps: Any = pa.MapArray
        result = maps.from_arrays(result.offsets, keys, items, wanted, mask=_mask(result))
    elif pa.types.is_large_list(wanted) and _is_list(result.type):
        values = as_in_table(result.values, wanted.value_field, names)
        offsets = result.offsets.cast(pa.int64())
        result = pa.LargeListArray.from_arrays(offsets, values, type=wanted, mask=_mask(result))
    else:
        result = result.cast(wanted)
    return result  # type: ignore[no-any-return]


def _is_list(type_: pa.DataType) -> bool:
    return pa.types.is_list(type_) or pa.types.is_large_list(type_)


def _mask(array: Any) -> Any:
    return array.is_null() if array.null_count else None
