"""What runs functions: in this process here, elsewhere in packages of their own.

``Capture``, ``Compact``, ``Loaded``, ``Returning``, ``in_parts``, ``rebuild``, ``run_call`` and ``unpicklable`` are for
executors that make calls in other processes: how a call is made there, how what belongs to it is sent, and how its
exception becomes itself again here.

Every name is loaded when it is first used: a worker process needs but a few of them. Their types are in
``__init__.pyi``.
"""

from importlib import import_module

_HOMES = {
    "Capture": "redirection",
    "Compact": "pickling",
    "Loaded": "worker",
    "LocalExecutor": "local",
    "Returning": "pickling",
    "executor_registry": "open",
    "in_parts": "pickling",
    "open_executor": "open",
    "rebuild": "exceptions",
    "run_call": "worker",
    "unpicklable": "worker",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'orcapod.executors' has no attribute {name!r}; found {__all__}")
    found = getattr(import_module(f"orcapod.executors.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*globals(), *__all__]
