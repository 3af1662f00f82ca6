from orcapod import databases, errors, executors, observers, operators, orchestrators, sources, types
from orcapod.files import output_path
from orcapod.functions import NodeConfig, PipelineConfig, PythonPacketFunction
from orcapod.hashing import ContentHash
from orcapod.integrity import remove_orphans, verify_store
from orcapod.ledger import compare, open_store
from orcapod.nodes import RunResult
from orcapod.pipeline import Pipeline
from orcapod.pods import CachedFunctionPod, FunctionPod, code_of, compare_code, function_pod
from orcapod.records import ResultCache
from orcapod.report import write_report
from orcapod.sources import cases, grid
from orcapod.types import Directory, File, Schema, logical_type

__all__ = [
    "CachedFunctionPod",
    "ContentHash",
    "Directory",
    "File",
    "FunctionPod",
    "NodeConfig",
    "Pipeline",
    "PipelineConfig",
    "PythonPacketFunction",
    "ResultCache",
    "RunResult",
    "Schema",
    "cases",
    "code_of",
    "compare",
    "compare_code",
    "databases",
    "errors",
    "executors",
    "function_pod",
    "grid",
    "logical_type",
    "observers",
    "open_store",
    "operators",
    "orchestrators",
    "output_path",
    "remove_orphans",
    "sources",
    "types",
    "verify_store",
    "write_report",
]
