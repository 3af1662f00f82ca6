"""The compiled plan: nodes that execute, look up and store."""

from orcapod.nodes.explain import explain, reasons_of
from orcapod.nodes.flusher import Flusher, discarding
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.held_rows import HeldRows
from orcapod.nodes.node import Node
from orcapod.nodes.operator import OperatorNode, labels_in_order
from orcapod.nodes.plan import NodePlan, Plan
from orcapod.nodes.reasons import Reason, Reasons
from orcapod.nodes.recorded_run import RecordedRun
from orcapod.nodes.run import Run, checked_tags
from orcapod.nodes.run_part import RunPart
from orcapod.nodes.run_result import RunResult
from orcapod.nodes.source import SourceNode

__all__ = [
    "Flusher",
    "FunctionNode",
    "HeldRows",
    "Node",
    "NodePlan",
    "OperatorNode",
    "Plan",
    "Reason",
    "Reasons",
    "RecordedRun",
    "Run",
    "RunPart",
    "RunResult",
    "SourceNode",
    "checked_tags",
    "discarding",
    "explain",
    "labels_in_order",
    "reasons_of",
]
