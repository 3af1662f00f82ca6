"""Addresses of records: their paths, ids and names."""

from __future__ import annotations

from collections.abc import Iterable

from orcapod.datagrams import SEPARATOR
from orcapod.hashing import ContentHash
from orcapod.hashing.recipes import record_ids
from orcapod.protocols import RecordPath

__all__ = [
    "CODE",
    "ENVIRONMENTS",
    "MEMBERS",
    "RECORD_ID",
    "RUNS",
    "RUN_STARTS",
    "FunctionUri",
    "attempt_path",
    "changes_path",
    "node_path",
    "record_ids",
    "record_ids_in",
    "record_names",
    "result_path",
    "stub_path",
]

FunctionUri = tuple[str, ...]
"""``(name, output schema hash, v{major}, type id)``: the name of a packet function."""

RECORD_ID = "__record_id"

CODE: RecordPath = ("_code",)
RUNS: RecordPath = ("_runs",)
RUN_STARTS: RecordPath = ("_run_starts",)
ENVIRONMENTS: RecordPath = ("_environments",)
MEMBERS: RecordPath = ("_members",)


def result_path(uri: FunctionUri) -> RecordPath:
    """Return the path of the results of a function."""
    return "_result", *uri


def attempt_path(uri: FunctionUri) -> RecordPath:
    """Return the path where it is written which results of a function were computed again."""
    return "_attempt", *uri


def stub_path(uri: FunctionUri) -> RecordPath:
    """Return the path of what is left of results of a function that were pruned."""
    return "_pruned", *uri


def node_path(uri: FunctionUri, pipeline_hash: ContentHash) -> RecordPath:
    """Return the path of a node's rows; its logs and statuses are below ``_log`` and ``_status``."""
    return *uri, f"schema:{pipeline_hash.short}"


def changes_path(path: RecordPath) -> RecordPath:
    """Return the path of how the rows of nodes have changed, given that of the rows."""
    return "_changes", *path


def record_names(uri: FunctionUri, record_ids: Iterable[bytes]) -> list[str]:
    """Return the names of computed records in provenance: ``{uri}::{record id}``."""
    prefix = f"{':'.join(uri)}{SEPARATOR}"
    return [prefix + record_id.hex() for record_id in record_ids]


def record_ids_in(names: Iterable[str | None]) -> list[bytes | None]:
    """Return the record ids of computed records, given their names in provenance; None where there is none."""
    return [None if name is None else bytes.fromhex(name.rpartition(SEPARATOR)[2]) for name in names]
