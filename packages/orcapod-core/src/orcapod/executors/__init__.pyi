from orcapod.executors.exceptions import rebuild
from orcapod.executors.local import LocalExecutor
from orcapod.executors.open import executor_registry, open_executor
from orcapod.executors.pickling import Compact, Returning, in_parts
from orcapod.executors.redirection import Capture
from orcapod.executors.worker import Loaded, run_call, unpicklable

__all__ = [
    "Capture",
    "Compact",
    "Loaded",
    "LocalExecutor",
    "Returning",
    "executor_registry",
    "in_parts",
    "open_executor",
    "rebuild",
    "run_call",
    "unpicklable",
]
