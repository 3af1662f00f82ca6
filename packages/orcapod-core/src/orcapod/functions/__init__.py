"""Making new values from one packet."""

from orcapod.functions.awaiting import background_loop, is_async, run_to_end
from orcapod.functions.claims import Claims
from orcapod.functions.crew import Crew
from orcapod.functions.decorator import PodFunction, function_pod
from orcapod.functions.intake import Intake, Signal, Supply
from orcapod.functions.node_config import ErrorPolicy, NodeConfig, PipelineConfig, checked_policy
from orcapod.functions.packet_function import Identity, PythonPacketFunction
from orcapod.functions.pod import CachedFunctionPod, FunctionPod, PodStream
from orcapod.functions.step import FirstFailure, Keeping, PacketError, Step
from orcapod.functions.work import Task, Work

__all__ = [
    "CachedFunctionPod",
    "Claims",
    "Crew",
    "ErrorPolicy",
    "FirstFailure",
    "FunctionPod",
    "Identity",
    "Intake",
    "Keeping",
    "NodeConfig",
    "PacketError",
    "PipelineConfig",
    "PodFunction",
    "PodStream",
    "PythonPacketFunction",
    "Signal",
    "Step",
    "Supply",
    "Task",
    "Work",
    "background_loop",
    "checked_policy",
    "function_pod",
    "is_async",
    "run_to_end",
]
