"""Records: what is written, and how it is found again."""

from orcapod.records.address import (
    ENVIRONMENTS,
    RUNS,
    FunctionUri,
    node_path,
    record_ids,
    record_ids_in,
    record_names,
    result_path,
)
from orcapod.records.attempts import Attempts
from orcapod.records.claims import Claims
from orcapod.records.code import CodeRecords
from orcapod.records.environment import Environment
from orcapod.records.folder_claims import claims_in
from orcapod.records.ledger import RunLedger, RunRecord
from orcapod.records.pipeline_records import INCOMPLETE, NoOpRecords, PipelineRecords
from orcapod.records.result_cache import (
    CHECKSUM,
    RECORD_ID,
    NoOpCache,
    Result,
    ResultCache,
    SizeLimit,
    damaged_results,
    results_table,
)

__all__ = [
    "CHECKSUM",
    "ENVIRONMENTS",
    "INCOMPLETE",
    "RECORD_ID",
    "RUNS",
    "Attempts",
    "Claims",
    "CodeRecords",
    "Environment",
    "FunctionUri",
    "NoOpCache",
    "NoOpRecords",
    "PipelineRecords",
    "Result",
    "ResultCache",
    "RunLedger",
    "RunRecord",
    "SizeLimit",
    "claims_in",
    "damaged_results",
    "node_path",
    "record_ids",
    "record_ids_in",
    "record_names",
    "result_path",
    "results_table",
]
