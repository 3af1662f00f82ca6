"""The names of what has run in a store: pipelines, and runs in the order in which they began."""

from __future__ import annotations

from orcapod.protocols import Database, RecordPath
from orcapod.records import RUN_STARTS

__all__ = ["pipelines_in", "run_names"]


def pipelines_in(database: Database) -> list[RecordPath]:
    """Return the names of the pipelines that have run in a store."""
    return [path[:-1] for path in database.list_paths() if path[-1:] == RUN_STARTS]


def run_names(database: Database, pipeline: str | None = None) -> dict[str, RecordPath]:
    """Return the names of runs, in the order in which they began, and of which pipeline each is; of one, or of all."""
    named = [name for name in pipelines_in(database) if pipeline in (None, "/".join(name))]
    begun = {
        str(run): name for name in named for run in database.at(*name).get_records(RUN_STARTS, []).column(0).to_pylist()
    }
    return dict(sorted(begun.items()))
