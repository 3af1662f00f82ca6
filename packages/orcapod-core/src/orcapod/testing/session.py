"""``SessionSuite``: what the sessions of an executor must do that makes many calls at once."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orcapod.protocols import Call, CallSession, ConcurrentExecutorProtocol, Outcome

__all__ = ["CollectedOutcomes", "SessionSuite"]

_PATIENCE = 60.0
"""Seconds after which something that must come is missing, however busy the machine is."""
_LATE = 0.3
"""Seconds in which something that must not come would have come."""
_BUSY = 1.0
"""Seconds by which a busy machine may be late."""


class CollectedOutcomes:
    """Outcomes of a session's calls, to be given as ``on_done``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcomes: list[tuple[Outcome, float]] = []

    def __call__(self, outcome: Outcome) -> None:
        with self._changed:
            self._outcomes.append((outcome, time.time()))
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._outcomes)

    def wait(self, count: int) -> dict[int, Outcome]:
        """Return the outcomes by key, once there are so many; none may come twice."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self) >= count, _PATIENCE)
        assert came, f"found {len(self)} outcomes after {_PATIENCE:g} seconds, expected {count}"
        return self.by_key()

    def by_key(self) -> dict[int, Outcome]:
        """Return the outcomes that are there."""
        twice = {key: times for key, times in Counter(o.key for o, _ in self._outcomes).items() if times > 1}
        assert not twice, f"calls that have more than one outcome: {twice}"
        return {outcome.key: outcome for outcome, _ in self._outcomes}

    def times(self) -> dict[int, float]:
        """Return when each outcome came."""
        return {outcome.key: at for outcome, at in self._outcomes}

    def assert_no_more_than(self, count: int) -> None:
        """Wait for what must not come."""
        with self._changed:
            late = self._changed.wait_for(lambda: len(self) > count, _LATE)
        assert not late, f"{len(self) - count} outcomes were handed over after `close` had returned"


def _actor() -> Callable[..., Any]:
    """Return the function whose calls are made; it is sent by value, so that workers have nothing else to load."""

    def act(key: int, what: str = "give", folder: str = "") -> Any:
        begun, gate = f"{folder}/begun-{key}", f"{folder}/gate"
        match what:
            case "give":
                return [key, key * 10]
            case "large":
                return [key, b"x" * 100_000]
            case "raise":
                raise ValueError(f"call {key}")
            case "interrupt":
                raise KeyboardInterrupt(f"call {key}")
            case "write":
                for number in range(20):
                    sys.stdout.write(f"{key} out {number}\n")
                    sys.stderr.write(f"{key} err {number}\n")
                    time.sleep(0)  # let others in
                return [key, key * 10]
            case "write and raise":
                sys.stdout.write(f"{key} so far\n")
                raise ValueError(f"call {key}")
            case "wait":  # for the gate to open, but not for ever
                with open(begun, "w") as file:  # noqa: PTH123  # loads nothing
                    file.write(f"{time.time()}")
                until = time.monotonic() + 60
                while not os.path.exists(gate) and time.monotonic() < until:  # noqa: PTH110  # likewise
                    time.sleep(0.002)
                return [key, key * 10]
            case "meet":
                with open(begun, "w"):  # noqa: PTH123  # likewise
                    pass
                met = sum(name.startswith("begun") for name in os.listdir(folder))  # noqa: PTH208  # likewise
                time.sleep(0.005)
                os.unlink(begun)  # noqa: PTH108  # likewise
                return [key, met]
            case "nap":
                time.sleep(0.01)
                return [key, key * 10]
            case "sign":
                with open(f"{folder}/signed-{os.getpid()}-{threading.get_ident()}", "a") as file:  # noqa: PTH123
                    file.write(f"{key}\n")
                return [key, key * 10]
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError(what)

    return act


class SessionSuite:
    """What the sessions of a ``ConcurrentExecutorProtocol`` must do.

    Subclass it in a test file, and give your executor, like this::

        class TestMySessions(SessionSuite):
            @pytest.fixture
            def executor(self):
                return MyExecutor(workers=2)

    Attributes:
        deadly: what a function may do to end its worker; nothing, where functions run in this process.
        sessions: how many are opened one after the other; fewer, where one takes long.
        largest_batch: how many calls that take no time are handed over at once; fewer, where a session that is closed
            waits for a batch only so long.
    """

    deadly: ClassVar[Sequence[str]] = ("exit", "kill")
    sessions: ClassVar[int] = 40
    largest_batch: ClassVar[int] = 400

    @pytest.fixture
    @abstractmethod
    def executor(self) -> ConcurrentExecutorProtocol:
        """Return an executor whose ``open_session`` gives a session of two workers at least."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `executor` that gives the executor to test")

    # Outcomes.

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_every_call_has_one_outcome_and_it_is_its_own(
        self, executor: ConcurrentExecutorProtocol, seed: int
    ) -> None:
        """Two hundred calls in batches of any size, handed in at any time, a third of which fail."""
        chance = random.Random(seed)
        acts = {key: chance.choice(["give", "give", "raise", "large", "nap", "interrupt"]) for key in range(200)}
        with _opened(executor) as (session, outcomes):
            for batch in _batches(_calls(acts), chance):
                session.submit(batch)
                if chance.random() < 0.1:
                    outcomes.wait(chance.randint(1, batch[0].key + 1))
            found = outcomes.wait(len(acts))
        _assert_own(found, acts)

    @pytest.mark.parametrize("seed", [1, 2])
    def test_a_call_that_ends_its_worker_takes_no_other_with_it(
        self, executor: ConcurrentExecutorProtocol, seed: int
    ) -> None:
        """Those before it in its batch, those behind it, and those beside it have their outcomes."""
        chance = random.Random(seed)
        acts = dict.fromkeys(range(40), "nap")
        acts |= {key: chance.choice(self.deadly) for key in chance.sample(range(40), 4) if self.deadly}
        with _opened(executor) as (session, outcomes):
            for batch in _batches(_calls(acts), chance):
                session.submit(batch)
            found = outcomes.wait(len(acts))
        _assert_own(found, acts)

    def test_a_call_that_takes_too_long_is_given_up_and_no_other(
        self, executor: ConcurrentExecutorProtocol, tmp_path: Path
    ) -> None:
        """About when its time is over, whatever it waits for; also the first and the last of a batch."""
        acts = {key: "wait" if key in (0, 7, 12) else "nap" for key in range(20)}
        calls = [call._replace(capture=call.key in (0, 7)) for call in _calls(acts, tmp_path)]
        opening = threading.Timer(12 * _BUSY, (tmp_path / "gate").touch)  # for who does not give them up
        opening.start()
        with _opened(executor, timeout=1.0) as (session, outcomes):
            for batch in (calls[:5], calls[5:13], calls[13:]):
                session.submit(batch)
            found = outcomes.wait(len(acts))
            ended = outcomes.times()
        opening.cancel()
        (tmp_path / "gate").touch()
        slow = [key for key, what in acts.items() if what == "wait"]
        errors = {
            key: type(found[key].error).__name__ for key in slow if not isinstance(found[key].error, TimeoutError)
        }
        assert not errors, f"calls that took too long and have no TimeoutError: {errors}"
        reports = {key: captured and captured.success for key in slow for captured in [found[key].captured]}
        assert reports == {0: False, 7: False, 12: None}, f"what is logged of calls that took too long: {reports}"
        _assert_own({key: found[key] for key in acts if key not in slow}, acts)
        for key in slow:
            took = ended[key] - float((tmp_path / f"begun-{key}").read_text())
            assert 0.9 < took < 1.0 + 10 * _BUSY, f"a call with a timeout of 1 second was given up after {took:.2f}"

    @pytest.mark.parametrize("concurrency", [1, 2, None])
    def test_never_are_more_calls_made_at_once_than_it_says(
        self, executor: ConcurrentExecutorProtocol, tmp_path: Path, concurrency: int | None
    ) -> None:
        """As many as were asked for, or fewer."""
        acts = dict.fromkeys(range(30), "meet")
        with _opened(executor, concurrency=concurrency) as (session, outcomes):
            most = session.concurrency
            for batch in _batches(_calls(acts, tmp_path), random.Random(1), largest=3):
                session.submit(batch)
            met = {key: outcome.value[1] for key, outcome in outcomes.wait(len(acts)).items()}
        assert 1 <= most <= (concurrency or most)
        assert max(met.values()) <= most, f"calls that were made at once, by key: {met}"

    def test_output_belongs_to_its_call(self, executor: ConcurrentExecutorProtocol) -> None:
        """That of calls at the same time, of failures, and of those whose output nobody wants."""
        acts = {key: "write and raise" if key % 5 == 4 else "write" for key in range(30)}
        calls = [call._replace(capture=call.key % 3 != 0) for call in _calls(acts)]
        with _opened(executor) as (session, outcomes):
            for batch in _batches(calls, random.Random(1), largest=4):
                session.submit(batch)
            found = outcomes.wait(len(acts))
        for call in calls:
            key, captured = call.key, found[call.key].captured
            if not call.capture:
                assert captured is None
                continue
            assert captured is not None
            if acts[key] == "write":
                assert captured.stdout == "".join(f"{key} out {number}\n" for number in range(20))
                assert captured.stderr == "".join(f"{key} err {number}\n" for number in range(20))
                assert (captured.traceback, captured.success) == (None, True)
            else:
                assert captured.stdout == f"{key} so far\n"
                assert f"ValueError: call {key}\n" in (captured.traceback or "")
                assert captured.success is False

    def test_submitting_never_blocks(self, executor: ConcurrentExecutorProtocol, tmp_path: Path) -> None:
        """Not while all workers are busy, either."""
        acts = {key: "wait" if key < 8 else "give" for key in range(2000)}
        calls = _calls(acts, tmp_path)
        with _opened(executor) as (session, outcomes):
            for key in range(8):
                session.submit([calls[key]])
            _await_any_file(tmp_path, "begun-*")
            started = time.monotonic()
            for start in range(8, 2000, 8):
                session.submit(calls[start : start + 8])
            assert time.monotonic() - started < 10 * _BUSY, "calls could be handed in only when others had ended"
            (tmp_path / "gate").touch()
            _assert_own(outcomes.wait(len(acts)), acts)

    # Closing.

    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_nothing_is_handed_over_once_it_is_closed(
        self, executor: ConcurrentExecutorProtocol, tmp_path: Path, seed: int
    ) -> None:
        """Closed at any moment, with calls under way that end later, and others that nobody has begun."""
        chance = random.Random(seed)
        acts = {key: "wait" if chance.random() < 0.1 else "nap" for key in range(60)}
        acts[chance.randrange(10)] = "wait"
        with executor:
            outcomes = CollectedOutcomes()
            session = _session(executor, outcomes)
            for batch in _batches(_calls(acts, tmp_path), chance):
                session.submit(batch)
            _await_any_file(tmp_path, "begun-*")
            started = time.monotonic()
            session.close()
            took, count = time.monotonic() - started, len(outcomes)
            (tmp_path / "gate").touch()
            outcomes.assert_no_more_than(count)
        _assert_own(outcomes.by_key(), acts)
        assert took < 1.0 + 5 * _BUSY, f"closing took {took:.2f} seconds, expected a second at the most"

    def test_what_has_ended_before_it_is_closed_is_handed_over(
        self, executor: ConcurrentExecutorProtocol, tmp_path: Path
    ) -> None:
        """Calls have ended once the next one of their batch has begun, whatever holds up handing over."""
        batches = [range(start, start + 4) for start in (0, 4)]
        acts = {key: "wait" if key == batch[-1] else "give" for batch in batches for key in batch}
        calls = _calls(acts, tmp_path)
        with executor:
            outcomes = _HesitatingOutcomes(1)
            session = _session(executor, outcomes)
            for batch in batches:
                session.submit([calls[key] for key in batch])
            _await_any_file(tmp_path, "begun-*")
            ended = [key for batch in batches if (tmp_path / f"begun-{batch[-1]}").exists() for key in batch[:-1]]
            session.close()
            found = outcomes.by_key()
            (tmp_path / "gate").touch()
        missing = [key for key in ended if key not in found]
        assert not missing, f"calls that had ended before `close` and were not handed over: {missing}"
        _assert_own(found, acts)

    def test_what_ends_while_it_is_being_closed_is_handed_over(
        self, executor: ConcurrentExecutorProtocol, tmp_path: Path
    ) -> None:
        """At any moment: calls that take no time have ended once whoever made them has begun the next."""
        chance = random.Random(1)
        acts = dict.fromkeys(range(20_000), "sign")
        tried = 0
        with executor:
            for turn in range(self.sessions // 4):
                folder = tmp_path / f"{turn}"
                folder.mkdir()
                outcomes = CollectedOutcomes()
                session = _session(executor, outcomes)
                for batch in _batches(_calls(acts, folder), chance, largest=self.largest_batch):
                    session.submit(batch)
                _await_any_file(folder, "signed-*")
                time.sleep(chance.uniform(0, 0.02))
                session.close()
                found = outcomes.by_key()
                ended = [int(key) for file in folder.glob("signed-*") for key in file.read_text().split()[:-1]]
                tried += len(ended)
                missing = sorted(set(ended) - found.keys())
                assert not missing, f"{len(missing)} of {len(ended)} calls that had ended were not handed over"
                _assert_own(found, acts)
        assert tried, "nothing was computed before sessions were closed; nothing was tried"

    # Many sessions.

    def test_a_session_that_is_closed_does_no_harm_to_the_next(self, executor: ConcurrentExecutorProtocol) -> None:
        """Closed right upon its last outcome, by whoever is told of it, or unused."""
        with executor:
            for turn in range(self.sessions):
                acts = dict.fromkeys(range(turn % 4), "give")
                outcomes = _HesitatingOutcomes(len(acts))
                session = _session(executor, outcomes)
                for call in _calls(acts):
                    session.submit([call])
                found = outcomes.wait(len(acts))
                outcomes.go_on.set()
                session.close()
                _assert_own(found, acts)

    def test_one_that_is_closed_while_it_is_at_work_does_no_harm_to_the_next(
        self, executor: ConcurrentExecutorProtocol, tmp_path: Path
    ) -> None:
        """What it was computing is given up, and the next has workers all the same."""
        with executor:
            for turn in range(4):
                folder = tmp_path / f"{turn}"
                folder.mkdir()
                outcomes = CollectedOutcomes()
                session = _session(executor, outcomes)
                session.submit(_calls({0: "wait"}, folder))
                session.submit(_calls({1: "wait"}, folder))
                _await_any_file(folder, "begun-*")
                session.close()
                (folder / "gate").touch()
                with _opened(executor) as (following, answers):
                    following.submit(_calls(dict.fromkeys(range(5), "give")))
                    _assert_own(answers.wait(5), dict.fromkeys(range(5), "give"))

    def test_sessions_at_the_same_time_have_nothing_to_do_with_each_other(
        self, executor: ConcurrentExecutorProtocol
    ) -> None:
        """From several threads, with equal keys."""
        found: dict[int, dict[int, Outcome]] = {}
        acts = {number: {key: ("raise" if key % 4 == number else "nap") for key in range(20)} for number in range(4)}

        def compute(number: int) -> None:
            with _opened(executor) as (session, outcomes):
                for batch in _batches(_calls(acts[number]), random.Random(number)):
                    session.submit(batch)
                found[number] = outcomes.wait(len(acts[number]))

        with executor:
            threads = [threading.Thread(target=compute, args=(number,)) for number in acts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert found.keys() == acts.keys()
        for number in acts:
            _assert_own(found[number], acts[number])


class _HesitatingOutcomes(CollectedOutcomes):
    """Outcomes one of which keeps whoever hands it over for a moment, as a busy machine does.

    Args:
        at: the how manieth it is.

    Attributes:
        go_on: ends the moment.
    """

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at
        self.go_on = threading.Event()

    def __call__(self, outcome: Outcome) -> None:
        super().__call__(outcome)
        if len(self) == self._at:
            self.go_on.wait(0.05)


def _session(
    executor: ConcurrentExecutorProtocol,
    outcomes: CollectedOutcomes,
    *,
    concurrency: int | None = 2,
    timeout: float | None = None,
) -> CallSession:
    session = executor.open_session(_actor(), outcomes, concurrency=concurrency, timeout=timeout)
    assert session is not None, "found no session; the suite is for executors that make calls concurrently"
    return session


@contextmanager
def _opened(
    executor: ConcurrentExecutorProtocol, *, concurrency: int | None = 2, timeout: float | None = None
) -> Iterator[tuple[CallSession, CollectedOutcomes]]:
    outcomes = CollectedOutcomes()
    with executor:
        session = _session(executor, outcomes, concurrency=concurrency, timeout=timeout)
        try:
            yield session, outcomes
        finally:
            session.close()


def _calls(acts: dict[int, str], folder: Path | None = None, **more: Any) -> list[Call]:
    more |= {} if folder is None else {"folder": str(folder)}
    return [Call(key, {"key": key, "what": what, **more}, False) for key, what in acts.items()]


def _batches(calls: Sequence[Call], chance: random.Random, *, largest: int = 20) -> Iterator[Sequence[Call]]:
    start = 0
    while start < len(calls):
        size = chance.randint(1, largest)
        yield calls[start : start + size]
        start += size


def _assert_own(found: dict[int, Outcome], acts: dict[int, str]) -> None:
    """Check that every outcome is what its own call must have given."""
    for key, outcome in found.items():
        what, error = acts[key], outcome.error
        match what:
            case "raise":
                assert (type(error), str(error)) == (ValueError, f"call {key}"), f"call {key}: {error!r}"
            case "interrupt":
                assert (type(error), str(error)) == (KeyboardInterrupt, f"call {key}"), f"call {key}: {error!r}"
            case "exit" | "kill":
                assert error is not None, f"call {key} ended its worker, and has the value {outcome.value!r}"
            case _:
                expected = [key, b"x" * 100_000 if what == "large" else key * 10]
                assert error is None, f"call {key} ({what}): {error!r}"
                assert outcome.value == expected, f"call {key}: found the value of another, {outcome.value!r:.80}"


def _await_any_file(folder: Path, pattern: str) -> None:
    until = time.monotonic() + _PATIENCE
    while not any(folder.glob(pattern)):
        assert time.monotonic() < until, f"no call was begun within {_PATIENCE:g} seconds"
        time.sleep(0.001)
