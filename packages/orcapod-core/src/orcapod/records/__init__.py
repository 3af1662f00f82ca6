"""Records: what is written, and how it is found again."""

from orcapod.records.address import (
    ENVIRONMENTS,
    RUN_STARTS,
    RUNS,
    FunctionUri,
    changes_path,
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
from orcapod.records.large_values import LARGE
from orcapod.records.ledger import RunLedger, RunRecord, RunStart, new_run_id
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
from orcapod.records.states import CHANGE_TYPES, RUN_ID, STATES, GivenEntries, NodeStates

__all__ = [
    "CHANGE_TYPES",
    "CHECKSUM",
    "ENVIRONMENTS",
    "INCOMPLETE",
    "LARGE",
    "RECORD_ID",
    "RUNS",
    "RUN_ID",
    "RUN_STARTS",
    "STATES",
    "Attempts",
    "Claims",
    "CodeRecords",
    "Environment",
    "FunctionUri",
    "GivenEntries",
    "NoOpCache",
    "NoOpRecords",
    "NodeStates",
    "PipelineRecords",
    "Result",
    "ResultCache",
    "RunLedger",
    "RunRecord",
    "RunStart",
    "SizeLimit",
    "changes_path",
    "claims_in",
    "damaged_results",
    "new_run_id",
    "node_path",
    "record_ids",
    "record_ids_in",
    "record_names",
    "result_path",
    "results_table",
]
