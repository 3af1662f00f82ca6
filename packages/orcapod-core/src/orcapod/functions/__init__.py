"""Making new values from one packet."""

from orcapod.functions.awaiting import run_to_end
from orcapod.functions.decorator import PodFunction, function_pod
from orcapod.functions.packet_function import Identity, PythonPacketFunction
from orcapod.functions.pod import CachedFunctionPod, FunctionPod, PodStream
from orcapod.functions.step import ErrorPolicy, PacketError, Step, Work, checked_policy

__all__ = [
    "CachedFunctionPod",
    "ErrorPolicy",
    "FunctionPod",
    "Identity",
    "PacketError",
    "PodFunction",
    "PodStream",
    "PythonPacketFunction",
    "Step",
    "Work",
    "checked_policy",
    "function_pod",
    "run_to_end",
]
