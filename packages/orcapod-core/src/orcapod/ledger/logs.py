"""``told_in``: what logs and statuses of pipelines tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from orcapod.arrow import array_of
from orcapod.protocols import Database, RecordPath, find_records

__all__ = ["told_in"]

_TEXT = pa.large_string()


def told_in(
    database: Database,
    rooms: Sequence[RecordPath],
    values: Mapping[str, object],
    tag: Mapping[str, object] | None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return rows of logs or statuses, in the order of time.

    Args:
        database: the store.
        rooms: below which paths they are.
        values: what their columns have: a text, a boolean, or one of several texts.
        tag: tags that their rows have, some of them.
        columns: which are read, the time among them; all if None.
    """
    tags = {name: str(value) for name, value in (tag or {}).items() if value is not None}
    nulls = [name for name, value in (tag or {}).items() if value is None]
    wanted: dict[str, pa.Array[Any]] = {
        name: array_of(value if isinstance(value, list) else [value], pa.bool_() if isinstance(value, bool) else _TEXT)
        for name, value in {**values, **tags}.items()
    }
    tables = []
    for path in database.list_paths():
        if not any(path[: len(room)] == room for room in rooms):
            continue
        nothing = database.get_records_by_ids(path, [], columns)
        if not (tag or {}).keys() <= {*database.get_records_by_ids(path, []).column_names}:
            tables.append(nothing)
            continue
        told = find_records(database, path, wanted, columns and [*columns, *nulls])
        for name in nulls:
            told = told.filter(told.column(name).is_null())
        tables.append(told.select(nothing.column_names))
    found = pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
    return found.sort_by("__timestamp") if found.num_columns else found
