"""``RaySession``: calls of one function on a cluster, a batch in each task."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import ray
from ray.exceptions import RayError

from orcapod.errors import ExecutionError, PacketTimeoutError, WorkerDiedError
from orcapod.executors import rebuild
from orcapod.protocols import Call, CapturedOutput, OnDone, Outcome
from orcapod_ray.batch import Packed, make_batch, packed
from orcapod_ray.capacity import capacity, needs
from orcapod_ray.shipping import by_value, shipped

__all__ = ["RaySession"]

_LOOK_SECONDS = 1.0
_LONGEST_PAUSE = 5.0
_SMALL = 20_000  # bytes of a function that go along with every task

_BATCH = ray.remote(make_batch)  # one for all sessions, so that workers load it once


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of all sessions of this process; Ray's callbacks may outlive a session, and never this."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="orcapod-ray", daemon=True).start()
    return loop


class _Try:
    """A call that is not concluded, and what has become of it so far."""

    __slots__ = ("call", "deaths", "earlier", "failures")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.deaths = self.failures = 0
        self.earlier: tuple[CapturedOutput, ...] = ()


class RaySession:
    """Calls of one function on a cluster.

    A task that is lost is not run again as it was: what it had handed on is done, and the others of its calls
    go out again, each alone. Whose task is lost then is tried again as often as ``max_retries`` says.

    Args:
        fn: the function, sent by value where its modules are the user's own.
        on_done: called with every outcome.
        options: of Ray's tasks.
        max_retries: how often a call is tried again; -1 for always.
        retry_exceptions: which exceptions of the function are worth another try.
        concurrency: how many tasks may run at once; None for as many as the cluster can.
        timeout: after how many seconds a call is given up.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        on_done: OnDone,
        options: Mapping[str, Any],
        *,
        max_retries: int,
        retry_exceptions: tuple[type[BaseException], ...],
        concurrency: int | None,
        timeout: float | None,
    ) -> None:
        function = shipped(fn)
        self._task = _BATCH.options(num_returns="streaming", max_retries=0, **options)
        self._function = function if len(function) <= _SMALL else ray.put(function)
        self._name = uuid.uuid4().hex
        self._on_done = on_done
        self._options = options
        self._max_retries = max_retries
        self._retry_exceptions = retry_exceptions
        self._most = concurrency
        self._timeout = timeout
        self._job = ray.get_runtime_context().get_job_id()
        self._waiting: deque[list[_Try]] = deque()
        self._running: dict[asyncio.Task[None], Any] = {}
        self._closed = False
        self._lost = False
        self.concurrency = self._room()
        if not capacity(options):
            warnings.warn(
                f"no node of the Ray cluster has what each task takes, {needs(options)}: "
                "packets wait until one joins that has",
                stacklevel=2,
            )
        self._watch = asyncio.run_coroutine_threadsafe(self._watched(), _loop())

    def submit(self, batch: Sequence[Call]) -> None:
        _loop().call_soon_threadsafe(self._take, [_Try(call) for call in batch])

    def close(self) -> None:
        self._closed = True
        ended = threading.Event()
        _loop().call_soon_threadsafe(self._end, ended)
        ended.wait(_LOOK_SECONDS)

    def _room(self) -> int:
        room = max(1, capacity(self._options))
        return room if self._most is None else min(room, self._most)

    async def _watched(self) -> None:
        """Ask now and then how large the cluster is, and whether it is there at all."""
        while not self._closed:
            await asyncio.sleep(_LOOK_SECONDS)
            if not self._is_connected():
                self._lose()
                return
            self.concurrency = await asyncio.to_thread(self._room)

    def _is_connected(self) -> bool:
        return ray.is_initialized() and ray.get_runtime_context().get_job_id() == self._job

    def _lose(self) -> None:
        self._lost = True
        waiting = [each for batch in self._waiting for each in batch]
        self._waiting.clear()
        running, self._running = self._running, {}
        for task in running:
            task.cancel()
        for each in [*waiting, *(each for tries, _ in running.values() for each in tries.values())]:
            self._fail(each, _disconnected())

    def _end(self, ended: threading.Event) -> None:
        self._waiting.clear()
        running, self._running = self._running, {}
        for task, (_, generator) in running.items():
            task.cancel()
            if generator is not None and ray.is_initialized():
                ray.cancel(generator, force=True)
        self._watch.cancel()
        ended.set()

    def _take(self, batch: list[_Try]) -> None:
        if not self._lost and not self._is_connected():
            self._lose()
        if self._lost:
            for each in batch:
                self._fail(each, _disconnected())
            return
        self._waiting.append(batch)
        self._start()

    def _start(self) -> None:
        # More than can run at once, so that no worker waits for its next batch.
        most = self._most or 2 * self.concurrency
        while self._waiting and len(self._running) < most and not self._closed:
            tries = {each.call.key: each for each in self._waiting.popleft()}
            task = _loop().create_task(self._make(tries))
            self._running[task] = (tries, None)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        self._start()

    async def _make(self, tries: dict[int, _Try]) -> None:
        """Have one task make these calls."""
        started = time.monotonic()
        alone = len(tries) == 1
        calls = self._packed(tries)
        if calls is None:
            return
        try:
            with by_value():  # the first time, the code that makes calls goes along
                generator = self._task.remote(self._function, self._name, calls, self._timeout is not None)
        except Exception as error:  # noqa: BLE001  # whatever Ray has against it, it is how these calls ended
            for each in tries.values():
                self._fail(each, ExecutionError(f"Ray does not take the task: {error}"))
            return
        me = asyncio.current_task()
        assert me is not None
        self._running[me] = (tries, generator)
        try:
            begun = False
            while tries:
                group = await asyncio.wait_for(self._next(generator), self._timeout if begun else None)
                begun = True
                for content, buffers in group:
                    for answer in _read(content, buffers):
                        self._conclude(tries, answer)
        except TimeoutError:
            ray.cancel(generator, force=True)
            each = tries.pop(next(iter(tries)))
            self._fail(each, self._timed_out())
            if tries:
                self._waiting.append(list(tries.values()))
        except _UnreadableError as error:
            ray.cancel(generator, force=True)
            if alone:
                self._fail(tries.popitem()[1], error.__cause__ or error)
            self._waiting.extend([each] for each in tries.values())
        except (RayError, StopAsyncIteration) as error:
            await self._died(list(tries.values()), error, alone=alone, seconds=time.monotonic() - started)

    @staticmethod
    async def _next(generator: Any) -> list[Packed]:
        group: list[Packed] = await (await anext(generator))
        return group

    def _packed(self, tries: dict[int, _Try]) -> Packed | None:
        """The calls, to be sent; those that cannot be have failed then."""
        with by_value():
            try:
                return packed([tuple(each.call) for each in tries.values()])
            except Exception:  # noqa: BLE001  # one of them cannot be sent: which?
                pass
            for key, each in list(tries.items()):
                try:
                    packed(tuple(each.call))
                except Exception as error:  # noqa: BLE001  # arguments that cannot be sent
                    self._fail(tries.pop(key), error)
            return packed([tuple(each.call) for each in tries.values()]) if tries else None

    def _conclude(self, tries: dict[int, _Try], answer: tuple[Any, ...]) -> None:
        key, value, failure, fields, seconds = answer
        captured = None if fields is None else CapturedOutput(*fields)
        each = tries.pop(key)
        try:
            error = None if failure is None else rebuild(failure)
        except Exception as unreadable:  # noqa: BLE001  # code of the user's; it is how this call ended
            error = unreadable
        if error is not None and isinstance(error, self._retry_exceptions) and self._may_try_again(each):
            each.failures += 1
            self._keep(each, captured)
            self._waiting.append([each])
            return
        self._give(Outcome(key, value, error, captured, seconds, each.earlier))

    async def _died(self, tries: list[_Try], error: Exception, *, alone: bool, seconds: float) -> None:
        if not alone:
            self._waiting.extend([each] for each in tries)
            return
        (each,) = tries
        reason = str(error).strip().splitlines()
        died = WorkerDiedError(
            f"the Ray task that computed this packet was lost, {each.deaths + each.failures + 1} times tried: "
            f"{type(error).__name__}: {reason[0] if reason else 'no more is known'}"
        )
        if not self._may_try_again(each):
            self._fail(each, died, seconds)
            return
        each.deaths += 1
        self._keep(each, CapturedOutput.of_failure(died))
        await asyncio.sleep(min(0.1 * 2.0**each.deaths, _LONGEST_PAUSE))
        self._waiting.append([each])

    def _may_try_again(self, each: _Try) -> bool:
        return self._max_retries < 0 or each.deaths + each.failures < self._max_retries

    @staticmethod
    def _keep(each: _Try, captured: CapturedOutput | None) -> None:
        if captured is not None and each.call.capture:
            each.earlier = (*each.earlier, captured)

    def _timed_out(self) -> PacketTimeoutError:
        return PacketTimeoutError(
            f"the packet took longer than its timeout of {self._timeout:g} seconds; its Ray task was cancelled"
        )

    def _fail(self, each: _Try, error: BaseException, seconds: float = 0.0) -> None:
        captured = CapturedOutput.of_failure(error) if each.call.capture else None
        self._give(Outcome(each.call.key, None, error, captured, seconds, each.earlier))

    def _give(self, outcome: Outcome) -> None:
        if not self._closed:
            self._on_done(outcome)


class _UnreadableError(Exception):
    """What a task has handed on cannot be read here."""


def _read(content: pickle.PickleBuffer, buffers: list[Any]) -> list[tuple[Any, ...]]:
    try:
        answers: list[tuple[Any, ...]] = pickle.loads(content, buffers=buffers)  # noqa: S301  # our worker's
    except Exception as error:  # reading runs code of the user's
        raise _UnreadableError from error
    return answers


def _disconnected() -> ExecutionError:
    return ExecutionError(
        "the connection to the Ray cluster was closed before this packet was computed; run the pipeline again"
    )
