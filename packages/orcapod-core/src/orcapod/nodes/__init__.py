"""The compiled plan: nodes that execute, look up and keep."""

from orcapod.nodes.flusher import Flusher
from orcapod.nodes.kinds import FunctionNode, OperatorNode, SourceNode, labels_in_order
from orcapod.nodes.node import Node
from orcapod.nodes.run import Run, RunResult

__all__ = ["Flusher", "FunctionNode", "Node", "OperatorNode", "Run", "RunResult", "SourceNode", "labels_in_order"]
