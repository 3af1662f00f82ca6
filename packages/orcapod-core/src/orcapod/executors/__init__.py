"""What runs functions: in this process here, elsewhere in packages of their own."""

from orcapod.executors.local import LocalExecutor
from orcapod.plugins import Registry

__all__ = ["LocalExecutor", "executor_registry"]

executor_registry = Registry("orcapod.executors", noun="executor", homes={"ray": "orcapod-ray"})
"""The executors that installed packages provide, by name."""
