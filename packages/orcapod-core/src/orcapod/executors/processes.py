"""``ProcessSession``: calls in worker processes, each of which may die without harm to the others.

A thread of this process looks after each worker: it sends a batch of calls and takes the answers one by
one, so it knows which call a worker was making when it died. The packages for process pools that there
are answer a batch as a whole, or take one call at a time; the first would fail packets that have done
nothing, the second takes too long for small functions.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path
from queue import SimpleQueue
from types import CodeType, FunctionType
from typing import Any

from orcapod.errors import ExecutionError, PacketTimeoutError, WorkerDiedError
from orcapod.executors.exceptions import rebuild
from orcapod.executors.messages import Message
from orcapod.executors.pickling import CompactPickler, serialized
from orcapod.executors.pool import Ready, State, Worker, WorkerPool
from orcapod.protocols import Call, CapturedOutput, OnDone, Outcome

__all__ = ["ProcessSession"]

_CLOSING_SECONDS = 0.9


class ProcessSession:
    """Calls of one function in worker processes.

    Each worker is looked after by one thread, from when it is acquired until it is released or ended. On
    closing, that thread hands over the answers that are there, and ends the worker if it owes more of them.

    Args:
        pool: where workers come from, and go back to.
        fn: the function; it is sent by value where workers could not import it.
        on_done: called with every outcome.
        concurrency: how many workers there are.
        timeout: after how many seconds a call is given up, and its worker ended.
    """

    def __init__(
        self, pool: WorkerPool, fn: Callable[..., Any], on_done: OnDone, *, concurrency: int, timeout: float | None
    ) -> None:
        self.concurrency = concurrency
        self._pool = pool
        self._function = _sendable(fn)
        self._on_done = on_done
        self._timeout = timeout
        self._batches: SimpleQueue[Sequence[Call] | None] = SimpleQueue()
        self._closing = threading.Event()
        self._woken, self._wake = Pipe(duplex=False)  # closing the second lets the first be read by all threads
        self._delivering = threading.RLock()
        self._is_closed = False
        self._threads = [
            threading.Thread(target=self._look_after_worker, name="orcapod-worker", daemon=True)
            for _ in range(concurrency)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, batch: Sequence[Call]) -> None:
        self._batches.put(batch)

    def close(self) -> None:
        until = time.monotonic() + _CLOSING_SECONDS
        self._closing.set()
        self._wake.close()
        for _ in self._threads:
            self._batches.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))
        is_idle = self._delivering.acquire(timeout=max(0.0, until - time.monotonic()))
        self._is_closed = True
        if is_idle:
            self._delivering.release()

    def _look_after_worker(self) -> None:
        worker: Worker | None = None
        while not self._closing.is_set() and (batch := self._batches.get()) is not None:
            worker = self._run_batch(worker, batch)
        if worker is not None:
            self._pool.release(worker)

    def _run_batch(self, worker: Worker | None, batch: Sequence[Call]) -> Worker | None:
        """Have calls made, by one worker after the other if need be; return the last one, if it is still there."""
        rest = deque(batch)
        while rest and not self._closing.is_set():
            try:
                worker = self._advance(worker, rest)
            except BaseException as error:  # noqa: BLE001  # nobody else would ever hear of these calls
                worker = None
                if rest:
                    self._fail(rest.popleft(), error)
        return worker

    def _advance(self, worker: Worker | None, rest: deque[Call]) -> Worker | None:
        """Have calls made as far as one worker goes; return it, if it is still there."""
        calls = self._message(rest)
        if calls is None:
            return worker
        worker = worker or self._pool.acquire() or _spawned()
        try:
            return self._take_answers(worker, calls, rest)
        except (EOFError, OSError):
            how = worker.end(wait=True)
            match worker.state:
                case State.NEW:
                    self._fail(
                        rest.popleft(), WorkerDiedError(f"the worker process for this packet {how} at its start")
                    )
                case State.BUSY:
                    died = WorkerDiedError(f"the worker process that computed this packet {how}")
                    self._fail(rest.popleft(), died)
                case State.IDLE:
                    pass  # it had ended before it was given these calls: another worker takes its place
            return None
        except BaseException:
            worker.end()
            raise

    def _take_answers(self, worker: Worker, calls: Message, rest: deque[Call]) -> Worker | None:
        if worker.function is not self._function:
            worker.send(*self._function)  # type: ignore[misc]  # calls that cannot be made are not sent
            worker.function = self._function
        worker.send(None, calls)
        while rest:
            timeout = self._timeout if worker.state is State.BUSY else None  # it may still be starting
            match Ready.CLOSING if self._is_closed else worker.wait(self._woken.fileno(), timeout):
                case Ready.ANSWER:
                    refused = self._take_answer(worker, rest)
                    if refused is not None:
                        return self._run_refused(worker, rest, refused)
                case Ready.ENDED:
                    raise EOFError
                case Ready.LATE:
                    late = rest[0]
                    self._stop(worker, rest)
                    if rest and rest[0] is late:
                        self._fail(rest.popleft(), self._timed_out())
                    return None
                case Ready.CLOSING:
                    self._stop(worker, rest)
                    rest.clear()
                    return None
        worker.state = State.IDLE
        return worker

    def _take_answer(self, worker: Worker, rest: deque[Call]) -> tuple[Any, ...] | None:
        """Take the answer that can be read; return why the worker refuses the whole batch, if it does."""
        read = worker.receive()
        if worker.state is State.BUSY:
            self._deliver(_outcome(read, rest[0]))
            rest.popleft()
            return None
        refused: tuple[Any, ...] | None = read()
        if refused is None:
            worker.state = State.BUSY
        return refused

    def _stop(self, worker: Worker, rest: deque[Call]) -> None:
        """End a worker, and take the answers that it has given meanwhile: what is finished is kept."""
        worker.stop()
        with suppress(EOFError, OSError):
            while rest and worker.wait(self._woken.fileno(), 0) is Ready.ANSWER:
                if self._take_answer(worker, rest) is not None:
                    break
        worker.end()

    def _run_refused(self, worker: Worker, rest: deque[Call], refused: tuple[Any, ...]) -> Worker | None:
        """Have each call made alone, of a batch that the worker could not read; that may be one call's fault."""
        if len(rest) == 1:
            self._fail(rest.popleft(), rebuild(refused[2]))
            return worker
        calls = list(rest)
        rest.clear()
        alone: Worker | None = worker
        for call in calls:
            alone = self._run_batch(alone, [call])
        return alone

    def _message(self, rest: deque[Call]) -> Message | None:
        """Return the calls to be sent, None if none is left; those that cannot be sent have failed then."""
        if isinstance(self._function, ExecutionError):
            while rest:
                self._fail(rest.popleft(), self._function)
            return None
        try:
            return Message([tuple(call) for call in rest], _WorkerPickler)
        except Exception:  # noqa: BLE001  # one of them cannot be sent: which?
            calls = list(rest)
            rest.clear()
        for call in calls:
            try:
                serialized(tuple(call), _WorkerPickler)
            except Exception as error:  # noqa: BLE001  # it is how this call ended
                self._fail(call, error)
            else:
                rest.append(call)
        return Message([tuple(call) for call in rest], _WorkerPickler) if rest else None

    def _timed_out(self) -> PacketTimeoutError:
        return PacketTimeoutError(
            f"the packet took longer than its timeout of {self._timeout:g} seconds; its worker process was ended"
        )

    def _fail(self, call: Call, error: BaseException) -> None:
        captured = CapturedOutput.of_failure(error) if call.capture else None
        self._deliver(Outcome(call.key, error=error, captured=captured, seconds=self._timeout or 0.0))

    def _deliver(self, outcome: Outcome) -> None:
        with self._delivering:
            if not self._is_closed:
                self._on_done(outcome)


def _spawned() -> Worker:
    try:
        return Worker()
    except OSError as error:
        raise WorkerDiedError(f"no worker process could be started for this packet: {error}") from error


def _outcome(read: Callable[[], Any], call: Call) -> Outcome:
    try:
        key, value, failure, captured, seconds = read()
    except BaseException as error:  # noqa: BLE001  # code of the user's; it is how this call ended
        error.add_note("What the function returned in a worker process cannot be read in this one.")
        return Outcome(call.key, error=error, captured=CapturedOutput.of_failure(error) if call.capture else None)
    raised = None if failure is None else rebuild(failure)
    return Outcome(key, value, raised, None if captured is None else CapturedOutput(*captured), seconds)


def _sendable(fn: Callable[..., Any]) -> tuple[dict[str, Any], Message] | ExecutionError:
    """Return what a worker is told of a function and of where it is called from; or why it cannot be."""
    try:
        return _surroundings(), Message(fn, _WorkerPickler)
    except Exception as error:  # noqa: BLE001  # pickling runs code of the user's
        name = getattr(fn, "__qualname__", repr(fn))
        culprit = _unpicklable_reference(fn, set())
        which = "; make what it refers to" if culprit is None else f", which is the {culprit}; make it"
        unsendable = ExecutionError(f"{name} cannot be sent to worker processes: {error}{which} inside the function")
        unsendable.__cause__ = error
        return unsendable


def _unpicklable_reference(fn: Any, tried: set[object]) -> str | None:
    """Return what to call that which a function, or another that it uses, refers to and cannot be sent."""
    tried.add(fn)
    for name, value in _references(fn):
        if not isinstance(value, FunctionType):
            if not _is_picklable(value):
                return name if len(tried) == 1 else f"{name} of {fn.__qualname__}"
        elif value not in tried and not _is_picklable(value):
            return _unpicklable_reference(value, tried)
    return None


def _is_picklable(value: object) -> bool:
    try:
        serialized(value, _WorkerPickler)
    except Exception:  # noqa: BLE001  # pickling runs code of the user's
        return False
    return True


def _references(fn: object) -> Iterator[tuple[str, object]]:
    """Yield what a function refers to, each with what to call it: globals, variables around it, defaults."""
    if not isinstance(fn, FunctionType):
        return
    for name in _names(fn.__code__):
        if name in fn.__globals__:
            yield f"global {name!r}", fn.__globals__[name]
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        with suppress(ValueError):  # it has no value yet
            yield f"enclosing variable {name!r}", cell.cell_contents
    last = fn.__code__.co_varnames[: fn.__code__.co_argcount][::-1]
    defaults = {**dict(zip(last, (fn.__defaults__ or ())[::-1], strict=False)), **(fn.__kwdefaults__ or {})}
    for name, value in defaults.items():
        yield f"default of {name!r}", value


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _surroundings() -> dict[str, Any]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    try:
        folder = Path.cwd()
    except FileNotFoundError:  # it has been removed
        folder = None
    return {
        "path": sys.path,
        "argv": sys.argv,
        "environ": dict(os.environ),
        "folder": folder and str(folder),
        "main_file": getattr(main, "__file__", None),
        "main_name": None if spec is None else spec.name,
    }


class _WorkerPickler(CompactPickler):
    """Pickles for a worker: what is of this process's main module is, there, of its main module."""

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(file, **options)
        main = sys.modules["__main__"]
        self.globals_ref[id(vars(main))] = _MainGlobals()


class _MainGlobals(dict[str, Any]):
    """The globals of functions of the main module, which are those of the worker's main module there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return vars, (sys.modules["__main__"],)
