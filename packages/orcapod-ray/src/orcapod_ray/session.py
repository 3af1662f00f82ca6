"""``RaySession``: calls of one function on a cluster, a batch in each task."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from functools import cache
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from orcapod.errors import ExecutionError, PacketTimeoutError, WorkerDiedError
from orcapod.executors import rebuild
from orcapod.protocols import Call, CapturedOutput, OnDone, Outcome
from orcapod_ray.batch import Answering, Group, Packed, make_batch, packed, unpacked
from orcapod_ray.capacity import capacity, needs, on_own_cpus, own_slots
from orcapod_ray.receiver import Receiver
from orcapod_ray.shipping import WorkerPickler, by_value, shipped

__all__ = ["RaySession"]

_LOOK_SECONDS = 1.0
_TRANSIT_SECONDS = 0.1  # what an answer may take to come, when there is a time limit
_LAST_SECONDS = 0.2  # in which an answer comes that is on its way when a session is closed
_SEVERAL_SECONDS = 0.6  # in which several of one batch do, also where the machine is busy: short calls, many at a time
_TICK_SECONDS = 0.02
_CLOSING_SECONDS = 0.8
_LONGEST_PAUSE = 5.0
_SMALL = 20_000  # bytes of a function that go along with every task

_BATCH = ray.remote(make_batch)  # one for all sessions, so that workers load it once


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of all sessions, which Ray's callbacks, unlike a session, never outlive."""
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


class _Batch:
    """Calls that one task makes, as long as they are not concluded.

    Attributes:
        tries: the calls, by key, in the order in which they are made.
        is_alone: whether there was one from the start, so that it is known which call ended a task.
        on_own_cpus: whether the task takes the CPU of the call that waits for it.
        generator: of the task's answers, once it is submitted.
        has_begun: whether something has come from the task.
        is_reclaimed: whether it was cancelled to be run elsewhere.
    """

    __slots__ = ("generator", "has_begun", "is_alone", "is_reclaimed", "on_own_cpus", "tries")

    def __init__(self, tries: Sequence[_Try], *, on_own_cpus: bool) -> None:
        self.tries = {each.call.key: each for each in tries}
        self.is_alone = len(tries) == 1
        self.on_own_cpus = on_own_cpus
        self.generator: Any = None
        self.has_begun = self.is_reclaimed = False


class RaySession:
    """Calls of one function on a cluster.

    A task that is lost is not run again as it was: what it had handed on is done, and the others of
    its calls go out again, each alone. Whose task is lost then is tried again as often as
    ``max_retries`` says.

    In a worker, the call that waits for this session holds CPUs, which Ray takes back only where it
    is Ray that is waited for. So as many tasks as these are enough for run on them, and take none of
    the cluster's. Batches that wait for others are taken back for these in the end: all CPUs may be
    held by calls that wait likewise.

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
        task_options = {**options, "num_returns": "streaming", "max_retries": 0}
        self._task = _BATCH.options(**task_options)
        self._own_task = _BATCH.options(**{**task_options, **on_own_cpus(options)})
        self._own_slots = own_slots(options)
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
        self._running: dict[asyncio.Task[None], _Batch] = {}
        self._batches: dict[int, _Batch] = {}
        self._numbers = count()
        self._handing_over = threading.Lock()
        self._is_open = True
        self._is_over = False
        self._lost = False
        room = capacity(options)
        self.concurrency = self._at_once(room)
        if not room:
            warnings.warn(
                f"no node of the Ray cluster has what each task takes, {needs(options)}: "
                "packets wait until one joins that has",
                stacklevel=2,
            )
        self._receiver = Receiver(self._hear_directly)
        asyncio.run_coroutine_threadsafe(self._receiver.open(), _loop()).result()
        self._watch = asyncio.run_coroutine_threadsafe(self._watched(), _loop())

    def submit(self, batch: Sequence[Call]) -> None:
        _loop().call_soon_threadsafe(self._take, [_Try(call) for call in batch])

    def close(self) -> None:
        """Hand over what has ended, and end all else."""
        ended = asyncio.run_coroutine_threadsafe(self._end(), _loop())
        wait([ended], _CLOSING_SECONDS)
        with self._handing_over:
            self._is_over = True

    def _at_once(self, room: int) -> int:
        return max(1, room if self._most is None else min(room, self._most))

    async def _watched(self) -> None:
        """Ask now and then how large the cluster is, and whether it is there at all."""
        while self._is_open:
            await asyncio.sleep(_LOOK_SECONDS)
            if not self._is_connected():
                self._lose()
                return
            self.concurrency = self._at_once(await asyncio.to_thread(capacity, self._options))

    def _is_connected(self) -> bool:
        return ray.is_initialized() and ray.get_runtime_context().get_job_id() == self._job

    def _lose(self) -> None:
        self._lost = True
        waiting = [each for batch in self._waiting for each in batch]
        self._waiting.clear()
        running, self._running = self._running, {}
        for task in running:
            task.cancel()
        for each in [*waiting, *(each for batch in running.values() for each in batch.tries.values())]:
            self._fail(each, _disconnected())

    async def _end(self) -> None:
        self._is_open = False
        self._waiting.clear()
        await self._last_answers()
        running, self._running = self._running, {}
        for task, batch in reversed(running.items()):  # those that wait first: others make room for them as they end
            task.cancel()
            if batch.tries and batch.generator is not None and ray.is_initialized():
                ray.cancel(batch.generator, force=True)
        self._receiver.close()
        self._watch.cancel()

    async def _last_answers(self) -> None:
        """Wait for what is on its way; where a call goes on for long, what is behind it is given back soon."""
        now = _loop().time
        until, end = now() + _LAST_SECONDS, now() + _SEVERAL_SECONDS
        while self._running and now() < until:
            await asyncio.wait(self._running, timeout=_TICK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if any(len(batch.tries) > 1 for batch in self._running.values()):
                until = min(now() + _LAST_SECONDS, end)

    def _take(self, tries: list[_Try]) -> None:
        if not self._lost and not self._is_connected():
            self._lose()
        if self._lost:
            for each in tries:
                self._fail(each, _disconnected())
            return
        self._waiting.append(tries)
        self._start()

    def _start(self) -> None:
        # More than can run at once, so that no worker waits for its next batch.
        most = self._most or 2 * self.concurrency
        while self._waiting and len(self._running) < most and self._is_open:
            batch = _Batch(self._waiting.popleft(), on_own_cpus=self._free_slots() > 0)
            task = _loop().create_task(self._make(batch))
            self._running[task] = batch
            task.add_done_callback(self._ended)
        if self._free_slots() > 0:
            self._reclaim()

    def _free_slots(self) -> int:
        return self._own_slots - sum(batch.on_own_cpus or batch.is_reclaimed for batch in self._running.values())

    def _reclaim(self) -> None:
        """Take back a batch that waits for a CPU of the cluster, while there is one of our own."""
        for batch in self._running.values():
            if batch.generator is not None and not (batch.has_begun or batch.on_own_cpus or batch.is_reclaimed):
                batch.is_reclaimed = True
                ray.cancel(batch.generator, force=True)
                return

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        self._start()

    async def _make(self, batch: _Batch) -> None:
        """Have one task make these calls."""
        number = next(self._numbers)
        self._batches[number] = batch
        try:
            await self._answered(batch, number)
        finally:
            del self._batches[number]

    async def _answered(self, batch: _Batch, number: int) -> None:
        started = time.monotonic()
        if not self._submit(batch, number):
            return
        try:
            async with asyncio.timeout(None) as limit:
                while batch.tries:
                    group: Group = await (await anext(batch.generator))
                    batch.has_begun = True
                    self._hear(batch, group)
                    if self._timeout is not None:
                        limit.reschedule(_loop().time() + self._timeout + _TRANSIT_SECONDS)
        except TimeoutError:
            ray.cancel(batch.generator, force=True)
            self._fail(batch.tries.pop(next(iter(batch.tries))), self._timed_out(), self._timeout or 0.0)
            if batch.tries:
                self._waiting.append(list(batch.tries.values()))
        except (RayError, StopAsyncIteration) as error:
            if batch.is_reclaimed:
                self._waiting.appendleft(list(batch.tries.values()))
            elif batch.tries:
                await self._died(batch, error, seconds=time.monotonic() - started)

    def _submit(self, batch: _Batch, number: int) -> bool:
        """Say whether a task has been submitted; where not, the calls have failed."""
        calls = self._packed(batch.tries)
        if calls is None:
            return False
        task = self._own_task if batch.on_own_cpus else self._task
        direct = self._receiver.direct(number)
        try:
            with by_value():  # the first time, the code that makes calls goes along
                batch.generator = task.remote(self._function, self._name, calls, direct, self._answering())
        except Exception as error:  # noqa: BLE001  # whatever Ray has against it, it is how these calls ended
            for each in batch.tries.values():
                self._fail(each, ExecutionError(f"Ray does not take the task: {error}"))
            return False
        return True

    def _answering(self) -> Answering:
        if self._timeout is not None:
            return "each"
        return "announced" if self._own_slots else "grouped"

    def _packed(self, tries: dict[int, _Try]) -> Packed | None:
        """Return the calls, to be sent; those that cannot be have failed then."""
        with by_value():
            try:
                return packed([tuple(each.call) for each in tries.values()], WorkerPickler)
            except Exception:  # noqa: BLE001  # one of them cannot be sent: which?
                pass
            for key, each in list(tries.items()):
                try:
                    packed(tuple(each.call), WorkerPickler)
                except Exception as error:  # noqa: BLE001  # arguments that cannot be sent
                    self._fail(tries.pop(key), error)
            return packed([tuple(each.call) for each in tries.values()], WorkerPickler) if tries else None

    def _hear_directly(self, number: int, group: Group) -> None:
        """Take answers that have come beside Ray; their batch may have ended meanwhile."""
        if (batch := self._batches.get(number)) is not None:
            self._hear(batch, group)

    def _hear(self, batch: _Batch, group: Group) -> None:
        answers, others, rest = group
        for answer in answers:
            self._conclude(batch, *answer)
        for key, parts in others:
            if key is None and not batch.is_alone:  # one of its calls cannot be read there: which?
                self._waiting.extend([each] for each in batch.tries.values())
                batch.tries.clear()
                continue
            try:
                _, *answer = unpacked(*parts)
            except BaseException as error:  # noqa: BLE001  # code of the user's; it is how this call ended
                if key in batch.tries:
                    self._fail(batch.tries.pop(key), error)
            else:
                self._conclude(batch, next(iter(batch.tries)) if key is None else key, *answer)
        if rest:
            self._share([batch.tries.pop(key) for key in rest if key in batch.tries])
        if self._waiting:
            self._start()

    def _share(self, tries: Sequence[_Try]) -> None:
        """Have calls made next that a batch has given back, since another one took long: in all places."""
        size = len(tries) // self.concurrency + 1
        self._waiting.extendleft(reversed([list(tries[at : at + size]) for at in range(0, len(tries), size)]))

    def _conclude(self, batch: _Batch, key: int, value: Any, failure: Any, fields: Any, seconds: float) -> None:
        each = batch.tries.pop(key, None)
        if each is None:
            return  # it has come both ways
        captured = None if fields is None else CapturedOutput(*fields)
        error = None if failure is None else rebuild(failure)
        if error is not None and captured is None and each.call.capture:
            captured = CapturedOutput.of_failure(error)
        if self._timeout is not None and seconds > self._timeout:
            self._fail(each, self._timed_out(), seconds)
        elif error is not None and isinstance(error, self._retry_exceptions) and self._may_try_again(each):
            each.failures += 1
            self._keep(each, captured)
            self._waiting.append([each])
        else:
            self._give(Outcome(key, value, error, captured, seconds, each.earlier))

    async def _died(self, batch: _Batch, error: Exception, *, seconds: float) -> None:
        if not batch.is_alone:
            self._waiting.extend([each] for each in batch.tries.values())
            return
        (each,) = batch.tries.values()
        if isinstance(error, RayTaskError):  # in what makes calls: it would fail again
            cause = getattr(error, "cause", error)
            self._fail(each, ExecutionError(f"the Ray task cannot make this call: {cause!r}"), seconds)
            return
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
        with self._handing_over:
            if not self._is_over:
                self._on_done(outcome)


def _disconnected() -> ExecutionError:
    return ExecutionError(
        "the connection to the Ray cluster was closed before this packet was computed; run the pipeline again"
    )
