"""``LocalExecutor``: runs functions in the thread that asks for it, so that a debugger works."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from queue import SimpleQueue
from types import CoroutineType
from typing import Any, Literal, Self, get_args

from orcapod.checks import MOST_AT_ONCE, Checks
from orcapod.errors import ConfigError, ExecutionError
from orcapod.executors.capture import CapturedCall, capturing
from orcapod.functions import is_async, run_to_end
from orcapod.interrupts import runs_user_code
from orcapod.protocols import Call, CallSession, OnDone, Outcome, PacketExecutionLoggerProtocol

__all__ = ["LocalExecutor"]


Kind = Literal["thread", "process"]
"""What a pool is made of."""

CaptureMethod = Literal["sys", "fd"]
"""Where output is taken: where Python writes it, or where it leaves the process."""


class LocalExecutor:
    """Runs Python functions on this machine: in the calling thread, or in a pool of threads or processes.

    Without workers, calls are made in the calling thread, so that a debugger works; awaited, plain
    functions run in a thread of asyncio's. A pool of processes survives a function that kills its process:
    only the packet fails that was being computed. Its workers load the user's modules anew, and functions
    of ``__main__`` and of notebooks are sent to them by value. They are kept from one run to the next, until
    ``close`` is called, a ``with`` block of this executor is left, nobody has it any more, or the program ends.
    Where a file that a worker has loaded code from is changed, or a worker has died, a new one takes its place.
    Arguments and results from half a megabyte on go by shared memory without a name, which is there as long as a
    process looks at it: arrays, tables and frames, also inside of others, are copied once on their way. What could not
    be written to here cannot be there; what could be is written to there alone.

    Args:
        workers: how many calls are made at once; None for no pool.
        kind: ``thread`` for functions that wait, ``process`` for functions that compute.
        capture: ``sys`` for what Python code of the call writes; ``fd`` for all that this process and its
            children write meanwhile, which calls that run at once cannot share. A pool of processes
            captures all that the worker and its children write, one way and the other.

    Raises:
        ConfigError: fewer than one worker, a kind or a way to capture that there is not, or ``fd`` in threads.

    Output is captured for calls that have a logger. What that needs is put in place by the first such
    call, and put back when the outermost ``with`` block is left; outside of one, after every call.

    ====================================================  =============  ============  =========  ===
    Written by                                            this process,  this process  processes  Ray
                                                          threads        ``fd``
    ====================================================  =============  ============  =========  ===
    ``print``, ``sys.stdout``, ``sys.stderr``             yes            yes           yes        yes
    ``logging``, from INFO on                             yes            yes           yes        yes
    loguru, to stderr or stdout                           yes            yes           yes        yes
    threads that the function starts                      yes            yes           yes        yes
    ``sys.__stdout__``, ``os.write(1, ...)``, C code      no             yes           yes        yes
    programs and processes that the function starts       no             yes           yes        yes
    a debugger: goes to the terminal, as its answers do   yes            no            no         no
    ====================================================  =============  ============  =========  ===

    What is not captured goes where it would have gone.
    """

    executor_type_id = "local"

    def __init__(self, workers: int | None = None, kind: Kind = "thread", *, capture: CaptureMethod = "sys") -> None:
        check = Checks()
        if workers is not None:
            check.count("workers", workers, least=1, most=MOST_AT_ONCE, also=", or None")
        check.choice("kind", kind, get_args(Kind))
        check.choice("capture", capture, get_args(CaptureMethod))
        if capture == "fd" and kind == "thread" and workers is not None and workers > 1:
            raise ConfigError(
                f"found capture 'fd' with {workers} threads, which have one stdout between them; leave out workers, "
                "or take kind='process', which captures as much"
            )
        self.workers = workers
        self.kind = kind
        self.capture = capture
        self._pool: Any = None
        self._owner = self
        self._lock = threading.Lock()
        self._entered = 0
        self._held: ExitStack | None = None

    def supports(self, function_type_id: str) -> bool:
        return function_type_id == "python"

    def with_options(self, **options: Any) -> Self:
        own = {"workers": self.workers, "kind": self.kind, "capture": self.capture}
        if unknown := sorted(options.keys() - own.keys()):
            raise ExecutionError(
                f"LocalExecutor takes the options 'workers', 'kind' and 'capture', found {unknown}; leave them out"
            )
        other = type(self)(**{**own, **options})
        other._owner = self._owner
        return other

    def close(self) -> None:
        """End the worker processes; the next call has new ones."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def open_session(
        self, fn: Callable[..., Any], on_done: OnDone, *, concurrency: int | None, timeout: float | None
    ) -> CallSession | None:
        if self.workers is None:
            return None
        # Pools take a while to import, and only those who have one should wait for it.
        from orcapod.execution import ThreadSession  # noqa: PLC0415
        from orcapod.executors.processes import ProcessSession  # noqa: PLC0415

        most = min(self.workers, concurrency or self.workers)
        if self.kind == "thread":
            return ThreadSession(self, fn, on_done, concurrency=most, timeout=timeout)
        return ProcessSession(self._owner._workers(), fn, on_done, concurrency=most, timeout=timeout)

    def _workers(self) -> Any:
        """Return the pool of worker processes of this executor and of those that share its workers."""
        from orcapod.executors.pool import WorkerPool  # noqa: PLC0415  # as above

        with self._lock:
            if self._pool is None:
                self._pool = WorkerPool(self.workers or 1)
                weakref.finalize(self, self._pool.close)
            return self._pool

    @runs_user_code
    def execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        if self.workers is not None and self.kind == "process":
            return self._in_a_worker(fn, kwargs, logger)
        if logger is None:
            result = fn(**kwargs)
            return run_to_end(result) if type(result) is CoroutineType else result
        if self.capture == "fd":
            # It needs what makes calls in workers, which takes a while to import.
            from orcapod.executors.descriptors import DescriptorCall  # noqa: PLC0415

            return _logged(fn, kwargs, DescriptorCall(logger))
        if self._held is None:
            with self._capturing():
                return _logged(fn, kwargs, CapturedCall(logger))
        return _logged(fn, kwargs, CapturedCall(logger))

    async def async_execute_callable(
        self,
        fn: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        logger: PacketExecutionLoggerProtocol | None = None,
    ) -> Any:
        if not is_async(fn) or self.capture == "fd" or (self.workers is not None and self.kind == "process"):
            import asyncio  # noqa: PLC0415  # 40 ms that a program without async functions need not spend

            return await asyncio.to_thread(self.execute_callable, fn, kwargs, logger=logger)
        if logger is None:
            return await fn(**kwargs)
        with self._capturing(), CapturedCall(logger):
            return await fn(**kwargs)

    def _in_a_worker(
        self, fn: Callable[..., Any], kwargs: Mapping[str, Any], logger: PacketExecutionLoggerProtocol | None
    ) -> Any:
        outcomes: SimpleQueue[Outcome] = SimpleQueue()
        session = self.open_session(fn, outcomes.put, concurrency=1, timeout=None)
        assert session is not None
        try:
            session.submit([Call(0, kwargs, logger is not None)])
            outcome = outcomes.get()
        finally:
            session.close()
        if logger is not None and outcome.captured is not None:
            logger.record(**outcome.captured.fields())
        if outcome.error is not None:
            raise outcome.error
        return outcome.value

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
            if self._entered:
                return
            held, self._held = self._held, None
        self.close()
        if held is not None:
            held.close()


@runs_user_code
def _logged(fn: Callable[..., Any], kwargs: Mapping[str, Any], capture: AbstractContextManager[object]) -> Any:
    with capture:
        result = fn(**kwargs)
        return run_to_end(result) if type(result) is CoroutineType else result
