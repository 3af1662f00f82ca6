"""What runs functions: in this process here, elsewhere in packages of their own.

``Capture``, ``Compact``, ``Loaded``, ``rebuild``, ``run_call`` and ``unpicklable`` are for executors that make calls
in other processes: how a call is made there, how what belongs to it is sent, and how its exception becomes itself
again here. They are loaded on first use.
"""

from typing import Any

from orcapod.executors.local import LocalExecutor
from orcapod.executors.open import executor_registry, open_executor

__all__ = [
    "Capture",
    "Compact",
    "Loaded",
    "LocalExecutor",
    "executor_registry",
    "open_executor",
    "rebuild",
    "run_call",
    "unpicklable",
]


def __getattr__(name: str) -> Any:
    if name not in ("Capture", "Compact", "Loaded", "rebuild", "run_call", "unpicklable"):
        raise AttributeError(f"module 'orcapod.executors' has no attribute {name!r}; found {__all__}")
    # What makes calls elsewhere takes a while to import, and only those who do so should wait for it.
    from orcapod.executors import exceptions, worker  # noqa: PLC0415

    return getattr(exceptions if name == "rebuild" else worker, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
