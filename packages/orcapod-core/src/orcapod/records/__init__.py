"""Records: what is written, and how it is found again."""

from orcapod.records.address import (
    ENVIRONMENTS,
    MEMBERS,
    RECORD_ID,
    RUN_STARTS,
    RUNS,
    FunctionUri,
    node_path,
    record_ids,
    record_ids_in,
    record_names,
    result_path,
    stub_path,
)
from orcapod.records.attempts import Attempts
from orcapod.records.claims import Claims
from orcapod.records.code import CodeRecords
from orcapod.records.environment import Environment
from orcapod.records.folder_claims import claims_in
from orcapod.records.ledger import RunLedger, RunRecord, RunStart, new_run_id
from orcapod.records.members import PIECE_ID, TREES, Members, whole_pieces
from orcapod.records.pipeline_records import INCOMPLETE, NoOpRecords, PipelineRecords
from orcapod.records.prune import Keep, PruneReport, prune
from orcapod.records.result_cache import (
    CHECKSUM,
    NoOpCache,
    Result,
    ResultCache,
    SizeLimit,
    damaged_results,
    results_table,
)
from orcapod.records.states import RUN_ID, GivenEntries, NodeStates
from orcapod.records.stubs import STUB_COLUMNS, Stubs, lost_results

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
    "STUB_COLUMNS",
    "TREES",
    "Attempts",
    "Claims",
    "CodeRecords",
    "Environment",
    "FunctionUri",
    "GivenEntries",
    "Keep",
    "Members",
    "NoOpCache",
    "NoOpRecords",
    "NodeStates",
    "PipelineRecords",
    "PruneReport",
    "Result",
    "ResultCache",
    "RunLedger",
    "RunRecord",
    "RunStart",
    "SizeLimit",
    "Stubs",
    "claims_in",
    "damaged_results",
    "lost_results",
    "new_run_id",
    "node_path",
    "prune",
    "record_ids",
    "record_ids_in",
    "record_names",
    "result_path",
    "results_table",
    "stub_path",
    "whole_pieces",
]
