"""Addresses of records: their paths, ids and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from orcapod.datagrams import SEPARATOR
from orcapod.hashing import ContentHash
from orcapod.hashing.recipes import record_ids
from orcapod.protocols import RecordPath

__all__ = [
    "CODE",
    "ENVIRONMENTS",
    "GRAPHS",
    "MEMBERS",
    "RECORD_ID",
    "RUNS",
    "RUN_STARTS",
    "FunctionUri",
    "attempt_path",
    "changes_path",
    "is_computed",
    "node_path",
    "record_ids",
    "record_ids_in",
    "record_names",
    "result_path",
    "stub_path",
]

FunctionUri = tuple[str, ...]
"""``(name, output schema hash, v{major}, type id)``: the name of a packet function."""

_COMPUTED = re.compile(rf"[^:]+:[^:]+:v\d+:[^:]+{SEPARATOR}[0-9a-f]{{64}}{SEPARATOR}.*", re.DOTALL)
RECORD_ID = "__record_id"

CODE: RecordPath = ("_code",)
RUNS: RecordPath = ("_runs",)
RUN_STARTS: RecordPath = ("_run_starts",)
GRAPHS: RecordPath = ("_graphs",)
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


def is_computed(source_info: str | Sequence[Any] | None) -> bool:
    """Say whether the source info of a value names a computed record, of which every value has its own.

    Args:
        source_info: of a value, or of the members of a group, at any depth.
    """
    if source_info is None or isinstance(source_info, str):
        return source_info is not None and _COMPUTED.fullmatch(source_info) is not None
    return all(map(is_computed, source_info))
