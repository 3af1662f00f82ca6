"""Records: what is written, and how it is found again."""

from orcapod.records.address import (
    ENVIRONMENTS,
    MEMBERS,
    RECORD_ID,
    RUN_STARTS,
    RUNS,
    FunctionUri,
    changes_path,
    is_computed,
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
from orcapod.records.graph_records import GraphRecords, NodeRecord
from orcapod.records.large_values import LARGE
from orcapod.records.ledger import RunLedger, new_run_id, totals_in
from orcapod.records.members import PIECE_ID, TREES, Members, whole_pieces
from orcapod.records.node_history import NodeHistory, PastRuns, ResultOrigin
from orcapod.records.pipeline_records import INCOMPLETE, NoOpRecords, PipelineRecords
from orcapod.records.prune import Keep, PruneReport, functions_of, prune
from orcapod.records.result_cache import (
    CHECKSUM,
    SECONDS,
    NoOpCache,
    Result,
    ResultCache,
    SizeLimit,
    damaged_results,
    results_table,
)
from orcapod.records.run_record import NodeTotals, RunRecord, RunStart
from orcapod.records.states import (
    CHANGE_TYPES,
    RUN_ID,
    SINCE,
    STATE_TYPES,
    STATES,
    UNTIL,
    GivenEntries,
    NodeStates,
    States,
    states_in,
)
from orcapod.records.stubs import PRUNED, STUB_COLUMNS, Stubs, lost_results

__all__ = [
    "CHANGE_TYPES",
    "CHECKSUM",
    "ENVIRONMENTS",
    "INCOMPLETE",
    "LARGE",
    "MEMBERS",
    "PIECE_ID",
    "PRUNED",
    "RECORD_ID",
    "RUNS",
    "RUN_ID",
    "RUN_STARTS",
    "SECONDS",
    "SINCE",
    "STATES",
    "STATE_TYPES",
    "STUB_COLUMNS",
    "TREES",
    "UNTIL",
    "Attempts",
    "Claims",
    "CodeRecords",
    "Environment",
    "FunctionUri",
    "GivenEntries",
    "GraphRecords",
    "Keep",
    "Members",
    "NoOpCache",
    "NoOpRecords",
    "NodeHistory",
    "NodeRecord",
    "NodeStates",
    "NodeTotals",
    "PastRuns",
    "PipelineRecords",
    "PruneReport",
    "Result",
    "ResultCache",
    "ResultOrigin",
    "RunLedger",
    "RunRecord",
    "RunStart",
    "SizeLimit",
    "States",
    "Stubs",
    "changes_path",
    "claims_in",
    "damaged_results",
    "functions_of",
    "is_computed",
    "lost_results",
    "new_run_id",
    "node_path",
    "prune",
    "record_ids",
    "record_ids_in",
    "record_names",
    "result_path",
    "results_table",
    "states_in",
    "stub_path",
    "totals_in",
    "whole_pieces",
]
