"""What runs a function: in this thread, in a pool, on a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, Self, runtime_checkable

__all__ = ["PacketExecutionLoggerProtocol", "PacketFunctionExecutorProtocol", "PythonFunctionExecutorProtocol"]


@runtime_checkable
class PacketExecutionLoggerProtocol(Protocol):
    """Takes what an executor captured while one packet was computed."""

    def record(self, **kwargs: object) -> None:
        """Keep these fields; which ones there are is up to the executor.

        The executors of orcapod give ``stdout``, ``stderr``, ``python_logs`` and ``traceback`` (text or
        None) and ``success`` (bool).
        """
        ...


@runtime_checkable
class PacketFunctionExecutorProtocol(Protocol):
    """Where packet functions run: the part that does not depend on the function's language."""

    @property
    def executor_type_id(self) -> str:
        """What kind of executor this is, for records: ``local``, ``ray``, ..."""
        ...

    def supports(self, function_type_id: str) -> bool:
        """Whether functions of this type (``python``, ...) can run here."""
        ...

    def with_options(self, **options: Any) -> Self:
        """An executor like this one with these options; raises ``ExecutionError`` for unknown ones."""
        ...

    def __enter__(self) -> Self:
        """Get ready for a run. Entered once per run by every node that uses it; may be nested."""
        ...

    def __exit__(self, *exc_info: object) -> None:
        """Let go of what the outermost ``__enter__`` took."""
        ...


@runtime_checkable
class PythonFunctionExecutorProtocol(PacketFunctionExecutorProtocol, Protocol):
    """Runs Python functions, one call at a time.

    With a logger, what the call writes (stdout, stderr, logging) is captured and given to
    ``logger.record`` once, before the call returns or raises; without one, nothing is captured. An
    exception of the function is re-raised as itself.
    """

    def execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        """Call ``fn(**kwargs)`` and give its result; an async function is run to its end."""
        ...

    def async_execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Awaitable[Any]:
        """The same, awaited."""
        ...
