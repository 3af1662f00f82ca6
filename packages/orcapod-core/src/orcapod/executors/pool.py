"""``WorkerPool``: worker processes that are kept from one session, and one run, to the next."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from orcapod.executors.descendants import kill_all, stopped_descendants
from orcapod.executors.messages import Message, received

__all__ = ["Ready", "State", "Worker", "WorkerPool"]

# Its folder comes last, so that no other module there, nor in the present folder, takes the place of one of Python's.
_PROGRAM = """\
import sys
sys.path[:1] = []
sys.path.append({folder!r})
from orcapod.executors.worker import main
main({descriptor}, {parent})
"""
_FOLDER = str(Path(__file__).parents[2])
_LOOK_SECONDS = 1.0
_OWN_END_SECONDS = 1.0


class Ready(Enum):
    """What there is to do after waiting for a worker."""

    ANSWER = "an answer can be read"
    CLOSING = "the session is being closed"
    LATE = "time is up"
    ENDED = "the process has ended"


class State(Enum):
    """What a worker is known to have done."""

    NEW = "it has not begun any calls yet"
    BUSY = "it has begun the calls that it was given"
    IDLE = "it has ended all calls that it was given"


class Worker:
    """A worker process with the programs that it starts, and the connection to it.

    It belongs to whoever took it from the pool or spawned it: one thread, which alone talks to it and ends it.
    The programs that it starts are ended with it. On Linux these are all its descendants, also those in
    sessions of their own (``start_new_session=True``, ``setsid``) and those that nobody waits for any more
    (daemons); elsewhere, and where a worker dies by itself, those that have not left its session. When this
    process is gone, however it ended, the worker ends itself and them.

    Attributes:
        state: what it is known to have done.
        function: what it was told to call.
    """

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            program = _PROGRAM.format(folder=_FOLDER, descriptor=theirs.fileno(), parent=os.getpid())
            # Unbuffered, so that what is printed keeps its place among what C code and children write.
            self._process = subprocess.Popen(
                [sys.executable, "-u", "-c", program],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.state = State.NEW
        self.function: object = None

    def send(self, surroundings: Mapping[str, Any] | None, message: Message) -> None:
        """Send a function with what surrounds it, or calls of it; raises ``OSError`` if the process has ended."""
        self._connection.send_bytes(pickle.dumps(surroundings, protocol=5))
        message.send(self._connection)

    def wait(self, closing: int, timeout: float | None) -> Ready:
        """Wait for an answer, which comes before all else that there may be to do.

        Args:
            closing: a descriptor that can be read from when the session is being closed.
            timeout: after how many seconds it is too late; None for never.
        """
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        poll.register(closing, select.POLLIN)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            # Looked at now and then, since a process that it has forked may hold the connection open.
            ended = not self.is_alive()
            left = _LOOK_SECONDS if until is None else min(_LOOK_SECONDS, max(0.0, until - time.monotonic()))
            ready = [descriptor for descriptor, _ in poll.poll(0 if ended else left * 1000)]
            if self._connection.fileno() in ready:
                return Ready.ANSWER
            if ended:
                return Ready.ENDED
            if ready:
                return Ready.CLOSING
            if until is not None and time.monotonic() >= until:
                return Ready.LATE

    def receive(self) -> Callable[[], Any]:
        """Return what reads the answer that is there; raises ``EOFError`` or ``OSError`` if the process has ended."""
        return received(self._connection)

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process and the programs that it started; the answers that it gave until then can be read."""
        self.kill()
        self._process.wait()

    def kill(self) -> None:
        """End the process and the programs that it started, without waiting for them to be gone."""
        descendants = stopped_descendants(self._process.pid) if self.is_alive() else ()
        with suppress(ProcessLookupError, PermissionError):  # the second is what macOS says of those that are gone
            os.killpg(self._process.pid, signal.SIGKILL)
        kill_all(descendants)

    def end(self, *, wait: bool = False) -> str:
        """End the process and the programs that it started; say how the process ended.

        Args:
            wait: let it come to the end that it may be about to come to by itself.
        """
        by_itself = True
        try:
            self._process.wait(_OWN_END_SECONDS if wait else 0)
        except subprocess.TimeoutExpired:
            by_itself = False
        self.kill()
        self._connection.close()
        code = self._process.wait()
        if not by_itself:
            return "was ended since it had closed its connection to this program"
        if code >= 0:
            return f"exited with code {code}"
        try:
            return f"was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"was ended by signal {-code}"


class WorkerPool:
    """Worker processes that have nothing to do, and are kept until somebody has.

    Args:
        size: how many are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: list[Worker] = []
        self._lock = threading.Lock()
        self._is_open = True
        self._process = os.getpid()

    def acquire(self) -> Worker | None:
        """Return a worker that is idle, if there is one; it is the caller's from now on."""
        while True:
            with self._lock:
                self._forget_if_forked()
                if not self._idle:
                    return None
                worker = self._idle.pop()
            if worker.is_alive():
                return worker
            worker.end()

    def release(self, worker: Worker) -> None:
        """Keep a worker that has nothing to do and nothing to say; end it if there are enough."""
        with self._lock:
            self._forget_if_forked()
            if self._is_open and len(self._idle) < self._size:
                self._idle.append(worker)
                return
        worker.end()

    def close(self) -> None:
        """End the workers that are idle, and those that are released from now on."""
        with self._lock:
            self._forget_if_forked()
            self._is_open = False
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()
        for worker in idle:
            worker.end()

    def _forget_if_forked(self) -> None:
        """Leave the workers of a process that this one was forked from to that one."""
        if os.getpid() != self._process:
            self._process = os.getpid()
            self._idle = []
