"""``ExecutorSuite``: what every executor of Python functions must do."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from orcapod.errors import ExecutionError
from orcapod.protocols import (
    PacketExecutionLoggerProtocol,
    PacketFunctionExecutorProtocol,
    PythonFunctionExecutorProtocol,
)

__all__ = ["ExecutorSuite", "RecordingLogger", "SampleError"]

_CALLS = 8
_LINES = 20


class RecordingLogger:
    """A logger that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def record(self, **kwargs: object) -> None:
        self.records.append(kwargs)

    @property
    def only(self) -> dict[str, Any]:
        """The one record that there must be."""
        assert len(self.records) == 1, f"record must be called exactly once per call, found {self.records}"
        return self.records[0]


class SampleError(Exception):
    """An exception that cannot be made again from its ``args``."""

    def __init__(self, sample: int, reason: str) -> None:
        super().__init__(f"sample {sample}: {reason}")
        self.sample = sample
        self.reason = reason


class _BrittleError(Exception):
    """An exception that does not survive being copied."""

    def __init__(self, sample: int) -> None:
        super().__init__(sample)
        self.sample = sample

    def __setstate__(self, state: object) -> None:
        raise RuntimeError("cannot be made again")


# The functions that are run: of a module, so that they can be sent to other processes.


def _add(a: int, b: int = 10) -> int:
    return a + b


def _give(value: Any) -> Any:
    return value


def _empty(**values: Any) -> int:
    given = len(values)
    values.clear()
    return given


def _extend(values: list[int]) -> int:
    values.append(0)
    return len(values)


def _fail(sample: int, reason: str) -> None:
    raise SampleError(sample, reason)


def _fail_brittly() -> None:
    raise _BrittleError(3)


def _fail_from_cause() -> None:
    try:
        _fail(3, "broken")
    except SampleError as error:
        raise ValueError("no result") from error


def _stop() -> None:
    raise StopIteration("exhausted")


def _leave(code: int) -> None:
    _write("leaving\n")
    sys.exit(code)


def _write(out: str = "", err: str = "") -> None:
    sys.stdout.write(out)
    sys.stderr.write(err)


def _write_and_fail(out: str) -> None:
    _write(out)
    _fail(3, "broken")


def _write_both_ways(count: int) -> None:
    for number in range(count):
        sys.stdout.write(f"text {number}\n")
        sys.stdout.flush()
        sys.stdout.buffer.write(f"bytes {number}\n".encode())
        sys.stdout.buffer.flush()


def _log() -> None:
    logger = logging.getLogger("orcapod.testing.sample")
    logger.debug("nobody asked")
    logger.info("it is %d", 1)
    logger.warning("it is %d", 2)
    try:
        _fail(3, "broken")
    except SampleError:
        logger.exception("it is 3")


def _write_lines(name: str) -> str:
    for number in range(_LINES):
        sys.stdout.write(f"{name} {number}\n")
        logging.getLogger("orcapod.testing.sample").info("%s %d", name, number)
        time.sleep(0)  # let others in
    return name


async def _await_add(a: int, b: int) -> int:
    await asyncio.sleep(0)
    return a + b


async def _await_fail(sample: int) -> None:
    await asyncio.sleep(0)
    raise SampleError(sample, "awaited")


async def _await_write_lines(name: str) -> str:
    for number in range(_LINES):
        sys.stdout.write(f"{name} {number}\n")
        logging.getLogger("orcapod.testing.sample").info("%s %d", name, number)
        await asyncio.sleep(0)
    return name


def _lines(name: str, prefix: str = "") -> str:
    return "".join(f"{prefix}{name} {number}\n" for number in range(_LINES))


class ExecutorSuite:
    """What an executor must do. Subclass it in a test file, and give your executor.

    Like this::

        class TestMyExecutor(ExecutorSuite):
            @pytest.fixture
            def executor(self):
                return MyExecutor()

    Calls are tried with the executor entered, as in a run, and not entered, as by somebody who tries one.
    """

    @pytest.fixture
    @abstractmethod
    def executor(self) -> PythonFunctionExecutorProtocol:
        """Return a fresh executor, not entered."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `executor` that gives the executor to test")

    @pytest.fixture(params=["entered", "not entered"])
    def running(
        self, executor: PythonFunctionExecutorProtocol, request: pytest.FixtureRequest
    ) -> Iterator[PythonFunctionExecutorProtocol]:
        """Return the executor, in and out of a ``with`` block."""
        if request.param == "entered":
            with executor as entered:
                yield entered
        else:
            yield executor

    @pytest.fixture
    def logger(self) -> RecordingLogger:
        """Return a fresh logger."""
        return RecordingLogger()

    # What it is.

    def test_it_is_an_executor(self, executor: PythonFunctionExecutorProtocol) -> None:
        """It has all that the protocols ask for, and says what it is."""
        assert isinstance(executor, PacketFunctionExecutorProtocol)
        assert isinstance(executor, PythonFunctionExecutorProtocol)
        assert isinstance(executor.executor_type_id, str)
        assert executor.executor_type_id

    def test_it_runs_python_and_not_everything(self, executor: PythonFunctionExecutorProtocol) -> None:
        """``supports`` tells function types apart."""
        assert executor.supports("python")
        assert not executor.supports("no-such-language")

    def test_options_give_an_executor_that_works(self, executor: PythonFunctionExecutorProtocol) -> None:
        """``with_options`` gives another executor, or the same, of the same kind."""
        other = executor.with_options()
        assert type(other) is type(executor)
        assert other.execute_callable(_add, {"a": 1}) == 11

    def test_unknown_options_are_refused(self, executor: PythonFunctionExecutorProtocol) -> None:
        """The error names the option."""
        with pytest.raises(ExecutionError, match="no_such_option"):
            executor.with_options(no_such_option=1)

    def test_blocks_may_be_nested_and_repeated(self, executor: PythonFunctionExecutorProtocol) -> None:
        """Every node of a run enters its executor, and every run does."""
        for _ in range(2):
            with executor, executor:
                assert executor.execute_callable(_add, {"a": 1}) == 11
            assert executor.execute_callable(_add, {"a": 2}) == 12

    # Calls.

    @pytest.mark.parametrize("value", [None, 0, "é", b"\0", [1, [2]], {"a": (1, 2)}, 1.5])
    def test_results_come_back(self, running: PythonFunctionExecutorProtocol, value: object) -> None:
        """A result is equal to what the function returned, of the same type."""
        result = running.execute_callable(_give, {"value": value})
        assert result == value
        assert type(result) is type(value)

    @pytest.mark.parametrize("kind", ["table", "batch", "column", "array"])
    def test_arrow_comes_back_as_it_was(self, running: PythonFunctionExecutorProtocol, kind: str) -> None:
        """Whole and in slices, of any type."""
        words = pa.array(["a", None, "b"] * 5000)
        columns = [words, words.dictionary_encode(), pa.array([[1.5], None, []] * 5000)]
        table = pa.table(columns, names=["word", "code", "list"])
        whole: Any = {"table": table, "batch": table.to_batches()[0], "column": table["word"], "array": words}[kind]
        for value in (whole, whole.slice(7, 2), whole.slice(15_000)):
            result = running.execute_callable(_give, {"value": value})
            assert type(result) is type(value)
            assert result.equals(value)

    def test_arguments_are_passed_by_name(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """Defaults hold; it is the same with a logger."""
        assert running.execute_callable(_add, {"a": 1}) == 11
        assert running.execute_callable(_add, {"b": 1, "a": 1}) == 2
        assert running.execute_callable(_add, {"b": 1, "a": 1}, logger=logger) == 2

    def test_the_callers_arguments_stay_as_they_are(self, running: PythonFunctionExecutorProtocol) -> None:
        """A function that empties its keyword arguments empties its own."""
        kwargs = {"a": 1, "b": 2}
        assert running.execute_callable(_empty, kwargs) == 2
        assert kwargs == {"a": 1, "b": 2}

    def test_a_change_in_place_reaches_no_other_call(self, running: PythonFunctionExecutorProtocol) -> None:
        """Every call has the arguments that it was given, also after others of the function."""
        assert [running.execute_callable(_extend, {"values": [1]}) for _ in range(3)] == [2, 2, 2]

    def test_async_functions_run_to_their_end(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """Without a loop, and where one is running in this thread already."""

        async def inside() -> Any:
            return running.execute_callable(_await_add, {"a": 1, "b": 2}, logger=logger)

        assert running.execute_callable(_await_add, {"a": 1, "b": 2}) == 3
        assert asyncio.run(inside()) == 3
        assert logger.only["success"] is True

    def test_both_kinds_of_functions_can_be_awaited(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """``async_execute_callable`` gives what ``execute_callable`` does."""
        assert asyncio.run(_awaited(running, _add, {"a": 1})) == 11
        assert asyncio.run(_awaited(running, _await_add, {"a": 1, "b": 2})) == 3
        assert asyncio.run(_awaited(running, _add, {"a": 1}, logger)) == 11
        assert logger.only["success"] is True

    # Failures.

    @pytest.mark.parametrize("logged", ["logged", ""])
    def test_exceptions_arrive_as_themselves(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger, logged: str
    ) -> None:
        """Type, message and attributes, also if the type cannot be made again from its ``args``."""
        with pytest.raises(SampleError) as caught:
            running.execute_callable(_fail, {"sample": 3, "reason": "broken"}, logger=logger if logged else None)
        assert type(caught.value) is SampleError
        assert (caught.value.sample, caught.value.reason, str(caught.value)) == (3, "broken", "sample 3: broken")
        if logged:
            assert logger.only["success"] is False

    def test_an_exception_that_cannot_be_sent_ends_its_call_all_the_same(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """As itself, or as what stood in its way."""
        with pytest.raises((_BrittleError, RuntimeError)):
            running.execute_callable(_fail_brittly, {}, logger=logger)
        assert logger.only["success"] is False
        assert running.execute_callable(_add, {"a": 1}) == 11

    def test_exceptions_of_async_functions_too(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """Awaited or not."""
        with pytest.raises(SampleError, match="sample 4: awaited"):
            running.execute_callable(_await_fail, {"sample": 4})
        with pytest.raises(SampleError, match="sample 5: awaited"):
            asyncio.run(_awaited(running, _await_fail, {"sample": 5}, logger))
        assert logger.only["success"] is False
        assert "sample 5: awaited" in logger.only["traceback"]

    @pytest.mark.parametrize("logged", ["logged", ""])
    def test_stop_iteration_is_an_exception_like_others(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger, logged: str
    ) -> None:
        """Generators in the way of it must not swallow or change it."""
        with pytest.raises(StopIteration, match="exhausted"):
            running.execute_callable(_stop, {}, logger=logger if logged else None)

    def test_a_call_after_a_failure_is_as_any_other(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """A failure leaves nothing behind."""
        with pytest.raises(SampleError):
            running.execute_callable(_fail, {"sample": 3, "reason": "broken"}, logger=RecordingLogger())
        running.execute_callable(_write, {"out": "fine"}, logger=logger)
        assert (logger.only["stdout"], logger.only["success"], logger.only["traceback"]) == ("fine", True, None)

    def test_an_exit_is_recorded_and_goes_on(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """``sys.exit`` in a function ends the call, with its code, and not the executor."""
        with pytest.raises(SystemExit) as caught:
            running.execute_callable(_leave, {"code": 3}, logger=logger)
        assert caught.value.code == 3
        assert (logger.only["stdout"], logger.only["success"]) == ("leaving\n", False)
        assert running.execute_callable(_add, {"a": 1}) == 11

    def test_the_traceback_tells_of_the_users_code(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """It begins with the function that was called, and holds the whole chain of causes."""
        with pytest.raises(ValueError, match="no result"):
            running.execute_callable(_fail_from_cause, {}, logger=logger)
        text = logger.only["traceback"]
        before, _, after = text.partition("The above exception was the direct cause")
        assert "sample 3: broken" in before
        assert "in _fail\n" in before
        frames = [line for line in after.splitlines() if line.startswith("  File ")]
        assert frames[0].endswith("in _fail_from_cause"), text
        assert text.endswith("ValueError: no result\n")

    # Capture.

    def test_output_is_captured(self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger) -> None:
        """Exactly as it was written, streams apart, letters of any kind, with and without a last newline."""
        out, err = "one\n\ntwo", "Grüße 🐳\n"
        running.execute_callable(_write, {"out": out, "err": err}, logger=logger)
        assert logger.only == {"stdout": out, "stderr": err, "python_logs": "", "traceback": None, "success": True}

    def test_silence_is_empty_text(self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger) -> None:
        """A call that writes nothing has all fields, too."""
        running.execute_callable(_add, {"a": 1}, logger=logger)
        assert logger.only == {"stdout": "", "stderr": "", "python_logs": "", "traceback": None, "success": True}

    def test_text_and_bytes_keep_their_order(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """``sys.stdout`` and ``sys.stdout.buffer`` are one stream."""
        running.execute_callable(_write_both_ways, {"count": 3}, logger=logger)
        assert logger.only["stdout"] == "".join(f"text {number}\nbytes {number}\n" for number in range(3))

    def test_logging_is_captured_from_info_on(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """Whatever the root logger's level; a line is ``LEVEL:name:message``, exceptions included."""
        running.execute_callable(_log, {}, logger=logger)
        text = logger.only["python_logs"]
        name = "orcapod.testing.sample"
        assert text.startswith(f"INFO:{name}:it is 1\nWARNING:{name}:it is 2\nERROR:{name}:it is 3\nTraceback")
        assert text.endswith("SampleError: sample 3: broken\n")
        assert "nobody asked" not in text
        assert (logger.only["stdout"], logger.only["stderr"]) == ("", "")

    def test_what_was_written_before_a_failure_is_kept(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """A failed packet's output is what people look for."""
        with pytest.raises(SampleError):
            running.execute_callable(_write_and_fail, {"out": "so far\n"}, logger=logger)
        assert (logger.only["stdout"], logger.only["success"]) == ("so far\n", False)

    def test_output_of_async_functions_is_captured(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """From the first line to the last, also where a loop is running in this thread already."""
        other = RecordingLogger()

        async def inside() -> None:
            running.execute_callable(_await_write_lines, {"name": "inside"}, logger=other)

        running.execute_callable(_await_write_lines, {"name": "outside"}, logger=logger)
        asyncio.run(inside())
        _assert_apart({"outside": logger, "inside": other})

    def test_calls_without_a_logger_are_captured_by_nobody(
        self, running: PythonFunctionExecutorProtocol, logger: RecordingLogger
    ) -> None:
        """What they write never turns up in another call's record."""
        running.execute_callable(_write, {"out": "before\n"})
        running.execute_callable(_write, {"out": "mine\n"}, logger=logger)
        running.execute_callable(_write, {"out": "after\n"})
        assert logger.only["stdout"] == "mine\n"

    def test_calls_from_several_threads_do_not_mix(self, running: PythonFunctionExecutorProtocol) -> None:
        """Every record holds all lines of its own call, and no other."""
        loggers = {f"call {number}": RecordingLogger() for number in range(_CALLS)}
        results = []

        def call(name: str) -> None:
            results.append(running.execute_callable(_write_lines, {"name": name}, logger=loggers[name]))

        threads = [threading.Thread(target=call, args=(name,)) for name in loggers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == sorted(loggers)
        _assert_apart(loggers)

    @pytest.mark.parametrize("function", [_write_lines, _await_write_lines])
    def test_calls_from_several_tasks_do_not_mix(
        self, running: PythonFunctionExecutorProtocol, function: Callable[..., Any]
    ) -> None:
        """Functions of both kinds."""
        loggers = {f"call {number}": RecordingLogger() for number in range(_CALLS)}

        async def all_of_them() -> list[Any]:
            calls = [_awaited(running, function, {"name": name}, logger) for name, logger in loggers.items()]
            return await asyncio.gather(*calls)

        assert asyncio.run(all_of_them()) == list(loggers)
        _assert_apart(loggers)

    def test_the_process_is_left_as_it_was(self, executor: PythonFunctionExecutorProtocol) -> None:
        """Streams, log handlers and levels, after a block and after a single call, failed or not."""
        before = _surroundings()
        with executor:
            executor.execute_callable(_write, {"out": "x"}, logger=RecordingLogger())
            with pytest.raises(SampleError):
                executor.execute_callable(_fail, {"sample": 1, "reason": "x"}, logger=RecordingLogger())
        assert _surroundings() == before
        with pytest.raises(SampleError):
            executor.execute_callable(_fail, {"sample": 1, "reason": "x"}, logger=RecordingLogger())
        assert _surroundings() == before


async def _awaited(
    executor: PythonFunctionExecutorProtocol,
    function: Callable[..., Any],
    kwargs: Mapping[str, Any],
    logger: PacketExecutionLoggerProtocol | None = None,
) -> Any:
    return await executor.async_execute_callable(function, kwargs, logger=logger)


def _assert_apart(loggers: Mapping[str, RecordingLogger]) -> None:
    for name, logger in loggers.items():
        assert logger.only["stdout"] == _lines(name)
        assert logger.only["python_logs"] == _lines(name, "INFO:orcapod.testing.sample:")


def _surroundings() -> tuple[object, ...]:
    root = logging.getLogger()
    return sys.stdout, sys.stderr, root.level, tuple(root.handlers)
