"""What is written, and how it is found again."""

from orcapod.records.address import (
    ENVIRONMENTS,
    RUNS,
    FunctionUri,
    node_path,
    record_ids,
    record_names,
    result_path,
)
from orcapod.records.entries import EntryLog, NoEntries
from orcapod.records.environment import Environment
from orcapod.records.ledger import RunLedger, RunRecord
from orcapod.records.result_cache import RECORD_ID, Forgetful, Result, ResultCache, SizeLimit, tabulated

__all__ = [
    "ENVIRONMENTS",
    "RECORD_ID",
    "RUNS",
    "EntryLog",
    "Environment",
    "Forgetful",
    "FunctionUri",
    "NoEntries",
    "Result",
    "ResultCache",
    "RunLedger",
    "RunRecord",
    "SizeLimit",
    "node_path",
    "record_ids",
    "record_names",
    "result_path",
    "tabulated",
]
