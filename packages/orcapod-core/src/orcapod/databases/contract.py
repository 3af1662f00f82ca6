"""Checks and promises that all stores share: paths, tables, keys, columns, schemas, rows wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import pyarrow as pa

from orcapod.checks import Checks
from orcapod.compute import Expression, pc
from orcapod.display import shown
from orcapod.errors import DatabaseError, DuplicateKeyError, RecordSchemaError
from orcapod.protocols.database import Key, OnConflict, RecordPath

__all__ = [
    "checked_ids",
    "checked_path",
    "checked_table",
    "chosen_columns",
    "conformed",
    "duplicate_key",
    "filtered",
    "is_key_type",
    "merged_schema",
    "named_columns",
]

_CHECK = Checks("", DatabaseError)
_KEY_TYPES = (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def checked_path(path: Iterable[str]) -> RecordPath:
    """Return the path as a tuple.

    Raises:
        DatabaseError: it is not one or more non-empty strings.
    """
    parts = () if isinstance(path, str) or not isinstance(path, Iterable) else tuple(path)
    if not parts or not all(isinstance(part, str) and part for part in parts):
        raise DatabaseError(f"expected a path of one or more non-empty strings, like ('a', 'b'), found {shown(path)}")
    _CHECK.text("a path", "/".join(parts))
    return parts


def checked_ids(ids: Iterable[Key]) -> list[Key]:
    """Return the keys, each once.

    Raises:
        DatabaseError: these are no strings or bytes, or one string where a sequence of them is wanted.
    """
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise DatabaseError(f"expected a sequence of keys, each str or bytes, found the single key {shown(ids)}")
    listed = list(ids)
    if strange := {type(key) for key in listed if not isinstance(key, str | bytes)}:
        found = ", ".join(sorted(cls.__name__ for cls in strange))
        raise DatabaseError(f"expected a sequence of keys, each str or bytes, found {found}")
    wanted = list(dict.fromkeys(listed))
    _CHECK.text("keys", "".join(key for key in wanted if isinstance(key, str)))
    return wanted


def checked_table(path: RecordPath, table: pa.Table, on_conflict: OnConflict) -> pa.Table:
    """Return the table with its bare columns: metadata and nullability of fields are not stored.

    Raises:
        RecordSchemaError: no columns, two of one name, or a first column that cannot be a key.
        DatabaseError: there is no such way to treat conflicts.
    """
    _CHECK.choice("on_conflict", on_conflict, get_args(OnConflict))
    _CHECK.instance("records", table, pa.Table, "a pyarrow.Table", "make one: pa.table({'id': [...], 'x': [...]})")
    names = table.column_names
    if not names:
        raise RecordSchemaError(f"{_shown(path)}: expected a key as the first column, found a table of no columns")
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise RecordSchemaError(f"{_shown(path)}: expected every column once, found {twice} more than once; rename one")
    key = table.column(0)
    if not is_key_type(key.type):
        raise RecordSchemaError(
            f"{_shown(path)}: expected a first column of strings or bytes, the key, found {names[0]!r} of {key.type}",
            column=names[0],
            expected="strings or bytes",
            found=str(key.type),
        )
    if pc.any(key.is_null()).as_py():
        raise RecordSchemaError(f"{_shown(path)}: expected a key in every row, found nulls in {names[0]!r}")
    return pa.Table.from_arrays(table.columns, names=names)


def is_key_type(type_: Any) -> bool:
    """Say whether values of a type can be keys: texts and bytes."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    return type_ in _KEY_TYPES or pa.types.is_fixed_size_binary(type_)


def duplicate_key(path: RecordPath, key: Key) -> DuplicateKeyError:
    """Return the error for a key that is already there."""
    return DuplicateKeyError(
        f"{_shown(path)}: expected new keys only, found {key!r}, which is there already or twice in the table; "
        "on_conflict='skip' keeps the first"
    )


def merged_schema(path: RecordPath, stored: pa.Schema | None, schema: pa.Schema) -> pa.Schema:
    """Return the stored schema, and after it the columns that are new.

    Raises:
        RecordSchemaError: the key has another name, or a column another type.
    """
    if stored is None:
        return schema
    if stored.names[0] != schema.names[0]:
        raise RecordSchemaError(
            f"{_shown(path)}: expected the key {stored.names[0]!r} as the first column, found {schema.names[0]!r}",
            column=stored.names[0],
            expected=stored.names[0],
            found=schema.names[0],
        )
    fresh = []
    for field in schema:
        index = stored.get_field_index(field.name)
        if index < 0:
            fresh.append(field)
        elif stored.field(index).type != field.type:
            raise RecordSchemaError(
                f"{_shown(path)}: expected column {field.name!r} of {stored.field(index).type}, as in the records "
                f"there, found {field.type}; cast it, or use another path",
                column=field.name,
                expected=str(stored.field(index).type),
                found=str(field.type),
            )
    return pa.schema([*stored, *fresh]) if fresh else stored


def conformed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the columns of ``schema``, null where it has none."""
    if table.schema.equals(schema):
        return table
    there = set(table.column_names)
    columns = [
        table.column(field.name) if field.name in there else pa.nulls(table.num_rows, field.type) for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def chosen_columns(path: RecordPath, schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """Return the columns of an answer: the key, then those asked for.

    Raises:
        RecordSchemaError: there is no such column.
    """
    if columns is None:
        return list(schema.names)
    check = Checks(_shown(path), RecordSchemaError)
    columns = columns if isinstance(columns, str) else check.names("columns", columns)
    names = set(schema.names)
    unknown = [name for name in columns if name not in names]
    if unknown or isinstance(columns, str):
        raise RecordSchemaError(
            f"{_shown(path)}: expected columns that are there ({', '.join(schema.names)}), "
            f"found {columns if isinstance(columns, str) else unknown!r}"
        )
    return list(dict.fromkeys([schema.names[0], *columns]))


def named_columns(path: RecordPath, schema: pa.Schema, where: Expression) -> list[str]:
    """Return the columns that a condition names: those without which it cannot be evaluated.

    Raises:
        RecordSchemaError: it cannot be evaluated with all of them either.
    """
    check = Checks(_shown(path), RecordSchemaError)
    check.instance("where", where, pc.Expression, "a condition", "give one, as in pyarrow.compute.field('x') > 3")
    table = schema.empty_table()
    try:
        filtered(table, where)
    except (pa.ArrowException, TypeError) as error:
        raise RecordSchemaError(
            f"{_shown(path)}: expected a condition on the columns {', '.join(schema.names)}, found {where}: {error}"
        ) from error
    needed = []
    for name in schema.names:
        try:
            filtered(table.drop_columns([name]), where)
        except pa.ArrowInvalid:
            needed.append(name)
    return needed


def filtered(table: pa.Table, where: Expression) -> pa.Table:
    """Return the rows for which the condition holds, in order."""
    from pyarrow import acero  # noqa: PLC0415  # a large library that only conditions need

    plan = [
        acero.Declaration("table_source", acero.TableSourceNodeOptions(table)),
        acero.Declaration("filter", acero.FilterNodeOptions(where)),
    ]
    return acero.Declaration.from_sequence(plan).to_table(use_threads=False)


def _shown(path: RecordPath) -> str:
    return "/".join(path)
