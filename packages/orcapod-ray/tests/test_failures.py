"""What comes back from a worker when a call fails: the exception as it was, and where it was raised."""

from __future__ import annotations

import asyncio
import importlib
import json
import threading
import time
import urllib.error
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import ray

import orcapod as op
from orcapod.databases import MemoryDatabase
from orcapod.observers import LoggingObserver
from orcapod.protocols import Call, Outcome
from orcapod.sources import DictSource
from orcapod_ray import RayExecutor

pytestmark = pytest.mark.ray


def outcomes_of(executor: RayExecutor, fn: Callable[..., Any], batch: list[dict[str, Any]]) -> list[Outcome]:
    """Return how calls of one batch ended, in their order."""
    outcomes: list[Outcome] = []
    session = executor.open_session(fn, outcomes.append, concurrency=None, timeout=None)
    try:
        session.submit([Call(key, kwargs, True) for key, kwargs in enumerate(batch)])
        deadline = time.monotonic() + 300
        while len(outcomes) < len(batch):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        session.close()
    return sorted(outcomes, key=lambda each: each.key)


class ReducedError(Exception):
    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self) -> Any:
        return rebuilt, (self.code,)


def rebuilt(code: int) -> ReducedError:
    return ReducedError(code=code)


class LockedError(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.lock = threading.Lock()
        self.sample = 7


class BadReduceError(Exception):
    def __reduce__(self) -> Any:
        raise RuntimeError("not pickled")


class PanicError(BaseException):
    pass


def decoded(x: int) -> Any:
    return json.loads("{nope")


def reduced(x: int) -> Any:
    raise ReducedError(code=12)


def locked(x: int) -> Any:
    raise LockedError("with a lock")


def not_reduced(x: int) -> Any:
    raise BadReduceError("its message")


def not_found(x: int) -> Any:
    raise urllib.error.HTTPError("http://lab", 404, "gone", Message(), None)


def grouped(x: int) -> Any:
    raise ExceptionGroup("two", [ValueError("a"), ReducedError(code=3)])


def cancelled(x: int) -> Any:
    raise asyncio.CancelledError("given up")


def panics(x: int) -> Any:
    raise PanicError("a library")


def exits(x: int) -> Any:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("fn", "expected", "said", "attributes"),
    [
        (decoded, json.JSONDecodeError, "Expecting property name", {"pos": 1, "doc": "{nope", "lineno": 1}),
        (reduced, ReducedError, "code 12", {"code": 12}),
        (locked, LockedError, "with a lock", {"sample": 7}),
        (not_reduced, BadReduceError, "its message", {}),
        (not_found, urllib.error.HTTPError, "HTTP Error 404: gone", {"code": 404}),
        (grouped, ExceptionGroup, "two", {}),
        (cancelled, asyncio.CancelledError, "given up", {}),
        (panics, PanicError, "a library", {}),
        (exits, SystemExit, "3", {"code": 3}),
    ],
)
def test_an_exception_comes_back_as_what_it_was(
    cluster: RayExecutor, fn: Any, expected: type[BaseException], said: str, attributes: dict[str, Any]
) -> None:
    (outcome,) = outcomes_of(cluster, fn, [{"x": 1}])
    assert isinstance(outcome.error, expected)
    assert said in str(outcome.error)
    assert {name: getattr(outcome.error, name) for name in attributes} == attributes
    assert outcome.captured is not None
    line = fn.__code__.co_firstlineno + 1
    assert f'File "{__file__}", line {line}, in {fn.__name__}' in str(outcome.captured.traceback)


def test_members_of_a_group_are_what_they_were(cluster: RayExecutor) -> None:
    (outcome,) = outcomes_of(cluster, grouped, [{"x": 1}])
    assert isinstance(outcome.error, ExceptionGroup)
    first, second = outcome.error.exceptions
    assert isinstance(first, ValueError)
    assert isinstance(second, ReducedError)
    assert second.code == 3


def gets_what_fails(x: int) -> Any:
    return ray.get(ray.remote(decoded).remote(x))


def test_what_a_task_inside_of_a_call_raises_is_of_its_type(cluster: RayExecutor) -> None:
    (outcome,) = outcomes_of(cluster, gets_what_fails, [{"x": 1}])
    assert isinstance(outcome.error, json.JSONDecodeError)


def sometimes(x: int) -> int:
    if x == 1:
        raise asyncio.CancelledError("given up")
    if x == 2:
        raise PanicError("a library")
    return x


def test_whatever_is_raised_touches_its_own_call_only(cluster: RayExecutor) -> None:
    outcomes = outcomes_of(cluster, sometimes, [{"x": x} for x in range(5)])
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None), asyncio.CancelledError, PanicError, type(None), type(None),
    ]  # fmt: skip


class Unreadable:
    """What can be sent, and not be read."""

    def __init__(self, side: str) -> None:
        self.side = side

    def __reduce__(self) -> Any:
        return unread, (self.side,)


def unread(side: str) -> Any:
    import ray  # noqa: PLC0415  # in the worker

    if (side == "worker") == (ray.get_runtime_context().worker.mode == ray.WORKER_MODE):
        raise LookupError(f"not read by the {side}")
    return Unreadable(side)


def same(value: Any) -> Any:
    return value


@pytest.mark.parametrize("side", ["worker", "driver"])
def test_what_cannot_be_read_fails_its_own_call_with_the_reason(cluster: RayExecutor, side: str) -> None:
    outcomes = outcomes_of(cluster, same, [{"value": 1}, {"value": Unreadable(side)}, {"value": 3}])
    assert [outcome.value for outcome in outcomes] == [1, None, 3]
    assert isinstance(outcomes[1].error, LookupError)
    assert f"not read by the {side}" in str(outcomes[1].error)
    assert [outcome.captured and outcome.captured.success for outcome in outcomes] == [True, False, True]


def test_what_cannot_be_sent_fails_its_own_call(cluster: RayExecutor) -> None:
    outcomes = outcomes_of(cluster, same, [{"value": 1}, {"value": threading.Lock()}, {"value": 3}])
    assert [outcome.value for outcome in outcomes] == [1, None, 3]
    assert isinstance(outcomes[1].error, TypeError)
    outcomes = outcomes_of(cluster, lock_for_two, [{"x": x} for x in range(1, 4)])
    assert [outcome.value for outcome in outcomes] == [1, None, 3]
    assert isinstance(outcomes[1].error, TypeError)
    assert "lock cannot be sent between processes" in str(outcomes[1].error)


def lock_for_two(x: int) -> Any:
    return threading.Lock() if x == 2 else x


def test_a_failure_of_a_module_says_where(
    cluster: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File and line are those of the user's own machine, in the error and in the logs."""
    file = tmp_path / "ray_where.py"
    file.write_text("def helper(x):\n    return 1 / x\n\ndef f(x: int) -> float:\n    return helper(x)\n")
    monkeypatch.syspath_prepend(tmp_path)
    lab = importlib.import_module("ray_where")
    pipeline = op.Pipeline("p")
    with pipeline:
        op.function_pod("y")(lab.f).pod(DictSource([{"i": 0, "x": 0}], ["i"], source_id="s"))
    logs = LoggingObserver(MemoryDatabase())
    result = pipeline.run(execution_engine=cluster, observer=logs)
    (error,) = result.errors
    assert isinstance(error.exception, ZeroDivisionError)
    (said,) = error.exception.__notes__
    (logged,) = logs.get_logs()["__traceback"].to_pylist()
    for text in (said, logged):
        assert f'File "{file}", line 5, in f' in text
        assert f'File "{file}", line 2, in helper' in text
        assert "orcapod" not in text
