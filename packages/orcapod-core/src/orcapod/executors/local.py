"""``LocalExecutor``: runs functions in the thread that asks for it, so that a debugger works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import CoroutineType
from typing import Any, Self

from orcapod.errors import ExecutionError
from orcapod.executors.capture import CapturedCall, capturing
from orcapod.functions.awaiting import is_async, run_to_end
from orcapod.protocols import PacketExecutionLoggerProtocol

__all__ = ["LocalExecutor"]


class LocalExecutor:
    """Runs Python functions in the calling thread; awaited, plain functions run in a thread of asyncio's.

    Output is captured for calls that have a logger. What that needs is put in place by the first such
    call, and put back when the outermost ``with`` block is left; outside of one, after every call.
    """

    executor_type_id = "local"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entered = 0
        self._held: ExitStack | None = None

    def supports(self, function_type_id: str) -> bool:
        return function_type_id == "python"

    def with_options(self, **options: Any) -> Self:
        if options:
            raise ExecutionError(f"LocalExecutor takes no options, found {sorted(options)}; leave them out")
        return self

    def execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        if logger is None:
            result = fn(**kwargs)
            return run_to_end(result) if type(result) is CoroutineType else result
        if self._held is None:
            with self._capturing():
                return _logged(fn, kwargs, logger)
        return _logged(fn, kwargs, logger)

    async def async_execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        if not is_async(fn):
            import asyncio  # noqa: PLC0415  # 40 ms that a program without async functions need not spend

            return await asyncio.to_thread(self.execute_callable, fn, kwargs, logger=logger)
        if logger is None:
            return await fn(**kwargs)
        with self._capturing(), CapturedCall(logger):
            return await fn(**kwargs)

    @contextmanager
    def _capturing(self) -> Iterator[None]:
        """Capture for a call; once in a ``with`` block, until that is left."""
        with ExitStack() as stack:
            with self._lock:
                if self._held is None:
                    stack.enter_context(capturing())
                    if self._entered:
                        self._held = stack.pop_all()
            yield

    def __enter__(self) -> Self:
        with self._lock:
            self._entered += 1
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._entered -= 1
            if self._entered or self._held is None:
                return
            held, self._held = self._held, None
        held.close()


def _logged(fn: Callable[..., Any], kwargs: Mapping[str, Any], logger: PacketExecutionLoggerProtocol) -> Any:
    with CapturedCall(logger):
        result = fn(**kwargs)
        return run_to_end(result) if type(result) is CoroutineType else result
