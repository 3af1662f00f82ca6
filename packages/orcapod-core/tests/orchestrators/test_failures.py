"""The failure of a packet never hides: counts, errors, logs, statuses and runs agree (promise 15)."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.errors import OrcapodError, StoreLockedError
from orcapod.observers import CompositeObserver, LoggingObserver, NoOpObserver, StatusObserver
from orcapod.orchestrators import SyncPipelineOrchestrator
from orcapod.pods import FunctionPod
from orcapod.sources import DictSource


class Picky(Exception):
    """Takes more than a message, and has none."""

    def __init__(self, one: int, *, two: str) -> None:
        self.one, self.two = one, two


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no message")

    __repr__ = __str__


FAILURES: dict[str, Callable[[], Any]] = {
    "raises": lambda: 1 / 0,
    "exits": lambda: exit_with(3),
    "picky": lambda: raising(Picky(1, two="b")),
    "mute": lambda: raising(Mute()),
    "group": lambda: raising(ExceptionGroup("both", [ValueError(1), KeyError(2)])),
    "stop": lambda: next(iter([])),
    "none": lambda: None,
    "wrong": lambda: "text",
}


def raising(error: BaseException) -> None:
    raise error


def exit_with(code: int) -> None:
    raise SystemExit(code)


def source(kinds: Sequence[str]) -> DictSource:
    rows = [{"i": i, "kind": kind} for i, kind in enumerate(kinds)]
    return DictSource(rows, tag_columns=["i"], source_id="s", data_schema={"i": int, "kind": str})


def pod(calls: list[str] | None = None) -> FunctionPod:
    def f(kind: str) -> int:
        print(f"calling {kind}")  # to be captured
        if calls is not None:
            calls.append(kind)
        failure = FAILURES.get(kind)
        return len(kind) if failure is None else failure()  # type: ignore[no-any-return]

    return FunctionPod(op.PythonPacketFunction(f, "y", name="f", identity="version"))


class Spy(NoOpObserver):
    """Notes every call, in its order."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []

    def on_run_start(self, run_id: str) -> None:
        self.events.append(("run_start", run_id))

    def on_run_end(self, run_id: str) -> None:
        self.events.append(("run_end", run_id))

    def on_node_start(self, node_label: str, node_hash: str) -> None:
        self.events.append(("node_start", node_label))

    def on_node_end(self, node_label: str, node_hash: str) -> None:
        self.events.append(("node_end", node_label))

    def on_packet_start(self, node_label: str, tag: Any, packet: Any) -> None:
        self.events.append(("start", tag["i"]))

    def on_packet_end(self, node_label: str, tag: Any, packet: Any, result: Any, *, cached: bool) -> None:
        self.events.append(("cached" if cached else "end", tag["i"]))

    def on_packet_crash(self, node_label: str, tag: Any, packet: Any, error: BaseException) -> None:
        self.events.append(("crash", tag["i"]))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [event for event in self.events if event[0] in kinds]


def runs(pipeline: op.Pipeline) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pipeline.log_database.get_records(("_runs",)).to_pylist()
    return rows


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["a", "bb", "ccc", *FAILURES]), max_size=10), st.lists(st.sampled_from(["a", "bb"])))
def test_counts_errors_logs_statuses_and_runs_agree(kinds: list[str], before: list[str]) -> None:
    store, calls = MemoryDatabase(), list[str]()
    early = op.Pipeline("p", store)
    with early:
        pod()(source(before))
    early.run()
    logs, statuses, spy = LoggingObserver(MemoryDatabase()), StatusObserver(MemoryDatabase(), cached=True), Spy()
    pipeline = op.Pipeline("p", store)
    with pipeline:
        pod(calls)(source(kinds))
    result = pipeline.run(observer=CompositeObserver(logs, statuses, spy))

    good = [i for i, kind in enumerate(kinds) if kind not in FAILURES]
    bad = [i for i, kind in enumerate(kinds) if kind in FAILURES]
    fresh = {kinds.index(kind) for kind in kinds if kind not in FAILURES and kind not in before}
    expected = {"computed": len(fresh), "cached": len(good) - len(fresh), "failed": len(bad)}
    assert result.counts("f") == expected
    assert result.ok is (not bad)
    assert [error.tag["i"] for error in result.errors] == bad
    assert all(error.node_label == "f" and error.packet["kind"] == kinds[error.tag["i"]] for error in result.errors)
    assert all(isinstance(str(error), str) and isinstance(repr(result), str) for error in result.errors)

    by_row = {int(row["i"]): row for row in logs.get_logs().to_pylist()}
    assert logs.get_logs().num_rows == len(by_row) == len(fresh) + len(bad)
    for i, row in by_row.items():
        assert row["__success"] is (i in fresh)
        assert (row["__traceback"] is None) is (i in fresh)
        assert row["__stdout"] == f"calling {kinds[i]}\n"
        assert row["__run_id"] == result.run_id
        assert row["__node_label"] == "f"

    states: dict[int, set[str]] = {}
    for row in statuses.get_status().to_pylist():
        states.setdefault(int(row["i"]), set()).add(row["__state"])
        assert (row["__error"] is not None) is (row["__state"] == "FAILED")
    ending = {i: "SUCCESS" if i in fresh else "CACHED" for i in good} | dict.fromkeys(bad, "FAILED")
    assert {i: found - {"RUNNING"} for i, found in states.items()} == {i: {end} for i, end in ending.items()}

    assert (
        Counter(kind for kind, *_ in spy.of("end", "cached", "crash"))
        == Counter({"end": len(fresh), "cached": len(good) - len(fresh), "crash": len(bad)}) - Counter()
    )
    assert sorted(calls) == sorted([kinds[i] for i in fresh] + [kinds[i] for i in bad])

    (run,) = [run for run in runs(pipeline) if run["__run_id"] == result.run_id]
    assert run["__outcome"] == ("FAILED" if bad else "SUCCESS")
    assert {"computed": run["__computed"], "cached": run["__cached"], "failed": run["__failed"]} == expected
    assert json.loads(run["__nodes"])["f"]["counts"] == expected
    assert run["__started"] <= run["__ended"]
    assert pipeline.f.as_table()["i"].to_pylist() == good

    again = pipeline.run()
    assert again.counts("f") == {"computed": 0, "cached": len(good), "failed": len(bad)}, "failures are tried again"


def test_a_failing_packet_is_left_out_and_the_others_go_on() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        pod()(source(["a", "raises", "bb", "wrong"]))
    result = pipeline.run()
    assert [type(error.exception).__name__ for error in result.errors] == ["ZeroDivisionError", "ValueTypeError"]
    with pytest.raises(BaseExceptionGroup) as caught:
        result.raise_for_errors()
    assert caught.value.exceptions == tuple(error.exception for error in result.errors)


def test_a_flaky_packet_is_counted_once_whatever_its_equal_does() -> None:
    attempts = []

    @op.function_pod("y", identity="version")
    def f(kind: str) -> int:
        attempts.append(kind)
        if len(attempts) == 1:
            raise ValueError
        return 1

    logs, statuses = LoggingObserver(MemoryDatabase()), StatusObserver(MemoryDatabase(), cached=True)
    pipeline = op.Pipeline("p")
    with pipeline:
        f.pod(source(["a", "a", "a"]))
    result = pipeline.run(observer=CompositeObserver(logs, statuses))
    assert result.counts("f") == {"computed": 1, "cached": 1, "failed": 1}
    states = [(row["i"], row["__state"]) for row in statuses.get_status().to_pylist()]
    assert sorted(states) == [("0", "FAILED"), ("1", "SUCCESS"), ("2", "CACHED")]
    assert pipeline.run().counts("f") == {"computed": 0, "cached": 3, "failed": 0}


def test_an_int_that_no_float_is_fails_its_packet_alone_in_all_records() -> None:
    @op.function_pod("y")
    def f(x: float) -> float:
        return x

    logs, statuses = LoggingObserver(MemoryDatabase()), StatusObserver(MemoryDatabase(), cached=True)
    pipeline = op.Pipeline("p")
    with pipeline:
        f.pod(DictSource([{"i": i, "x": x} for i, x in enumerate([1, 2**53 + 1, 3])], ["i"], source_id="s"))
    result = pipeline.run(observer=CompositeObserver(logs, statuses))
    assert result.counts("f") == {"computed": 2, "cached": 0, "failed": 1}
    assert [error.tag["i"] for error in result.errors] == [1]
    states = {row["i"]: row["__state"] for row in statuses.get_status().to_pylist()}
    assert states == {"0": "SUCCESS", "1": "FAILED", "2": "SUCCESS"}
    assert {row["i"]: row["__success"] for row in logs.get_logs().to_pylist()} == {"0": True, "1": False, "2": True}
    assert pipeline.f.as_table()["y"].to_pylist() == [1.0, 3.0]


# fail_fast


@pytest.mark.parametrize("kind", sorted(FAILURES))
def test_fail_fast_raises_the_users_own_exception_and_keeps_what_was_finished_before(kind: str) -> None:
    calls: list[str] = []
    logs, spy = LoggingObserver(MemoryDatabase()), Spy()
    pipeline = op.Pipeline("p")
    with pipeline:
        pod(calls)(source(["a", "bb", kind, "ccc"]))
    expected: type[BaseException]
    try:
        value = FAILURES[kind]()
    except BaseException as error:  # noqa: BLE001  # an exit is among them
        expected = type(error)
    else:
        assert value in (None, "text")
        expected = op.errors.ValueTypeError
    with pytest.raises(expected) as caught:
        pipeline.run(SyncPipelineOrchestrator(error_policy="fail_fast"), observer=CompositeObserver(logs, spy))
    assert type(caught.value) is expected
    assert calls == ["a", "bb", kind]
    assert [row["__success"] for row in logs.get_logs().to_pylist()] == [True, True, False]
    assert spy.events[-1][0] == "run_end"
    assert len(spy.of("run_end")) == 1
    assert spy.of("node_start") == [("node_start", "s"), ("node_start", "f")]
    assert spy.of("node_end") == [("node_end", "s"), ("node_end", "f")]
    (run,) = runs(pipeline)
    assert (run["__outcome"], run["__computed"], run["__failed"]) in [("FAILED", 2, 1), ("INTERRUPTED", 2, 1)]
    assert pipeline.f.as_table()["y"].to_pylist() == [1, 2]
    assert pipeline.run().counts("f") == {"computed": 1, "cached": 2, "failed": 1}


def test_the_error_policy_of_run_goes_before_that_of_the_orchestrator() -> None:
    pipeline = op.Pipeline("p")
    with pipeline:
        pod()(source(["raises", "a"]))
    with pytest.raises(ZeroDivisionError):
        pipeline.run(error_policy="fail_fast")
    assert not pipeline.run(SyncPipelineOrchestrator(error_policy="fail_fast"), error_policy="continue").ok
    with pytest.raises(ZeroDivisionError):
        pipeline.run(SyncPipelineOrchestrator(error_policy="fail_fast"))


@pytest.mark.parametrize("policy", ["failfast", "FAIL_FAST", "ignore", "raise"])
def test_an_unknown_error_policy_is_refused(policy: Any) -> None:
    with pytest.raises(OrcapodError, match=f"{policy}.*(continue.*fail_fast|fail_fast.*continue)"):
        op.Pipeline("p").run(error_policy=policy)
    with pytest.raises(OrcapodError, match=policy):
        op.Pipeline("p").run(SyncPipelineOrchestrator(error_policy=policy))


# Interrupts and errors of others


def test_an_interrupt_ends_the_run_keeps_what_is_finished_and_is_no_failure() -> None:
    @op.function_pod("y", identity="version")
    def f(kind: str) -> int:
        if kind == "interrupt" and interrupting[0]:
            raise KeyboardInterrupt
        return len(kind)

    interrupting = [True]
    spy = Spy()
    pipeline = op.Pipeline("p")
    with pipeline:
        f.pod(source(["a", "bb", "interrupt", "ccc"]))
    with pytest.raises(KeyboardInterrupt):
        pipeline.run(observer=spy)
    assert spy.events[-1][0] == "run_end"
    (run,) = runs(pipeline)
    assert (run["__outcome"], run["__computed"], run["__failed"]) == ("INTERRUPTED", 2, 0)
    interrupting[0] = False
    assert pipeline.run().counts("f") == {"computed": 2, "cached": 2, "failed": 0}


HOOKS = [
    "on_run_start", "contextualize", "on_node_start", "on_packet_start", "create_packet_logger",
    "on_packet_end", "on_packet_crash", "on_node_end", "flush", "on_run_end",
]  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_an_error_of_an_observer_is_an_error_of_the_run_and_the_run_still_ends(hook: str) -> None:
    spy = Spy()

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise OSError(hook)

    faulty = type("Faulty", (NoOpObserver,), {hook: broken})()
    pipeline = op.Pipeline("p")
    with pipeline:
        pod()(source(["a", "raises"]))
    with pytest.raises(OSError, match=hook):
        pipeline.run(observer=CompositeObserver(spy, faulty))
    assert len(spy.of("run_start")) == len(spy.of("run_end")) == 1
    assert spy.events[-1][0] == "run_end"
    assert len(spy.of("node_start")) == len(spy.of("node_end")) or hook == "on_node_start"
    if hook != "on_run_end":
        assert [run["__outcome"] for run in runs(pipeline)] == ["FAILED"]
    assert pipeline.run().counts("f")["failed"] == 1, "the next run goes on"


class Faulty:
    """A stranger's database over one in memory; a hook sees every write and may raise."""

    def __init__(self, inner: Any, hook: Callable[[str, tuple[str, ...]], None]) -> None:
        self._inner = inner
        self._hook = hook

    def at(self, *prefix: str) -> Faulty:
        return Faulty(self._inner.at(*prefix), self._hook)

    def add_records(self, path: tuple[str, ...], table: pa.Table, *, on_conflict: Any = "skip") -> int:
        self._hook("add", path)
        added: int = self._inner.add_records(path, table, on_conflict=on_conflict)
        return added

    def flush(self) -> None:
        self._hook("flush", ())
        self._inner.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class DiskFull(Exception):
    pass


@pytest.mark.parametrize("policy", ["continue", "fail_fast"])
@pytest.mark.parametrize("part", ["_result", "f", "_runs", "_environments", "flush"])
def test_a_write_that_fails_is_an_error_of_the_run(part: str, policy: Any) -> None:
    broken = [True]

    def hook(what: str, path: tuple[str, ...]) -> None:
        if broken[0] and part in (*path[:1], what):
            raise DiskFull(part)

    spy, inner = Spy(), MemoryDatabase()
    pipeline = op.Pipeline("p", Faulty(inner, hook))
    with pipeline:
        pod()(source(["a", "bb"]))
    with pytest.raises(DiskFull, match=part):
        pipeline.run(observer=spy, error_policy=policy)
    assert spy.events[-1][0] == "run_end"
    assert not any(run["__outcome"] == "SUCCESS" for run in inner.at("p").get_records(("_runs",)).to_pylist()) or (
        part in ("_runs", "flush")
    )
    broken[0] = False
    result = pipeline.run()
    assert result.ok
    assert sum(result.counts("f").values()) == 2
    assert pipeline.f.as_table()["y"].to_pylist() == [1, 2]


def test_a_write_that_goes_on_failing_in_the_flushers_thread_is_an_error_of_the_run() -> None:
    """A fast packet, then one that takes until the flusher has met it."""
    failures = []
    met = threading.Event()

    def hook(what: str, path: tuple[str, ...]) -> None:
        if what == "add" and path[:1] == ("_result",):
            failures.append(threading.current_thread() is not main)
            met.set()
            raise DiskFull

    @op.function_pod("y", identity="version")
    def f(kind: str) -> int:
        if kind == "slow":
            met.wait(60)
        return len(kind)

    main, spy, inner = threading.current_thread(), Spy(), MemoryDatabase()
    pipeline = op.Pipeline("p", Faulty(inner, hook))
    with pipeline:
        f.pod(source(["a", "slow"]))
    with pytest.raises(DiskFull):
        pipeline.run(observer=spy, flush_interval=0.02)
    assert failures[0] is True, "it was the flusher that met it first"
    assert spy.events[-1][0] == "run_end"
    assert [run["__outcome"] for run in inner.at("p").get_records(("_runs",)).to_pylist()] == ["FAILED"]


def test_a_store_that_was_locked_for_a_while_is_given_again_what_it_did_not_take() -> None:
    """By another program, longer than the store waits for it."""
    failures = []
    met = threading.Event()

    def hook(what: str, path: tuple[str, ...]) -> None:
        if what == "add" and path[:1] == ("_result",) and threading.current_thread() is not main and not failures:
            failures.append(path)
            met.set()
            raise StoreLockedError("another program keeps it locked")

    @op.function_pod("y", identity="version")
    def f(kind: str) -> int:
        if kind == "slow":
            met.wait(60)
        return len(kind)

    main, inner = threading.current_thread(), MemoryDatabase()
    pipeline = op.Pipeline("p", Faulty(inner, hook))
    with pipeline:
        f.pod(source(["a", "slow"]), label="n")
    result = pipeline.run(flush_interval=0.02)
    assert failures
    assert result.counts("n") == {"computed": 2, "cached": 0, "failed": 0}
    assert sorted(pipeline["n"].as_table().column("y").to_pylist()) == [1, 4]


def test_a_store_that_buffers_is_flushed_while_the_run_goes_on() -> None:
    """After a result exists, and not only at the end of the node."""
    done: list[int] = []
    flushed = threading.Event()

    def hook(what: str, path: tuple[str, ...]) -> None:
        if what == "flush" and len(done) == 1:
            flushed.set()

    @op.function_pod("y", identity="version")
    def f(kind: str) -> int:
        if kind == "slow":
            assert flushed.wait(60), "nothing was flushed while the second packet was computed"
        done.append(1)
        return len(kind)

    pipeline = op.Pipeline("p", Faulty(MemoryDatabase(), hook), Faulty(MemoryDatabase(), hook))
    with pipeline:
        f.pod(source(["a", "slow"]))
    pipeline.run(flush_interval=0.05).raise_for_errors()


@pytest.mark.parametrize("part", ["_result", "f", "_runs"])
def test_an_interrupt_is_not_lost_behind_a_store_that_fails(part: str) -> None:
    def hook(what: str, path: tuple[str, ...]) -> None:
        if part in path[:1]:
            raise DiskFull

    @op.function_pod("y", identity="version")
    def f(kind: str) -> int:
        if kind == "interrupt":
            raise KeyboardInterrupt
        return len(kind)

    spy = Spy()
    pipeline = op.Pipeline("p", Faulty(MemoryDatabase(), hook))
    with pipeline:
        f.pod(source(["a", "interrupt"]))
    with pytest.raises((DiskFull, KeyboardInterrupt)) as caught:
        pipeline.run(observer=spy)
    assert spy.events[-1][0] == "run_end"
    chain: list[type] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(type(error))
        error = error.__context__
    assert KeyboardInterrupt in chain
