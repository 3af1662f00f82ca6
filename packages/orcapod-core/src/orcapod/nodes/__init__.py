"""The compiled plan: nodes that execute, look up and store."""

from orcapod.nodes.flusher import Flusher, discarding
from orcapod.nodes.function import FunctionNode
from orcapod.nodes.held_rows import HeldRows
from orcapod.nodes.node import Node
from orcapod.nodes.operator import OperatorNode, labels_in_order
from orcapod.nodes.recorded_run import RecordedRun
from orcapod.nodes.run import Run, RunResult
from orcapod.nodes.run_part import RunPart
from orcapod.nodes.source import SourceNode

__all__ = [
    "Flusher",
    "FunctionNode",
    "HeldRows",
    "Node",
    "OperatorNode",
    "RecordedRun",
    "Run",
    "RunPart",
    "RunResult",
    "SourceNode",
    "discarding",
    "labels_in_order",
]
