"""Records: what is written, and how it is found again."""

from orcapod.records.address import (
    ENVIRONMENTS,
    MEMBERS,
    RUN_STARTS,
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
from orcapod.records.ledger import RunLedger, RunRecord, RunStart, new_run_id
from orcapod.records.members import PIECE_ID, TREES, VALUES, Members
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
from orcapod.records.states import RUN_ID, GivenEntries, NodeStates

__all__ = [
    "CHECKSUM",
    "ENVIRONMENTS",
    "INCOMPLETE",
    "MEMBERS",
    "PIECE_ID",
    "RECORD_ID",
    "RUNS",
    "RUN_ID",
    "RUN_STARTS",
    "TREES",
    "VALUES",
    "Attempts",
    "Claims",
    "CodeRecords",
    "Environment",
    "FunctionUri",
    "GivenEntries",
    "Members",
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
