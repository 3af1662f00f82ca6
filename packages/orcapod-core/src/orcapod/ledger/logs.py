"""``told_in``: what logs and statuses of pipelines tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import and_

import pyarrow as pa

from orcapod.compute import Expression, pc
from orcapod.protocols import Database, RecordPath

__all__ = ["told_in"]


def told_in(
    database: Database,
    rooms: Sequence[RecordPath],
    conditions: Sequence[Expression],
    tag: Mapping[str, object] | None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Return rows of logs or statuses, in the order of time.

    Args:
        database: the store.
        rooms: below which paths they are.
        conditions: all of which have to hold.
        tag: tags that their rows have, some of them.
        columns: which are read, the time among them; all if None.
    """
    tags = {name: str(value) for name, value in (tag or {}).items()}
    tables = []
    for path in database.list_paths():
        if not any(path[: len(room)] == room for room in rooms):
            continue
        if tags and not tags.keys() <= {*database.get_records_by_ids(path, []).column_names}:
            continue
        where = [*conditions, *(pc.field(name) == value for name, value in tags.items())]
        tables.append(database.get_records(path, columns, where=reduce(and_, where) if where else None))
    found = pa.concat_tables(tables, promote_options="default") if tables else pa.table({})
    return found.sort_by("__timestamp") if found.num_columns else found
