"""The names of columns: which ones are the user's, and what the others mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from orcapod.errors import SchemaError

__all__ = [
    "RECORD_TAG",
    "SEPARATOR",
    "SOURCE_INFO",
    "SOURCE_TAG",
    "ColumnConfig",
    "Columns",
    "source_info_name",
]

SEPARATOR = "::"
SOURCE_TAG = "_tag_source_id"
RECORD_TAG = "_tag_record_id"
SOURCE_INFO = "_source_"


def source_info_name(column: str) -> str:
    """Return the column that says where a packet column's values come from."""
    return SOURCE_INFO + column


@dataclass(frozen=True, slots=True)
class ColumnConfig:
    """Choice of the columns that are shown beside the user's own.

    Attributes:
        system_tags: the ids of the source rows that a row comes from.
        source: for every packet column, the record that produced its value.
    """

    system_tags: bool = False
    source: bool = False

    @classmethod
    def of(cls, columns: Columns) -> ColumnConfig:
        """Return the configuration that a ``columns`` argument stands for.

        Raises:
            SchemaError: it names a column group that does not exist.
        """
        if isinstance(columns, ColumnConfig):
            return columns
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(columns or ()) - set(names)):
            raise SchemaError(f"columns={{...}} found {unknown}, expected some of {names}")
        return cls(**(columns or {}))


Columns = ColumnConfig | Mapping[str, bool] | None
