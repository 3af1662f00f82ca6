"""What runs a function: in this thread, in a pool, on a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from traceback import format_exception_only
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

__all__ = [
    "Call",
    "CallSession",
    "CapturedOutput",
    "ConcurrentExecutorProtocol",
    "OnDone",
    "Outcome",
    "PacketExecutionLoggerProtocol",
    "PacketFunctionExecutorProtocol",
    "PythonFunctionExecutorProtocol",
]


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
        """Say whether functions of this type (``python``, ...) can run here."""
        ...

    def with_options(self, **options: Any) -> Self:
        """Return an executor like this one with these options; raises ``ExecutionError`` for unknown ones."""
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
        """Return the same, awaited."""
        ...


class Call(NamedTuple):
    """One call to be made: what tells it from the others of its session, its arguments, and whether to capture."""

    key: int
    kwargs: Mapping[str, Any]
    capture: bool


class CapturedOutput(NamedTuple):
    """What an executor reports of one call.

    Attributes:
        stdout: what the call wrote there.
        stderr: what the call wrote there.
        python_logs: what it logged, a line for each record.
        traceback: of what it raised, from the user's first frame on.
        success: whether it returned; None where the executor does not say.
        extra: what else this executor reports, by field.
    """

    stdout: str | None = None
    stderr: str | None = None
    python_logs: str | None = None
    traceback: str | None = None
    success: bool | None = None
    extra: Mapping[str, object] = MappingProxyType({})

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> CapturedOutput:
        """Return what a logger was told, as a value."""
        known = {name: value for name, value in fields.items() if name in _REPORTED}
        return cls(**known, extra={name: value for name, value in fields.items() if name not in _REPORTED})

    @classmethod
    def of_failure(cls, error: BaseException) -> CapturedOutput:
        """Return the report of a call that failed outside of the function: it could not be sent, or took too long."""
        return cls(traceback=f"{type(error).__qualname__}: {error}\n", success=False)

    def refused(self, error: BaseException) -> CapturedOutput:
        """Return the report of a call that returned something that is not accepted."""
        return self._replace(success=False, traceback="".join(format_exception_only(error)))

    def fields(self) -> dict[str, object]:
        """Return what a logger is to record, by field."""
        return {
            "stdout": self.stdout,
            "stderr": self.stderr,
            "python_logs": self.python_logs,
            "traceback": self.traceback,
            "success": self.success,
            **self.extra,
        }


_REPORTED = frozenset(CapturedOutput._fields) - {"extra"}


@dataclass(slots=True)
class Outcome:
    """How one call ended.

    Attributes:
        key: of the call.
        value: what the function returned, if it did.
        error: what it raised, as itself, or what happened to it instead.
        captured: what a logger is to record; None where nothing was captured.
        seconds: how long it took.
        earlier: what a logger is to record of tries before this one, where the session itself tried again.
    """

    key: int
    value: Any = None
    error: BaseException | None = None
    captured: CapturedOutput | None = None
    seconds: float = 0.0
    earlier: Sequence[CapturedOutput] = ()


OnDone = Callable[[Outcome], None]
"""What a session calls with every outcome, as it comes, from any thread; never blocks."""


class CallSession(Protocol):
    """Calls of one function, made concurrently somewhere else."""

    concurrency: int
    """How many calls are made at once, at the most."""

    def submit(self, batch: Sequence[Call]) -> None:
        """Take calls that are best made in one place, one after the other; never blocks.

        The outcome of each is handed to ``on_done`` as soon as it is there. One that dies takes no other with it.
        """
        ...

    def close(self) -> None:
        """Let go of everything.

        Outcomes of calls that have ended are handed over before this returns; what is still being computed
        is given up. Nothing is handed over after it has returned, which takes a second at the most.
        """
        ...


@runtime_checkable
class ConcurrentExecutorProtocol(PythonFunctionExecutorProtocol, Protocol):
    """An executor that makes many calls at once: in a pool of processes, on a cluster."""

    def open_session(
        self,
        fn: Callable[..., Any],
        on_done: OnDone,
        *,
        concurrency: int | None,
        timeout: float | None,
    ) -> CallSession | None:
        """Return a session for the calls of one function; None where this executor makes one call after the other.

        Args:
            fn: the function.
            on_done: called with every outcome.
            concurrency: how many calls may be made at once; None leaves it to the executor.
            timeout: after how many seconds a call is given up; None for never.
        """
        ...
