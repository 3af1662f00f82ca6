"""What runs functions: in this process here, elsewhere in packages of their own.

``Capture``, ``Compact``, ``Loaded``, ``Returning``, ``in_parts``, ``rebuild``, ``run_call`` and ``unpicklable`` are for
executors that make calls in other processes: how a call is made there, how what belongs to it is sent, and how its
exception becomes itself again here.

A worker process needs but a few of the names.
"""

from orcapod.doors import door

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
__getattr__, __dir__ = door(__name__, _HOMES)
