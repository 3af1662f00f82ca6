"""``ProcessSession``: calls in worker processes, each of which may die without harm to the others.

A thread of this process looks after each worker: it sends a batch of calls and takes the answers one by
one, so it knows which call a worker was making when it died. The packages for process pools that there
are answer a batch as a whole, or take one call at a time; the first would fail packets that have done
nothing, the second takes too long for small functions.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from orcapod.errors import PacketTimeoutError, WorkerDiedError
from orcapod.executors.worker import packed, put_together
from orcapod.protocols import Call, CapturedOutput, OnDone, Outcome

__all__ = ["ProcessSession", "WorkerPool"]

_WORKER = str(Path(__file__).with_name("worker.py"))


class WorkerPool:
    """Worker processes that are kept from one session to the next."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []
        self._lock = threading.Lock()
        self._open = True

    def hire(self) -> _Worker:
        """A worker that is idle, or a new one."""
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive():
                    return worker
        return _Worker()

    def give_back(self, worker: _Worker) -> None:
        """Keep a worker that has nothing to do."""
        with self._lock:
            if self._open:
                self._idle.append(worker)
                return
        worker.end()

    def close(self) -> None:
        """End the workers that are idle, and those that are given back from now on."""
        with self._lock:
            self._open = False
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()


class _Worker:
    """One worker process and the connection to it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            # Unbuffered, so that what is printed keeps its place among what C code and children write.
            self.process = subprocess.Popen(
                [sys.executable, "-u", _WORKER, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self.connection = Connection(ours.detach())
        self.send("path", sys.path)

    def send(self, kind: str, content: Any) -> None:
        self.connection.send_bytes(pickle.dumps((kind, content), protocol=5))

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> str:
        """End the process, if it has not ended yet; say how it did."""
        self.connection.close()
        if self.is_alive():
            self.process.kill()
        code = self.process.wait()
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"exited with code {code}"


class ProcessSession:
    """Calls of one function in worker processes.

    Args:
        pool: where workers come from.
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
        self._function = packed(fn)
        self._on_done = on_done
        self._timeout = timeout
        self._batches: SimpleQueue[Sequence[Call] | None] = SimpleQueue()
        self._busy: dict[int, _Worker] = {}
        self._lock = threading.Lock()
        self._closed = False
        for index in range(concurrency):
            threading.Thread(target=self._look_after, args=(index,), name="orcapod-worker", daemon=True).start()

    def submit(self, batch: Sequence[Call]) -> None:
        self._batches.put(batch)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            busy = list(self._busy.values())
        for worker in busy:
            worker.process.kill()
        for _ in range(self.concurrency):
            self._batches.put(None)

    def _look_after(self, index: int) -> None:
        worker: _Worker | None = None
        while (batch := self._batches.get()) is not None and not self._closed:
            rest = deque(batch)
            while rest and not self._closed:
                worker = self._made(index, worker, rest)
        if worker is not None:
            self._pool.give_back(worker)

    def _made(self, index: int, worker: _Worker | None, rest: deque[Call]) -> _Worker | None:
        """Have the calls made as far as the worker goes; give back the worker, if it is still there."""
        try:
            if worker is None:
                worker = self._hired()
            with self._lock:
                self._busy[index] = worker
                if self._closed:
                    return worker
            worker.send("batch", packed([tuple(call) for call in rest]))
            while rest:
                if not worker.connection.poll(self._timeout):
                    worker.end()
                    self._fail(rest.popleft(), self._timed_out())
                    return None
                self._on_done(_outcome(pickle.loads(worker.connection.recv_bytes())))  # noqa: S301  # our worker's
                rest.popleft()
        except (EOFError, OSError):
            how = worker.end() if worker is not None else "could not be started"
            self._fail(rest.popleft(), WorkerDiedError(f"the worker process that computed this packet {how}"))
            return None
        except Exception as error:  # noqa: BLE001  # arguments that cannot be sent, or a result that cannot be read
            if worker is not None:
                worker.end()
            self._fail(rest.popleft(), error)
            return None
        else:
            return worker
        finally:
            with self._lock:
                self._busy.pop(index, None)

    def _hired(self) -> _Worker:
        worker = self._pool.hire()
        worker.send("function", self._function)
        return worker

    def _timed_out(self) -> PacketTimeoutError:
        return PacketTimeoutError(
            f"the packet took longer than its timeout of {self._timeout:g} seconds; its worker process was ended"
        )

    def _fail(self, call: Call, error: BaseException) -> None:
        if self._closed:
            return
        captured = CapturedOutput.of_failure(error) if call.capture else None
        self._on_done(Outcome(call.key, error=error, captured=captured, seconds=self._timeout or 0.0))


def _outcome(answer: tuple[Any, ...]) -> Outcome:
    key, value, failure, captured, seconds = answer
    error = None if failure is None else put_together(*failure)
    return Outcome(key, value, error, None if captured is None else CapturedOutput(*captured), seconds)
