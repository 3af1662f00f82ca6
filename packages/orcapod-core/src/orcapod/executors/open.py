"""``open_executor``: an executor from its name, or as it was made."""

from __future__ import annotations

from orcapod.errors import PluginError
from orcapod.plugins import Registry
from orcapod.protocols import PythonFunctionExecutorProtocol, checked_executor

__all__ = ["executor_registry", "open_executor"]

executor_registry = Registry("orcapod.executors", noun="executor", homes={"ray": "orcapod-ray"})
"""The executors that installed packages provide, by name."""


def open_executor(
    engine: str | PythonFunctionExecutorProtocol,
) -> PythonFunctionExecutorProtocol:
    """Return the executor of a name, with the options that it has by default; any other as it is.

    Args:
        engine: a name under which a package registers a class in the entry point group ``orcapod.executors``
            (``local``, ``ray``), or an executor.

    Raises:
        PluginError: no installed package provides the name; names the known ones and what to install.
        ConfigError: it is no executor.
    """
    return checked_executor(_of_name(engine) if isinstance(engine, str) else engine)


def _of_name(name: str) -> object:
    try:
        return executor_registry.load(name)()
    except PluginError:
        if (kind := _KINDS.get(name)) is None:
            raise
        raise PluginError(
            f"no executor is called {name!r}; give an executor with a pool of that kind: "
            f'LocalExecutor(workers=4, kind="{kind}")'
        ) from None


_KINDS = {"thread": "thread", "threads": "thread", "process": "process", "processes": "process"}
