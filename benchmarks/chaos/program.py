"""``Program``: a run of a plan in a process of its own, to which harm may be done.

Programs are forked from a server that has imported what they need, so that starting one takes a moment.
"""

from __future__ import annotations

import atexit
import faulthandler
import os
import signal
import threading
from collections.abc import Collection
from contextlib import suppress
from multiprocessing import connection, get_context
from pathlib import Path
from tempfile import mkstemp
from time import sleep

import moved_clock
from plan import Plan

HANGS = 120.0
_DUMPING = 2.0

os.environ["PYTHONPATH"] = str(Path(__file__).parent)
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads are no good before a fork
_context = get_context("forkserver")
_context.set_forkserver_preload(["program", "orcapod_delta", "orcapod_postgres"])


class WrongError(Exception):
    """Something that must never be: wrong, lost, doubled, or a hang."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"{kind}: {why}")
        self.kind = kind


class Program:
    """Program that runs a plan, from when its run begins.

    A context manager: leaving it ends the program and its workers. They end, too, when this process does, however.

    Args:
        plan: what to run.
        share_work: whether to share the work with others.
        jump: by how many seconds to set its clock when told to.

    Attributes:
        pid: its process.
    """

    def __init__(self, plan: Plan, *, share_work: bool = False, jump: float = 0.0) -> None:
        handle, name = mkstemp(prefix="output-", dir=plan.folder)
        os.close(handle)
        self._output = Path(name)
        begins, telling = _context.Pipe(duplex=False)
        orders, self._orders = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_live, args=(plan, share_work, jump, name, telling, orders))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid
        telling.close()
        orders.close()
        try:
            if not connection.wait([begins, self._process.sentinel], HANGS):
                raise self._hung()
            if not begins.poll():
                raise WrongError("failed", f"it ended before it began: {self.output}")
            begins.recv()
        except BaseException as error:
            self.end()
            if isinstance(error, EOFError):
                raise WrongError("failed", f"it ended before it began: {self.output}") from None
            raise

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._output.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def set_clock(self) -> None:
        """Set its clock back or forth."""
        with suppress(OSError):  # it may have ended
            self._orders.send("jump")

    def wait(self, codes: Collection[int] = (0,)) -> int:
        """Return its exit code once it has ended, which is to be one of these.

        Raises:
            WrongError: it is another, or does not end.
        """
        self._process.join(HANGS)
        code = self._process.exitcode
        if code is None:
            raise self._hung()
        if code not in codes:
            raise WrongError("failed", f"it ended with {code}: {self.output}")
        return code

    def end(self) -> None:
        """End it and its workers; doing so twice is fine."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.send(signal.SIGKILL)
        self._process.join()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.end()

    def _hung(self) -> WrongError:
        self.send(signal.SIGUSR1)
        sleep(_DUMPING)
        return WrongError("hung", self.output)


def _live(
    plan: Plan,
    share_work: bool,  # noqa: FBT001  # what a process is started with is positional
    jump: float,
    output: str,
    begins: connection.Connection,
    orders: connection.Connection,
) -> None:
    """Be the program."""
    os.setsid()
    printed = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    os.environ |= plan.environment()
    threading.Thread(target=_obey, args=(orders, jump), daemon=True).start()
    try:
        plan.run(share_work=share_work, begins=lambda: begins.send("begins"))
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing leaves out


def _obey(orders: connection.Connection, jump: float) -> None:
    """Set the clock when told to; end with all workers when whoever tells is gone."""
    try:
        while True:
            orders.recv()
            moved_clock.jump(jump)
    except (EOFError, OSError):
        os.killpg(0, signal.SIGKILL)
