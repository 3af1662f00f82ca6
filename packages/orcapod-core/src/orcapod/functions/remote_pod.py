"""``RemotePod``: what goes in the place of a pod where a function is sent to another process."""

from __future__ import annotations

from types import FunctionType
from typing import Any

__all__ = ["RemotePod"]


class RemotePod:
    """A pod in a process that its function was sent to: it becomes the pod when somebody uses it, and not before.

    It is sent by value and needs nothing of orcapod until then, so that workers load orcapod only if the
    function does, and need not have it. The pod's executor stays behind: where the function runs, the pod does.
    """

    def _made(self) -> Any:
        held = vars(self)
        if "_pod" not in held:
            # Only now, and in the process where it is used.
            from orcapod.functions import FunctionPod, NodeConfig, PythonPacketFunction  # noqa: PLC0415

            function, options, label, config = held["_parts"]
            node_config = None if config is None else NodeConfig(**config)
            held["_pod"] = FunctionPod(PythonPacketFunction(function, **options), label=label, node_config=node_config)
        return held["_pod"]

    def __call__(self, *streams: Any, **options: Any) -> Any:
        return self._made()(*streams, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what pickle and copy ask for is not the pod's
            raise AttributeError(name)
        return getattr(self._made(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._made(), name, value)


# Both cloudpickle and Ray's send by value what they take for a part of the main module.
RemotePod.__module__ = "__main__"
for _method in vars(RemotePod).values():
    if isinstance(_method, FunctionType):
        _method.__module__ = "__main__"
