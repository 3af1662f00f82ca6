"""Packet functions, applied to streams."""

from orcapod.pods.code import code_of, compare_code
from orcapod.pods.decorator import PodFunction, function_pod
from orcapod.pods.pod import CachedFunctionPod, FunctionPod, PodStream

__all__ = ["CachedFunctionPod", "FunctionPod", "PodFunction", "PodStream", "code_of", "compare_code", "function_pod"]
