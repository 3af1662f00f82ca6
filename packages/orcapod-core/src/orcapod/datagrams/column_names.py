"""The names of columns: which ones are the user's, and what the others mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple
from unicodedata import normalize

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.errors import SchemaError

__all__ = [
    "RECORD_TAG",
    "SEPARATOR",
    "SOURCE_INFO",
    "SOURCE_TAG",
    "ColumnConfig",
    "Columns",
    "as_identifier",
    "colliding",
    "column_called",
    "free_name",
    "source_info_name",
    "telling_tags",
]

SEPARATOR = "::"
SOURCE_TAG = "_tag_source_id"
RECORD_TAG = "_tag_record_id"
SOURCE_INFO = "_source_"


def source_info_name(column: str) -> str:
    """Return the column that says where a packet column's values come from."""
    return SOURCE_INFO + column


def as_identifier(name: str) -> str:
    """Return a name in the form in which Python knows identifiers: the micro sign is the Greek letter there."""
    return name if name.isascii() else normalize("NFKC", name)


def column_called(name: str, columns: Iterable[str]) -> str | None:
    """Return the column of a name, in whatever form each of them is written; None if there is no such column."""
    if name in columns:
        return name
    wanted = as_identifier(name)
    if wanted in columns:
        return wanted
    return next((each for each in columns if not each.isascii() and as_identifier(each) == wanted), None)


def free_name(name: str, columns: Iterable[str]) -> str:
    """Return a name for one more column beside the user's: itself, or with ``_`` where one of them bears it."""
    return f"_{name}" if name in columns else name


def telling_tags(schema: pa.Schema, tags: Iterable[str]) -> list[str]:
    """Return the tags that tell rows from others in another run: a group is the same with other members.

    So of rows that are groups, which is seen by their provenance, those count that are no lists, if there are any.

    Args:
        schema: of records with tags and provenance.
        tags: the tags.
    """
    names = list(tags)
    lists = {field.name for field in schema if pa.types.is_large_list(field.type)}
    if not any(name.startswith((SOURCE_INFO, SOURCE_TAG)) for name in lists):
        return names
    return [name for name in names if name not in lists] or names


class Collision(NamedTuple):
    """Two names that are one in Python; printed, it says so."""

    one: str
    other: str

    def __str__(self) -> str:
        return (
            f"columns {self.one!r} and {self.other!r} are one name in Python, which does not tell these signs apart "
            f"({self.one!a} and {self.other!a}); rename one of them"
        )


def colliding(columns: Iterable[str]) -> Collision | None:
    """Return two columns that differ only in a form that Python does not tell apart in identifiers, if there are."""
    names = list(columns)
    if all(map(str.isascii, names)):  # as nearly always
        return None
    written: dict[str, str] = {}
    for name in names:
        if (other := written.setdefault(as_identifier(name), name)) != name:
            return Collision(other, name)
    return None


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
        check = Checks("", SchemaError)
        given = check.mapping_or_empty("columns", columns, "{'source': True}")
        names = [field.name for field in fields(cls)]
        if unknown := sorted(set(given) - set(names)):
            raise SchemaError(f"columns={{...}} found {unknown}, expected some of {names}")
        return cls(**{name: check.flag(name, value) for name, value in given.items()})


Columns = ColumnConfig | Mapping[str, bool] | None
