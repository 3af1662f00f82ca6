"""Packet functions: a packet function is a typed Python function that makes a packet from a packet."""

from importlib import import_module

from orcapod.functions.awaiting import is_async, run_to_end
from orcapod.functions.capture_buffer import CaptureBuffer
from orcapod.functions.node_config import (
    ErrorPolicy,
    NodeConfig,
    PipelineConfig,
    checked_config,
    checked_flush_interval,
    checked_node_config,
    checked_policy,
)
from orcapod.functions.one_key import check_one_key
from orcapod.functions.packet_function import Identity, Packages, PythonPacketFunction

__all__ = [
    "CaptureBuffer",
    "ErrorPolicy",
    "Identity",
    "NodeConfig",
    "Packages",
    "PipelineConfig",
    "PythonPacketFunction",
    "check_one_key",
    "checked_config",
    "checked_flush_interval",
    "checked_node_config",
    "checked_policy",
    "is_async",
    "run_to_end",
]

_PODS = ("CachedFunctionPod", "FunctionPod", "PodFunction", "function_pod")


def __getattr__(name: str) -> object:
    """Find what is made of packet functions here too, where users look for it; it lives some floors up."""
    if name in _PODS:
        return getattr(import_module("orcapod.pods"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; found {sorted([*__all__, *_PODS])}")
