"""Exceptions come back from worker processes as what they were, with the user's file and line."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import botocore.exceptions
import numpy as np
import pytest
import requests

from orcapod.executors import LocalExecutor
from orcapod.testing.executor import RecordingLogger


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalExecutor]:
    with LocalExecutor(1, "process") as executor:
        yield executor


def raised(pool: LocalExecutor, function: Callable[[], Any]) -> tuple[BaseException, str]:
    """What comes back of what the function raises, and the traceback in the log."""
    logger = RecordingLogger()
    try:
        pool.execute_callable(function, {}, logger=logger)
    except BaseException as error:  # noqa: BLE001  # what is looked at
        assert logger.only["success"] is False
        trace = logger.only["traceback"]
        assert f", in {function.__name__}" in trace
        assert trace.strip() in "\n".join(error.__notes__)
        return error, trace
    raise AssertionError("nothing was raised")


def here(function: Callable[[], Any]) -> BaseException:
    """What the function raises in this process."""
    try:
        function()
    except BaseException as error:  # noqa: BLE001  # what is looked at
        return error
    raise AssertionError("nothing was raised")


class Reduced(Exception):
    """Pickled its own way."""

    def __init__(self, response: dict[str, Any], operation: str) -> None:
        super().__init__(f"{operation} failed: {response['code']}")
        self.response = response
        self.operation = operation

    def __reduce__(self) -> Any:
        return _reduced, ((), {"response": self.response, "operation": self.operation})


def _reduced(args: Any, kwargs: Any) -> Reduced:
    return Reduced(*args, **kwargs)


class Slotted(ValueError):
    __slots__ = ("axis", "unset")

    def __init__(self, axis: int, *, of: str) -> None:
        super().__init__(axis, of)
        self.axis = axis

    def __str__(self) -> str:
        return f"axis {self.axis} of {self.args[1]}"


class Changed(Exception):
    """Its constructor takes what it was given for something else."""

    def __init__(self, sample: object, reason: str = "broken") -> None:
        super().__init__(f"sample {sample}: {reason}")
        self.sample = sample


@dataclass(frozen=True)
class Frozen(Exception):
    sample: int


def decodes() -> None:
    json.loads("{nope")


def decodes_a_response() -> None:
    response = requests.Response()
    response._content, response.status_code = b"<html>", 200
    response.json()


def is_denied() -> None:
    raise botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")


def has_no_region() -> None:
    raise botocore.exceptions.NoRegionError


def takes_too_long() -> None:
    raise botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3", request=None)


def sums() -> None:
    np.zeros(3).sum(axis=5)


def is_reduced() -> None:
    raise Reduced({"code": 403}, operation="GetObject")


def is_slotted() -> None:
    raise Slotted(3, of="image")


def is_changed() -> None:
    raise Changed(7)


def is_frozen() -> None:
    raise Frozen(4)


def exits() -> None:
    sys.exit(3)


def does_not_find() -> None:
    open("/no/such/file")


def decodes_bytes() -> None:
    b"\xff".decode()


def fails_in_a_child() -> None:
    subprocess.run(["false"], check=True)


def is_interrupted() -> None:
    raise KeyboardInterrupt("by code")


def is_closed() -> None:
    raise GeneratorExit


def is_cancelled() -> None:
    raise asyncio.CancelledError("given up")


async def is_cancelled_while_it_waits() -> None:
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel("given up")
    await task


class Panic(BaseException):
    pass


def panics() -> None:
    raise Panic("called `Option::unwrap()` on a `None` value")


@pytest.mark.parametrize(
    ("function", "attributes"),
    [
        (decodes, ["msg", "doc", "pos", "lineno", "colno"]),
        (decodes_a_response, ["msg", "doc", "pos", "lineno", "colno"]),
        (is_denied, ["response", "operation_name"]),
        (has_no_region, ["kwargs"]),
        (takes_too_long, ["kwargs"]),
        (sums, ["axis", "ndim"]),
        (is_reduced, ["response", "operation"]),
        (is_slotted, ["axis"]),
        (is_changed, ["sample"]),
        (is_frozen, ["sample"]),
        (exits, ["code"]),
        (does_not_find, ["errno", "strerror", "filename"]),
        (decodes_bytes, ["encoding", "object", "start", "end", "reason"]),
        (fails_in_a_child, ["returncode", "cmd"]),
        (is_interrupted, ["args"]),
        (is_closed, ["args"]),
        (is_cancelled, ["args"]),
        (panics, ["args"]),
    ],
)
def test_an_exception_says_and_knows_what_it_did_there(
    pool: LocalExecutor, function: Callable[[], Any], attributes: list[str]
) -> None:
    error, trace = raised(pool, function)
    expected = here(function)
    assert type(error) is type(expected)
    assert str(error) == str(expected)
    for name in attributes:
        assert getattr(error, name) == getattr(expected, name)
    assert f'File "{__file__}", line' in trace


def test_an_async_function_that_is_cancelled_fails_its_call(pool: LocalExecutor) -> None:
    error, trace = raised(pool, is_cancelled_while_it_waits)
    assert type(error) is asyncio.CancelledError
    assert "asyncio/runners.py" not in trace


def says_more() -> None:
    error = ValueError("cell is empty")
    error.add_note("while reading sheet 3")
    raise error


def says_more_of_a_decoder() -> None:
    try:
        json.loads("{nope")
    except json.JSONDecodeError as error:
        error.add_note("while reading sheet 3")
        error.sheet = 3  # type: ignore[attr-defined]
        raise


@pytest.mark.parametrize("function", [says_more, says_more_of_a_decoder])
def test_notes_and_attributes_come_along_that_its_own_way_forgets(
    pool: LocalExecutor, function: Callable[[], Any]
) -> None:
    error, trace = raised(pool, function)
    assert error.__notes__[0] == "while reading sheet 3"
    assert len(error.__notes__) == 2
    assert vars(error).get("sheet") == vars(here(function)).get("sheet")
    assert "while reading sheet 3" in trace


class Locked(ValueError):
    def __init__(self, sample: int, *, lock: Any) -> None:
        super().__init__(f"sample {sample} is locked")
        self.sample = sample
        self.lock = lock


def is_locked() -> None:
    raise Locked(3, lock=threading.Lock())


def is_a_response() -> None:
    with open(__file__, "rb") as file:
        raise urllib.error.HTTPError("http://lab/1", 404, "Not Found", {}, file)  # type: ignore[arg-type]


def has_a_lock_among_its_arguments() -> None:
    raise ValueError("with", threading.Lock())


class Tearful(ValueError):
    """What it says needs what cannot be sent."""

    def __init__(self, lock: Any) -> None:
        super().__init__()
        self.lock = lock

    def __str__(self) -> str:
        return f"held: {self.lock.locked()}"


def is_tearful() -> None:
    raise Tearful(threading.Lock())


@pytest.mark.parametrize(
    ("function", "attributes"),
    [
        (is_locked, ["sample", "args"]),
        (is_a_response, ["code", "msg", "filename"]),
        (has_a_lock_among_its_arguments, []),
        (is_tearful, []),
    ],
)
def test_what_cannot_be_sent_is_left_behind_and_the_rest_comes(
    pool: LocalExecutor, function: Callable[[], Any], attributes: list[str]
) -> None:
    error, _ = raised(pool, function)
    expected = here(function)
    assert isinstance(error, type(expected))
    assert type(error).__qualname__ == type(expected).__qualname__
    assert "object at 0x" in str(expected) or str(error) == str(expected)
    for name in attributes:
        assert getattr(error, name) == getattr(expected, name)


def test_what_was_left_behind_is_named(pool: LocalExecutor) -> None:
    error, _ = raised(pool, is_locked)
    assert error.__notes__[-1].endswith("Its attributes that cannot be sent between processes: lock")


class Unset(ValueError):
    def __setstate__(self, state: Any) -> None:
        raise RuntimeError("cannot be set")


class Unreduced(ValueError):
    def __reduce__(self) -> Any:
        raise RuntimeError("cannot be reduced")


class Exiting(ValueError):
    def __reduce__(self) -> Any:
        raise SystemExit(7)


class Speechless(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("cannot be said")


def fails_to_be_set() -> None:
    error = Unset("its message")
    error.sample = 3  # type: ignore[attr-defined]
    raise error


def fails_to_be_reduced() -> None:
    raise Unreduced("its message")


def exits_when_reduced() -> None:
    raise Exiting("its message")


@pytest.mark.parametrize("function", [fails_to_be_set, fails_to_be_reduced, exits_when_reduced])
def test_code_of_an_exception_that_fails_does_no_harm(pool: LocalExecutor, function: Callable[[], Any]) -> None:
    error, _ = raised(pool, function)
    assert type(error) is type(here(function))
    assert str(error) == "its message"
    assert vars(error).get("sample") == vars(here(function)).get("sample")


def is_speechless() -> None:
    raise Speechless("its message")


def test_an_exception_that_cannot_say_what_it_is_is_one_all_the_same(pool: LocalExecutor) -> None:
    error, trace = raised(pool, is_speechless)
    assert type(error) is Speechless
    assert error.args == ("its message",)
    assert "is_speechless" in trace


def is_of_a_type_that_cannot_be_sent() -> None:
    lock = threading.Lock()

    class LocalError(KeyError):
        def locked(self) -> bool:
            return lock.locked()

    raise LocalError("sample")


def test_an_exception_of_a_type_that_cannot_be_sent_is_the_nearest_that_can(pool: LocalExecutor) -> None:
    error, _ = raised(pool, is_of_a_type_that_cannot_be_sent)
    assert type(error) is KeyError
    assert "LocalError: 'sample'" in error.args[0]


def has_members() -> None:
    json_error = here(decodes)
    locked = here(is_locked)
    raise ExceptionGroup("two", [json_error, ExceptionGroup("one", [locked])])  # type: ignore[list-item]


def test_a_group_has_its_members(pool: LocalExecutor) -> None:
    error, trace = raised(pool, has_members)
    assert isinstance(error, ExceptionGroup)
    first, inner = error.exceptions
    assert isinstance(first, json.JSONDecodeError)
    assert first.pos == 1
    assert isinstance(inner, ExceptionGroup)
    assert isinstance(inner.exceptions[0], Locked)
    assert inner.exceptions[0].sample == 3
    assert "two (2 sub-exceptions)" in trace


def has_a_cause() -> None:
    try:
        json.loads("{nope")
    except ValueError as error:
        raise RuntimeError("no result") from error


def test_causes_are_in_the_note(pool: LocalExecutor) -> None:
    error, _ = raised(pool, has_a_cause)
    assert "JSONDecodeError: Expecting property name" in error.__notes__[-1]


def gives_a_lock() -> Any:
    return threading.Lock()


class Unreadable:
    def __reduce__(self) -> Any:
        return _refuses, ()


class Exits:
    def __reduce__(self) -> Any:
        raise SystemExit(5)


def _refuses() -> None:
    raise OSError("not here")


def gives_what_cannot_be_read() -> Any:
    return Unreadable()


def gives_what_exits() -> Any:
    return Exits()


@pytest.mark.parametrize(
    ("function", "type_", "said"),
    [
        (gives_a_lock, TypeError, "a lock cannot be sent between processes: cannot pickle '_thread.lock' object"),
        (gives_what_exits, TypeError, "a Exits cannot be sent between processes: 5"),
        (gives_what_cannot_be_read, OSError, "not here"),
    ],
)
def test_a_result_that_cannot_be_sent_fails_its_call_only(
    pool: LocalExecutor, function: Callable[[], Any], type_: type[BaseException], said: str
) -> None:
    logger = RecordingLogger()
    before = pool.execute_callable(_worker, {})
    with pytest.raises(type_, match=said):
        pool.execute_callable(function, {}, logger=logger)
    assert logger.only["success"] is False
    assert pool.execute_callable(_worker, {}) == before


def _worker() -> int:
    import os

    return os.getpid()


def gives(value: Any) -> Any:
    return value


@pytest.mark.parametrize("value", [Unreadable(), threading.Lock()])
def test_arguments_that_cannot_be_sent_or_read_fail_their_call_only(pool: LocalExecutor, value: Any) -> None:
    before = pool.execute_callable(_worker, {})
    with pytest.raises((OSError, TypeError), match="not here|cannot pickle"):
        pool.execute_callable(gives, {"value": value})
    assert pool.execute_callable(_worker, {}) == before
